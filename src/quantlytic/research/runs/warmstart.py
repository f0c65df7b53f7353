"""Brings a run's replica back to where it was, from what was recorded, when its own snapshot is gone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.held import HeldSession
from quantlytic.engine.successor import Successor
from quantlytic.model.errors import DataError
from quantlytic.model.run import Run
from quantlytic.model.strategychange import StrategyChange, StrategyRequest
from quantlytic.research.runs.parity import events_of
from quantlytic.research.runs.recorded import Recorded, read_recorded
from quantlytic.research.runs.succession import mark, succeed
from quantlytic.store.log.port import Log

if TYPE_CHECKING:
    from quantlytic.store.lake import Lake


class Rebuilt(msgspec.Struct, frozen=True):
    """`state` is what `Session.save` gave after the last of `bars`, `positions` what the strategist had read by then; `change`:
    the last one of strategy."""

    state: bytes
    positions: Mapping[str, int]
    bars: int
    change: StrategyChange | None = None


def rebuild_session(
    run: Run, session: HeldSession, log: Log, lake: Lake | None = None, sources: Path | None = None
) -> Rebuilt:
    """The strategist's session as it was after the last bar that it is known to have decided on, to the last bit.

    `session` is as at the run's beginning; it is advanced. Read from the log's streams, and from the lake what is not in the
    log any more; code of strategies that took over is laid down in `sources`. Raises DataError when a bar is missing, or when
    the strategy, run again, does not do what it is recorded to have done: its source or the engine has changed since.
    """
    recorded = read_recorded(run, log, lake)
    bars = int(np.searchsorted(recorded.bar_offsets, recorded.decided, "right"))
    rebuilt = replay(run, session, recorded, bars, sources)
    return msgspec.structs.replace(rebuilt, positions={**rebuilt.positions, **answered(run, log)})


def replay(run: Run, session: HeldSession, recorded: Recorded, bars: int, sources: Path | None = None) -> Rebuilt:
    """Advance a session over the first `bars` recorded ones as the strategist did; from each change on, that of the strategy
    that took over."""
    ends = recorded.equity_at[:bars]
    updates_to, fills_to = np.searchsorted(recorded.updates_at, ends), np.searchsorted(recorded.fills_at, ends)
    reports = _Reports(recorded, np.append(0, updates_to), np.append(0, fills_to))
    change, at = None, 0
    for one in recorded.changes:
        end = int(np.searchsorted(recorded.bar_offsets[:bars], one.bar_offset))
        if end == bars:
            break
        _advance(run, session, reports, at, end)
        mark(session, *reports.before(end), recorded.bars[end])
        session, _ = succeed(run, one, session, sources)
        change, at = one, end + 1
    _advance(run, session, reports, at, bars)
    sent = 0 if session.is_held else session.orders_sent
    if bars and recorded.decided == recorded.bar_offsets[bars - 1] and sent != recorded.last_order:
        raise _other(run)
    positions = {run.bars_stream: run.first_bar_offset, run.executions_stream: 0}
    if bars:
        positions = {
            run.bars_stream: int(recorded.bar_offsets[bars - 1]) + 1,
            run.executions_stream: int(recorded.equity_at[bars - 1]) + 1,
        }
    return Rebuilt(session.save(), positions, bars, change)


class _Reports(NamedTuple):
    """What was reported before each bar: rows up to `updates_to[k]` and `fills_to[k]` before the bar k."""

    recorded: Recorded
    updates_to: NDArray[np.int64]
    fills_to: NDArray[np.int64]

    def before(self, k: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Updates and fills since the bar before."""
        return (
            self.recorded.updates[self.updates_to[k] : self.updates_to[k + 1]],
            self.recorded.fills[self.fills_to[k] : self.fills_to[k + 1]],
        )


def _advance(run: Run, session: HeldSession, reports: _Reports, at: int, end: int) -> None:
    """From one bar up to another. Stretches without an order, a report or a decision go through the loop at once: there the
    account has nothing to hear of, and both ways lead to the same bytes."""
    recorded = reports.recorded
    heard = np.diff(reports.updates_to) + np.diff(reports.fills_to) > 0
    busy = np.flatnonzero(heard[:end] | np.isin(recorded.bar_offsets[:end], recorded.wished_at))
    while at < end:
        following = int(np.searchsorted(busy, at))
        stop = int(busy[following]) if following < len(busy) else end
        waits = isinstance(session, Successor) and session.waits
        if stop > at and not session.open_orders and not waits:
            sent = 0 if session.is_held else session.orders_sent
            session.run_as_taken(recorded.bars[at:stop])
            session.forget()
            if not session.is_held and session.orders_sent != sent:
                raise _other(run)
            at = stop
            continue
        session.apply(*reports.before(at), recorded.bars[at])
        session.decide(recorded.bars[at])
        at += 1


def answered(run: Run, log: Log) -> dict[str, int]:
    """How far the requests for another strategy have been answered."""
    first, end = log.bounds(run.commands_stream)
    if not end:
        return {}
    answers = {one.request for _, one in events_of(log, run.decisions_stream) if isinstance(one, StrategyChange)}
    requests = [(at, one) for at, one in events_of(log, run.commands_stream) if isinstance(one, StrategyRequest)]
    position = max((at + 1 for at, one in requests if one.request in answers), default=first)
    return {run.commands_stream: position} if position else {}


def _other(run: Run) -> DataError:
    return DataError(
        f"{run.run_id}: run again over what it was given it does not do what it is recorded to have done: the strategy or the "
        "engine has changed since; start a new run"
    )
