"""The functions that advance an account and its strategy: `run` over an array of bars, and the four halves of one bar.
The halves of other events are in `halves.py`.

One source, two lives: uncompiled on `Address` and `View`, or compiled, where addresses are integers. All signatures are
fixed, whatever the strategy, so that each compiles once and is loaded from disk afterwards.
"""

# mypy: disable-error-code="no-any-return"
# Rows are fields of a buffer, not objects: their types are known when compiled.

from __future__ import annotations

from typing import Any

import numpy as np

from quantlytic.engine.account.account import (
    ACTION_ROW,
    AMEND_BYTES,
    BAR_BYTES,
    BAR_ROW,
    CANCEL_BYTES,
    CELL,
    CELL_BYTES,
    FILL_BYTES,
    FILL_ROW,
    ORDER_BYTES,
    ORDER_ROW,
    UPDATE_BYTES,
    UPDATE_ROW,
)
from quantlytic.engine.account.broker import BROKER
from quantlytic.engine.account.codes import FAULT_NONE, FAULT_UNKNOWN_INSTRUMENT
from quantlytic.engine.account.outbox import AMENDS, CANCELS, FILLS, FLOWS, ORDERS, SIGNALS, UPDATES
from quantlytic.engine.compiler.record import at, call, copy_in
from quantlytic.engine.matching.barmatch import match_bar
from quantlytic.engine.run.journal import JOURNAL

ON_BAR, ON_FILL, ON_TRADE, ON_QUOTE, ON_BOOK, ON_SLICE, ON_TIMER = 1, 2, 3, 4, 5, 6, 7
FAULT_BAD_ROW, FAULT_OUT_OF_ORDER = 16, 17
NEVER = -(2**63)


def run(arena: Any, bars: Any, first: int, count: int, equity: Any, journal: Any, step: Any) -> int:
    """Advance over bars[first:count]; returns the first bar not run: `count`, or less when the journal is full or at a fault.

    `equity` is the address of an f8[count] for the equity at each bar's close.
    """
    account, log = at(arena, 0, BROKER).account, at(journal, 0, JOURNAL)
    last = account.time if account.bars > 0 else NEVER
    for index in range(first, count):
        event = bars + index * BAR_BYTES
        bar = at(event, 0, BAR_ROW)
        time = bar.close_time
        if not (0 <= bar.instrument < account.instruments and time >= last and is_bar(bar)):
            account.fault = fault_of(account, bar.instrument, time, last)
            return index
        last = time
        account.begin(bar.instrument, time)
        if account.restless or account.position(bar.instrument).orders > 0:
            match_bar(account, bar)
        account.mark(bar.instrument, bar.close)
        at(equity, index * CELL_BYTES, CELL).value = account.equity
        _decide(account, arena, event, bar, step)
        if has_news(account):
            account.accept()
            flush(account, arena, log)
            if log.is_full or account.fault != FAULT_NONE:
                return index + 1
    return count


def is_bar(bar: Any) -> bool:
    """Whether the prices can be: positive, finite, open and close within low and high. NaN fails every comparison."""
    inside = bar.low <= bar.open <= bar.high and bar.low <= bar.close <= bar.high
    return bar.low > 0.0 and inside and bar.high < np.inf


def fault_of(account: Any, instrument: int, time: int, last: int) -> int:
    """What is wrong with a row that cannot be taken."""
    if not 0 <= instrument < account.instruments:
        return FAULT_UNKNOWN_INSTRUMENT
    return FAULT_OUT_OF_ORDER if time < last else FAULT_BAD_ROW


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
    take_over(account, arena, updates, update_count, fills, fill_count)
    account.mark(bar.instrument, bar.close)


def take_over(account: Any, arena: Any, updates: Any, update_count: int, fills: Any, fill_count: int) -> None:
    """What the executor reported of the event at hand."""
    for k in range(fill_count):
        account.absorb(at(fills, k * FILL_BYTES, FILL_ROW))
        copy_in(fills + k * FILL_BYTES, arena + account.fills_at + account.fills * FILL_BYTES, FILL_BYTES)
        account.fills += 1
    for k in range(update_count):
        account.take(at(updates, k * UPDATE_BYTES, UPDATE_ROW))
    account.settle_rows(account.current)


