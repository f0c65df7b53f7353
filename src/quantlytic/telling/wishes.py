"""Which signals are news. A strategy whose orders are refused wishes for the same thing again with each bar: that is one
occasion, told once. Both classes are derived from the tape alone, so that a restart judges as its predecessor would have.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import msgspec

from quantlytic.model.breach import RiskBreach
from quantlytic.model.equity import Equity
from quantlytic.model.event import Event
from quantlytic.model.fill import Fill
from quantlytic.model.order import OrderStatus, OrderUpdate
from quantlytic.model.run import Run
from quantlytic.model.signal import Signal
from quantlytic.model.time import NS_PER_S
from quantlytic.store.log.port import Log

DAY_NS = 24 * 3_600 * NS_PER_S
HOUR_NS = 3_600 * NS_PER_S
LULL_BARS = 10
"""A wish that has not come for so many bars in a row is over: when it comes again it is news."""
LULL_REFUSALS = 3
"""The same for a limit's refusals, in bars of their run (at least an hour)."""


class Again(NamedTuple):
    """Something that was told and goes on: `times` (a signal's bars) since `since` (ns UTC); `refused`: why, if known."""

    times: int
    since: int
    refused: str = ""


class _Wish(msgspec.Struct, array_like=True):
    since: int
    told: int
    at: int  # when it was last wished for
    turn: int
    bars: int  # of the instrument, when it was last wished for
    count: int = 0


class _Held(msgspec.Struct, array_like=True):
    """Of one instrument: bars executed, the turn that the last fill came before, and why the last refused order was refused."""

    bars: int = 0
    filled: int = 0
    refused: str = ""


class _Saved(msgspec.Struct, array_like=True):
    heard: int = 0
    position: int = 0
    turn: int = 0
    at: int = -1
    wishes: dict[str, dict[int, _Wish]] = msgspec.field(default_factory=dict)
    held: dict[str, _Held] = msgspec.field(default_factory=dict)


_SAVED = msgspec.msgpack.Decoder(_Saved)


