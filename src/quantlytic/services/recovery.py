"""Before a strategist starts: its snapshot, if it is gone or of another version, is made anew from what was recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantlytic.engine.session import Session
from quantlytic.model.errors import InputError
from quantlytic.model.run import Run
from quantlytic.research.runs.warmstart import rebuild_session
from quantlytic.store.log.port import Log

if TYPE_CHECKING:
    from quantlytic.store.lake import Lake


def recover_strategist(log: Log, run: Run, session: Session, lake: Lake | None) -> int:
    """See to it that `strategist.RUN` has a snapshot to go on from; returns how many bars it was rebuilt over, 0 for none.

    `session` is as at the run's beginning, and is so afterwards. A strategist that started without a snapshot, but not
    without a past, would decide on all of it again. To be called by who starts the strategist, before it: it takes its name.
    Raises DataError when the past is not there any more, or does not fit the strategy.
    """
    beginning = session.save()
    writer = log.writer(f"strategist.{run.run_id}")
    try:
        if writer.snapshot is None and not log.bounds(run.decisions_stream)[1] and lake is None:
            return 0
        if writer.snapshot is not None and _is_of(session, writer.snapshot):
            return 0
        rebuilt = rebuild_session(run, session, log, lake)
        if rebuilt.bars:
            writer.commit({}, rebuilt.positions, rebuilt.state)
        return rebuilt.bars
    finally:
        writer.close()
        session.restore(beginning)


def _is_of(session: Session, snapshot: bytes) -> bool:
    try:
        session.restore(snapshot)
    except InputError:
        return False
    return True
