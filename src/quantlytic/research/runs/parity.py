"""Proof that paper equals backtest: replay what the run saw, compare everything it did, to the last bit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

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

    Both are compared up to the last bar that was decided on: a run that is stopped between a bar's execution and its
    decision has that last, half-done bar left out on both sides. A run that looks at time (`on_slice`, `on_timer`) is compared
    up to the last time of which all was decided.
    """
    if session.looks_at_time:
        return _check_times(log, run, session)
    rows = Rows(run)
    decisions = [event for _, event in events_of(log, run.decisions_stream)]
    executions = [event for _, event in events_of(log, run.executions_stream)]
    last = max((event.bar_offset for event in decisions if isinstance(event, Decided)), default=-1)
    bars = _bars(log, run, rows, last)
    replayed = list(Replay(session, run, bars).events(accepted(decisions)))
    if missing := _answers_missing(log, run, decisions, last):
        replayed = [event for event in replayed if not _is_answer(event, missing, bars[-1][1].close_time)]
    return compare_kinds(run.run_id, len(bars), by_kind([*decisions, *_until(executions, last)]), by_kind(replayed))


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


def _until(executions: Sequence[Event], last: int) -> Iterator[Event]:
    """Executions of bars up to `last`, with what the broker said to the orders that followed it."""
    for event in executions:
        if isinstance(event, Fill | Equity) and event.bar_offset > last:
            return
        if isinstance(event, OrderUpdate) or event.bar_offset <= last:  # type: ignore[attr-defined]
            yield event


def _answers_missing(log: Log, run: Run, decisions: Sequence[Event], last: int) -> set[int]:
    """Orders of the last decision, when the executor has not taken it over yet: its answers are not on the tape."""
    if log.committed(f"executor.{run.run_id}").get(run.decisions_stream, 0) >= log.bounds(run.decisions_stream)[1]:
        return set()
    wishes = Order | OrderCancel | OrderAmend
    return {event.order_id for event in decisions if isinstance(event, wishes) and event.bar_offset == last}


def _is_answer(event: Event, order_ids: set[int], time: int) -> bool:
    return isinstance(event, OrderUpdate) and event.order_id in order_ids and event.event_time == time


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
        pairs = enumerate(zip_longest(recorded[kind], replayed[kind]))
        differing = [(index, pair) for index, pair in pairs if pair[0] != pair[1]]
        mismatches += len(differing)
        if differing and first is None:
            index, (ours, theirs) = differing[0]
            first = f"{kind} number {index}: recorded {_text(ours)}, replayed {_text(theirs)}"
    counts = {kind: len(recorded[kind]) for kind in KINDS.values()}
    return Parity(run_id, bars, sum(counts.values()), mismatches, first, counts)


def _text(event: bytes | None) -> str:
    return "nothing" if event is None else repr(decode(event))
