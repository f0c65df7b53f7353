"""Bars to decisions: advances the run's strategy and writes what it wishes."""

from __future__ import annotations

import msgspec

from quantlytic.engine.session import Session
from quantlytic.model.barsclosed import BarsClosed
from quantlytic.model.equity import Decided, Equity
from quantlytic.model.errors import InputError
from quantlytic.model.event import Event
from quantlytic.model.run import Run
from quantlytic.research.runs.paper import Rows
from quantlytic.services.inbox import Inbox
from quantlytic.services.turns import Turn, Turns
from quantlytic.store.log.port import Log


class _Snapshot(msgspec.Struct, array_like=True):
    session: bytes
    turns: bytes


_SNAPSHOT = msgspec.msgpack.Decoder(_Snapshot)


class Strategist:
    """Decides on a bar once the executor has executed it: `Equity(k)` in, `Signal`s, `Order`s and `Decided(k)` out.

    So it does on slices and timers (`Turns`), where `BarsClosed` comes in. The strategy's state is saved with the positions in
    the same commit: a restart goes on without burn-in, and decides nothing twice.
    """

    def __init__(self, log: Log, run: Run, session: Session) -> None:
        if session.looks_at_time and run.mode == "live":
            raise InputError(
                f"{run.strategy} decides on slices or timers, which a live account does not know yet: run it on paper"
            )
        self.name = f"strategist.{run.run_id}"
        self._log, self._run, self._session = log, run, session
        self._rows = Rows(run)
        self._writer = log.writer(self.name)
        self._bars = Inbox(log, run.bars_stream, self._writer.positions.get(run.bars_stream, run.first_bar_offset))
        self._reports = Inbox(log, run.executions_stream, self._writer.positions.get(run.executions_stream, 0))
        self._pending: list[Event] = []  # reports that came before what has been executed
        self._due: Equity | BarsClosed | None = None  # what has been executed and is to be decided on
        turns = None
        if (saved := self._writer.snapshot) is not None:
            if session.looks_at_time:
                both = _SNAPSHOT.decode(saved)
                saved, turns = both.session, both.turns
            self._session.restore(saved)
        self._turns = Turns(self._bars, run, session, turns)

    def pump(self) -> int:
        while self._due is None and self._reports.peek() is not None:
            _, event = self._reports.take()
            if isinstance(event, Equity | BarsClosed):
                self._due = event
            else:
                self._pending.append(event)
        if self._due is None or (turn := self._turns.take()) is None:
            return 0  # it was executed, but this reader of the log may not see its bar yet
        self._check(turn, self._due)
        self._decide(turn)
        self._due = None
        return 1  # the next one has to wait for the executor

    def _check(self, turn: Turn, due: Equity | BarsClosed) -> None:
        same = (turn.bar is None, turn.time) == (isinstance(due, BarsClosed), due.event_time)
        if isinstance(due, Equity):
            same = same and due.bar_offset == turn.offset
        assert same, f"{self.name}: {due} was executed, not {turn}"

    def _decide(self, turn: Turn) -> None:
        rows, updates = self._rows, self._rows.updates(self._pending)
        outputs: list[Event] = []
        if turn.event is None:
            self._session.hear(updates)
        else:
            self._session.apply(updates, rows.fills(self._pending), turn.event)
            signals, orders, cancels, amends = self._session.decide(turn.event)
            outputs = [
                *rows.signal_events(signals, lambda _: turn.offset),
                *rows.cancel_events(cancels, lambda _: turn.offset),
                *rows.amend_events(amends, lambda _: turn.offset),
                *rows.order_events(orders, lambda _: turn.offset),
            ]
        self._pending = []
        outputs.append(Decided(self._run.run_id, turn.offset))
        positions = {self._bars.stream: self._bars.position, self._reports.stream: self._reports.position}
        self._writer.commit({self._run.decisions_stream: outputs}, positions, self._snapshot())

    def _snapshot(self) -> bytes:
        session, turns = self._session.save(), self._turns.save()
        return session if turns is None else msgspec.msgpack.encode(_Snapshot(session, turns))

    def wait(self, timeout_s: float) -> None:
        inbox = self._reports if self._due is None else self._bars
        self._log.wait({inbox.stream: inbox.read_position}, timeout_s)

    def close(self) -> None:
        self._writer.close()
