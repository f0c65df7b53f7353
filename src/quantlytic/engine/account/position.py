"""What is held of one instrument, and the venue's rules for it."""

# mypy: disable-error-code="no-any-return"
# Rows are fields of a buffer, not objects: their types are known when compiled.

from __future__ import annotations

import math

import numpy as np

from quantlytic.engine.account.codes import BUY
from quantlytic.engine.compiler.record import Record, layout_of


class Position(Record):
    """One row an instrument: what is held, its last price, how many of its order rows are in use, the venue's rules.

    `average`: what a unit held cost; `margin`: what is locked for it (isolated margin). `variance` of a bar's log return and
    `usual_volume` of a bar: exponential averages, for square-root impact. `quoted`: orders fill at the far side of a quote.
    `plain`: its open orders are market orders with nothing special, but for orders that have ended since.
    `charged_day`: the UTC day borrowing is paid up to. `session_start` and `session_end`: the last ones told (-1: none).
    """

    def __init__(self) -> None:
        self.quantity = 0.0
        self.price = math.nan
        self.orders = 0
        self.lot_size = 0.0
        self.tick_size = 0.0
        self.min_notional = 0.0
        self.average = 0.0
        self.margin = 0.0
        self.variance = 0.0
        self.usual_volume = 0.0
        self.charged_day = 0
        self.session_start = -1
        self.session_end = -1
        self.has_sessions = False
        self.plain = True
        self.delisted = False
        self.quoted = False

    def round_quantity(self, quantity: float) -> float:
        """Down to a whole number of lots; as it is where there are no lots."""
        return self._steps(quantity, self.lot_size, 1e-9)

    def round_price(self, price: float, side: int) -> float:
        """To the tick that is not more aggressive than `price`: down for a buy, up for a sell."""
        if side == BUY:
            return self._steps(price, self.tick_size, 1e-9)
        return -self._steps(-price, self.tick_size, 1e-9)

    def settle(self, change: float, price: float, leverage: float) -> None:
        """Take a signed quantity, bought or sold at `price`; with lots, the sum stays on the grid of lots."""
        before = self.quantity
        after = self._steps(before + change, self.lot_size, 0.5)
        self.quantity = after
        if after == 0.0:
            self.average = 0.0
            self.margin = 0.0
        elif before * after <= 0.0:
            self.average = price
            self.margin = np.abs(after) * price / leverage
        elif before * change > 0.0:
            self.average = (before * self.average + change * price) / (before + change)
            self.margin += np.abs(change) * price / leverage
        else:
            self.margin *= after / before

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
