"""Advances a session event by event, by halves: what a broker does with an event, and what a strategist does."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.account.codes import FAULT_NONE
from quantlytic.engine.account.outbox import AMENDS, CANCELS, FILLS, FLOWS, ORDERS, SIGNALS, UPDATES
from quantlytic.engine.data.tape import DTYPES, Tape, time_field
from quantlytic.engine.run.desk import ACTIONS, BARS, MOMENT
from quantlytic.engine.run.runner import Runner
from quantlytic.engine.run.tapeloop import due
from quantlytic.model.action import ACTION
from quantlytic.model.bar import BAR
from quantlytic.model.equity import EQUITY
from quantlytic.model.errors import InputError
from quantlytic.model.fill import FILL
from quantlytic.model.order import ORDER, ORDER_AMEND, ORDER_CANCEL, ORDER_UPDATE
from quantlytic.model.time import iso

Array = NDArray[Any]
_MOMENT = 0  # beside the kinds of inputs


class Stepper(Runner):
    """The part of a session that takes single events. An event is a row of a `Tape`'s input (BAR, TRADE, QUOTE, LEVEL, ACTION)
    or a MOMENT that is `due`; the halves return what came of it and keep nothing, so a service may call them for ever.

    The inputs are told by `expect`; else there is one, of the kind of the first row, about all instruments. With two replicas:

        for event in ...:                       # in the order of docs/engine.md; before each row what is `due` before its time
            updates, fills, equity = executor.execute(event)
            strategist.apply(answers + updates, fills, event)
            signals, *wishes = strategist.decide(event)
            answers = executor.accept(*wishes)

    An ACTION is the exception: each replica acts by itself, and `apply` takes the answers alone.
    """

    _arena_at: Any
    _positions: Array
    _capacities: tuple[int, int]

    def __init__(self) -> None:
        super().__init__()
        self.event_flows: Array = self._outbox.take(FLOWS)
        """CASH_FLOW rows of the last `execute` or `act`."""
        self._rows_of = {kind: np.zeros(1, dtype) for kind, dtype in DTYPES.items()}
        self._at_of = {kind: self._at(row.view(np.uint8)) for kind, row in self._rows_of.items()}
        self._stamp_at_of = {
            kind: self._at_of[kind] + dtype.fields[time_field(kind)][1]  # type: ignore[index]
            for kind, dtype in DTYPES.items()
        }
        self._sources: dict[tuple[int, int], int] = {}
        self._current = 0

    # ---- what comes

    def expect(self, tape: Tape) -> None:
        """Say which inputs will come event by event: those of this tape, whose rows are not looked at. Also after `restore`.

        Raises as `run` does when the strategy looks at none of them, or the session has begun with others.
        """
        self._check_plan(self._tape(tape))

    def due(self, until: int) -> Any:
        """What is to be called next, before an event at `until`, ns UTC: a MOMENT (the slice of the last time, a timer), to be
        taken as an event of its own; None when nothing is. To be asked again after each."""
        if self._desk_bytes is None or until <= self._desk_view.time or not (what := due(self._desk_view, until)):
            return None
        desk, moment = self._desk_view, np.zeros(1, MOMENT)
        moment[0] = what, desk.time if desk.open_slice else desk.next_timer
        return moment[0]

    # ---- the halves

    def execute(self, event: Any, source: int | None = None) -> tuple[Array, Array, Any]:
        """Executor: match open orders against the event and mark. Returns (updates, fills, equity row).

        `source`: which input of the tape a row is of; may be left out where its kind has one for the instrument, or is of
        the first (of bars: the finest).
        """
        kind = self._take_event(event)
        if kind == ACTIONS:
            updates, fills, _ = self._act()
            return updates, fills, self._equity_row()
        if kind == _MOMENT:
            self._pass(event)
        elif self._desk_bytes is None:
            self._machine.execute(self._arena_at, self._at_of[BARS])
        else:
            self._enter(kind, source)
        self.event_flows = self._outbox.take(FLOWS)
        return self._outbox.take(UPDATES), self._outbox.take(FILLS), self._equity_row()

    def act(self, action: Any) -> tuple[Array, Array, Array]:
        """Executor: a split, dividend, delisting, funding, or a session's open or close (an ACTION row) happens.

        Returns (updates, fills, flows). `apply` and `decide` take the same row in place of a bar: the strategist's replica acts
        by itself, so what is returned here is for the record. Then `accept` what `decide` gave.
        """
        self._take_event(_one_row(action, ACTION))
        return self._act()

    def apply(self, updates: Array, fills: Array, event: Any, source: int | None = None) -> None:
        """Strategist: take over what the executor reported since the last event, and mark. `source`: as for `execute`.

        With an ACTION row: `updates` are those since the last event, without the action's own.
        """
        update_rows, fill_rows = _rows(updates, ORDER_UPDATE), _rows(fills, FILL)
        self._check_count("fills", fill_rows, self._capacities[0] + len(self.instruments))
        kind = self._take_event(event)
        told = self._at(update_rows.view(np.uint8)), len(update_rows)
        if kind in (ACTIONS, _MOMENT):
            self._machine.hear(self._arena_at, *told)
            if kind == ACTIONS:
                self._happen()
                self._outbox.take(UPDATES)
            else:
                self._pass(event)
        elif self._desk_bytes is None:
            self._machine.apply(
                self._arena_at, *told, self._at(fill_rows.view(np.uint8)), len(fill_rows), self._at_of[BARS]
            )
        else:
            self._enter(kind, source, *told, self._at(fill_rows.view(np.uint8)), len(fill_rows))
        self._outbox.take(FLOWS)

    def hear(self, updates: Array) -> None:
        """Strategist: take over what the executor reported since the last event, without a new one."""
        rows = _rows(updates, ORDER_UPDATE)
        self._machine.hear(self._arena_at, self._at(rows.view(np.uint8)), len(rows))

    def decide(self, event: Any) -> tuple[Array, Array, Array, Array]:
        """Strategist: call `on_fill` for the fills just applied, then the event's handler.

        Returns (signals, orders, cancels, amends).
        """
        kind, machine = self._take_event(event), self._machine
        try:
            if kind == _MOMENT:
                machine.decide_moment(self._arena_at, self._desk_at, int(event["kind"]), machine.step)
            elif kind == ACTIONS:
                machine.tell(self._arena_at, machine.step)
            elif self._desk_bytes is None:
                machine.decide(self._arena_at, self._at_of[BARS], machine.step)
            else:
                machine.decide_event(self._arena_at, self._desk_at, kind, self._at_of[kind], machine.step)
        except Exception as error:
            raise self._blame(error) from error
        self._check_fault(BARS, self._rows_of[BARS], 0)
        self._outbox.counts[FILLS] = 0
        take = self._outbox.take
        return take(SIGNALS), take(ORDERS), take(CANCELS), take(AMENDS)

    def accept(self, orders: Array, cancels: Array, amends: Array) -> Array:
        """Executor: take over what the strategist decided. Returns the updates: NEW, REJECTED, CANCELED."""
        order_rows, cancel_rows, amend_rows = (
            _rows(orders, ORDER),
            _rows(cancels, ORDER_CANCEL),
            _rows(amends, ORDER_AMEND),
        )
        self._check_count("orders", order_rows, self._capacities[1])
        self._check_count("cancels", cancel_rows, self._capacities[0] * len(self.instruments))
        self._check_count("amends", amend_rows, self._capacities[0] * len(self.instruments))
        self._machine.accept(
            self._arena_at,
            self._at(order_rows.view(np.uint8)), len(order_rows),
            self._at(cancel_rows.view(np.uint8)), len(cancel_rows),
            self._at(amend_rows.view(np.uint8)), len(amend_rows),
        )  # fmt: skip
        self._outbox.counts[ORDERS] = self._outbox.counts[CANCELS] = self._outbox.counts[AMENDS] = 0
        return self._outbox.take(UPDATES)

    # ---- inside

    def _take_event(self, event: Any) -> int:
        """Put a row where the machine reads it; returns its kind, or _MOMENT."""
        kind = BARS if getattr(event, "dtype", None) is BAR else _kind_of(event)
        if kind == _MOMENT:
            return kind
        row = self._rows_of[kind]
        row[0] = event if isinstance(event, np.void) else _one_row(event, DTYPES[kind])
        if not 0 <= row["instrument"][0] < len(self.instruments):
            raise self._no_instrument(row[0])
        if kind != ACTIONS:
            self._current = int(row["instrument"][0])
        if self._plan is None and (kind != ACTIONS or self.looks_at_time):
            self._check_plan(self._tape_of(np.zeros(0, BAR if kind == ACTIONS else DTYPES[kind]), self.instruments, ""))
        return kind

    def _enter(self, kind: int, source: int | None, *reports: Any) -> None:
        """An event of a tape: match it, or take over the reports of who has."""
        row = self._rows_of[kind]
        time = int(row[time_field(kind)][0])
        head = self._arena_at, self._desk_at, kind, self._source(kind, source)
        if self.due(time) is not None:
            raise InputError(f"something is due before {iso(time)}: take what `due` gives first")
        do = self._machine.apply_event if reports else self._machine.execute_event
        fault = do(*head, *reports, self._at_of[kind], self._stamp_at_of[kind])
        if fault != FAULT_NONE:
            self._account.fault = fault
            try:
                self._check_fault(kind, row, 0)
            finally:
                self._account.fault = FAULT_NONE

    def _source(self, kind: int, given: int | None) -> int:
        """The input that the row at hand is of."""
        assert self._plan is not None
        kinds, members = self._plan
        instrument = int(self._rows_of[kind]["instrument"][0])
        if given is None:
            inputs = enumerate(zip(kinds, members, strict=True))
            given = next((k for k, (one, who) in inputs if one == kind and instrument in who), -1)
        if kind != ACTIONS and not (0 <= given < len(kinds) and kinds[given] == kind and instrument in members[given]):
            raise InputError("the session does not expect such a row: tell it first, by expect(), what will come")
        return given

    def _act(self) -> tuple[Array, Array, Array]:
        self._happen()
        take = self._outbox.take
        self.event_flows = take(FLOWS)
        return take(UPDATES), take(FILLS), self.event_flows

    def _happen(self) -> None:
        """The action at hand happens."""
        if self._desk_bytes is None:
            self._machine.act(self._arena_at, self._at_of[ACTIONS])
        else:
            self._enter(ACTIONS, None)

    def _pass(self, moment: Any) -> None:
        """It is this moment, which must be due."""
        expected = self.due(int(moment["time"]) + 1)
        if expected is None or expected.tobytes() != np.asarray(moment).tobytes():
            raise InputError(f"nothing of that kind is due at {iso(int(moment['time']))}: take what `due` gives")
        self._machine.pass_moment(self._arena_at, self._desk_at, int(moment["kind"]))

    def _equity_row(self) -> Any:
        account, row = self._account, np.zeros(1, EQUITY)
        held = self._positions[self._current]
        row[0] = (
            self._current, account.time, account.equity, account.cash, held["quantity"], held["price"], account.bars - 1
        )  # fmt: skip
        return row[0]

    def _check_count(self, what: str, rows: Array, capacity: int) -> None:
        if len(rows) > capacity:
            raise InputError(f"{len(rows)} {what} for one event: at most {capacity} with this max_open_orders")


def _kind_of(event: Any) -> int:
    dtype = getattr(event, "dtype", None)
    if dtype == MOMENT:
        return _MOMENT
    return next((kind for kind, one in DTYPES.items() if one == dtype), BARS)


def _one_row(row: Any, dtype: np.dtype[Any]) -> Any:
    return _rows(row, dtype)[0]


def _rows(rows: Any, dtype: np.dtype[Any]) -> Array:
    """A contiguous array of exactly this dtype."""
    array = np.atleast_1d(np.asarray(rows))
    if array.dtype is not dtype and array.dtype != dtype:
        raise InputError(f"rows of another kind were given: wanted the fields {', '.join(dtype.names or ())}")
    return np.ascontiguousarray(array)
