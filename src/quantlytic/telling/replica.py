"""A run followed from outside: the same strategy on the same bars and fills, so that what it did can be explained.

It begins where the run began (warm, if that did), and takes another strategy when the run does. It reads what the strategist
reads and repeats what it decided, in plain Python and with notes (`trace`); it writes nothing and nobody waits for it. Where
a run cannot be followed (portfolios and timers, a strategy whose file is gone), the alert is told all the same, with the bars
alone.
"""

from __future__ import annotations

import inspect
import math
from collections import deque
from typing import Any, TypeVar

import msgspec

from quantlytic.engine.held import HeldSession
from quantlytic.engine.indicators.indicator import Indicator
from quantlytic.engine.plain import PythonStrategy
from quantlytic.engine.strategy import Strategy
from quantlytic.engine.successor import Successor
from quantlytic.model.equity import Decided, Equity
from quantlytic.model.errors import QuantlyticError, StoreError
from quantlytic.model.event import Event
from quantlytic.model.run import Run
from quantlytic.model.strategychange import StrategyChange
from quantlytic.research.runs.beginning import begin_again
from quantlytic.research.runs.paper import BarEvent, Rows, session_of
from quantlytic.research.runs.succession import changes_of, first_strategy, mark, params_of, strategy_named, unpacked
from quantlytic.store.log.port import Log
from quantlytic.strategies.catalogue import find
from quantlytic.telling.reason import Format, Reasons
from quantlytic.telling.trace import Seen, traced
from quantlytic.telling.vocabulary import Vocabulary

CHART_BARS = 120
LONGEST_BARS = 100_000
"""A run with more bars behind it, and no saved state, is not followed from its beginning: that would take minutes."""
S = TypeVar("S", bound=HeldSession)
_NOT_PRICES = frozenset({"trend", "bandwidth", "percent_b", "plus_di", "minus_di", "dx", "histogram", "signal"})


class Point(msgspec.Struct, array_like=True):
    """A bar as the chart shows it, with the strategy's own averages and bands at its close, by name."""

    close_time: int
    open: float
    high: float
    low: float
    close: float
    lines: dict[str, float]


class _Saved(msgspec.Struct, array_like=True):
    session: bytes
    at: int
    bars_position: int
    reports_position: int
    points: dict[str, list[Point]]
    before: dict[str, dict[int, tuple[float, float, bool]]]


_SAVED = msgspec.msgpack.Decoder(_Saved)


