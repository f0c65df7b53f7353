"""Orders to fills, on paper: the simulated broker of the back-test, one bar at a time."""

from __future__ import annotations

import msgspec

from quantlytic.engine.held import HeldSession
from quantlytic.engine.session import Session
from quantlytic.model.barsclosed import BarsClosed
from quantlytic.model.equity import Decided
from quantlytic.model.event import Event
from quantlytic.model.run import Run
from quantlytic.model.strategychange import StrategyChange
from quantlytic.research.runs.paper import Rows
from quantlytic.services.inbox import Inbox
from quantlytic.services.turns import Turn, Turns
from quantlytic.store.log.port import Log


class _Snapshot(msgspec.Struct, array_like=True):
    session: bytes
    executed: int
    turns: bytes | None = None


_SNAPSHOT = msgspec.msgpack.Decoder(_Snapshot)


class PaperExecutor:
    """Executes the run's orders against its bars, in lock-step with the strategist (docs/ARCHITECTURE.md).

    The bar at offset k is executed once the run's previous bar has been decided on, so that no order can come too late
    for the bar it was meant to meet. So is whatever else has its turn (`Turns`): it says `BarsClosed` where a bar has `Equity`.
    """

    def __init__(self, log: Log, run: Run, session: Session) -> None:
        self.name = f"executor.{run.run_id}"
        self._log, self._run, self._session = log, run, session
        self._rows = Rows(run)
        self._writer = log.writer(self.name)
        self._bars = Inbox(log, run.bars_stream, self._writer.positions.get(run.bars_stream, run.first_bar_offset))
        self._decisions = Inbox(log, run.decisions_stream, self._writer.positions.get(run.decisions_stream, 0))
        self._executed = -1  # offset of the executed turn whose decision is awaited; -1: none is
        self._wishes: list[Event] = []  # orders, cancels and amends whose Decided has not come in yet
        turns = None
        if self._writer.snapshot is not None:
            saved = _SNAPSHOT.decode(self._writer.snapshot)
            self._session.restore(saved.session)
            self._executed, turns = saved.executed, saved.turns
        self._turns = Turns(self._bars, run, session, turns)

    def pump(self) -> int:
        if self._take_decision() and (turn := self._turns.take()) is not None:
            self._execute(turn)
            return 1  # the next one has to wait for the decision on this one
        return 0

    def _take_decision(self) -> bool:
        """True once the orders that follow the last executed turn are in the broker's book, and acknowledged."""
        if self._executed < 0:
            return True
        while self._decisions.peek() is not None:
            _, event = self._decisions.take()
            if isinstance(event, Decided):
                assert event.bar_offset == self._executed, f"{self.name}: decision on {event.bar_offset} out of turn"
                updates = self._session.accept(*self._rows.wishes(self._wishes))
                self._executed, self._wishes = -1, []
                if len(updates):
                    self._commit(self._rows.update_events(updates))
                return True
            if isinstance(event, StrategyChange) and not event.refusal and isinstance(self._session, HeldSession):
                self._session.release()
            self._wishes.append(event)
        return False

    def _execute(self, turn: Turn) -> None:
        rows, outputs = self._rows, list[Event]()
        if turn.event is not None:
            updates, fills, equity = self._session.execute(turn.event)
            outputs = [*rows.update_events(updates), *rows.fill_events(fills, lambda _: turn.offset)]
        if turn.bar is not None:
            outputs.append(rows.equity_event(equity, turn.offset))
        else:
            outputs.append(BarsClosed(rows.bar_size_ns, turn.time))
        self._executed = turn.offset
        self._commit(outputs)

    def _commit(self, outputs: list[Event]) -> None:
        snapshot = msgspec.msgpack.encode(_Snapshot(self._session.save(), self._executed, self._turns.save()))
        positions = {self._bars.stream: self._bars.position, self._decisions.stream: self._decisions.position}
        self._writer.commit({self._run.executions_stream: outputs}, positions, snapshot)

    def wait(self, timeout_s: float) -> None:
        inbox = self._bars if self._executed < 0 else self._decisions
        self._log.wait({inbox.stream: inbox.read_position}, timeout_s)

    def close(self) -> None:
        self._writer.close()
