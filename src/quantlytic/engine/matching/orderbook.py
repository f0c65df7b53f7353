"""An order book by price levels (L2), as a flat record that market data advances row by row.

A side is a run of (price, quantity) pairs sorted so that the best lies last: what changes most moves least. Each side
holds at most `depth` levels; one that comes in beyond forces the worst out, and what was forced out is not known again
until the venue tells its quantity anew.
"""

# mypy: disable-error-code="no-any-return"
# Rows are fields of a buffer, not objects: their types are known when compiled.

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.account.codes import BUY
from quantlytic.engine.compiler.record import Record, at, layout_of
from quantlytic.model.book import BookDelta
from quantlytic.model.errors import InputError

LEVEL = np.dtype(
    [
        ("instrument", "i4"), ("event_time", "i8"), ("sequence", "i8"), ("side", "i1"),
        ("price", "f8"), ("quantity", "f8"), ("snapshot", "?"), ("last", "?"),
    ],
    align=True,
)  # fmt: skip
"""A changed level: `side` +1 bid, -1 ask; `quantity` 0 deletes it. `snapshot`: the book is emptied before this row (the
first of a whole book). `last`: the message ends here, so the book is whole and `on_book` is called."""


class PriceLevel(Record):
    """One price and what rests there."""

    def __init__(self) -> None:
        self.price = 0.0
        self.quantity = 0.0


PRICE_LEVEL = layout_of(PriceLevel())
PRICE_LEVEL_BYTES = PRICE_LEVEL.size


class Ladder(Record):
    """Both sides of a book as runs of levels, and how market data changes them; the k-th level is counted from the best."""

    def __init__(self) -> None:
        self.instrument = 0
        self.event_time = 0
        self.sequence = 0
        self.bids = 0
        self.asks = 0
        self.depth = 0

    def count(self, side: int) -> int:
        """How many levels of a side (+1 bids, -1 asks) are known."""
        return self.bids if side == BUY else self.asks

    def level(self, side: int, k: int) -> PriceLevel:
        """The k-th level from the best; there must be one."""
        slot = self.bids - 1 - k if side == BUY else self.depth + self.asks - 1 - k
        return at(self, BOOK_BYTES + slot * PRICE_LEVEL_BYTES, PRICE_LEVEL)

    def quantity_at(self, side: int, price: float) -> float:
        """What rests at exactly this price on a side (+1 bids, -1 asks)."""
        count = self.count(side)
        k = self._find(side, price)
        if k < count and self.level(side, k).price == price:
            return self.level(side, k).quantity
        return 0.0

    def clear(self) -> None:
        """Forget both sides."""
        self.bids = 0
        self.asks = 0

    def set(self, side: int, price: float, quantity: float) -> None:
        """Put a level, or delete it (quantity 0)."""
        count = self.count(side)
        k = self._find(side, price)
        found = k < count and self.level(side, k).price == price
        if found and quantity > 0.0:
            self.level(side, k).quantity = quantity
        elif found:
            self._grow(side, -1)
            # The better levels lay behind the deleted one; counted from the best, they are one nearer now.
            first = self._base(side)
            for slot in range(count - 1 - k, count - 1):
                self._move(first + slot + 1, first + slot)
        elif quantity > 0.0:
            self._insert(side, price, quantity, k, count)

    def _find(self, side: int, price: float) -> int:
        """How many levels of the side are better than this price."""
        low, high = 0, self.count(side)
        step = 1
        while low + step <= high and side * (self.level(side, low + step - 1).price - price) > 0.0:
            low += step
            step *= 2
        high = min(high, low + step - 1)
        while low < high:
            middle = (low + high) // 2
            if side * (self.level(side, middle).price - price) > 0.0:
                low = middle + 1
            else:
                high = middle
        return low

    def _insert(self, side: int, price: float, quantity: float, k: int, count: int) -> None:
        """Make a new level the k-th from the best of `count`; a full side loses its worst."""
        first = self._base(side)
        place = count - k
        if count == self.depth:
            if k == count:
                return
            place -= 1
            for slot in range(place):
                self._move(first + slot + 1, first + slot)
        else:
            self._grow(side, 1)
            for slot in range(count, place, -1):
                self._move(first + slot - 1, first + slot)
        level = at(self, BOOK_BYTES + (first + place) * PRICE_LEVEL_BYTES, PRICE_LEVEL)
        level.price = price
        level.quantity = quantity

    def _base(self, side: int) -> int:
        return 0 if side == BUY else self.depth

    def _grow(self, side: int, change: int) -> None:
        if side == BUY:
            self.bids += change
        else:
            self.asks += change

    def _move(self, source: int, target: int) -> None:
        """Copy one slot to another."""
        one = at(self, BOOK_BYTES + source * PRICE_LEVEL_BYTES, PRICE_LEVEL)
        two = at(self, BOOK_BYTES + target * PRICE_LEVEL_BYTES, PRICE_LEVEL)
        two.price = one.price
        two.quantity = one.quantity


