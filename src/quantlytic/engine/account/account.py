"""The account and its simulated broker: positions, open orders, fills, all in one flat arena of bytes.

    Broker (with Account) | Position[n] | values[2m] | OpenOrder[n][capacity + 1] | tiers | lags | strategy states || outboxes

Rows are reached by their distance from the account's first byte, so the arena may lie anywhere. The outboxes hold what
one event brought forth and are empty between events; they are not part of what is saved.

Where the rules are: the money `wallet.py`, an order's life `lifecycle.py`, how orders meet a bar `barmatch.py`, what is
assumed of the market `market.py` and `models/`, splits and the like `actions.py`. Here: what a strategy may ask for, and the
broker's answers.

- An order that makes no sense is rejected when it is accepted, with the reason; so are the children of a rejected order, and a
  whole bracket whose prices contradict each other: a stop loss that is not on the losing side of entry and take-profit.
"""

# mypy: disable-error-code="no-any-return"
# Rows are fields of a buffer, not objects: their types are known when compiled.

from __future__ import annotations

from typing import Any

import numpy as np

from quantlytic.engine.account.actions import Actions
from quantlytic.engine.account.codes import (
    AMENDED,
    AT_CLOSE,
    AT_OPEN,
    CANCELED,
    CONTRADICTORY,
    DELISTED,
    EXPIRED,
    FAULT_TOO_MANY_REQUESTS,
    FILLED,
    FLOW_LIQUIDATION_FEE,
    FOK,
    GTC,
    GTD,
    INVALID_ORDER,
    INVALID_PRICE,
    INVALID_QUANTITY,
    IOC,
    LIMIT,
    MARKET,
    MIN_NOTIONAL,
    NEW,
    NO_REASON,
    PARENT,
    REJECTED,
    STOP,
    STOP_LIMIT,
    TAKE_PROFIT,
    TOO_MANY_OPEN_ORDERS,
    TRAILING_STOP,
)
from quantlytic.engine.account.cold import ANSWER, consult
from quantlytic.engine.account.lifecycle import FILL_BYTES, FILL_ROW, UPDATE_BYTES, UPDATE_ROW
from quantlytic.engine.account.wallet import CELL, CELL_BYTES, FLOW_BYTES, FLOW_ROW
from quantlytic.engine.compiler.record import address_of, at, layout_of
from quantlytic.model.action import ACTION
from quantlytic.model.bar import BAR
from quantlytic.model.equity import EQUITY
from quantlytic.model.order import ORDER, ORDER_AMEND, ORDER_CANCEL
from quantlytic.model.signal import SIGNAL

BAR_ROW, ORDER_ROW, SIGNAL_ROW, EQUITY_ROW = layout_of(BAR), layout_of(ORDER), layout_of(SIGNAL), layout_of(EQUITY)
CANCEL_ROW, AMEND_ROW, ACTION_ROW = layout_of(ORDER_CANCEL), layout_of(ORDER_AMEND), layout_of(ACTION)
BAR_BYTES, ORDER_BYTES, SIGNAL_BYTES = BAR.itemsize, ORDER.itemsize, SIGNAL.itemsize
CANCEL_BYTES, AMEND_BYTES, ACTION_BYTES = ORDER_CANCEL.itemsize, ORDER_AMEND.itemsize, ACTION.itemsize

__all__ = [
    "CELL",
    "CELL_BYTES",
    "FILL_BYTES",
    "FILL_ROW",
    "FLOW_BYTES",
    "FLOW_ROW",
    "UPDATE_BYTES",
    "UPDATE_ROW",
    "Account",
]


