"""What is held of one instrument, and what it cost."""

from __future__ import annotations

import math

from quantlytic.model.fill import Fill

_DUST = 1e-9
_IN_KIND = 0.01  # of the largest holding: so much may have gone for fees in what was bought, or be left of a lot


class PositionBook:
    """Quantity, average price and realised P&L of one instrument, from fills, checked against the executor's reports.

    The average price is NaN while it cannot be known: fills before the first one seen are missing, or the executor
    holds a quantity that the fills do not explain (fees in kind and rests of lots apart). It is known again from the next time
    the position is opened anew.
    """

    def __init__(self) -> None:
        self.quantity = 0.0
        self.average_price = math.nan
        self.realised = 0.0
        self.price = math.nan
        self._largest = 0.0

    def distrust(self) -> None:
        """Fills were missed: what is held may have another price than we know."""
        self.average_price = math.nan
        self.realised = math.nan

    def apply(self, fill: Fill) -> None:
        """Book a fill at average cost."""
        change = fill.side * fill.quantity
        before, after = self.quantity, self.quantity + change
        if _is_dust(after, change):
            after = 0.0
        if before == 0.0 or before * after < 0:
            opened_at = fill.price
        elif before * change > 0:
            opened_at = (self.average_price * before + fill.price * change) / after
        else:
            opened_at = self.average_price
        if before * change < 0:
            closed = min(abs(before), abs(change)) * math.copysign(1.0, before)
            self.realised += closed * (fill.price - self.average_price)
        self.quantity = after
        self._largest = max(self._largest, abs(after)) if after else 0.0
        self.average_price = opened_at if after else math.nan
        self.price = fill.price

    def report(self, quantity: float, price: float) -> None:
        """The executor says what is held, and the price it marked it at. Its word counts."""
        self.price = price
        apart = quantity - self.quantity
        if not _is_dust(apart, quantity) and abs(apart) > _IN_KIND * self._largest:
            self.average_price = math.nan
            self.realised = math.nan
        self.quantity = quantity
        if not quantity:
            self.average_price, self._largest = math.nan, 0.0

    def unrealised(self, mark: float) -> float:
        """P&L of closing at `mark`; 0 when flat, NaN when the average price is not known."""
        return self.quantity * (mark - self.average_price) if self.quantity else 0.0


def _is_dust(rest: float, scale: float) -> bool:
    return abs(rest) <= _DUST * max(abs(scale), _DUST)
