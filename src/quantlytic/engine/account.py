"""The account and its simulated broker: positions, open orders, fills, all in one flat arena of bytes.

    Broker (with Account) | Position[n] | values[2m] | OpenOrder[n][capacity] | strategy states[n] || outboxes

Rows are reached by their distance from the account's first byte, so the arena may lie anywhere. The outboxes hold what
one bar brought forth and are empty between bars; they are not part of what is saved.

Rules, stated once:
- A market order fills at the open of its instrument's next bar. A limit fills at the open when the open is at its price or
  better, else at its own price when the bar's low (a buy) or high (a sell) reaches it.
- What fills at the open fills first, in the order it was sent. Then come the limits reached within the bar, the one that
  looks worst at the bar's close first (smallest gain a unit), so that scarce cash goes to the worse trade.
- IOC and FOK meet the next bar's open alone, and expire if it does not satisfy them. Bars have no depth: fills are whole.
- Market orders and limits that the first open satisfies pay the taker's fee, other limits the maker's.
- A fill that would make cash negative is rejected. Without `allow_short` so is one that sells more than is held. With it,
  shorts are fully backed: the proceeds and as much again stay locked (marked); what makes a short smaller always passes.
"""

# mypy: disable-error-code="no-any-return"
# Rows are fields of a buffer, not objects: their types are known when compiled.

from __future__ import annotations

import math
from typing import Any

import numpy as np

from quantlytic.engine.codes import (
    CANCELED,
    DIVIDEND,
    EXPIRED,
    FAULT_TOO_MANY_REQUESTS,
    FILLED,
    FLOW_DIVIDEND,
    FLOW_FUNDING,
    FOK,
    FUNDING,
    GTC,
    INSUFFICIENT_CASH,
    INSUFFICIENT_COLLATERAL,
    INVALID_ORDER,
    INVALID_PRICE,
    INVALID_QUANTITY,
    LIMIT,
    MARKET,
    MIN_NOTIONAL,
    NEW,
    NO_REASON,
    REJECTED,
    SELL,
    SHORT_NOT_ALLOWED,
    SPLIT,
    TOO_MANY_OPEN_ORDERS,
)
from quantlytic.engine.ordertable import OrderTable
from quantlytic.engine.record import Record, at, layout_of
from quantlytic.model.action import ACTION
from quantlytic.model.bar import BAR
from quantlytic.model.cashflow import CASH_FLOW
from quantlytic.model.equity import EQUITY
from quantlytic.model.fill import FILL
from quantlytic.model.order import ORDER, ORDER_AMEND, ORDER_CANCEL, ORDER_UPDATE
from quantlytic.model.signal import SIGNAL


class Cell(Record):
    """One number of a table."""

    def __init__(self) -> None:
        self.value = 0.0


CELL = layout_of(Cell())
BAR_ROW, FILL_ROW, ORDER_ROW, SIGNAL_ROW = layout_of(BAR), layout_of(FILL), layout_of(ORDER), layout_of(SIGNAL)
CANCEL_ROW, UPDATE_ROW, EQUITY_ROW = layout_of(ORDER_CANCEL), layout_of(ORDER_UPDATE), layout_of(EQUITY)
AMEND_ROW, FLOW_ROW, ACTION_ROW = layout_of(ORDER_AMEND), layout_of(CASH_FLOW), layout_of(ACTION)
CELL_BYTES = CELL.size
BAR_BYTES, FILL_BYTES, ORDER_BYTES, SIGNAL_BYTES = BAR.itemsize, FILL.itemsize, ORDER.itemsize, SIGNAL.itemsize
CANCEL_BYTES, UPDATE_BYTES = ORDER_CANCEL.itemsize, ORDER_UPDATE.itemsize
AMEND_BYTES, FLOW_BYTES, ACTION_BYTES = ORDER_AMEND.itemsize, CASH_FLOW.itemsize, ACTION.itemsize


