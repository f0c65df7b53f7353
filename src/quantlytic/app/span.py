"""When a run that is still open began and how far it has come: read off the tape."""

from __future__ import annotations

from quantlytic.model.equity import Equity
from quantlytic.model.run import Run
from quantlytic.store.log.port import Log

LAST_EVENTS = 100  # an Equity comes with each bar, so one is among so many


def span_of(log: Log, run: Run) -> tuple[int | None, int | None]:
    """Close times (ns UTC) of the run's first and last executed bar; None before the first."""
    first, end = log.bounds(run.executions_stream)
    return _time(log, run, first, first=True), _time(log, run, max(first, end - LAST_EVENTS), first=False)


def _time(log: Log, run: Run, offset: int, first: bool) -> int | None:
    events = log.read(run.executions_stream, offset, LAST_EVENTS).events
    times = [event.event_time for event in events if isinstance(event, Equity)]
    return times[0 if first else -1] if times else None
