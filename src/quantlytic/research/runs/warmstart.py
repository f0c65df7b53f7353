"""Brings a run's replica back to where it was, from what was recorded, when its own snapshot is gone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from quantlytic.engine.held import HeldSession
from quantlytic.model.errors import DataError
from quantlytic.model.run import Run
from quantlytic.research.runs.recorded import Recorded, read_recorded
from quantlytic.store.log.port import Log

if TYPE_CHECKING:
    from quantlytic.store.lake import Lake


class Rebuilt(msgspec.Struct, frozen=True):
    """`state` is what `Session.save` gave after the last of `bars`, `positions` what the strategist had read by then."""

    state: bytes
    positions: Mapping[str, int]
    bars: int


def rebuild_session(run: Run, session: HeldSession, log: Log, lake: Lake | None = None) -> Rebuilt:
    """The strategist's session as it was after the last bar that it is known to have decided on, to the last bit.

    `session` is as at the run's beginning; it is advanced. Read from the log's streams, and from the lake what is not in the
    log any more. Raises DataError when a bar is missing, or when the strategy, run again, does not do what it is recorded to
    have done: its source or the engine has changed since.
    """
    recorded = read_recorded(run, log, lake)
    return replay(run, session, recorded, int(np.searchsorted(recorded.bar_offsets, recorded.decided, "right")))


def replay(run: Run, session: HeldSession, recorded: Recorded, bars: int) -> Rebuilt:
    """Advance a session over the first `bars` recorded ones as the strategist did.

    Stretches without an order, a report or a decision go through the loop at once: there the account has nothing to hear of,
    and both ways lead to the same bytes.
    """
    ends = recorded.equity_at[:bars]
    updates_to, fills_to = np.searchsorted(recorded.updates_at, ends), np.searchsorted(recorded.fills_at, ends)
    heard = np.diff(updates_to, prepend=0) + np.diff(fills_to, prepend=0) > 0
    busy = np.flatnonzero(heard | np.isin(recorded.bar_offsets[:bars], recorded.wished_at))
    at = 0
    while at < bars:
        following = int(np.searchsorted(busy, at))
        stop = int(busy[following]) if following < len(busy) else bars
        if stop > at and not session.open_orders:
            sent = 0 if session.is_held else session.orders_sent
            session.run_as_taken(recorded.bars[at:stop])
            session.forget()
            if not session.is_held and session.orders_sent != sent:
                raise _other(run)
            at = stop
            continue
        updates = recorded.updates[updates_to[at - 1] if at else 0 : updates_to[at]]
        session.apply(updates, recorded.fills[fills_to[at - 1] if at else 0 : fills_to[at]], recorded.bars[at])
        session.decide(recorded.bars[at])
        at += 1
    sent = 0 if session.is_held else session.orders_sent
    if bars and recorded.decided == recorded.bar_offsets[bars - 1] and sent != recorded.last_order:
        raise _other(run)
    positions = {run.bars_stream: run.first_bar_offset, run.executions_stream: 0}
    if bars:
        positions = {
            run.bars_stream: int(recorded.bar_offsets[bars - 1]) + 1,
            run.executions_stream: int(recorded.equity_at[bars - 1]) + 1,
        }
    return Rebuilt(session.save(), positions, bars)


def _other(run: Run) -> DataError:
    return DataError(
        f"{run.run_id}: run again over what it was given it does not do what it is recorded to have done: the strategy or the "
        "engine has changed since; start a new run"
    )
