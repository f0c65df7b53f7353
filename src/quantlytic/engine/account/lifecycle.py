"""What happens to an order between acceptance and end. Nothing here knows of bars: a price and a time are all it takes.

- A fill may be partial: the rest stays. `execute` applies slippage where liquidity is taken (not to makers), charges the fee,
  refuses what the account cannot bear (REJECTED with the reason), writes FILL and ORDER_UPDATE rows.
- Reduce-only: filled up to what is held against it; the rest is cancelled (REDUCE_ONLY). It never opens and never flips.
- Children (`parent_id`) sleep until the parent fills, and wake with the quantity that was filled; their reference price is the
  parent's fill. When the parent ends, what of them never woke is cancelled (PARENT). A parent's amended quantity is theirs, too.
- OCO (`group_id`): a fill takes its quantity off the others of the group; when one is filled whole, or found nothing (more) to
  reduce, they are cancelled (OCO).
- A trailing stop follows the best price since it was accepted (or woke); its level never goes back.
- DAY ends with the session (a CLOSE action); where an instrument has no sessions, with the UTC day. GTD ends at its time.
- An amendment gives the whole quantity (what is filled included). Time priority is kept only if nothing but the quantity
  changes and it falls; at another price it meets the market like a new order. It is answered by an update with the order's
  status and the reason `amended`, or why it was refused.
- A cancellation or an amendment reaches the venue with the market's latency, like an order; fills in between stand.
"""

# mypy: disable-error-code="no-any-return"
# Rows are fields of a buffer, not objects: their types are known when compiled.

from __future__ import annotations

import math
from typing import Any

import numpy as np

from quantlytic.engine.account.codes import (
    AMENDED,
    AT_CLOSE,
    CANCELED,
    CONSTANT,
    CROSS,
    DAY,
    DAY_NS,
    EXPIRED,
    EXPIRED_DAY,
    EXPIRED_GTD,
    FILLED,
    FLOW_LIQUIDATION_FEE,
    GTD,
    INVALID_PRICE,
    INVALID_QUANTITY,
    LIQUIDATED,
    MIN_NOTIONAL,
    NO_LATENCY,
    NO_REASON,
    OCO,
    PARENT,
    PARTIALLY_FILLED,
    PENDING_NEW,
    REDUCE_ONLY,
    REJECTED,
    SAMPLED,
    STOP,
    STOP_LIMIT,
    TAKE_PROFIT,
    TRAILING_STOP,
)
from quantlytic.engine.account.cold import CHARGE, consult
from quantlytic.engine.account.wallet import CELL, CELL_BYTES, Wallet
from quantlytic.engine.compiler.record import address_of, at, layout_of
from quantlytic.engine.market.latency import pick
from quantlytic.model.fill import FILL
from quantlytic.model.order import ORDER_UPDATE

FILL_ROW, UPDATE_ROW = layout_of(FILL), layout_of(ORDER_UPDATE)
FILL_BYTES, UPDATE_BYTES = FILL.itemsize, ORDER_UPDATE.itemsize
REMEMBERED = 256
_STATUSES = 16


