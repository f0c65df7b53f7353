"""Proof that a live run did what its strategy says: its decisions made again from what the venue reported.

A live run's fills are the venue's, which no backtest gives. So they are taken as recorded, and what is compared is every
signal, order, cancel and amendment that the strategist made of them, to the last bit.
"""

from __future__ import annotations

from quantlytic.engine.session import Session
from quantlytic.model.equity import Decided, Equity
from quantlytic.model.event import Event
from quantlytic.model.run import Run
from quantlytic.research.runs.paper import Array, Rows
from quantlytic.research.runs.parity import Parity, by_kind, compare_kinds, events_of
from quantlytic.research.runs.succession import accepted, mark, succeed
from quantlytic.store.log.port import Log


def check_live_parity(log: Log, run: Run, session: Session) -> Parity:
    """Lead a fresh session through the recorded executions, bar by bar, up to the last one that was decided on."""
    rows = Rows(run)
    decisions = [event for _, event in events_of(log, run.decisions_stream)]
    decided = [event.bar_offset for event in decisions if isinstance(event, Decided)]
    wanted = set(decided)
    bars = {
        offset: event
        for offset, event in events_of(log, run.bars_stream, run.first_bar_offset)
        if offset in wanted and rows.wants(event)
    }
    changes = {change.bar_offset: change for change in accepted(decisions)}
    replayed: list[Event] = []
    pending: list[Event] = []
    for _, event in events_of(log, run.executions_stream):
        pending.append(event)
        if isinstance(event, Equity) and event.bar_offset in wanted:
            offset = event.bar_offset
            row = rows.bars([bars[offset]])
            updates, fills = rows.updates(pending), rows.fills(pending)
            if offset in changes:
                mark(session, updates, fills, row)
                session, wishes = succeed(run, changes[offset], session)
            else:
                session.apply(updates, fills, row)
                wishes = session.decide(row)
            replayed += _decided(rows, wishes, offset)
            pending = []
    return compare_kinds(run.run_id, len(decided), by_kind(decisions), by_kind(replayed))


def _decided(rows: Rows, wishes: tuple[Array, Array, Array, Array], offset: int) -> list[Event]:
    """What the strategist makes of the wishes at a bar."""
    signals, orders, cancels, amends = wishes
    return [
        *rows.signal_events(signals, lambda _: offset),
        *rows.cancel_events(cancels, lambda _: offset),
        *rows.amend_events(amends, lambda _: offset),
        *rows.order_events(orders, lambda _: offset),
    ]
