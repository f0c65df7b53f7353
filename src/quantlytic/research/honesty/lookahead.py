"""Does a rule know what it cannot know yet? Runs it again on other futures and compares what it decided in the same past.

The engine hands a strategy nothing but the past. Leaks come from elsewhere: columns computed over the whole history, centred
windows, shifts the wrong way, means and maxima of everything, merged higher timeframes, labels among the features, arrays
in globals. So: cut the history at a bar; cut off, or change, what comes after it, one field at a time; whatever was decided
up to the cut must stay as it was. A decision that changes has leaked, and bisection tells its bar and the bars it read.

Nothing found is no proof: cuts are sampled (by the seed), and a rule that looks ahead once a year may hide between them.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.data.bars import Bars
from quantlytic.engine.session import Session
from quantlytic.engine.strategy import Strategy
from quantlytic.model.errors import InputError
from quantlytic.model.time import iso
from quantlytic.research.honesty.reachable import Slot, reachable

FIELDS = ("open", "high", "low", "close", "volume", "quote_volume", "trades")
_FORECAST = "forecast"
TIME, COUNT, EVERYTHING = "time", "count", "everything"
_WEEK_NS = 7 * 86_400 * 1_000_000_000
_RELATIVE, _ABSOLUTE = 1e-7, 1e-9  # how far decisions may lie apart by rounding: the latter times their column's size
_WAYS = 3  # of changing the future: up, down, at random
_SAME = 0.97  # share of rows in which an array is what it is compared with
_FEW = 10  # rises, and falls, that are not yet enough to say that all were foretold
_HOT = 6  # cuts tried in all ways


@dataclass(frozen=True)
class Leak:
    """Row `bar` (closing at `time`, ns UTC) is the first decision found to depend on the future. It read `field` (of BAR, or
    "time", "count": how many bars there are, or the name of an array of the user's) from row `nearest` up to `furthest`."""

    bar: int
    time: int
    field: str
    nearest: int
    furthest: int

    @property
    def sentence(self) -> str:
        """In plain words."""
        what = "the number of bars in the data" if self.field == COUNT else f"`{self.field}`"
        if self.nearest == self.furthest:
            ahead = self.nearest - self.bar
            where = f"of bar {self.nearest} ({'the next one' if ahead == 1 else f'{ahead} later'})"
        else:
            where = f"of bars {self.nearest} to {self.furthest}"
        tail = "" if self.field == COUNT else f" {where}"
        return f"the decision at bar {self.bar} ({iso(self.time)}) depends on {what}{tail}"


@dataclass(frozen=True)
class _Decisions:
    """`values` f8[rows, columns], decided at the bars `at` (not decreasing)."""

    at: NDArray[np.int64]
    values: NDArray[np.float64]

    def first_difference(self, other: _Decisions, last: int) -> int | None:
        """The first bar up to `last` at which the two decided differently."""
        one, two = int(np.searchsorted(self.at, last, "right")), int(np.searchsorted(other.at, last, "right"))
        both = min(one, two)
        if self.values.shape[1] != other.values.shape[1]:
            return 0
        a, b = self.values[:both], other.values[:both]
        size = np.nanmax(np.abs(np.where(np.isfinite(a), a, 0.0)), axis=0, initial=0.0)
        with np.errstate(invalid="ignore"):
            near = np.abs(a - b) <= _RELATIVE * np.maximum(np.abs(a), np.abs(b)) + _ABSOLUTE * size
        same = (near | (a == b) | (np.isnan(a) & np.isnan(b))).all(axis=1) & (self.at[:both] == other.at[:both])
        if not same.all():
            row = int(np.argmin(same))
            return int(min(self.at[row], other.at[row]))
        if one == two:
            return None
        longer = self if one > two else other
        return int(longer.at[both])


def detect_lookahead(
    rule: Strategy | type[Strategy] | Callable[[Bars], Any],
    bars: Bars,
    *,
    samples: int = 32,
    seed: int = 0,
    compiled: bool = True,
    cash: float = 1_000_000.0,
    **options: Any,
) -> list[Leak]:
    """The leaks found, one for each field that leaked, the earliest decision first; [] when none was.

    `rule`: a strategy (its orders are compared), or a function of `Bars` that returns one row a bar (signals, positions,
    features: an array, list, Series or DataFrame) or a strategy made for these bars. `samples` cuts are tried for each
    field: some 10 times as many runs, so a few thousand bars are enough. `options` go to `Session`. A rule that carries
    arrays of its own is run in plain Python, and those are changed as well. Forecasts of the bars are given: they are cut off
    and changed like any other field, but not made again; what they know of the next bar is told where it is nearly all.

    Raises InputError for fewer than 20 bars, for what returns another number of rows, or decides differently on the same
    bars (unseeded randomness).
    """
    if len(bars) < 20:
        raise InputError(f"{len(bars)} bars are too few to look for leaks: at least 20")
    return _Search(rule, bars, samples, seed, compiled, {"cash": cash} | options).leaks()


class _Search:
    """One rule on one history."""

    def __init__(self, rule: Any, bars: Bars, samples: int, seed: int, compiled: bool, options: dict[str, Any]) -> None:
        self.rule, self.bars, self.options, self.seed = rule, bars, options, seed
        self.slots = {slot.name: slot for slot in reachable(rule, len(bars))}
        self.compiled = compiled and not self.slots
        self.times = bars.array["close_time"]
        self.columns = (*FIELDS, _FORECAST) if bars.has_forecasts else FIELDS
        self.base = self._decide(bars)
        if self.base.first_difference(self._decide(bars), len(bars)) is not None:
            raise InputError("the rule decides differently on the same bars: give its randomness a seed")
        # strata, so that no stretch goes without a cut; early ones too, where windows are not full yet
        edges = np.linspace(0, len(bars) - 2, max(samples, 1) + 1)
        low, high = edges[:-1].astype(int), np.maximum(edges[1:].astype(int), edges[:-1].astype(int) + 1)
        picked = np.random.default_rng(seed).integers(low, high)
        self.cuts = [self._whole(int(cut)) for cut in np.unique(np.append(picked, len(bars) - 2))]
        self.tries = self.failures = 0

    def leaks(self) -> list[Leak]:
        hot = [
            cut
            for number, cut in enumerate(self.cuts)
            if self._leaks(COUNT, cut + 1, len(self.bars), cut)
            or self._change(EVERYTHING, cut + 1, len(self.bars), cut, number % _WAYS) is not None
        ]
        fields = [*self.columns, *self.slots] if hot else list(self.slots)
        found = [self._pin_down(field, cut) for field in fields if (cut := self._look(field, hot)) is not None]
        for field in (
            TIME,
            COUNT,
        ):  # what reads a later bar sees that there is one, and when: told only where that is all
            if not found and (cut := self._look(field, hot)) is not None:
                found = [self._pin_down(field, cut)]
        if self.tries == self.failures:
            raise InputError(
                "the rule raised on every changed history: it cannot be checked; let it run on any valid bars"
            )
        arrays = {name: slot.value for name, slot in self.slots.items()}
        if self.bars.has_forecasts:
            arrays[_FORECAST] = self.bars.array[_FORECAST]
        found += [leak for name, value in arrays.items() if (leak := self._foretold(name, value)) is not None]
        return sorted(found, key=lambda leak: leak.bar)

    def _foretold(self, name: str, value: Any) -> Leak | None:
        """A leak where an array of the user's holds, row by row, what only the next bar shows: a field, a return, a sign."""
        if not isinstance(value, np.ndarray | list) or np.ndim(value) != 1 or len(self.bars.instruments) > 1:
            return None
        if getattr(value, "dtype", np.dtype("f8")).names:
            return None
        given, array = np.asarray(value, np.float64), self.bars.array
        if any(
            _alike(given, array[field]) for field in FIELDS
        ):  # this bar's own: that it is the next one's open is no leak
            return None
        step = np.diff(array["close"])
        ahead = [array[field][1:] for field in FIELDS]
        ahead += [step, step / array["close"][:-1], np.diff(np.log(array["close"])), np.sign(step), (step > 0) * 1.0]
        if not any(_alike(given[:-1], one) for one in ahead) and not _knows_the_side(given[:-1], step):
            return None
        return Leak(0, int(self.times[0]), name, 1, 1)

    def _look(self, field: str, hot: list[int]) -> int | None:
        """A cut at which changing what comes after it changes a decision made before; those that leak anyway come first."""
        for cut in hot[:_HOT]:
            if self._leaks(field, cut + 1, len(self.bars), cut):
                return cut
        for number, cut in enumerate(self.cuts):
            if self._change(field, cut + 1, len(self.bars), cut, number % _WAYS) is not None:
                return cut
        return None

    def _pin_down(self, field: str, cut: int) -> Leak:
        """From one cut at which something leaks to the first such bar, and the nearest and furthest bar it read."""
        low = -1
        while cut - low > 1:
            middle = self._whole((low + cut) // 2)
            if middle >= cut:
                break
            if self._leaks(field, middle + 1, len(self.bars), middle):
                cut = middle
            else:
                low = middle
        count = len(self.bars)
        changed = (self._change(field, cut + 1, count, cut, way) for way in range(_WAYS))
        bar = min((one for one in changed if one is not None), default=cut)
        furthest, beyond = cut + 1, count
        while beyond - furthest > 1:
            middle = (furthest + beyond) // 2
            if self._leaks(field, middle, count, bar):
                furthest = middle
            else:
                beyond = middle
        if field == COUNT:
            return Leak(bar, int(self.times[bar]), field, count - 1, count - 1)
        short, nearest = bar, furthest
        while nearest - short > 1:
            middle = (short + nearest) // 2
            if self._leaks(field, bar + 1, middle + 1, bar):
                nearest = middle
            else:
                short = middle
        return Leak(bar, int(self.times[bar]), field, nearest, furthest)

    def _leaks(self, field: str, first: int, end: int, last: int) -> bool:
        ways = 1 if field == COUNT else _WAYS
        return any(self._change(field, first, end, last, way) is not None for way in range(ways))

    def _change(self, field: str, first: int, end: int, last: int, way: int) -> int | None:
        """Change `field` of the rows [first, end); the first decision up to `last` that is another one then."""
        self.tries += 1
        try:
            if field == COUNT:
                other = self._decide(Bars(self.bars.array[:first].copy(), self.bars.instruments, self.bars.label), last)
            elif field in self.slots:
                with _swapped(self.slots[field], self._slot_value(self.slots[field].value, first, end, way)):
                    other = self._decide(self.bars)
            else:
                array = self.bars.array.copy()
                self._alter(array, field, first, end, way)
                other = self._decide(Bars(array, self.bars.instruments, self.bars.label), last)
        except Exception:  # bars that contradict themselves may be refused: that says nothing about the past
            self.failures += 1
            return None
        return self.base.first_difference(other, last)

    def _alter(self, array: NDArray[Any], field: str, first: int, end: int, way: int) -> None:
        if field == TIME:
            for name in ("open_time", "close_time"):
                array[name][first:] += (way + 1) * _WEEK_NS
            return
        for number, name in enumerate(self.columns):
            if field in (name, EVERYTHING):
                array[name][first:end] = self._altered(array[name][first:end], way, number)

    def _altered(self, values: NDArray[Any], way: int, column: int = 0) -> NDArray[Any]:
        """Twice as much, half as much, or anything around it (each column its own); what is 0 becomes something."""
        if way < 2:
            factors: Any = (2.0, 0.5)[way]
        else:
            factors = np.exp(np.random.default_rng([self.seed, len(values), column]).normal(0.0, 0.5, len(values)))
            factors = factors.reshape(-1, *[1] * (values.ndim - 1))
        if values.dtype.kind == "b":
            return ~values if way == 0 else values ^ (np.broadcast_to(factors, values.shape) > 1.0)
        changed = np.where(values == 0, factors, values * factors)
        return np.asarray(np.ceil(changed) if values.dtype.kind in "iu" else changed, values.dtype)

    def _slot_value(self, value: Any, first: int, end: int, way: int) -> Any:
        """A copy of an array of the user's with the rows [first, end) altered, all of its numbers."""
        if isinstance(value, Bars):
            return Bars(self._slot_value(value.array, first, end, way), value.instruments, value.label)
        if isinstance(value, list):
            return self._slot_value(np.array(value, np.float64), first, end, way).tolist()
        if isinstance(value, np.ndarray):
            copy = value.copy()
            columns = (
                [copy[name] for name in self.columns if name in value.dtype.names] if value.dtype.names else [copy]
            )
            for column in columns:
                column[first:end] = self._altered(column[first:end], way)
            return copy
        copy = value.copy()  # pandas
        for at, name in enumerate(copy.columns) if hasattr(copy, "columns") else [(None, None)]:
            column = copy if name is None else copy.iloc[:, at]
            if column.dtype.kind in "fiu":
                altered = column.to_numpy(np.float64, copy=True)
                altered[first:end] = self._altered(altered[first:end], way)
                if name is None:
                    return type(copy)(altered, index=copy.index, name=copy.name)
                copy[name] = altered
        return copy

    def _whole(self, cut: int) -> int:
        """The last row of that row's time, for what closes at one time is known at one time; never the last of all."""
        latest = int(np.searchsorted(self.times, self.times[-1], "left")) - 1
        return min(int(np.searchsorted(self.times, self.times[cut], "right")) - 1, latest)

    # ---- what was decided ----

    def _decide(self, bars: Bars, last: int | None = None) -> _Decisions:
        """What the rule decides on these bars (a strategy made for them: on the true ones up to row `last`)."""
        if _is_strategy(self.rule):
            return self._run(self.rule, Bars(_enclosed(bars.array), bars.instruments, bars.label))
        decided = self.rule(Bars(bars.array.copy(), bars.instruments, bars.label))
        if _is_strategy(decided):
            end = len(bars) if last is None else last + 1
            return self._run(decided, Bars(self.bars.array[:end], self.bars.instruments, self.bars.label))
        values = _numbers(decided)
        if len(values) != len(bars):
            raise InputError(f"the rule returned {len(values)} rows for {len(bars)} bars: return one a bar")
        return _Decisions(np.arange(len(bars)), values)

    def _run(self, strategy: Any, bars: Bars) -> _Decisions:
        session = Session(strategy, bars.instruments, compiled=self.compiled, **self.options)
        session.run(bars)
        return _orders(session)


def _enclosed(array: NDArray[Any]) -> NDArray[Any]:
    """Bars whose high and low enclose open and close again, as a session demands."""
    array = array.copy()
    array["high"] = np.maximum.reduce([array[name] for name in ("open", "high", "low", "close")])
    array["low"] = np.minimum.reduce([array[name] for name in ("open", "high", "low", "close")])
    return array


def _alike(one: NDArray[np.float64], other: NDArray[Any]) -> bool:
    """Whether two columns that vary are equal in nearly every row in which there is the first."""
    known = ~np.isnan(one)
    one, other = one[known], other[known]
    return bool(len(one) and np.ptp(other) > 0 and np.isclose(one, other, rtol=1e-9, atol=0.0).mean() > _SAME)


def _knows_the_side(given: NDArray[np.float64], step: NDArray[np.float64]) -> bool:
    """Whether a probability (above one half) or a return (above 0) tells nearly every rise and nearly every fall that follows."""
    known = ~np.isnan(given) & (step != 0.0)
    rises, given = step[known] > 0.0, given[known]
    if min(int(rises.sum()), int((~rises).sum())) < _FEW:
        return False
    return any(min((given[rises] > middle).mean(), (given[~rises] < middle).mean()) > _SAME for middle in (0.5, 0.0))


def _is_strategy(rule: Any) -> bool:
    return isinstance(rule, Strategy) or (isinstance(rule, type) and issubclass(rule, Strategy))


@contextlib.contextmanager
def _swapped(slot: Slot, value: Any) -> Iterator[None]:
    slot.put(value)
    try:
        yield
    finally:
        slot.put(slot.value)


def _orders(session: Session) -> _Decisions:
    """All that a strategy asked for, as numbers."""
    bars, rows = [], []
    for kind, sent in enumerate((session.orders, session.cancels, getattr(session, "amends", session.cancels[:0]))):
        names = [
            name
            for name in sent.dtype.names or ()
            if name not in ("run", "bar_offset") and sent.dtype[name].kind in "ifb"
        ]
        for row in sent:
            bars.append(int(row["bar_offset"]))
            rows.append([float(kind), *(float(row[name]) for name in names)])
    width = max(map(len, rows), default=1)
    values = np.array([row + [0.0] * (width - len(row)) for row in rows]).reshape(len(rows), width)
    order = np.argsort(bars, kind="stable")
    return _Decisions(np.array(bars, np.int64)[order], values[order])


def _numbers(decided: Any) -> NDArray[np.float64]:
    """f8[rows, columns]; words become numbers."""
    array = np.asarray(decided)
    if array.dtype.names:
        array = np.column_stack([array[name] for name in array.dtype.names])
    if array.dtype.kind in "OSU":
        flat = [_word(one) for one in array.ravel().tolist()]
        array = np.array(flat, np.float64).reshape(array.shape)
    if array.dtype.kind in "mM":
        array = array.astype(np.int64)
    if array.dtype.kind not in "fiub" or array.ndim not in (1, 2):
        raise InputError("the rule returns one row of numbers or words a bar, or a strategy")
    return array.astype(np.float64).reshape(len(array), -1)


def _word(one: Any) -> float:
    try:
        return float(one)
    except (TypeError, ValueError):
        return float("nan") if one is None else float(zlib.crc32(str(one).encode()))
