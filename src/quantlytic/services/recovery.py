"""Before a strategist starts: its snapshot, if it is gone or of another version, is made anew from what was recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from quantlytic.engine.session import Session
from quantlytic.model.codec import encode_batch
from quantlytic.model.equity import Decided
from quantlytic.model.errors import DataError, InputError
from quantlytic.model.event import Event
from quantlytic.model.run import Run
from quantlytic.research.runs.warmstart import rebuild_session
from quantlytic.services.strategist import Strategist
from quantlytic.store.log.port import Log

if TYPE_CHECKING:
    from quantlytic.store.lake import Lake


def recover_strategist(log: Log, run: Run, session: Session, lake: Lake | None) -> int:
    """See to it that `strategist.RUN` has a snapshot to go on from; returns how many decisions it was rebuilt over, 0 for none.

    `session` is as at the run's beginning, and is so afterwards. A strategist that started without a snapshot, but not
    without a past, would decide on all of it again. To be called by who starts the strategist, before it: it takes its name.
    Strategies on slices or timers are rebuilt from the log alone.

    Raises DataError when the past is not there any more, or when the strategy does not do again what it did.
    """
    beginning = session.save()
    writer = log.writer(f"strategist.{run.run_id}")
    try:
        if writer.snapshot is not None and _goes_on(_Past(log, writer.positions, writer.snapshot), run, session):
            return 0
        session.restore(beginning)
        if session.looks_at_time:
            past = _Past(log)
            count = _again(past, run, session)
            positions, snapshot = past.positions, past.snapshot
        else:
            rebuilt = rebuild_session(run, session, log, lake)
            count, positions, snapshot = rebuilt.bars, dict(rebuilt.positions), rebuilt.state
        if count:
            writer.commit({}, positions, snapshot)
        return count
    finally:
        writer.close()
        session.restore(beginning)


def _goes_on(past: _Past, run: Run, session: Session) -> bool:
    """Whether a strategist understands the snapshot."""
    try:
        Strategist(past, run, session)  # type: ignore[arg-type]
    except (InputError, msgspec.DecodeError):
        return False
    return True


def _again(past: _Past, run: Run, session: Session) -> int:
    """Have a strategist decide on everything that was decided on, and do the same; its words are kept, not written."""
    recorded, position = list[Event](), 0
    while (batch := past.read(run.decisions_stream, position)).events:
        recorded += batch.events
        position = batch.next_offset
    count = sum(isinstance(event, Decided) for event in recorded)
    strategist = Strategist(past, run, session)  # type: ignore[arg-type]
    done = 0
    while done < count and strategist.pump():
        done += 1
    if done < count or encode_batch(past.outputs) != encode_batch(recorded):
        raise DataError(
            f"{run.run_id}: run again over what it was given it does not do what it is recorded to have done: the strategy or "
            "the engine has changed since, or the log is not whole; start a new run"
        )
    return count


class _Past:
    """The log, but for its writers, which have this past; what is committed is kept here, and nothing is written."""

    def __init__(self, log: Log, positions: Mapping[str, int] | None = None, snapshot: bytes | None = None) -> None:
        self._log = log
        self.positions, self.snapshot = dict(positions or {}), snapshot
        self.outputs: list[Event] = []

    def writer(self, name: str) -> _Kept:
        return _Kept(self, name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


class _Kept:
    def __init__(self, past: _Past, name: str) -> None:
        self._past, self.name = past, name
        self.positions, self.snapshot = past.positions, past.snapshot

    def commit(self, outputs: Mapping[str, Sequence[Event]], positions: Mapping[str, int], snapshot: bytes) -> None:
        self._past.outputs += [event for events in outputs.values() for event in events]
        self._past.positions |= positions
        self._past.snapshot = snapshot
