"""The functions that advance an account and its strategy: `run` over an array of bars, and the four halves of one bar.

One source, two lives: uncompiled on `Address` and `View`, or compiled, where addresses are integers. All signatures are
fixed, whatever the strategy, so that each compiles once and is loaded from disk afterwards.
"""

# mypy: disable-error-code="no-any-return"
# Rows are fields of a buffer, not objects: their types are known when compiled.

from __future__ import annotations

from typing import Any

from quantlytic.engine.account import (
    AMEND_BYTES,
    BAR_BYTES,
    BAR_ROW,
    CANCEL_BYTES,
    FILL_BYTES,
    FILL_ROW,
    FLOW_BYTES,
    ORDER_BYTES,
    ORDER_ROW,
    SIGNAL_BYTES,
    UPDATE_BYTES,
    UPDATE_ROW,
)
from quantlytic.engine.barmatch import match_bar
from quantlytic.engine.broker import BROKER
from quantlytic.engine.codes import FAULT_NONE, FAULT_UNKNOWN_INSTRUMENT
from quantlytic.engine.record import Layout, at, call, copy_in, copy_out

ON_BAR, ON_FILL = 1, 2
FILLS, UPDATES, ORDERS, SIGNALS, CANCELS, AMENDS, FLOWS = 0, 1, 2, 3, 4, 5, 6


def make_step(layout: Layout, with_fills: bool) -> Any:
    """A strategy behind one fixed signature: (handler, state, event, broker), the last three addresses."""
    if with_fills:

        def step(kind: int, state: Any, event: Any, broker: Any) -> None:
            if kind == ON_BAR:
                at(state, 0, layout).on_bar(at(event, 0, BAR_ROW), at(broker, 0, BROKER))
            elif kind == ON_FILL:
                at(state, 0, layout).on_fill(at(event, 0, FILL_ROW), at(broker, 0, BROKER))
    else:

        def step(kind: int, state: Any, event: Any, broker: Any) -> None:
            if kind == ON_BAR:
                at(state, 0, layout).on_bar(at(event, 0, BAR_ROW), at(broker, 0, BROKER))

    return step


def run(
    arena: Any, bars: Any, first: int, count: int, equity: Any,
    fills: Any, updates: Any, orders: Any, signals: Any, cancels: Any, amends: Any, flows: Any, used: Any, step: Any,
) -> int:  # fmt: skip
    """Advance over bars[first:count]; returns the first bar not run: `count`, or less when a log is full or at a fault.

    `equity[i]` takes the equity at bar i's close. The logs are byte arrays of rows, `used` their lengths in rows.
    """
    account = at(arena, 0, BROKER).account
    for index in range(first, count):
        event = bars + index * BAR_BYTES
        bar = at(event, 0, BAR_ROW)
        if not 0 <= bar.instrument < account.instruments:
            account.fault = FAULT_UNKNOWN_INSTRUMENT
            return index
        account.begin(bar.instrument, bar.close_time)
        if account.position(bar.instrument).orders > 0:
            match_bar(account, bar)
        account.mark(bar.instrument, bar.close)
        equity[index] = account.equity
        _decide(account, arena, event, bar, step)
        if account.updates + account.new_orders + account.cancels + account.amends + account.flows > 0:
            account.accept()
            full = _flush(account, arena, fills, updates, orders, signals, cancels, amends, flows, used)
            if full or account.fault != FAULT_NONE:
                return index + 1
    return count


def execute(arena: Any, event: Any) -> None:
    """The broker's half of a bar: match the open orders, mark the account."""
    account = at(arena, 0, BROKER).account
    bar = at(event, 0, BAR_ROW)
    account.begin(bar.instrument, bar.close_time)
    match_bar(account, bar)
    account.mark(bar.instrument, bar.close)


def apply(arena: Any, updates: Any, update_count: int, fills: Any, fill_count: int, event: Any) -> None:
    """The strategist's: take over what `execute` (and `accept` before it) reported, mark the account."""
    account = at(arena, 0, BROKER).account
    bar = at(event, 0, BAR_ROW)
    account.begin(bar.instrument, bar.close_time)
    for k in range(update_count):
        account.take(at(updates, k * UPDATE_BYTES, UPDATE_ROW))
    for k in range(fill_count):
        fill = at(fills, k * FILL_BYTES, FILL_ROW)
        account.settle(fill.instrument, fill.side, fill.quantity, fill.price, fill.fee)
        account.next_fill_id = fill.fill_id + 1
        copy_in(fills + k * FILL_BYTES, arena + account.fills_at + account.fills * FILL_BYTES, FILL_BYTES)
        account.fills += 1
    account.settle_rows(bar.instrument)
    account.mark(bar.instrument, bar.close)


