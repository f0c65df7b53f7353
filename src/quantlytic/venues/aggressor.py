"""Who took, where a venue does not say."""

from __future__ import annotations

from quantlytic.model.side import Side

SavedSide = tuple[float, int]


class SideRule:
    """An estimate, for venues whose prints do not name the aggressor, by Lee and Ready (1991), "Inferring trade direction
    from intraday data": above the middle of the last quote a buy, below it a sale; at the middle, or without a quote, the
    tick rule: above the last different price a buy, below it a sale. The very first print is taken for a buy.
    """

    def __init__(self) -> None:
        self._middle = 0.0
        self._price = 0.0
        self._side = Side.BUY

    def on_quote(self, bid: float, ask: float) -> None:
        """The best prices, 0 for an empty side."""
        self._middle = (bid + ask) / 2 if bid and ask else 0.0

    def side(self, price: float, is_live: bool = True) -> Side:
        """The side of a print. `is_live` False: it is older than the last quote, which says nothing of it."""
        if is_live and self._middle and price != self._middle:
            self._side = Side.BUY if price > self._middle else Side.SELL
        elif self._price and price != self._price:
            self._side = Side.BUY if price > self._price else Side.SELL
        self._price = price
        return self._side

    def forget_quote(self) -> None:
        """The last quote is from before an interruption."""
        self._middle = 0.0

    def save(self) -> SavedSide:
        """What outlives a restart: not the quote."""
        return self._price, int(self._side)

    def restore(self, saved: SavedSide) -> None:
        """Take over what `save` gave."""
        self._price, self._side = saved[0], Side(saved[1])
