"""Bars to decisions: advances the run's strategy and writes what it wishes."""

from __future__ import annotations

from quantlytic.engine.session import Session
from quantlytic.model.bar import Bar
from quantlytic.model.equity import Decided, Equity
from quantlytic.model.event import Event
from quantlytic.model.run import Run
from quantlytic.research.runs.paper import Rows
from quantlytic.services.inbox import Inbox
from quantlytic.store.log.port import Log


class Strategist:
    """Decides on a bar once the executor has executed it: `Equity(k)` in, `Signal`s, `Order`s and `Decided(k)` out.

    The strategy's state is saved with the positions in the same commit: a restart goes on without burn-in, and decides
    nothing twice.
    """

    def __init__(self, log: Log, run: Run, session: Session) -> None:
        self.name = f"strategist.{run.run_id}"
        self._log, self._run, self._session = log, run, session
        self._rows = Rows(run)
        self._writer = log.writer(self.name)
        self._bars = Inbox(log, run.bars_stream, self._writer.positions.get(run.bars_stream, run.first_bar_offset))
        self._reports = Inbox(log, run.executions_stream, self._writer.positions.get(run.executions_stream, 0))
        self._pending: list[Event] = []  # reports that came before their Equity
        self._due: int | None = None  # offset of the executed bar that is to be decided on
        if self._writer.snapshot is not None:
            self._session.restore(self._writer.snapshot)

    def pump(self) -> int:
        while self._due is None and self._reports.peek() is not None:
            _, event = self._reports.take()
            self._pending.append(event)
            if isinstance(event, Equity):
                self._due = event.bar_offset
        if self._due is None or (bar := self._bar_at(self._due)) is None:
            return 0
        self._decide(self._due, bar)
        self._due = None
        return 1  # the next bar has to wait for the executor

    def _bar_at(self, offset: int) -> Bar | None:
        """The bar that was executed; None while this reader of the log does not see it yet."""
        while (ahead := self._bars.peek()) is not None and ahead[0] <= offset:
            at, event = self._bars.take()
            if at == offset and isinstance(event, Bar):
                return event
        assert ahead is None, f"{self.name}: offset {offset} of {self._bars.stream} was executed and is no bar"
        return None

    def _decide(self, offset: int, bar: Bar) -> None:
        rows = self._rows
        row = rows.bars([bar])
        self._session.apply(rows.updates(self._pending), rows.fills(self._pending), row)
        self._pending = []
        signals, orders, cancels, amends = self._session.decide(row)
        outputs = [
            *rows.signal_events(signals, lambda _: offset),
            *rows.cancel_events(cancels, lambda _: offset),
            *rows.amend_events(amends, lambda _: offset),
            *rows.order_events(orders, lambda _: offset),
            Decided(self._run.run_id, offset),
        ]
        positions = {self._bars.stream: self._bars.position, self._reports.stream: self._reports.position}
        self._writer.commit({self._run.decisions_stream: outputs}, positions, self._session.save())

    def wait(self, timeout_s: float) -> None:
        inbox = self._reports if self._due is None else self._bars
        self._log.wait({inbox.stream: inbox.read_position}, timeout_s)

    def close(self) -> None:
        self._writer.close()
