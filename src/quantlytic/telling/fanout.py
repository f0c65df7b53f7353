"""From the tape to messages: who is told of what. Each event makes its messages once, however often it is read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from quantlytic.model.breach import RiskBreach
from quantlytic.model.discrepancy import Discrepancy
from quantlytic.model.equity import Decided
from quantlytic.model.errors import StoreError
from quantlytic.model.event import Event
from quantlytic.model.fill import Fill
from quantlytic.model.forecast import ModelChange
from quantlytic.model.halt import Halt
from quantlytic.model.intent import Intent
from quantlytic.model.intentwords import is_near
from quantlytic.model.ledger import LedgerEntry
from quantlytic.model.run import Run
from quantlytic.model.side import Side
from quantlytic.model.signal import Signal
from quantlytic.model.strategychange import StrategyChange
from quantlytic.model.time import NS_PER_S, duration_text
from quantlytic.research.runs.succession import changed
from quantlytic.store.control.control import Control
from quantlytic.store.control.records import Addressee, Message, message_id_of
from quantlytic.store.log.port import Log
from quantlytic.telling.changes import change_letter, of_one_bar
from quantlytic.telling.chart import chart_of
from quantlytic.telling.delivery import Bell, Operator
from quantlytic.telling.letter import Letter, pack, price_text
from quantlytic.telling.occasion import Occasion, occasion_of
from quantlytic.telling.partials import settled, together
from quantlytic.telling.record import Records
from quantlytic.telling.replica import Replica
from quantlytic.telling.wishes import DAY_NS, Again, Refusals, Wishes
from quantlytic.telling.words import (
    bare_letter,
    data_letter,
    fill_letter,
    instrument_of,
    intent_letter,
    risk_letter,
    signal_letter,
    strategy_name,
)

MAIL = "mail"
"""The channel of subscribers' messages."""
READER = "notifier"
_LOOK_S = 1.0  # how often new runs and accounts are looked for
_HOLD_S = 0.1  # how often held fills are looked at
_KEEP_S = 30.0  # how often positions without news, and the replicas, are saved
_BATCH = 2_000
_TOLD = frozenset(
    {Signal, Fill, Intent, RiskBreach, Halt, Discrepancy, LedgerEntry, Decided, ModelChange, StrategyChange}
)
_KNOWN = ("account.", "forecasts.", "shadows.")  # the streams that are read whosoever they are


@dataclass
class _Stream:
    """How far a stream has been read, and whose run it is of."""

    position: int
    run: Run | None


