"""Proof that paper equals backtest: replay what the run saw, compare everything it did, to the last bit."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import msgspec

from quantlytic.engine.session import Session
from quantlytic.model.barsclosed import BarsClosed
from quantlytic.model.codec import decode, encode
from quantlytic.model.equity import Decided, Equity
from quantlytic.model.event import Event
from quantlytic.model.fill import Fill
from quantlytic.model.order import Order, OrderAmend, OrderCancel, OrderUpdate
from quantlytic.model.run import Run
from quantlytic.model.signal import Signal
from quantlytic.research.runs.paper import BarEvent, Rows
from quantlytic.research.runs.released import Released
from quantlytic.research.runs.replay import Replay
from quantlytic.research.runs.succession import accepted
from quantlytic.store.log.port import Log

KINDS: dict[type[Event], str] = {
    Signal: "signals",
    Order: "orders",
    OrderCancel: "cancels",
    OrderAmend: "amends",
    OrderUpdate: "updates",
    Fill: "fills",
    Equity: "equity",
}


class Parity(msgspec.Struct, frozen=True):
    """`compared` counts signals, orders, cancels, amendments, updates, fills and equity points."""

    run_id: str
    bars: int
    compared: int
    mismatches: int
    first_mismatch: str | None
    counts: dict[str, int]


def check_parity(log: Log, run: Run, session: Session) -> Parity:
    """Run the backtest over the bars that the paper run was given, and compare it with what the tape says it did.

    Both are compared up to the last bar that was executed, as far as that one was done with: also beside a run that goes on, or
    one that was stopped before its last bar was decided on, or its last orders were answered. What is read first was there
    first, so all that must be there by then is. A run that looks at time (`on_slice`, `on_timer`) is compared up to the last time
    of which all was decided.
    """
    if session.looks_at_time:
        return _check_times(log, run, session)
    rows, accepted_to = Rows(run), log.committed(f"executor.{run.run_id}").get(run.decisions_stream, 0)
    executions = [event for _, event in events_of(log, run.executions_stream)]
    last = max((event.bar_offset for event in executions if isinstance(event, Equity)), default=-1)
    told = list(itertools.takewhile(lambda one: _bar_of(one[1]) <= last, events_of(log, run.decisions_stream)))
    decisions = [event for _, event in told]
    if not any(isinstance(event, Decided) for event in decisions):
        return compare_kinds(run.run_id, 0, by_kind([]), by_kind([]))
    decided_at = next(
        (at for at, event in reversed(told) if isinstance(event, Decided) and _bar_of(event) == last), None
    )
    is_answered = not isinstance(executions[-1], Equity) or (decided_at is not None and accepted_to > decided_at)
    bars = _bars(log, run, rows, last)
    replay = Replay(session, run, bars, is_decided=decided_at is not None, is_answered=is_answered)
    replayed = replay.events(accepted(decisions))
    return compare_kinds(run.run_id, len(bars), by_kind([*decisions, *executions]), by_kind(replayed))


def _check_times(log: Log, run: Run, session: Session) -> Parity:
    """`check_parity` of a run that looks at time: it takes its bars when their time is complete."""
    decisions = [event for _, event in events_of(log, run.decisions_stream)]
    executions = [event for _, event in events_of(log, run.executions_stream)]
    decided = {event.bar_offset: k for k, event in enumerate(decisions) if isinstance(event, Decided)}
    released, taken = Released(run), list[tuple[int, BarEvent]]()
    bars, last, time = 0, -1, 0  # up to the last time that was decided: how many, the end's offset, the time
    for offset, event in events_of(log, run.bars_stream, run.first_bar_offset):
        released.feed(offset, event)
        while released.ready:
            at, one = released.ready.popleft()
            if not isinstance(one, BarsClosed):
                taken.append((at, one))
            elif at in decided:
                bars, last, time = len(taken), at, one.event_time
    if last < 0:
        return compare_kinds(run.run_id, 0, by_kind([]), by_kind([]))
    end = max(k for k, event in enumerate(executions) if isinstance(event, BarsClosed) and event.event_time == time)
    replayed = Replay(session, run, taken[:bars]).events(until=time + 1)
    return compare_kinds(run.run_id, bars, by_kind([*decisions[: decided[last]], *executions[:end]]), by_kind(replayed))


def events_of(log: Log, stream: str, offset: int | None = None) -> Iterator[tuple[int, Event]]:
    """All of a stream from there on, with their offsets."""
    position = log.bounds(stream)[0] if offset is None else offset
    while True:
        batch = log.read(stream, position)
        if not batch.events:
            return
        yield from zip(batch.offsets, batch.events, strict=True)
        position = batch.next_offset


def _bars(log: Log, run: Run, rows: Rows, last: int) -> list[tuple[int, BarEvent]]:
    found = []
    for offset, event in events_of(log, run.bars_stream, run.first_bar_offset):
        if offset > last:
            break
        if rows.wants(event):
            found.append((offset, event))
    return found


def _bar_of(event: Event) -> int:
    """The offset of the bar that a decision is on; -1 for a refusal."""
    return event.bar_offset  # type: ignore[attr-defined,no-any-return]


def by_kind(events: Iterable[Event]) -> dict[str, list[bytes]]:
    """Events as bytes, by kind, in order. Of an Equity, cash and position are left out: they follow from the fills."""
    kinds: dict[str, list[bytes]] = {kind: [] for kind in KINDS.values()}
    for event in events:
        if kind := KINDS.get(type(event)):
            if isinstance(event, Equity):
                event = msgspec.structs.replace(event, cash=0.0, position=0.0)
            kinds[kind].append(encode(event))
    return kinds


def compare_kinds(run_id: str, bars: int, recorded: dict[str, list[bytes]], replayed: dict[str, list[bytes]]) -> Parity:
    """Kind by kind, in order, byte for byte."""
    mismatches, first = 0, None
    for kind in KINDS.values():
        pairs = enumerate(itertools.zip_longest(recorded[kind], replayed[kind]))
        differing = [(index, pair) for index, pair in pairs if pair[0] != pair[1]]
        mismatches += len(differing)
        if differing and first is None:
            index, (ours, theirs) = differing[0]
            first = f"{kind} number {index}: recorded {_text(ours)}, replayed {_text(theirs)}"
    counts = {kind: len(recorded[kind]) for kind in KINDS.values()}
    return Parity(run_id, bars, sum(counts.values()), mismatches, first, counts)


def _text(event: bytes | None) -> str:
    return "nothing" if event is None else repr(decode(event))