class Book(Ladder):
    """What `on_book` sees: `bid`, `ask`, `mid`, `spread`, and the levels behind them, 0 being the best."""

    @property
    def bid(self) -> float:
        """The best bid; NaN where there is none."""
        return self.bid_price(0)

    @property
    def ask(self) -> float:
        """The best ask; NaN where there is none."""
        return self.ask_price(0)

    @property
    def mid(self) -> float:
        """Half way between bid and ask; NaN where one is missing."""
        return 0.5 * (self.bid_price(0) + self.ask_price(0))

    @property
    def spread(self) -> float:
        """Ask less bid; NaN where one is missing."""
        return self.ask_price(0) - self.bid_price(0)

    @property
    def bid_quantity(self) -> float:
        """What rests at the best bid; 0 where there is none."""
        return self.bid_size(0)

    @property
    def ask_quantity(self) -> float:
        """What rests at the best ask; 0 where there is none."""
        return self.ask_size(0)

    def bid_price(self, level: int) -> float:
        """The bid `level` places behind the best; NaN beyond the last."""
        return self.level(BUY, level).price if 0 <= level < self.bids else math.nan

    def ask_price(self, level: int) -> float:
        """The ask `level` places behind the best; NaN beyond the last."""
        return self.level(-BUY, level).price if 0 <= level < self.asks else math.nan

    def bid_size(self, level: int) -> float:
        """What rests there; 0 beyond the last level."""
        return self.level(BUY, level).quantity if 0 <= level < self.bids else 0.0

    def ask_size(self, level: int) -> float:
        """What rests there; 0 beyond the last level."""
        return self.level(-BUY, level).quantity if 0 <= level < self.asks else 0.0

    def imbalance(self, levels: int) -> float:
        """(bids - asks) / (bids + asks) over the quantities of the best `levels` levels: from -1 to 1; 0 when empty."""
        bids, asks = 0.0, 0.0
        for k in range(levels):
            bids += self.bid_size(k)
            asks += self.ask_size(k)
        return (bids - asks) / (bids + asks) if bids + asks > 0.0 else 0.0


BOOK = layout_of(Book())
BOOK_BYTES = BOOK.size


def levels_of(deltas: Iterable[BookDelta], instruments: Mapping[str, int]) -> NDArray[np.void]:
    """LEVEL rows of the tape's `BookDelta` events, in their order. `instruments`: instrument id -> index."""
    rows: list[tuple[object, ...]] = []
    for delta in deltas:
        if delta.instrument not in instruments:
            raise InputError(f"a book delta names {delta.instrument}, which is not among the instruments")
        index, time, sequence = instruments[delta.instrument], delta.event_time, delta.last_sequence
        sides = ((1, delta.bid_prices, delta.bid_quantities), (-1, delta.ask_prices, delta.ask_quantities))
        levels = [(side, *level) for side, *columns in sides for level in zip(*columns, strict=True)]
        for k, (side, price, quantity) in enumerate(levels):
            whole = delta.snapshot and k == 0
            rows.append((index, time, sequence, side, price, quantity, whole, k == len(levels) - 1))
    return np.array(rows, LEVEL)