def hear(arena: Any, updates: Any, update_count: int) -> None:
    """The strategist's: take over updates alone."""
    account = at(arena, 0, BROKER).account
    for k in range(update_count):
        account.take(at(updates, k * UPDATE_BYTES, UPDATE_ROW))


def tell(arena: Any, step: Any) -> None:
    """The strategist's: call `on_fill` for what an action has filled."""
    tell_fills(at(arena, 0, BROKER).account, arena, step)


def decide(arena: Any, event: Any, step: Any) -> None:
    """The strategist's: call the handlers; what they send waits in the outbox."""
    account = at(arena, 0, BROKER).account
    _decide(account, arena, event, at(event, 0, BAR_ROW), step)


def accept(
    arena: Any, orders: Any, order_count: int, cancels: Any, cancel_count: int, amends: Any, amend_count: int
) -> None:
    """The broker's: take over what the strategist decided, and answer."""
    account = at(arena, 0, BROKER).account
    for k in range(order_count):
        order = at(orders, k * ORDER_BYTES, ORDER_ROW)
        account.enter(order)
        account.next_order_id = order.order_id + 1
        copy_in(orders + k * ORDER_BYTES, arena + account.new_orders_at + k * ORDER_BYTES, ORDER_BYTES)
    account.new_orders = order_count
    for k in range(cancel_count):
        copy_in(cancels + k * CANCEL_BYTES, arena + account.cancels_at + k * CANCEL_BYTES, CANCEL_BYTES)
    account.cancels = cancel_count
    for k in range(amend_count):
        copy_in(amends + k * AMEND_BYTES, arena + account.amends_at + k * AMEND_BYTES, AMEND_BYTES)
    account.amends = amend_count
    account.accept()


def act(arena: Any, event: Any) -> None:
    """A corporate action, funding, a session's open or close: the same on both sides."""
    account = at(arena, 0, BROKER).account
    action = at(event, 0, ACTION_ROW)
    account.begin(action.instrument, action.event_time)
    account.act(action)


def _decide(account: Any, arena: Any, event: Any, bar: Any, step: Any) -> None:
    if account.fills > 0:
        tell_fills(account, arena, step)
    call(step, ON_BAR, state_of(account, arena, bar.instrument), event, arena)


def state_of(account: Any, arena: Any, instrument: int) -> Any:
    """The address of the strategy's state for an instrument."""
    return arena + (account.states_at + instrument * account.state_bytes)


def tell_fills(account: Any, arena: Any, step: Any) -> None:
    """Call `on_fill` for what has filled, each on the broker of its own instrument."""
    for k in range(account.fills):
        event = arena + (account.fills_at + k * FILL_BYTES)
        instrument = at(event, 0, FILL_ROW).instrument
        current = account.current
        if instrument == current:
            call(step, ON_FILL, state_of(account, arena, instrument), event, arena)
        else:
            face(account, instrument)
            call(step, ON_FILL, state_of(account, arena, instrument), event, arena)
            face(account, current)


def face(account: Any, instrument: int) -> None:
    """Have the broker act on this instrument."""
    account.current = instrument
    account.price = account.position(instrument).price


def has_news(account: Any) -> bool:
    """Whether anything waits in the outboxes."""
    return account.updates + account.new_orders + account.cancels + account.amends + account.flows > 0


def flush(account: Any, arena: Any, log: Any) -> None:
    """Move the outboxes into the journal."""
    log.write(FILLS, arena + account.fills_at, account.fills)
    log.write(UPDATES, arena + account.updates_at, account.updates)
    log.write(ORDERS, arena + account.new_orders_at, account.new_orders)
    log.write(SIGNALS, arena + account.signals_at, account.signals)
    log.write(CANCELS, arena + account.cancels_at, account.cancels)
    log.write(AMENDS, arena + account.amends_at, account.amends)
    log.write(FLOWS, arena + account.flows_at, account.flows)
    account.fills = 0
    account.updates = 0
    account.new_orders = 0
    account.signals = 0
    account.cancels = 0
    account.amends = 0
    account.flows = 0