class Wishes:
    """Judges the signals of one run. `saved`: what `save` gave; `upto`: the position in `decisions.RUN` that has been told of.

    A signal is a repeat when its instrument was wished for on the same side before and nothing has changed since: no fill, no
    bar that wished for the other side alone, no `LULL_BARS` bars without it. A repeat is told of `remind_ns` after what was
    told last at the earliest. The order of fills and signals is that of the tape: a fill counts for the bar whose `Equity`
    follows it.
    """

    def __init__(self, run: Run, log: Log, remind_ns: int = DAY_NS, saved: bytes | None = None, upto: int = 0) -> None:
        self._run, self._log, self._remind_ns = run, log, remind_ns
        found = _Saved() if saved is None else _SAVED.decode(saved)
        if found.heard > upto:  # the positions were set back: what has been heard since is not known any more
            found = _Saved()
        self._heard, self._position, self._turn, self._at = found.heard, found.position, found.turn, found.at
        self._wishes, self._held = found.wishes, found.held
        self._executed: deque[tuple[int, Event]] = deque()
        self._catch_up(upto)

    def hear(self, signal: Signal) -> Again | bool:
        """True: it is news. False: nobody is told. `Again`: a reminder is due. To be asked once each, in the tape's order."""
        self._execute(signal)
        held = self._held_of(signal.instrument)
        sides = self._wishes.setdefault(signal.instrument, {})
        mine, other = sides.get(int(signal.side)), sides.get(-int(signal.side))
        is_repeat = (
            mine is not None
            and held.filled <= mine.turn
            and held.bars - mine.bars <= LULL_BARS
            and not (other is not None and mine.at < other.at < signal.event_time)
        )
        if mine is None or not is_repeat:
            held.refused = ""
            now = signal.event_time
            sides[int(signal.side)] = _Wish(now, now, now, self._turn, held.bars, 1)
            return True
        mine.count += mine.at < signal.event_time
        mine.at, mine.turn, mine.bars = signal.event_time, self._turn, held.bars
        if signal.event_time - mine.told < self._remind_ns:
            return False
        mine.told = signal.event_time
        return Again(mine.count, mine.since, held.refused)

    def save(self, upto: int) -> bytes:
        """What it takes to go on; `upto`: the position in `decisions.RUN` behind the last signal heard."""
        position = self._executed[0][0] if self._executed else self._position
        return msgspec.msgpack.encode(_Saved(upto, position, self._turn, self._at, self._wishes, self._held))

    # ---- inside

    def _catch_up(self, upto: int) -> None:
        """Hear again what was told between the last `save` and the end."""
        stream = self._run.decisions_stream
        position = max(self._heard, self._log.bounds(stream)[0])
        while position < upto:
            batch = self._log.read(stream, position)
            if not batch.events:
                return
            for offset, event in zip(batch.offsets, batch.events, strict=True):
                if offset < upto and isinstance(event, Signal):
                    self.hear(event)
            position = batch.next_offset

    def _execute(self, signal: Signal) -> None:
        """Take in what was executed before the signal was decided on: up to its bar's `Equity`, or to its time."""
        while self._at != signal.bar_offset and (equity := self._next_equity()) is not None:
            if equity.event_time > signal.event_time:
                return
            while (event := self._executed.popleft()[1]) is not equity:
                if isinstance(event, Fill):
                    self._held_of(event.instrument).filled = self._turn + 1
                elif isinstance(event, OrderUpdate) and event.status == OrderStatus.REJECTED:
                    self._held_of(event.instrument).refused = event.reason
            self._turn, self._at = self._turn + 1, equity.bar_offset
            self._held_of(equity.instrument).bars += 1

    def _next_equity(self) -> Equity | None:
        """The end of the next turn, left in its place; None when the tape does not hold it yet."""
        looked = 0
        while True:
            for k in range(looked, len(self._executed)):
                event = self._executed[k][1]
                if isinstance(event, Equity):
                    return event
            looked = len(self._executed)
            stream = self._run.executions_stream
            batch = self._log.read(stream, max(self._position, self._log.bounds(stream)[0]))
            if not batch.events:
                return None
            self._executed.extend(zip(batch.offsets, batch.events, strict=True))
            self._position = batch.next_offset

    def _held_of(self, instrument: str) -> _Held:
        return self._held.setdefault(instrument, _Held())


class _Refusal(msgspec.Struct, array_like=True):
    since: int
    told: int
    at: int
    count: int


class _Refusals(msgspec.Struct, array_like=True):
    heard: int
    known: dict[str, _Refusal]


_REFUSALS = msgspec.msgpack.Decoder(_Refusals)


class Refusals:
    """Judges the breaches of one account: what a limit refuses a run on an instrument, again and again, is one occasion, until
    it has refused nothing for an hour (or `LULL_REFUSALS` bars of the run, `bar_ns` by run)."""

    def __init__(self, remind_ns: int = DAY_NS, saved: bytes | None = None) -> None:
        self._remind_ns = remind_ns
        found = _Refusals(0, {}) if saved is None else _REFUSALS.decode(saved)
        self.heard, self._known = found.heard, found.known

    def hear(self, breach: RiskBreach, bar_ns: int = 0) -> Again | bool:
        """See `Wishes.hear`."""
        key, now = f"{breach.run}/{breach.limit}/{breach.instrument}", breach.event_time
        known = self._known.get(key)
        if known is None or now - known.at > max(HOUR_NS, LULL_REFUSALS * bar_ns):
            self._known[key] = _Refusal(now, now, now, 1)
            return True
        known.at, known.count = max(known.at, now), known.count + 1
        if now - known.told < self._remind_ns:
            return False
        known.told = now
        return Again(known.count, known.since)

    def save(self, upto: int) -> bytes:
        """What it takes to go on; `upto`: the position in the account's stream behind the last breach heard."""
        return msgspec.msgpack.encode(_Refusals(upto, self._known))