class Account(Actions):
    """Cash, equity, counters, and where in the arena everything else is (`..._at`: bytes from the account's first)."""

    def __init__(self) -> None:
        super().__init__()
        self.next_order_id = 1
        self.fault = 0
        self.request_capacity = 0
        self.cancel_capacity = 0
        self.state_bytes = 0
        self.states_at = 0
        self.outbox_at = 0
        self.new_orders_at = 0
        self.signals_at = 0
        self.cancels_at = 0
        self.amends_at = 0
        self.fills = 0
        self.updates = 0
        self.new_orders = 0
        self.signals = 0
        self.cancels = 0
        self.amends = 0
        self.flows = 0

    # ---- the strategy's requests ----

    def submit(
        self, side: int, type: int, time_in_force: int, quantity: float, price: float, stop_price: float, trail: float,
        trail_percent: bool, expire_time: int, post_only: bool, reduce_only: bool, parent_id: int, group_id: int,
    ) -> int:  # fmt: skip
        """Send an order for the current instrument; returns its id. Whether it is accepted, an update says."""
        instrument = self.current
        if self.new_orders >= self.request_capacity:
            self.fault = FAULT_TOO_MANY_REQUESTS
            return 0
        order_id = self.next_order_id
        self.next_order_id += 1
        order = at(self, self.new_orders_at + self.new_orders * ORDER_BYTES, ORDER_ROW)
        self.new_orders += 1
        order.order_id = order_id
        order.instrument = instrument
        order.event_time = self.time
        order.side = side
        order.type = type
        order.time_in_force = time_in_force
        order.quantity = quantity
        order.price = price
        order.bar_offset = self.bars - 1
        order.stop_price = stop_price
        order.trail = trail
        order.trail_percent = trail_percent
        order.expire_time = expire_time
        order.post_only = post_only
        order.reduce_only = reduce_only
        order.parent_id = parent_id
        order.group_id = group_id
        if parent_id == 0 and self.fault_in(order) == NO_REASON:
            signal = at(self, self.signals_at + self.signals * SIGNAL_BYTES, SIGNAL_ROW)
            self.signals += 1
            signal.signal_id = order_id
            signal.instrument = instrument
            signal.event_time = self.time
            signal.side = side
            signal.target_quantity = self.expected(instrument) + side * quantity
            signal.price = self.price
            signal.bar_offset = self.bars - 1
        self.enter(order)
        return order_id

    def market_order(self, side: int, quantity: float, time_in_force: int, reduce_only: bool) -> int:
        """Send a market order."""
        nothing = np.nan
        return self.submit(
            side, MARKET, time_in_force, quantity, nothing, nothing, 0.0, False, 0, False, reduce_only, 0, 0
        )

    def withdraw(self, instrument: int, row: int) -> None:
        order = self.order(instrument, row)
        order.cancel = True
        cancel = at(self, self.cancels_at + self.cancels * CANCEL_BYTES, CANCEL_ROW)
        self.cancels += 1
        cancel.order_id = order.order_id
        cancel.instrument = instrument
        cancel.event_time = self.time
        cancel.bar_offset = self.bars - 1

    def change(self, instrument: int, order_id: int, quantity: float, price: float, stop_price: float) -> None:
        """Ask for an amendment of an open order; NaN leaves a field as it is."""
        if self.amends >= self.cancel_capacity:
            self.fault = FAULT_TOO_MANY_REQUESTS
            return
        amend = at(self, self.amends_at + self.amends * AMEND_BYTES, AMEND_ROW)
        self.amends += 1
        amend.order_id = order_id
        amend.instrument = instrument
        amend.event_time = self.time
        amend.quantity = quantity
        amend.price = price
        amend.stop_price = stop_price
        amend.bar_offset = self.bars - 1
        self.note_amend(amend)

    def note_amend(self, amend: Any) -> None:
        """Write an amendment into the order's row, where it waits until it arrives. A later one overrides."""
        row = self.find(amend.instrument, amend.order_id)
        if row >= 0:
            order = self.order(amend.instrument, row)
            order.amend_quantity = amend.quantity
            order.amend_price = amend.price
            order.amend_stop = amend.stop_price

    # ---- what the broker, elsewhere, reported ----

    def take(self, update: Any) -> None:
        """Take over an order update."""
        instrument = update.instrument
        row = self.find(instrument, update.order_id)
        if row < 0:
            return
        order = self.order(instrument, row)
        if update.reason == AMENDED:
            self._amend_row(instrument, row)
        elif FILLED <= update.status <= EXPIRED:
            self.remember(update.order_id, update.status)
            if order.has_children:
                for k in range(self.position(instrument).orders):
                    child = self.order(instrument, k)
                    if child.parent_id == update.order_id:
                        child.dormant = 0.0
            self.remove(instrument, row)
        else:
            order.status = update.status

    def absorb(self, fill: Any) -> None:
        """Take over a fill. To be called before the updates of the same event."""
        instrument = fill.instrument
        self.settle(instrument, fill.side, fill.quantity, fill.price, fill.fee)
        self.next_fill_id = fill.fill_id + 1
        if fill.order_id == 0:
            self.position(instrument).quantity = 0.0
            if self.liquidation_rate > 0.0:
                self.pay(instrument, FLOW_LIQUIDATION_FEE, -(fill.quantity * fill.price) * self.liquidation_rate)
        else:
            row = self.find(instrument, fill.order_id)
            if row >= 0:
                self.progress(instrument, self.order(instrument, row), fill.quantity, fill.price)
        if instrument != self.current:
            self.revalue(instrument, self.position(instrument).quantity * self.position(instrument).price)

    # ---- the broker's answers ----

    def fault_in(self, order: Any) -> int:  # noqa: PLR0911 - one reason a line
        """What is wrong with an order (an ORDER row) as such, or NO_REASON."""
        position = self.position(order.instrument)
        kind, force = order.type, order.time_in_force
        if not (np.isfinite(order.quantity) and order.quantity > 0.0):
            return INVALID_QUANTITY
        limited = kind in (LIMIT, STOP_LIMIT)
        waits = kind in (STOP, STOP_LIMIT, TAKE_PROFIT)
        if limited and not (np.isfinite(order.price) and order.price > 0.0):
            return INVALID_PRICE
        if waits and not (np.isfinite(order.stop_price) and order.stop_price > 0.0):
            return INVALID_PRICE
        if kind == TRAILING_STOP and not (0.0 < order.trail < (100.0 if order.trail_percent else np.inf)):
            return INVALID_PRICE
        if np.abs(order.side) != 1 or not MARKET <= kind <= TAKE_PROFIT or not GTC <= force <= AT_CLOSE:
            return INVALID_ORDER
        at_once = force in (IOC, FOK)
        auction = force in (AT_OPEN, AT_CLOSE)
        if (at_once or auction) and kind not in (MARKET, LIMIT):
            return CONTRADICTORY
        if order.post_only and (kind != LIMIT or at_once or auction):
            return CONTRADICTORY
        if (force == GTD) != (order.expire_time != 0) or (force == GTD and order.expire_time <= order.event_time):
            return CONTRADICTORY
        if order.quantity * (order.price if limited else position.price) < position.min_notional:
            return MIN_NOTIONAL
        return DELISTED if position.delisted else NO_REASON

    def fault_with_children(self, number: int) -> int:
        """What is wrong with a new order, or with the children sent with it."""
        order = at(self, self.new_orders_at + number * ORDER_BYTES, ORDER_ROW)
        if self.find(order.instrument, order.order_id) < 0:
            return TOO_MANY_OPEN_ORDERS
        reason = self.fault_in(order)
        entry = order.price if order.type in (LIMIT, STOP_LIMIT) else order.stop_price
        if not np.isfinite(entry):
            entry = self.position(order.instrument).price
        stop, target = np.nan, np.nan
        for k in range(number + 1, self.new_orders):
            child = at(self, self.new_orders_at + k * ORDER_BYTES, ORDER_ROW)
            if child.parent_id != order.order_id or reason != NO_REASON:
                continue
            reason = self.fault_in(child)
            if self.find(child.instrument, child.order_id) < 0:
                reason = TOO_MANY_OPEN_ORDERS
            elif child.type == STOP:
                stop = child.stop_price
            elif child.type == LIMIT:
                target = child.price
        if reason == NO_REASON:
            wrong = order.side * (entry - stop) <= 0.0 or order.side * (target - entry) <= 0.0
            if wrong or order.side * (target - stop) <= 0.0:
                return CONTRADICTORY
        return reason

    def accept(self) -> None:
        """Answer the new orders (NEW or REJECTED), in the order of their ids, then amendments and cancellations.

        With latency, amendments and cancellations are answered when they arrive.
        """
        if self.new_orders + self.amends + self.cancels == 0:
            return
        if self.plain and self.amends + self.cancels == 0 and self.new_orders == 1:
            order = at(self, self.new_orders_at, ORDER_ROW)
            if self.position(order.instrument).plain:
                self.answer_plain(order)
                return
        consult(ANSWER, address_of(self), 0, 0)

    def answer_plain(self, new: Any) -> None:
        """`answer`, for a plain market order that is the only one."""
        instrument = new.instrument
        row, reason = self.find(instrument, new.order_id), TOO_MANY_OPEN_ORDERS
        if row >= 0:
            reason = self.fault_in(new)
        status = NEW if reason == NO_REASON else REJECTED
        if reason == NO_REASON:
            self.order(instrument, row).status = NEW
        else:
            self.remember(new.order_id, REJECTED)
            if row >= 0:
                self.remove(instrument, row)
        self.report(new.order_id, instrument, new.event_time, status, reason)

    def answer_all(self) -> None:
        """`accept` of anything."""
        for k in range(self.new_orders):
            order = at(self, self.new_orders_at + k * ORDER_BYTES, ORDER_ROW)
            self.answer(order, self.fault_of_new(order, k))
        for k in range(self.amends):
            amend = at(self, self.amends_at + k * AMEND_BYTES, AMEND_ROW)
            row = self.find(amend.instrument, amend.order_id)
            if row >= 0 and not self.is_overridden(amend, k):
                self.note_amend(amend)
                order = self.order(amend.instrument, row)
                order.amend_at = amend.event_time + self._lag(3 * amend.order_id + 1)
                if order.amend_at <= amend.event_time:
                    self.amend_now(amend.instrument, row)
        for k in range(self.cancels):
            cancel = at(self, self.cancels_at + k * CANCEL_BYTES, CANCEL_ROW)
            row = self.find(cancel.instrument, cancel.order_id)
            if row >= 0:
                order = self.order(cancel.instrument, row)
                order.cancel_at = cancel.event_time + self._lag(3 * cancel.order_id + 2)
                if order.cancel_at <= cancel.event_time:
                    self.finish(cancel.instrument, order, CANCELED, NO_REASON, cancel.event_time)
                    self.drop_finished(cancel.instrument)

    def is_overridden(self, amend: Any, number: int) -> bool:
        """Whether a later amendment of the same order came with this one: only the last counts."""
        for k in range(number + 1, self.amends):
            if at(self, self.amends_at + k * AMEND_BYTES, AMEND_ROW).order_id == amend.order_id:
                return True
        return False

    def fault_of_new(self, order: Any, number: int) -> int:
        """Why a new order is rejected: what is wrong with it, with its children, or that its parent is not there."""
        if order.parent_id > 0 and self.find(order.instrument, order.parent_id) < 0:
            return PARENT
        if number + 1 < self.new_orders or self.find(order.instrument, order.order_id) < 0:
            return self.fault_with_children(number)
        return self.fault_in(order)

    def answer(self, new: Any, reason: int) -> None:
        """Take a new order in, or reject it."""
        row = self.find(new.instrument, new.order_id)
        if reason == NO_REASON:
            order = self.order(new.instrument, row)
            order.status = NEW
            order.active_at = new.event_time + self._lag(3 * new.order_id)
            self.round_levels(new.instrument, order)
            self.report(new.order_id, new.instrument, new.event_time, NEW, NO_REASON)
            return
        self.report(new.order_id, new.instrument, new.event_time, REJECTED, reason)
        self.remember(new.order_id, REJECTED)
        if row >= 0:
            self.remove(new.instrument, row)
