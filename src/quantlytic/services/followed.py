"""What executor and strategist have said of a run's bars, for a replica that goes along with them."""

from __future__ import annotations

from quantlytic.model.equity import Decided, Equity
from quantlytic.model.event import Event
from quantlytic.model.run import Run
from quantlytic.model.strategychange import StrategyChange
from quantlytic.services.inbox import Inbox
from quantlytic.store.log.port import Log


class Followed:
    """`hear` until a bar is executed and decided on, then `take` it. Positions are those of what was taken."""

    def __init__(self, log: Log, run: Run, reports_position: int, decisions_position: int) -> None:
        self._reports = Inbox(log, run.executions_stream, reports_position)
        self._decisions = Inbox(log, run.decisions_stream, decisions_position)
        self.reports_position, self.decisions_position = reports_position, decisions_position
        self._heard: list[Event] = []
        self._change: StrategyChange | None = None

    @property
    def awaited(self) -> dict[str, int]:
        """The stream from which the next word must come, and from where on."""
        inbox = self._decisions if self._is_executed else self._reports
        return {inbox.stream: inbox.read_position}

    def hear(self, offset: int) -> bool:
        """Read on up to what both say of the bar at that offset; False while it is not all there."""
        while not self._is_executed:
            if self._reports.peek() is None:
                return False
            self._heard.append(self._reports.take()[1])
        executed = self._heard[-1]
        assert isinstance(executed, Equity)
        assert executed.bar_offset == offset, f"bar {executed.bar_offset} was executed, {offset} is next"
        while self._decisions.peek() is not None:
            _, event = self._decisions.take()
            if isinstance(event, StrategyChange) and event.bar_offset == offset:
                self._change = event
            elif isinstance(event, Decided) and event.bar_offset == offset:
                return True
        return False

    def take(self) -> tuple[list[Event], StrategyChange | None]:
        """The executor's reports since the bar before, and the change of strategy that was made at this one."""
        heard, change = self._heard, self._change
        self._heard, self._change = [], None
        self.reports_position, self.decisions_position = self._reports.position, self._decisions.position
        return heard, change

    @property
    def _is_executed(self) -> bool:
        return bool(self._heard) and isinstance(self._heard[-1], Equity)
