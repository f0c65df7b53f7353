"""Before strategist and paper executor start: a snapshot that is gone, or of another version, is made anew from the records."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from quantlytic.engine.held import HeldSession
from quantlytic.engine.session import Session
from quantlytic.model.codec import encode_batch
from quantlytic.model.errors import DataError, InputError
from quantlytic.model.event import Event
from quantlytic.model.run import Run
from quantlytic.model.strategychange import StrategyChange
from quantlytic.research.runs.succession import end_of
from quantlytic.research.runs.warmstart import answered, rebuild_session
from quantlytic.services.executor import PaperExecutor
from quantlytic.services.strategist import Strategist, snapshot_at_end, snapshot_of
from quantlytic.services.swaps import Means
from quantlytic.store.log.port import Log

if TYPE_CHECKING:
    from quantlytic.store.lake import Lake


def recover_strategist(log: Log, run: Run, session: HeldSession, lake: Lake | None, means: Means | None = None) -> int:
    """See to it that `strategist.RUN` has a snapshot to go on from; returns how many decisions it was rebuilt over, 0 for none.

    `session` is as at the run's beginning, and is so afterwards. A strategist that started without a snapshot, but not
    without a past, would decide on all of it again. To be called by who starts the strategist, before it: it takes its name.
    Strategies on slices or timers are rebuilt from the log alone.

    `means`: those of the strategist, if its strategy may give way to another.

    Raises DataError when the past is not there any more, or when the strategy does not do again what it did.
    """
    beginning = session.save()
    writer = log.writer(f"strategist.{run.run_id}")
    try:
        if writer.snapshot is not None and _goes_on(
            functools.partial(Strategist, means=means), _Past(log, writer.positions, writer.snapshot), run, session
        ):
            return 0
        session.restore(beginning)
        if session.looks_at_time:
            past, done = _done_again(Strategist, log, run, session, run.decisions_stream)
            if (end := end_of(run, log)) is not None:
                past.snapshot = snapshot_at_end(past.snapshot, beginning, end)
            if past.snapshot is not None:
                writer.commit({}, past.positions | answered(run, log), past.snapshot)
            return done
        rebuilt = rebuild_session(run, session, log, lake, None if means is None else means.sources)
        if rebuilt.bars:
            writer.commit({}, rebuilt.positions, snapshot_of(rebuilt.state, rebuilt.change))
        return rebuilt.bars
    finally:
        writer.close()
        session.restore(beginning)


def recover_executor(log: Log, run: Run, session: Session) -> int:
    """The same for `executor.RUN` of a paper run, from the log alone; returns how many reports were made again."""
    beginning = session.save()
    writer = log.writer(f"executor.{run.run_id}")
    try:
        past = _Past(log, writer.positions, writer.snapshot)
        if writer.snapshot is not None and _goes_on(PaperExecutor, past, run, session):
            return 0
        session.restore(beginning)
        past, done = _done_again(PaperExecutor, log, run, session, run.executions_stream)
        if past.snapshot is not None:
            writer.commit({}, past.positions, past.snapshot)
        return done
    finally:
        writer.close()
        session.restore(beginning)


def _goes_on(service: Any, past: _Past, run: Run, session: Session) -> bool:
    """Whether a service understands the snapshot."""
    try:
        service(past, run, session)
    except (InputError, msgspec.DecodeError):
        return False
    return True


def _done_again(service: Any, log: Log, run: Run, session: Session, stream: str) -> tuple[_Past, int]:
    """Have a service do again all that it has written to its stream; what it writes now is compared and not written. Returns
    what it would have kept, and how many events that were. How a strategy has ended, and what was refused, is not done again."""
    recorded, position = list[Event](), 0
    if log.bounds(stream)[0] > 0:
        raise DataError(f"{stream} is not whole in the log any more: what it tells of cannot be done again")
    while (batch := log.read(stream, position)).events:
        recorded += [event for event in batch.events if not isinstance(event, StrategyChange)]
        position = batch.next_offset
    past = _Past(log, until=len(recorded))
    if recorded:
        with contextlib.suppress(_UpToDate):
            worker = service(past, run, session)
            while worker.pump():
                pass
        if encode_batch(past.outputs) != encode_batch(recorded):
            raise DataError(
                f"{run.run_id}: run again over what it was given it does not do what it is recorded to have done: the strategy "
                "or the engine has changed since, or the log is not whole; start a new run"
            )
    return past, len(recorded)


class _UpToDate(Exception):
    """All that was recorded has been done again."""


class _Past:
    """The log, but for its writers, which have this past; what is committed is kept here, and nothing is written."""

    def __init__(
        self, log: Log, positions: Mapping[str, int] | None = None, snapshot: bytes | None = None, until: int = 0
    ) -> None:
        self._log, self.until = log, until
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
        if len(self._past.outputs) >= self._past.until:
            raise _UpToDate