def decide(arena: Any, event: Any, step: Any) -> None:
    """The strategist's: call the handlers; what they send waits in the outbox."""
    account = at(arena, 0, BROKER).account
    _decide(account, arena, event, at(event, 0, BAR_ROW), step)


def accept(arena: Any, orders: Any, order_count: int, cancels: Any, cancel_count: int) -> None:
    """The broker's: take over what the strategist decided, and answer."""
    account = at(arena, 0, BROKER).account
    for k in range(order_count):
        order = at(orders, k * ORDER_BYTES, ORDER_ROW)
        account.enter(
            order.instrument, order.order_id, order.side, order.type, order.time_in_force, order.quantity, order.price
        )
        account.next_order_id = order.order_id + 1
        copy_in(orders + k * ORDER_BYTES, arena + account.new_orders_at + k * ORDER_BYTES, ORDER_BYTES)
    account.new_orders = order_count
    for k in range(cancel_count):
        copy_in(cancels + k * CANCEL_BYTES, arena + account.cancels_at + k * CANCEL_BYTES, CANCEL_BYTES)
    account.cancels = cancel_count
    account.accept()


def _decide(account: Any, arena: Any, event: Any, bar: Any, step: Any) -> None:
    state = arena + (account.states_at + bar.instrument * account.state_bytes)
    for k in range(account.fills):
        call(step, ON_FILL, state, arena + (account.fills_at + k * FILL_BYTES), arena)
    call(step, ON_BAR, state, event, arena)


def _flush(
    account: Any,
    arena: Any,
    fills: Any,
    updates: Any,
    orders: Any,
    signals: Any,
    cancels: Any,
    amends: Any,
    flows: Any,
    used: Any,
) -> bool:
    """Move the outboxes into the logs; true when a log may not hold what one more bar can bring."""
    copy_out(arena + account.fills_at, account.fills * FILL_BYTES, fills, used[FILLS] * FILL_BYTES)
    copy_out(arena + account.updates_at, account.updates * UPDATE_BYTES, updates, used[UPDATES] * UPDATE_BYTES)
    copy_out(arena + account.new_orders_at, account.new_orders * ORDER_BYTES, orders, used[ORDERS] * ORDER_BYTES)
    copy_out(arena + account.signals_at, account.signals * SIGNAL_BYTES, signals, used[SIGNALS] * SIGNAL_BYTES)
    copy_out(arena + account.cancels_at, account.cancels * CANCEL_BYTES, cancels, used[CANCELS] * CANCEL_BYTES)
    copy_out(arena + account.amends_at, account.amends * AMEND_BYTES, amends, used[AMENDS] * AMEND_BYTES)
    copy_out(arena + account.flows_at, account.flows * FLOW_BYTES, flows, used[FLOWS] * FLOW_BYTES)
    used[FILLS] += account.fills
    used[UPDATES] += account.updates
    used[ORDERS] += account.new_orders
    used[SIGNALS] += account.signals
    used[CANCELS] += account.cancels
    used[AMENDS] += account.amends
    used[FLOWS] += account.flows
    account.fills = 0
    account.updates = 0
    account.new_orders = 0
    account.signals = 0
    account.cancels = 0
    account.amends = 0
    account.flows = 0
    requests, rows = account.request_capacity, account.order_capacity
    return (
        (used[FILLS] + rows) * FILL_BYTES > len(fills)
        or (used[UPDATES] + requests + 2 * rows) * UPDATE_BYTES > len(updates)
        or (used[ORDERS] + requests) * ORDER_BYTES > len(orders)
        or (used[SIGNALS] + requests) * SIGNAL_BYTES > len(signals)
        or (used[CANCELS] + rows) * CANCEL_BYTES > len(cancels)
        or (used[AMENDS] + rows) * AMEND_BYTES > len(amends)
        or (used[FLOWS] + account.instruments + 8) * FLOW_BYTES > len(flows)
    )
