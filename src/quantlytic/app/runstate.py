"""How a run of the services stands: is a process at it, has it ended, has its strategy raised, or did it never begin?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from quantlytic.app.span import span_of
from quantlytic.model.equity import Equity
from quantlytic.model.time import duration_ns

if TYPE_CHECKING:
    from quantlytic.app.config import Settings
    from quantlytic.app.presence import Presence
    from quantlytic.model.run import Run
    from quantlytic.model.strategychange import StrategyChange
    from quantlytic.store.log.port import Log

RUNNING, ENDED, DIED, NEW, OPEN = "running", "ended", "died", "not begun", "open"
"""DIED: its strategy has raised, and nobody decides it. OPEN: processes of other machines may be at it (Kafka)."""
BARS_BEHIND = 4
"""So many bars of each of its instruments may wait for a run that somebody is at."""


def state_of(run: Run, log: Log, settings: Settings, presence: Presence) -> str:
    """How it stands, by who runs strategists on this data folder, and by what the log holds of it."""
    from quantlytic.research.runs.succession import end_of

    if end_of(run, log) is not None:
        return DIED
    if is_running(run, log, settings, presence):
        return RUNNING
    if settings.log.kind != "sqlite":
        return OPEN
    return NEW if span_of(log, run)[1] is None else ENDED


def died(runs: Sequence[Run], log: Log, settings: Settings) -> list[tuple[Run, StrategyChange]]:
    """Those of these settings whose strategy has raised, with how it ended: but not one that a later run has replaced, with
    code that was mended."""
    from quantlytic.research.runs.succession import as_it_is, end_of

    mine = [run for run in runs if _is_of(run, settings) or _is_of(as_it_is(run, log), settings)]
    return [
        (run, end)
        for run in mine
        if (end := end_of(run, log)) is not None and not any(later.replaces(run) for later in runs)
    ]


def holdings(run: Run, log: Log) -> dict[str, float]:
    """Instrument -> quantity that the run holds by its last bar, signed; those of none are left out."""
    found, position = dict[str, float](), log.bounds(run.executions_stream)[0]
    while (batch := log.read(run.executions_stream, position, 50_000)).events:
        found |= {event.instrument: event.position for event in batch.events if isinstance(event, Equity)}
        position = batch.next_offset
    return {name: quantity for name, quantity in sorted(found.items()) if quantity}


def is_running(run: Run, log: Log, settings: Settings, presence: Presence) -> bool:
    """Whether a process is at it: `may_run`, and it has decided on a bar since that one began, or is one of these settings."""
    if not may_run(run, log, presence):
        return False
    return (span_of(log, run)[1] or 0) > (presence.since_ns("strategist") or 0) or _is_of(run, settings)


def may_run(run: Run, log: Log, presence: Presence) -> bool:
    """Whether a process of this machine runs strategists, and this one does not lie behind."""
    return presence.since_ns("strategist") is not None and not _is_behind(run, log)


def _is_of(run: Run, settings: Settings) -> bool:
    """Whether these settings mean such a run."""
    return settings.mode == run.mode and any(
        (one.name, duration_ns(one.bar), one.forecasts) == (run.strategy, run.bar_size_ns, run.forecasts)
        and all(run.params.get(name) == float(value) for name, value in one.params.items())
        for one in settings.running
    )


def _is_behind(run: Run, log: Log) -> bool:
    """Whether more bars wait for the strategist than come while it works."""
    from quantlytic.research.runs.paper import Rows

    position = log.committed(f"strategist.{run.run_id}").get(run.bars_stream, run.first_bar_offset)
    if position < log.bounds(run.bars_stream)[0]:
        return True
    rows, waiting = Rows(run), 0
    while (batch := log.read(run.bars_stream, position)).events:
        waiting += sum(rows.wants(event) for event in batch.events)
        if waiting > BARS_BEHIND * len(run.instruments):
            return True
        position = batch.next_offset
    return False
