"""What is held of one instrument, and the venue's rules for it."""

# mypy: disable-error-code="no-any-return"
# Rows are fields of a buffer, not objects: their types are known when compiled.

from __future__ import annotations

import math

import numpy as np

from quantlytic.engine.codes import BUY
from quantlytic.engine.record import Record, layout_of


class Position(Record):
    """One row an instrument: what is held, its last price, how many of its order rows are in use, the venue's rules."""

    def __init__(self) -> None:
        self.quantity = 0.0
        self.price = math.nan
        self.orders = 0
        self.lot_size = 0.0
        self.tick_size = 0.0
        self.min_notional = 0.0

    def round_quantity(self, quantity: float) -> float:
        """Down to a whole number of lots; as it is where there are no lots."""
        return self._steps(quantity, self.lot_size, 1e-9)

    def round_price(self, price: float, side: int) -> float:
        """To the tick that is not more aggressive than `price`: down for a buy, up for a sell."""
        if side == BUY:
            return self._steps(price, self.tick_size, 1e-9)
        return -self._steps(-price, self.tick_size, 1e-9)

    def settle(self, change: float) -> None:
        """Take a signed quantity; with lots, the sum stays on the grid of lots."""
        self.quantity = self._steps(self.quantity + change, self.lot_size, 0.5)

    def _steps(self, value: float, size: float, nudge: float) -> float:
        """`value` as floor(value / size + nudge) whole steps. A decimal step (0.001) gives the float nearest the decimal."""
        if size == 0.0 or not np.isfinite(value):
            return value
        count = np.floor(value / size + nudge)
        per_unit = np.floor(1.0 / size + 0.5)
        if np.abs(per_unit * size - 1.0) < 1e-9:
            return count / per_unit
        return count * size


POSITION = layout_of(Position())
