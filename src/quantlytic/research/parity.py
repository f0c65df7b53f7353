"""Proof that paper equals backtest: replay what the run saw, compare everything it did, to the last bit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from quantlytic.engine.session import Session
from quantlytic.model.bar import Bar
from quantlytic.model.equity import Decided, Equity
from quantlytic.model.event import Event
from quantlytic.model.run import Run
from quantlytic.research.rows import Rows
from quantlytic.store.log.port import Log


class Parity(msgspec.Struct, frozen=True):
    """`compared` counts signals, orders, cancels, updates, fills and equity points; `first_mismatch` says where they part."""

    run_id: str
    bars: int
    compared: int
    mismatches: int
    first_mismatch: str | None
    counts: dict[str, int]


def check_parity(log: Log, run: Run, session: Session) -> Parity:
    """Run the backtest over the bars that the paper run was given, and compare it with what the tape says it did.

    Both are compared up to the last bar that was decided on: a run that was killed between a bar's execution and its
    decision has its last, half-done bar left out on both sides.
    """
    rows = Rows(run)
    decisions = list(_events(log, run.decisions_stream))
    executions = list(_events(log, run.executions_stream))
    last = max((event.bar_offset for event in decisions if isinstance(event, Decided)), default=-1)
    recorded = _by_kind([*decisions, *_until(executions, last)])
    bars = [(at, bar) for at, bar in _bars(log, run) if at <= last and rows.wants(bar)]
    session.run(rows.bars([bar for _, bar in bars]))
    replayed = _by_kind(rows.everything(session, [at for at, _ in bars]))
    return _compare(run.run_id, len(bars), recorded, replayed)