class FanOut:
    """Reads decisions, executions and intents of the runs, the accounts and the ledgers; queues a message for each recipient.

    Messages and positions go into the control store in one transaction, and a message's id is made of its cause: what is read
    twice is queued once. `runs` is asked for the runs to follow; `operators` are told besides the subscribers. News older than
    `stale_ns` (None: any age) is not told, unless it is urgent: after a long outage nobody wants last week's signals.
    """

    def __init__(
        self, log: Log, control: Control, runs: Callable[[], Sequence[Run]], *, operators: Sequence[Operator] = (),
        records: Records | None = None, bell: Bell | None = None, stale_ns: int | None = 24 * 3600 * NS_PER_S,
        remind_ns: int = DAY_NS, clock_ns: Callable[[], int] = time.time_ns,
        timer_s: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.name = READER
        self._log, self._control, self._runs, self._operators = log, control, runs, tuple(operators)
        self._records, self._bell, self._stale_ns = records, bell or Bell(), stale_ns
        self._remind_ns, self._clock_ns, self._timer_s = remind_ns, clock_ns, timer_s
        self._writer = log.writer(READER)
        saved = self._writer.snapshot
        self._saved: dict[str, bytes] = {} if saved is None else msgspec.msgpack.decode(saved, type=dict[str, bytes])
        self._positions = control.messages.positions(READER)
        self._streams: dict[str, _Stream] = {}
        self._replicas: dict[str, Replica] = {}
        self._now: dict[str, Run] = {}  # with the strategy that is in force, of runs that were given another one
        self._wishes: dict[str, Wishes] = {}  # by stream, as are the refusals
        self._refusals: dict[str, Refusals] = {}
        self._look_due_s = self._keep_due_s = timer_s()
        self._is_holding = False

    # ---- the service

    def pump(self) -> int:
        """Read what is new; returns how many events that were."""
        if self._timer_s() >= self._look_due_s:
            self._look_due_s = self._timer_s() + _LOOK_S
            self._find_streams()
        self._is_holding = False
        count = sum(self._read(name, stream) for name, stream in self._streams.items())
        if self._timer_s() >= self._keep_due_s:
            self._keep()
        return count

    def wait(self, timeout_s: float) -> None:
        if self._is_holding:  # there is something to read, and it is not read yet
            time.sleep(min(timeout_s, _HOLD_S))
            return
        self._log.wait({name: stream.position for name, stream in self._streams.items()}, min(timeout_s, _LOOK_S))

    def close(self) -> None:
        try:
            self._keep()
        finally:
            self._writer.close()

    # ---- streams

    def _find_streams(self) -> None:
        known = set(self._log.streams())
        venues: set[str] = set()
        for run in self._runs():
            venues.add(run.venue)
            for name in (run.decisions_stream, run.executions_stream, f"intents.{run.run_id}"):
                self._add(name, run, known)
        for name in sorted(known):
            if name.startswith(_KNOWN):
                self._add(name, None, known)
        for venue in sorted(venues):
            for name in (f"market.{venue}", f"bars.{venue}"):
                self._add(name, None, known, from_now=True)

    def _add(self, name: str, run: Run | None, known: set[str], *, from_now: bool = False) -> None:
        if name in known and name not in self._streams:
            first, end = self._log.bounds(name)
            position = max(self._positions.get(name, end if from_now else 0), first)
            self._streams[name] = _Stream(position, run)
            saved = self._saved.get(name)
            if run is not None and name == run.decisions_stream:
                self._now[run.run_id] = self._as_it_was(run, position)
                self._wishes[name] = Wishes(run, self._log, self._remind_ns, saved, position)
            elif name.startswith("account."):
                self._refusals[name] = Refusals(self._remind_ns, saved)

    def _as_it_was(self, run: Run, position: int) -> Run:
        """The run with the strategy that was in force at that position of its decisions."""
        now, at = run, self._log.bounds(run.decisions_stream)[0]
        while at < position and self._log.bounds(run.commands_stream)[1]:  # else nobody has ever asked for another one
            batch = self._log.read(run.decisions_stream, at)
            if not batch.events:
                break
            for offset, event in zip(batch.offsets, batch.events, strict=True):
                if offset < position and isinstance(event, StrategyChange) and not event.refusal:
                    now = changed(run, event)
            at = batch.next_offset
        return now

    def _read(self, name: str, stream: _Stream) -> int:
        try:
            batch = self._log.read(name, stream.position, _BATCH)
        except StoreError:  # the archiver has trimmed what was not read yet: it does not wait for news about data
            first = self._log.bounds(name)[0]
            if first <= stream.position:
                raise
            stream.position = first
            return 1
        events, next_offset = batch.events, batch.next_offset
        if stream.run is not None and name == stream.run.executions_stream:
            count = settled(events, self._clock_ns())
            if count < len(events):
                next_offset, self._is_holding = batch.offsets[count], True
            events = together(events[:count])
        elif name.startswith(_KNOWN[1:]):
            events = of_one_bar(events)
        messages: list[Message] = []
        for event in events:
            if type(event) not in _TOLD:  # nearly all of a market's
                continue
            if isinstance(event, StrategyChange) and stream.run is not None and not event.refusal:
                self._now[event.run] = changed(stream.run, event)
            occasion = occasion_of(event, stream.run, name)
            if occasion is not None:
                if news := self._is_news(name, event):
                    messages += self._messages(occasion, stream.run, news)
            elif isinstance(event, Decided) and stream.run is not None:
                self._replica(stream.run, event.bar_offset)
        stream.position = next_offset
        if messages:
            self._put(messages)
        return len(events)

    def _is_news(self, stream: str, event: Event) -> Again | bool:
        if isinstance(event, Signal):
            return self._wishes[stream].hear(event)
        if isinstance(event, RiskBreach):
            run = next((one for one in self._runs() if one.run_id == event.run), None)
            return self._refusals[stream].hear(event, run.bar_size_ns if run else 0)
        return True

    def _put(self, messages: Sequence[Message]) -> None:
        positions = {name: stream.position for name, stream in self._streams.items()}
        if self._control.messages.put(messages, READER, positions):
            self._bell.ring()

    def _keep(self) -> None:
        """Save where it is. The replicas after the positions: they may lag behind, and never be ahead."""
        self._keep_due_s = self._timer_s() + _KEEP_S
        self._put(())
        self._saved |= {run: one.save() for run, one in self._replicas.items()}
        for kept in (self._wishes, self._refusals):
            self._saved |= {name: one.save(self._streams[name].position) for name, one in kept.items()}
        if self._saved:
            self._writer.commit({}, snapshot=msgspec.msgpack.encode(self._saved))

    # ---- one occasion

    def _messages(self, occasion: Occasion, run: Run | None, news: Again | bool) -> Iterator[Message]:
        now_ns = self._clock_ns()
        is_urgent = occasion.kind == "risk"
        if not is_urgent and self._stale_ns is not None and now_ns - occasion.event_time > self._stale_ns:
            return
        now = self._now.get(run.run_id, run) if run is not None else None
        strategy = strategy_name(now.strategy) if now is not None else ""
        past = self._records.of(now, occasion.instrument) if self._records and now and occasion.instrument else None
        found = self._control.subscribers.for_event(
            occasion.kind, occasion.instrument, strategy, is_recommended=past is not None and past.is_recommended
        )
        operators = [one for one in self._operators if one.wants(occasion.kind)]
        if isinstance(occasion.event, Intent):
            event = occasion.event
            found = [one for one in found if is_near(event, event.seen_price, one.subscription.near_bps)]
            operators = [one for one in operators if is_near(event, event.seen_price, one.near_bps)]
        if isinstance(occasion.event, ModelChange | StrategyChange):
            found = []  # what decides is the business of who runs it
        if found or operators:
            try:
                again = news if isinstance(news, Again) else None
                letter = self._letter(occasion, run, past.lines if past else (), again)
            except StoreError:
                raise
            except Exception as error:  # what nobody foresaw is told without words, rather than not at all
                letter = bare_letter(occasion.kind, occasion.event_time, occasion.instrument, type(error).__name__)
            yield from messages_for(letter, occasion.cause, found, operators, now_ns)

    def _letter(self, occasion: Occasion, run: Run | None, record: tuple[str, ...], again: Again | None) -> Letter:
        event = occasion.event
        if isinstance(event, ModelChange | StrategyChange):
            return change_letter(event, occasion.stream)
        if isinstance(event, RiskBreach | Halt | Discrepancy):
            return risk_letter(event, again)
        if isinstance(event, LedgerEntry):
            return data_letter(event)
        assert run is not None
        now = self._now.get(run.run_id, run)
        if isinstance(event, Fill):
            return fill_letter(event, now)
        assert isinstance(event, Signal | Intent)
        replica = self._replica(run, event.bar_offset)
        instrument = instrument_of(run, event.instrument)
        side = Side(event.side)

        def number(value: float) -> str:
            near = 0.2 * event_price < abs(value) < 5.0 * event_price
            return price_text(value, instrument) if near and instrument.tick_size else f"{value:,.6g}"

        event_price = event.price if isinstance(event, Signal) else event.seen_price
        reason = ""
        if isinstance(event, Signal):
            reason = replica.reason(event.bar_offset, event.instrument, price_text(event.price, instrument), number)
        chart = chart_of(
            instrument.symbol, duration_text(run.bar_size_ns), replica.points(event.instrument),
            side.name if isinstance(event, Signal) else "", side is Side.BUY,
        )  # fmt: skip
        if isinstance(event, Intent):
            return intent_letter(event, now, chart)
        return signal_letter(event, now, reason=reason, idea=replica.idea, record=record, chart=chart, again=again)

    def _replica(self, run: Run, offset: int) -> Replica:
        """The run's replica as it was after the bar at that offset; one that is further than that begins anew."""
        replica = self._replicas.get(run.run_id)
        if replica is None:
            replica = Replica(run, self._log, self._saved.get(run.run_id))
        if replica.at > offset:
            replica = Replica(run, self._log)
        replica.follow(offset)
        self._replicas[run.run_id] = replica
        return replica


def messages_for(
    letter: Letter, cause: str, addressees: Sequence[Addressee], operators: Sequence[Operator], now_ns: int
) -> list[Message]:
    """A letter's messages, one for each recipient, ready for `Messages.put`. The same cause gives the same ids."""
    payload = pack(letter)
    recipients = [(one.subscriber.subscriber_id, MAIL) for one in addressees]
    recipients += [(one.name, one.channel) for one in operators]
    return [
        Message(
            message_id=message_id_of(cause, recipient, letter.kind), recipient=recipient, channel=channel,
            kind=letter.kind, cause=cause, subject=letter.subject, payload=payload, created_ns=now_ns,
        )
        for recipient, channel in recipients
    ]  # fmt: skip
