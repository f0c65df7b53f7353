"""The halves of one event of a tape, and of one moment: what `tapeloop.run_tape` does in one go, split between two replicas.

The executor's lets orders meet the event; the strategist's takes over what came of it, and calls the handlers.
"""

# mypy: disable-error-code="no-any-return"
# Rows are fields of a buffer, not objects: their types are known when compiled.

from __future__ import annotations

from typing import Any

from quantlytic.engine.account.broker import BROKER
from quantlytic.engine.account.codes import FAULT_NONE
from quantlytic.engine.compiler.record import at
from quantlytic.engine.run.desk import DESK
from quantlytic.engine.run.loop import take_over
from quantlytic.engine.run.tapeloop import STAMP, begin, enter_moment, meet, start_timers, tape_fault, tell, tell_moment


def execute_event(arena: Any, table: Any, kind: int, source: int, event: Any, stamp: Any) -> int:
    """The broker's half of an event of the input `source`: match, mark. Returns the row's fault; then nothing happened.

    `stamp` is the address of the time in the row, `table` that of the desk.
    """
    account, desk = at(arena, 0, BROKER).account, at(table, 0, DESK)
    fault = _enter(account, desk, kind, source, event, stamp)
    if fault == FAULT_NONE:
        meet(account, desk, kind, event, True)
    return fault


def apply_event(
    arena: Any, table: Any, kind: int, source: int, updates: Any, update_count: int, fills: Any, fill_count: int,
    event: Any, stamp: Any,
) -> int:  # fmt: skip
    """The strategist's: take over what `execute_event` (and `accept` before it) reported, mark. Returns as that does."""
    account, desk = at(arena, 0, BROKER).account, at(table, 0, DESK)
    fault = _enter(account, desk, kind, source, event, stamp)
    if fault == FAULT_NONE:
        take_over(account, arena, updates, update_count, fills, fill_count)
        meet(account, desk, kind, event, False)
    return fault


def decide_event(arena: Any, table: Any, kind: int, event: Any, step: Any) -> None:
    """The strategist's: call the handlers; what they send waits in the outbox."""
    tell(at(arena, 0, BROKER).account, at(table, 0, DESK), arena, kind, event, step)


def pass_moment(arena: Any, table: Any, what: int) -> None:
    """Both: it is the moment of the slice (ON_SLICE) or of the timer (ON_TIMER) that is due."""
    enter_moment(at(arena, 0, BROKER).account, at(table, 0, DESK), what)


def decide_moment(arena: Any, table: Any, what: int, step: Any) -> None:
    """The strategist's: call `on_slice` or `on_timer`."""
    tell_moment(at(arena, 0, BROKER).account, arena, table, what, step)


def _enter(account: Any, desk: Any, kind: int, source: int, event: Any, stamp: Any) -> int:
    """Begin an event, unless it cannot be."""
    time = at(stamp, 0, STAMP).time
    fault = tape_fault(account, desk, kind, event, time)
    if fault == FAULT_NONE:
        start_timers(desk, time)
        desk.input = source
        begin(account, desk, event, time)
    return fault
