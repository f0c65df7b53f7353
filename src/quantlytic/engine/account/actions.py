"""What happens to an instrument besides trading: splits, dividends, delistings, funding, sessions.

- A split changes the quantity held, the open orders and their prices; what lots cannot hold is paid out at the new price (as a
  DIVIDEND flow). A dividend is paid on what is held; shorts pay it. A delisting cancels all orders, pays out the position and
  rejects whatever comes later. Funding is paid on the value at the last price. Prices of open orders stay at a dividend.
"""

# mypy: disable-error-code="no-any-return"
# Rows are fields of a buffer, not objects: their types are known when compiled.

from __future__ import annotations

from typing import Any

import numpy as np

from quantlytic.engine.account.codes import (
    CANCELED,
    DELISTED,
    DELISTING,
    DIVIDEND,
    EXPIRED,
    FILLED,
    FLOW_DIVIDEND,
    FLOW_FUNDING,
    FUNDING,
    SESSION_CLOSE,
    SESSION_OPEN,
    SPLIT,
    SPLIT_TO_NOTHING,
)
from quantlytic.engine.account.cold import ACT, consult
from quantlytic.engine.account.lifecycle import Lifecycle
from quantlytic.engine.compiler.record import address_of


class Actions(Lifecycle):
    """Corporate actions, funding, sessions."""

    def act(self, action: Any) -> None:
        """A corporate action, funding, or a session's open or close (`begin` came before)."""
        consult(ACT, address_of(self), address_of(action), 0)

    def carry_out(self, action: Any) -> None:
        """`act`, behind the counter."""
        instrument = action.instrument
        position = self.position(instrument)
        held, value = position.quantity, action.value
        if action.kind == SPLIT:
            if np.isfinite(value) and value > 0.0:
                self.split(instrument, value)
        elif action.kind == DIVIDEND:
            if held != 0.0 and np.isfinite(value):
                self.pay(instrument, FLOW_DIVIDEND, held * value)
        elif action.kind == FUNDING:
            if held != 0.0 and np.isfinite(value):
                self.pay(instrument, FLOW_FUNDING, -held * position.price * value)
        elif action.kind == DELISTING:
            price = value if np.isfinite(value) else position.price
            self.close_out(instrument, price, self.time, DELISTED)
            self.drop_finished(instrument)
            position.price = price
            position.delisted = True
        elif action.kind == SESSION_OPEN:
            position.session_start = self.time
            position.has_sessions = True
        elif action.kind == SESSION_CLOSE:
            position.session_end = self.time
            position.has_sessions = True
        if np.isfinite(position.price):
            self.mark(instrument, position.price)

    def split(self, instrument: int, ratio: float) -> None:
        """New units for old: of the position and of the open orders."""
        position = self.position(instrument)
        exact = position.quantity * ratio
        position.price /= ratio
        position.average /= ratio
        position.usual_volume *= ratio
        whole = position.round_quantity(exact) if exact > 0.0 else -position.round_quantity(-exact)
        position.quantity = whole
        if whole != exact:
            self.pay(instrument, FLOW_DIVIDEND, (exact - whole) * position.price)
        for row in range(position.orders):
            order = self.order(instrument, row)
            order.quantity = position.round_quantity(order.quantity * ratio)
            order.dormant = position.round_quantity(order.dormant * ratio)
            order.filled *= ratio
            order.price = position.round_price(order.price / ratio, order.side)
            order.stop_price = position.round_price(order.stop_price / ratio, -order.side)
            order.best /= ratio
            order.amend_quantity = position.round_quantity(order.amend_quantity * ratio)
            order.amend_price = position.round_price(order.amend_price / ratio, order.side)
            order.amend_stop = position.round_price(order.amend_stop / ratio, -order.side)
            if not order.trail_percent:
                order.trail /= ratio
            if order.quantity + order.dormant == 0.0 and order.status < FILLED:
                self.finish(instrument, order, CANCELED, SPLIT_TO_NOTHING, self.time)
        self.drop_finished(instrument)

    def drop_finished(self, instrument: int) -> None:
        """Remove the rows of orders that have ended."""
        for row in range(self.position(instrument).orders - 1, -1, -1):
            if FILLED <= self.order(instrument, row).status <= EXPIRED:
                self.remove(instrument, row)