class Replica:
    """Follows one run up to the bar that is asked for. `saved`: what `save` gave, to go on from there."""

    def __init__(self, run: Run, log: Log, saved: bytes | None = None) -> None:
        self.idea = ""
        self.at = -1
        """Offset of the last bar that it took in."""
        self._run, self._log, self._rows = run, log, Rows(run)
        self._bars_position, self._reports_position = run.first_bar_offset, 0
        self._bars: deque[tuple[int, BarEvent]] = deque()
        self._reports: deque[tuple[int, Event]] = deque()
        self._points: dict[str, deque[Point]] = {one.id: deque(maxlen=CHART_BARS) for one in run.instruments}
        self._before: dict[str, dict[int, Seen]] = {}
        self._after: dict[str, dict[int, Seen]] = {}
        self._wished: set[str] = set()  # instruments of its own last signals: others cannot be explained
        self._decisions_position, self._decided = log.bounds(run.decisions_stream)[0], -1
        self._changes: dict[int, StrategyChange] = {}
        self._session: HeldSession | None = None
        """None where the strategy cannot be followed: nothing is explained any more."""
        try:
            self._begin(None if saved is None else _SAVED.decode(saved))
        except Exception:  # whatever is wrong with a strategy, its alerts are told
            self._session = None
        self.idea = self.idea or idea_of(run.strategy)
        end = log.bounds(run.bars_stream)[1]
        if end - self._bars_position > LONGEST_BARS:
            self._session, self._bars_position = None, end - CHART_BARS * (len(run.instruments) + 1)

    def follow(self, offset: int) -> None:
        """Take in all up to the decision on the bar at that offset. To be asked for in rising order."""
        try:
            while self._session is not None and self.at < offset and self._step(self._session):
                pass
        except StoreError:
            raise
        except Exception:
            self._session = None  # the strategist works on; it is not this one's business to stop anybody
        if self._session is None:
            self._look(offset)

    def reason(self, offset: int, instrument: str, price: str, number: Format) -> str:
        """Why the strategy acted on the bar at that offset; "" where that cannot be told."""
        if self._session is None or self.at != offset or instrument not in self._wished:
            return ""
        return Reasons(self._notes, self._vocabulary, self._before.get(instrument, {}), number).sentence(price)

    def points(self, instrument: str) -> list[Point]:
        """The instrument's last bars, oldest first; at most `CHART_BARS`."""
        return list(self._points.get(instrument, ()))

    def save(self) -> bytes:
        """What it takes to go on without the tape's beginning."""
        before = {
            one: {number: (_number(seen.left), _number(seen.right), seen.outcome) for number, seen in notes.items()}
            for one, notes in self._after.items()
        }
        points = {one: list(kept) for one, kept in self._points.items()}
        bars = self._bars[0][0] if self._bars else self._bars_position
        reports = self._reports[0][0] if self._reports else self._reports_position
        session = self._session.save() if self._session is not None else b""
        return msgspec.msgpack.encode(_Saved(session, self.at, bars, reports, points, before))

    # ---- inside

    def _begin(self, saved: _Saved | None) -> None:
        """Where the run began, or where it was saved."""
        run = self._run
        past = [] if saved is None else [one for one in changes_of(run, self._log) if one.bar_offset <= saved.at]
        if past:
            self._session = self._traced(Successor, strategy_named(past[-1].new, past[-1].code), past[-1].new_params)
        else:
            self._session = self._traced(HeldSession, first_strategy(run, self._log), run.params)
        if saved is not None:
            self._restore(saved)
        elif self._session is not None:
            begin_again(run, self._session, self._log)

    def _traced(self, kind: type[S], strategy: type[Strategy], params: str | dict[str, float]) -> S | None:
        """A session of that strategy with notes; None for one that cannot be followed."""
        self.idea = idea_of(strategy)
        traced_kind, notes = traced(strategy)
        own = traced_kind.of_numbers(params_of(params) if isinstance(params, str) else params)
        if not own.handlers() <= {"on_bar", "on_fill"} or isinstance(own, PythonStrategy):
            return None
        self._notes, self._vocabulary, self._outputs = notes, Vocabulary(own), _outputs_of(own)
        return session_of(kind, self._run, own, compiled=False)

    def _restore(self, found: _Saved) -> None:
        if self._session is not None:
            self._session.restore(found.session)
        self.at = found.at
        self._bars_position, self._reports_position = found.bars_position, found.reports_position
        for one, points in found.points.items():
            self._points[one].extend(points)
        self._after = {
            one: {number: Seen(left, right, (), outcome) for number, (left, right, outcome) in notes.items()}
            for one, notes in found.before.items()
        }

    def _step(self, session: HeldSession) -> bool:
        """Repeat the next decision; False when the tape does not hold it yet."""
        while not any(isinstance(event, Equity) for _, event in self._reports):
            if not self._read_reports():
                return False
        taken: list[Event] = []
        while not taken or not isinstance(taken[-1], Equity):
            taken.append(self._reports.popleft()[1])
        equity = taken[-1]
        assert isinstance(equity, Equity)
        bar = self._bar_at(equity.bar_offset)
        change = self._change_at(equity.bar_offset)
        if change is None:
            self._decide(session, bar, taken)
        else:
            self._succeed(session, change, bar, taken)
        self._show(bar, self._lines(self._session or session, bar.instrument))
        self.at = equity.bar_offset
        return True

    def _look(self, offset: int) -> None:
        """Without following the strategy: the bars alone, in the order of the tape."""
        while self.at < offset:
            while not self._bars and self._bars_position <= offset:
                if not self._read_bars():
                    return
            if not self._bars or self._bars[0][0] > offset:
                self.at = offset
                return
            self.at, bar = self._bars.popleft()
            if self._rows.wants(bar):
                self._show(bar, {})

    def _show(self, bar: BarEvent, lines: dict[str, float]) -> None:
        points = self._points[bar.instrument]
        if not points or points[-1].close_time < bar.close_time:
            points.append(Point(bar.close_time, bar.open, bar.high, bar.low, bar.close, lines))

    def _decide(self, session: HeldSession, bar: BarEvent, reports: list[Event]) -> None:
        row = self._rows.bars([bar])
        self._notes.clear()
        session.apply(self._rows.updates(reports), self._rows.fills(reports), row)
        signals = session.decide(row)[0]
        self._wished = {self._run.instruments[index].id for index in signals["instrument"]}
        self._before[bar.instrument] = self._after.get(bar.instrument, {})
        self._after[bar.instrument] = dict(self._notes.seen)

    def _succeed(self, old: HeldSession, change: StrategyChange, bar: BarEvent, reports: list[Event]) -> None:
        """Another strategy takes over at this bar, at which nobody is asked."""
        mark(old, self._rows.updates(reports), self._rows.fills(reports), self._rows.bars([bar]))
        new = self._traced(Successor, strategy_named(change.new, change.code), change.new_params)
        self._session, self._wished, self._before, self._after = new, set(), {}, {}
        if new is not None:
            new.take_over(old, unpacked(change.state))
            new.wind_up(change.position)

    def _change_at(self, offset: int) -> StrategyChange | None:
        """The change of strategy that was made at that bar."""
        if self._log.bounds(self._run.commands_stream)[1] == 0:  # nobody has ever asked for one
            return None
        while self._decided < offset:
            batch = self._log.read(self._run.decisions_stream, self._decisions_position)
            if not batch.events:
                break
            for event in batch.events:
                if isinstance(event, StrategyChange) and not event.refusal:
                    self._changes[event.bar_offset] = event
                elif isinstance(event, Decided):
                    self._decided = event.bar_offset
            self._decisions_position = batch.next_offset
        return self._changes.pop(offset, None)

    def _read_reports(self) -> bool:
        batch = self._log.read(self._run.executions_stream, self._reports_position)
        self._reports.extend(zip(batch.offsets, batch.events, strict=True))
        self._reports_position = batch.next_offset
        return bool(batch.events)

    def _read_bars(self) -> bool:
        batch = self._log.read(self._run.bars_stream, self._bars_position)
        pairs = zip(batch.offsets, batch.events, strict=True)
        self._bars.extend((at, one) for at, one in pairs if isinstance(one, BarEvent))
        self._bars_position = batch.next_offset
        return bool(batch.events)

    def _bar_at(self, offset: int) -> BarEvent:
        while not self._bars or self._bars[0][0] < offset:
            if self._bars:
                self._bars.popleft()
            else:
                assert self._read_bars(), f"offset {offset} of {self._run.bars_stream} was executed and is not there"
        at, bar = self._bars[0]
        assert at == offset, f"offset {offset} of {self._run.bars_stream} is no bar"
        return bar

    def _lines(self, session: HeldSession, instrument: str) -> dict[str, float]:
        """The strategy's own averages, bands and stops that are prices."""
        found: dict[str, float] = {}
        state = session.state_of(instrument)
        for name, words in self._vocabulary.indicators.items():
            fields = state.get(name)
            if isinstance(fields, dict):
                outputs = self._outputs.get(name, ())
                found |= {
                    f"{words} {one}".removesuffix(" value"): float(fields[one]) for one in outputs if one in fields
                }
        return {words: value for words, value in found.items() if math.isfinite(value)}


def _outputs_of(strategy: Strategy) -> dict[str, tuple[str, ...]]:
    """Attribute -> what its indicator gives, as far as it may be a price."""
    return {
        name: tuple(one for one in value.outputs if one not in _NOT_PRICES)
        for name, value in vars(strategy.prepared()).items()
        if isinstance(value, Indicator)
    }


def idea_of(strategy: str | type[Strategy]) -> str:
    """The first sentence that a strategy, or the one of that name, says of itself; "" where it says none."""
    try:
        doc = inspect.cleandoc((find(strategy) if isinstance(strategy, str) else strategy).__doc__ or "")
    except QuantlyticError:
        return ""
    first = " ".join(doc.split("\n\n")[0].split())
    return first.split(". ")[0].rstrip(".") + "." if first else ""


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