class Lifecycle(Wallet):
    """Fills, endings and what follows from them. `ended`: order id * 16 + status of the last orders that ended."""

    fills: int
    updates: int

    def __init__(self) -> None:
        super().__init__()
        self.next_fill_id = 1
        self.latency = NO_LATENCY
        self.latency_ns = 0
        self.latency_seed = 0
        self.lags = 0
        self.lags_at = 0
        self.fills_at = 0
        self.updates_at = 0
        self.ended = np.zeros(REMEMBERED, np.int64)

    def begin(self, instrument: int, time: int) -> None:
        """An event of this instrument starts."""
        self.current = instrument
        self.time = time
        self.bars += 1
        if self.restless:
            consult(CHARGE, address_of(self), 0, 0)

    # ---- fills ----

    def execute(self, order: Any, instrument: int, quantity: float, price: float, maker: bool, time: int) -> bool:
        """Fill `quantity` of an open order at `price`, or worse by the market's slippage unless it is the maker."""
        base = price
        if not maker:
            price = self.slipped(order, instrument, quantity, price)
        return self.execute_at(order, instrument, quantity, price, base, maker, time)

    def execute_at(
        self, order: Any, instrument: int, quantity: float, price: float, base: float, maker: bool, time: int
    ) -> bool:
        """Fill `quantity` (at most what is open) at exactly `price`; `base` is the price before slippage.

        False: the account could not bear it, or a reduce-only order has nothing to reduce; the order has ended then.
        """
        shrunk = False
        if order.reduce_only:
            reducible = max(-order.side * self.position(instrument).quantity, 0.0)
            quantity = min(quantity, reducible)
            shrunk = quantity == reducible and reducible < order.quantity
            if quantity <= 0.0:
                self.finish(instrument, order, CANCELED, REDUCE_ONLY, time)
                return False
        if self.tiers > 0:
            self.remember_traded(0.0, time)
        fee = self.fee_of(order, quantity, price, maker)
        reason = self.refusal(instrument, order.side, quantity, price, fee)
        if reason != NO_REASON:
            self.finish(instrument, order, REJECTED, reason, time)
            return False
        self.settle(instrument, order.side, quantity, price, fee)
        if self.tiers > 0:
            self.remember_traded(quantity * price, time)
        order.fees += fee
        slippage = order.side * (price - base) * quantity if price != base else 0.0
        self.write_fill(order.order_id, instrument, order.side, quantity, price, fee, slippage, maker, time)
        self.progress(instrument, order, quantity, base)
        if order.quantity > 0.0 or order.dormant > 0.0:
            if shrunk:
                self.finish(instrument, order, CANCELED, REDUCE_ONLY, time)
            else:
                order.status = PARTIALLY_FILLED
                self.report(order.order_id, instrument, time, PARTIALLY_FILLED, NO_REASON)
                self._end_emptied(instrument, order, time)
        else:
            self.finish(instrument, order, FILLED, NO_REASON, time)
        return True

    def write_fill(
        self, order_id: int, instrument: int, side: int, quantity: float, price: float, fee: float, slippage: float,
        maker: bool, time: int,
    ) -> None:  # fmt: skip
        fill = at(self, self.fills_at + self.fills * FILL_BYTES, FILL_ROW)
        self.fills += 1
        fill.fill_id = self.next_fill_id
        self.next_fill_id += 1
        fill.order_id = order_id
        fill.instrument = instrument
        fill.event_time = time
        fill.side = side
        fill.quantity = quantity
        fill.price = price
        fill.fee = fee
        fill.bar_offset = self.bars - 1
        fill.slippage = slippage
        fill.maker = maker

    def progress(self, instrument: int, order: Any, quantity: float, price: float) -> None:
        """An order was filled by that much: wake its children, take it off the others of its group."""
        order.filled += quantity
        order.quantity = 0.0 if quantity >= order.quantity else order.quantity - quantity
        if order.has_children:
            self._wake(instrument, order.order_id, quantity, order.quantity == 0.0, price)
        if order.group_id > 0 and order.quantity + order.dormant > 0.0:
            self._shrink_group(instrument, order, quantity)

    def _wake(self, instrument: int, parent_id: int, quantity: float, all_of_it: bool, price: float) -> None:
        for row in range(self.position(instrument).orders):
            child = self.order(instrument, row)
            if child.parent_id == parent_id and child.dormant > 0.0:
                woken = (
                    quantity if np.abs(quantity - child.dormant) <= 1e-9 * quantity else min(quantity, child.dormant)
                )
                child.dormant = 0.0 if all_of_it else max(child.dormant - woken, 0.0)
                if child.type == TRAILING_STOP and np.isnan(child.best):
                    child.best = price
                    child.follow(price)
                    self.round_levels(instrument, child)
                child.quantity += woken
                child.fresh = True
                child.reference = price
                child.active_at = child.sent_at  # it has been at the venue since its parent was

    def _shrink_group(self, instrument: int, order: Any, quantity: float) -> None:
        for row in range(self.position(instrument).orders):
            other = self.order(instrument, row)
            if other.group_id == order.group_id and other.order_id != order.order_id:
                other.quantity = max(other.quantity - quantity, 0.0)

    def _end_emptied(self, instrument: int, order: Any, time: int) -> None:
        """End the orders of a group of which nothing is left."""
        for row in range(self.position(instrument).orders if order.group_id > 0 else 0):
            other = self.order(instrument, row)
            if other.group_id == order.group_id and other.status < FILLED and other.quantity + other.dormant == 0.0:
                self._end(instrument, other, CANCELED, OCO, time)

    def finish(self, instrument: int, order: Any, status: int, reason: int, time: int) -> None:
        """An order ends: say so, and end what hangs on it."""
        order.status = status
        self.report(order.order_id, instrument, time, status, reason)
        self.remember(order.order_id, status)
        if order.has_children and status != FILLED:
            for row in range(self.position(instrument).orders):
                child = self.order(instrument, row)
                if child.parent_id == order.order_id and child.status < FILLED:
                    child.dormant = 0.0
                    if child.quantity == 0.0:
                        self._end(instrument, child, CANCELED, PARENT, time)
        if order.group_id > 0 and (status == FILLED or reason == REDUCE_ONLY):
            for row in range(self.position(instrument).orders):
                other = self.order(instrument, row)
                if other.group_id == order.group_id and other.status < FILLED:
                    self._end(instrument, other, CANCELED, OCO, time)

    def _end(self, instrument: int, order: Any, status: int, reason: int, time: int) -> None:
        """An order ends because another one did."""
        order.status = status
        self.report(order.order_id, instrument, time, status, reason)
        self.remember(order.order_id, status)

    def remember(self, order_id: int, status: int) -> None:
        self.ended[order_id % REMEMBERED] = order_id * _STATUSES + status

    def report(self, order_id: int, instrument: int, time: int, status: int, reason: int) -> None:
        update = at(self, self.updates_at + self.updates * UPDATE_BYTES, UPDATE_ROW)
        self.updates += 1
        update.order_id = order_id
        update.instrument = instrument
        update.event_time = time
        update.status = status
        update.reason = reason

    def settle_rows(self, instrument: int) -> None:
        """Drop orders that have ended; those that have arrived have met the market now."""
        position = self.position(instrument)
        for row in range(position.orders - 1, -1, -1):
            order = self.order(instrument, row)
            if FILLED <= order.status <= EXPIRED:
                self.remove(instrument, row)
            elif order.quantity > 0.0 and order.active_at <= self.time:
                order.resting = True
                order.fresh = False

    # ---- time ----

    def _lag(self, number: int) -> int:
        """How long a message takes; `number` tells messages apart."""
        if self.latency == CONSTANT:
            return self.latency_ns
        if self.latency == SAMPLED:
            return int(at(self, self.lags_at + pick(self.latency_seed, number, self.lags) * CELL_BYTES, CELL).value)
        return 0

    def due(self, instrument: int, order: Any) -> int:
        """When it expires if it is not filled before (DAY, GTD, AT_CLOSE); -1: never, as far as is known."""
        if order.time_in_force == GTD:
            return order.expire_at
        if order.time_in_force in (DAY, AT_CLOSE):
            position = self.position(instrument)
            if not position.has_sessions:
                return (order.sent_at // DAY_NS + 1) * DAY_NS
            if position.session_end > order.sent_at:
                return position.session_end
        return -1

    def pass_time(self, instrument: int, time: int) -> None:
        """Let amendments and cancellations arrive, and orders expire, that are due at `time` or before, in this order."""
        count = self.position(instrument).orders
        for row in range(count):
            while 0 < self.order(instrument, row).amend_at <= time:
                self.amend_now(instrument, row)
        for row in range(count):
            order = self.order(instrument, row)
            if order.status >= FILLED or order.status == PENDING_NEW:
                continue
            due = self.due(instrument, order)
            expires = 0 <= due <= time and order.time_in_force != AT_CLOSE
            if 0 < order.cancel_at <= time and not (expires and due < order.cancel_at):
                self.finish(instrument, order, CANCELED, NO_REASON, order.cancel_at)
            elif expires:
                reason = EXPIRED_GTD if order.time_in_force == GTD else EXPIRED_DAY
                self.finish(instrument, order, EXPIRED, reason, due)

    def amend_now(self, instrument: int, row: int) -> None:
        """An amendment has arrived: carry it out, or refuse it."""
        order = self.order(instrument, row)
        order_id, status, time = order.order_id, order.status, order.amend_at
        if status >= FILLED:  # its end was the answer
            order.amend_at = 0
            return
        reason = self._amend_fault(instrument, order)
        if reason == NO_REASON:
            self._amend_row(instrument, row)
            reason = AMENDED
        order.amend_at = 0
        self.report(order_id, instrument, time, status, reason)

    def _amend_fault(self, instrument: int, order: Any) -> int:
        """What is wrong with the amendment that waits in an order's row."""
        quantity, price, stop = order.amend_quantity, order.amend_price, order.amend_stop
        if not np.isnan(quantity) and not order.filled < quantity < math.inf:
            return INVALID_QUANTITY
        if not np.isnan(price) and not (order.has_limit and 0.0 < price < math.inf):
            return INVALID_PRICE
        waits = order.type in (STOP, STOP_LIMIT, TAKE_PROFIT)
        if not np.isnan(stop) and not (waits and not order.triggered and 0.0 < stop < math.inf):
            return INVALID_PRICE
        size = order.filled + order.quantity + order.dormant if np.isnan(quantity) else quantity
        value = price if np.isfinite(price) else self.position(instrument).price
        return MIN_NOTIONAL if size * value < self.position(instrument).min_notional else NO_REASON

    def _amend_row(self, instrument: int, row: int) -> None:
        """Carry out the amendment that waits in an order's row."""
        order = self.order(instrument, row)
        quantity, keeps = order.amend_quantity, True
        open_quantity = order.quantity + order.dormant
        if not np.isnan(quantity):
            left = max(quantity - order.filled, 0.0)
            keeps = left <= open_quantity
            order.dormant = min(order.dormant, left)
            order.quantity = left - order.dormant
            if order.has_children:
                self._resize_children(instrument, order.order_id, left, left - open_quantity)
        if not np.isnan(order.amend_price) and order.amend_price != order.price:
            order.price = order.amend_price
            order.resting = False
            keeps = False
        if not np.isnan(order.amend_stop) and order.amend_stop != order.stop_price:
            order.stop_price = order.amend_stop
            keeps = False
        order.amend_at = 0
        if not keeps:
            self.to_back(instrument, row)

    def _resize_children(self, instrument: int, parent_id: int, left: float, change: float) -> None:
        """What sleeps follows the parent: it grows by as much, and is never more than what the parent may still fill."""
        for row in range(self.position(instrument).orders):
            child = self.order(instrument, row)
            if child.parent_id == parent_id and child.status < FILLED:
                child.dormant = min(child.dormant + max(change, 0.0), left)

    # ---- margin used up ----

    def is_broken(self, instrument: int, price: float) -> bool:
        """Whether the position is liquidated at this price."""
        limit = self.breaking_price(instrument)
        return price <= limit if self.position(instrument).quantity > 0.0 else price >= limit

    def liquidate(self, instrument: int, price: float, time: int) -> None:
        """Close the position at this price; with cross margin also the others, as far as is needed."""
        self.close_out(instrument, price, time, LIQUIDATED)
        if self.margin_mode != CROSS:
            return
        for k in range(self.instruments):
            if k != instrument:
                self._cancel_rows(k, LIQUIDATED, time)
                self.settle_rows(k)
        for k in range(self.instruments):
            other = self.position(k)
            if other.quantity != 0.0 and self.cash + self._others(-1) <= self.maintenance * self._gross_of_others(-1):
                self.close_out(k, other.price, time, LIQUIDATED)
                self.revalue(k, 0.0)

    def close_out(self, instrument: int, price: float, time: int, reason: int) -> None:
        """Close a position by force, all at this price; its orders are cancelled. The fill has order id 0."""
        self._cancel_rows(instrument, reason, time)
        held = self.position(instrument).quantity
        if held == 0.0:
            return
        side, quantity = -1 if held > 0.0 else 1, np.abs(held)
        notional = quantity * price
        fee = notional * self.rate(False) if reason == LIQUIDATED else 0.0
        self.settle(instrument, side, quantity, price, fee)
        self.position(instrument).quantity = 0.0
        self.write_fill(0, instrument, side, quantity, price, fee, 0.0, False, time)
        if reason == LIQUIDATED and self.liquidation_rate > 0.0:
            self.pay(instrument, FLOW_LIQUIDATION_FEE, -notional * self.liquidation_rate)

    def _cancel_rows(self, instrument: int, reason: int, time: int) -> None:
        for row in range(self.position(instrument).orders):
            order = self.order(instrument, row)
            if order.status < FILLED:
                self._end(instrument, order, CANCELED, reason, time)