class Account(OrderTable):
    """Cash, equity, counters, and where in the arena everything else is (`..._at`: bytes from the account's first)."""

    def __init__(self) -> None:
        super().__init__()
        self.cash = 0.0
        self.equity = 0.0
        self.bars = 0
        self.current = 0
        self.time = 0
        self.price = math.nan
        self.next_order_id = 1
        self.next_fill_id = 1
        self.fault = 0
        self.taker_rate = 0.0
        self.maker_rate = 0.0
        self.allow_short = False
        self.request_capacity = 0
        self.leaves = 1
        self.state_bytes = 0
        self.values_at = 0
        self.states_at = 0
        self.outbox_at = 0
        self.fills_at = 0
        self.updates_at = 0
        self.new_orders_at = 0
        self.signals_at = 0
        self.cancels_at = 0
        self.amends_at = 0
        self.flows_at = 0
        self.fills = 0
        self.updates = 0
        self.new_orders = 0
        self.signals = 0
        self.cancels = 0
        self.amends = 0
        self.flows = 0

    # ---- a bar ----

    def begin(self, instrument: int, time: int) -> None:
        """An event of this instrument starts."""
        self.current = instrument
        self.time = time
        self.bars += 1

    def mark(self, instrument: int, price: float) -> None:
        """Value the position. Values are summed by a binary tree: the same sum in any order of events."""
        position = self.position(instrument)
        position.price = price
        self.price = price
        value = position.quantity * price
        node = self.leaves + instrument
        leaf = at(self, self.values_at + node * CELL_BYTES, CELL)
        if value != leaf.value:
            leaf.value = value
            while node > 1:
                node //= 2
                left = at(self, self.values_at + 2 * node * CELL_BYTES, CELL)
                right = at(self, self.values_at + (2 * node + 1) * CELL_BYTES, CELL)
                at(self, self.values_at + node * CELL_BYTES, CELL).value = left.value + right.value
        self.equity = self.cash + at(self, self.values_at + CELL_BYTES, CELL).value

    def execute(self, order: Any, instrument: int, quantity: float, price: float, maker: bool, time: int) -> bool:
        """Fill `quantity` of an open order at `price`, or reject the order if the account cannot bear it (False)."""
        fee = quantity * price * (self.maker_rate if maker else self.taker_rate)
        reason = self.refusal(instrument, order.side, quantity, price, fee)
        if reason != NO_REASON:
            self.finish(instrument, order, REJECTED, reason, time)
            return False
        self.settle(instrument, order.side, quantity, price, fee)
        fill = at(self, self.fills_at + self.fills * FILL_BYTES, FILL_ROW)
        self.fills += 1
        fill.fill_id = self.next_fill_id
        self.next_fill_id += 1
        fill.order_id = order.order_id
        fill.instrument = instrument
        fill.event_time = time
        fill.side = order.side
        fill.quantity = quantity
        fill.price = price
        fill.fee = fee
        fill.bar_offset = self.bars - 1
        fill.slippage = 0.0
        fill.maker = maker
        self.finish(instrument, order, FILLED, NO_REASON, time)
        return True

    def settle(self, instrument: int, side: int, quantity: float, price: float, fee: float) -> None:
        """Move the quantity and the money."""
        self.position(instrument).settle(side * quantity)
        self.cash -= side * quantity * price + fee

    def pay(self, instrument: int, kind: int, amount: float) -> None:
        """Money that comes (or, negative, goes) without a fill."""
        self.cash += amount
        flow = at(self, self.flows_at + self.flows * FLOW_BYTES, FLOW_ROW)
        self.flows += 1
        flow.instrument = instrument
        flow.event_time = self.time
        flow.kind = kind
        flow.amount = amount

    def act(self, action: Any) -> None:
        """A corporate action, funding, or a session's open or close (`begin` came before)."""
        instrument = action.instrument
        position = self.position(instrument)
        held = position.quantity
        if action.kind == DIVIDEND:
            self.pay(instrument, FLOW_DIVIDEND, held * action.value)
        elif action.kind == FUNDING and held != 0.0:
            self.pay(instrument, FLOW_FUNDING, -held * position.price * action.value)
        elif action.kind == SPLIT:
            position.quantity = held * action.value
            position.price = position.price / action.value
        self.mark(instrument, position.price)

    def refusal(self, instrument: int, side: int, quantity: float, price: float, fee: float) -> int:
        """Why the account cannot bear this fill, or NO_REASON."""
        held = self.position(instrument).quantity
        after = held + side * quantity
        if side == SELL and after < 0.0 and not self.allow_short:
            return SHORT_NOT_ALLOWED
        if held * side < 0.0 and np.abs(after) < np.abs(held):
            return NO_REASON
        free = self.cash - side * quantity * price - fee
        if not self.allow_short:
            return INSUFFICIENT_CASH if free < 0.0 else NO_REASON
        for k in range(self.instruments):
            position = self.position(k)
            short = min(after * price if k == instrument else position.quantity * position.price, 0.0)
            if short < 0.0:
                free += 2.0 * short
        if free >= 0.0:
            return NO_REASON
        return INSUFFICIENT_COLLATERAL if after < 0.0 else INSUFFICIENT_CASH

    def finish(self, instrument: int, order: Any, status: int, reason: int, time: int) -> None:
        order.status = status
        self.report(order.order_id, instrument, time, status, reason)

    def report(self, order_id: int, instrument: int, time: int, status: int, reason: int) -> None:
        update = at(self, self.updates_at + self.updates * UPDATE_BYTES, UPDATE_ROW)
        self.updates += 1
        update.order_id = order_id
        update.instrument = instrument
        update.event_time = time
        update.status = status
        update.reason = reason

    # ---- the strategy's requests ----

    def submit(self, side: int, type: int, time_in_force: int, quantity: float, price: float) -> int:
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
        if self.fault_in(instrument, side, type, time_in_force, quantity, price) == NO_REASON:
            signal = at(self, self.signals_at + self.signals * SIGNAL_BYTES, SIGNAL_ROW)
            self.signals += 1
            signal.signal_id = order_id
            signal.instrument = instrument
            signal.event_time = self.time
            signal.side = side
            signal.target_quantity = self.expected(instrument) + side * quantity
            signal.price = self.price
            signal.bar_offset = self.bars - 1
        self.enter(instrument, order_id, side, type, time_in_force, quantity, price)
        return order_id

    def withdraw(self, instrument: int, row: int) -> None:
        order = self.order(instrument, row)
        order.cancel = True
        cancel = at(self, self.cancels_at + self.cancels * CANCEL_BYTES, CANCEL_ROW)
        self.cancels += 1
        cancel.order_id = order.order_id
        cancel.instrument = instrument
        cancel.event_time = self.time
        cancel.bar_offset = self.bars - 1

    # ---- the broker's answers ----

    def take(self, update: Any) -> None:
        """Take over what the broker, elsewhere, reported of an order."""
        row = self.find(update.instrument, update.order_id)
        if row >= 0:
            self.order(update.instrument, row).status = update.status
            if FILLED <= update.status <= EXPIRED:
                self.remove(update.instrument, row)

    def fault_in(self, instrument: int, side: int, type: int, time_in_force: int, quantity: float, price: float) -> int:
        """What is wrong with an order as such, or NO_REASON."""
        position = self.position(instrument)
        if not (np.isfinite(quantity) and quantity > 0.0):
            return INVALID_QUANTITY
        if type == LIMIT and not (np.isfinite(price) and price > 0.0):
            return INVALID_PRICE
        if np.abs(side) != 1 or not MARKET <= type <= LIMIT or not GTC <= time_in_force <= FOK:
            return INVALID_ORDER
        if quantity * (price if type == LIMIT else position.price) < position.min_notional:
            return MIN_NOTIONAL
        return NO_REASON

    def accept(self) -> None:
        """Answer the new orders (NEW or REJECTED), in the order of their ids, then the cancels (CANCELED)."""
        for k in range(self.new_orders):
            order = at(self, self.new_orders_at + k * ORDER_BYTES, ORDER_ROW)
            row = self.find(order.instrument, order.order_id)
            reason = TOO_MANY_OPEN_ORDERS
            if row >= 0:
                reason = self.fault_in(
                    order.instrument, order.side, order.type, order.time_in_force, order.quantity, order.price
                )
            if reason == NO_REASON:
                self.order(order.instrument, row).status = NEW
                self.report(order.order_id, order.instrument, order.event_time, NEW, NO_REASON)
            else:
                if row >= 0:
                    self.remove(order.instrument, row)
                self.report(order.order_id, order.instrument, order.event_time, REJECTED, reason)
        for k in range(self.cancels):
            cancel = at(self, self.cancels_at + k * CANCEL_BYTES, CANCEL_ROW)
            row = self.find(cancel.instrument, cancel.order_id)
            if row >= 0:
                self.remove(cancel.instrument, row)
                self.report(cancel.order_id, cancel.instrument, cancel.event_time, CANCELED, NO_REASON)
