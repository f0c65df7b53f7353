"""Does a feature, a fold or a fit know what it cannot know yet? Each leak found is named after its cause.

Features are computed again on other futures: what changes in the past has leaked. Then single rows are changed, one after the
other, to see how far ahead a row looks; the shape of that tells a centred window from a resampled bar. Nothing found is no
proof: cuts are sampled (by the seed), and what leaks once a year may hide between them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantlytic.engine.data.bars import Bars
from quantlytic.learn.samples.folds import Fold
from quantlytic.learn.samples.leakdata import Frame, frame_of, numbers_of
from quantlytic.model.errors import InputError

ONE_BAR = "one-bar look-ahead"
LOOK_AHEAD = "look-ahead"
CENTRED = "centred window"
SCALING = "whole-sample scaling"
RANK = "whole-sample rank or quantile"
OVERLAP = "label overlap between train and test"
JOIN = "join on the wrong row"
BACKFILL = "backward fill"
RESAMPLED = "resampled bar stamped at its open"
TARGET = "target encoding over all rows"
SELECTION = "feature selection on all rows"
ADJUSTED = "future corporate-action adjustment"
SHUFFLE = "train/test shuffle"
COUNT = "count"
_ACTION = re.compile(r"split|dividend|factor|action", re.IGNORECASE)
_CUTS, _AT_GAPS = 12, 8
_STRETCH = 64
_NEAR = 1e-9


@dataclass(frozen=True)
class Leak:
    """`name`: what kind; `row`: the first row found that knows too much; `field`: what it knows; `why`: in plain words."""

    name: str
    row: int
    field: str
    why: str


def find_leaks(
    rule: Callable[[Any], Any],
    data: Bars | Any,
    *,
    target: str = "",
    joined: Sequence[str] = (),
    seed: int = 0,
) -> list[Leak]:
    """The leaks of features over `data`, one for each of its fields that leaks.

    `rule`: a function of the data that returns one row of numbers a row (array, Series, DataFrame, mapping of columns); for a
    feature set there is `FeatureSet.leaks`. `data`: Bars, a Polars or pandas DataFrame, or a mapping of columns, in order of
    time; some hundred rows do.
    `target`: the column that is to be foretold. `joined`: columns that came from another table.

    Raises InputError for fewer than 40 rows, another number of rows returned, or a rule that gives other numbers each time.
    """
    return _Search(rule, frame_of(data), target, joined, seed).leaks()


def find_fold_leaks(folds: Sequence[Fold], start_times: ArrayLike, end_times: ArrayLike) -> list[Leak]:
    """Leaks of a division into train and test, whose labels are taken over [start, end] (ns UTC): rows drawn at random, or
    labels that overlap. One of each kind at most, the first fold's."""
    starts, ends = np.asarray(start_times, np.int64), np.asarray(end_times, np.int64)
    found: dict[str, Leak] = {}
    for number, fold in enumerate(folds):
        test = np.sort(fold.test)
        order = np.searchsorted(np.unique(starts), starts[test])
        stretches = np.split(test, np.flatnonzero(np.diff(order) > 1) + 1)
        if len(stretches) > max(3, len(test) // 4):
            why = f"the {len(test):,} test rows of fold {number + 1} lie in {len(stretches):,} pieces between training rows"
            found.setdefault(SHUFFLE, Leak(SHUFFLE, int(test[0]), "rows", f"{why}: divide by time, do not shuffle"))
            continue
        for stretch in stretches:
            touching = (ends[fold.train] >= starts[stretch].min()) & (starts[fold.train] <= ends[stretch].max())
            if touching.any():
                row = int(fold.train[np.argmax(touching)])
                why = (
                    f"{int(touching.sum()):,} training labels of fold {number + 1} are taken over the time of test rows "
                    f"{stretch[0]} to {stretch[-1]}: purge them (folds_of does)"
                )
                found.setdefault(OVERLAP, Leak(OVERLAP, row, "label", why))
    return list(found.values())


def find_fit_leaks(
    fit: Callable[[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]], Any],
    features: ArrayLike,
    target: ArrayLike,
    train: ArrayLike,
    *,
    seed: int = 0,
) -> list[Leak]:
    """Leaks of what is fitted before a model is: `fit(features, target, train)` returns the columns it chose (whole numbers or
    flags, one dimension), or the features as it changed them, one row a row. It may look at rows of `train` alone."""
    x, y = np.asarray(features, np.float64), np.asarray(target, np.float64)
    rows = np.asarray(train, np.int64)
    other = np.setdiff1d(np.arange(len(x)), rows)
    if not len(other):
        raise InputError("all rows are trained on: leave some out, to see whether they are looked at")
    rng = np.random.default_rng(seed)
    base = np.asarray(fit(x.copy(), y.copy(), rows.copy()))
    is_choice = base.ndim == 1 and base.dtype.kind in "iub"
    found: dict[str, Leak] = {}
    for _ in range(4):
        for field in ("target", "features"):
            x2, y2 = x.copy(), y.copy()
            if field == "target":
                y2[other] = rng.permutation(y[other]) + rng.normal(0.0, 1.0 + np.nanstd(y), len(other))
            else:
                x2[other] = x[other] * rng.uniform(0.3, 3.0, x[other].shape) + rng.normal(0.0, 1.0 + np.nanstd(x))
            changed = np.asarray(fit(x2, y2, rows.copy()))
            if is_choice:
                differs = not np.array_equal(base, changed)
            else:
                part = slice(None) if field == "target" else rows
                differs = not np.allclose(base[part], changed[part], rtol=_NEAR, atol=_NEAR, equal_nan=True)
            if differs:
                name = SELECTION if is_choice else TARGET if field == "target" else SCALING
                why = f"what is fitted for training changes when the {field} of rows outside of training do"
                found.setdefault(name, Leak(name, int(rows[0]), field, f"{why}: fit on the training rows alone"))
    return list(found.values())


def find_column_leaks(columns: Any, bars: Bars) -> list[Leak]:
    """Leaks that show in finished columns, beside the bars of one instrument they are for: those that hold the next bar's
    number, or are scaled or ranked over the whole sample. Of each column the first found; what is computed is better given
    to `find_leaks`, which sees more."""
    table, found = frame_of(columns), []
    array = bars.array
    if table.rows != len(array):
        raise InputError(f"the columns have {table.rows:,} rows, and there are {len(array):,} bars: one row a bar")
    close = array["close"]
    ahead = {name: np.append(array[name][1:], np.nan) for name in ("open", "high", "low", "close", "volume")}
    now = {name: array[name] for name in ahead}
    step = np.append(np.diff(np.log(close)), np.nan)
    ahead |= {"return": np.expm1(step), "log return": step}
    now |= {"return": np.append(np.nan, np.expm1(step)[:-1]), "log return": np.append(np.nan, step[:-1])}
    for name, column in table.numbers.items():
        if any(_equal(column, one) for one in now.values()):
            continue
        of = next((key for key, one in ahead.items() if _equal(column, one)), None)
        known = column[np.isfinite(column)]
        if of is not None:
            found.append(Leak(ONE_BAR, 0, name, f"column {name!r} holds the {of} of the next bar"))
        elif len(known) > 20 and abs(known.mean()) < 1e-9 and min(abs(known.std(ddof=d) - 1.0) for d in (0, 1)) < 1e-9:
            found.append(Leak(SCALING, 0, name, f"column {name!r} has mean 0 and deviation 1 over exactly these rows"))
        elif len(known) > 20 and _is_grid(known):
            found.append(Leak(RANK, 0, name, f"column {name!r} holds each rank of these rows once"))
    return found


class _Search:
    """One rule on one frame."""

    def __init__(self, rule: Callable[[Any], Any], frame: Frame, target: str, joined: Sequence[str], seed: int) -> None:
        self.rule, self.frame, self.target, self.joined = rule, frame, target, joined
        self.rng = np.random.default_rng(seed)
        if frame.rows < 40:
            raise InputError(f"{frame.rows} rows are too few to look for leaks: at least 40")
        for name in (*([target] if target else []), *joined):
            if name not in frame.numbers:
                raise InputError(f"there is no column {name!r} of numbers: there are {', '.join(frame.numbers)}")
        self.base = self._run({})
        if self._changed(self._run({})).any():
            raise InputError("the rule gives other numbers on the same data: give its randomness a seed")
        edges = np.linspace(frame.rows // 8, frame.rows - 2, _CUTS + 1).astype(int)
        self.cuts = np.unique(self.rng.integers(edges[:-1], np.maximum(edges[1:], edges[:-1] + 1)))

    def leaks(self) -> list[Leak]:
        found = []
        for field in self.frame.numbers:
            cuts = np.unique(np.append(self.cuts, self._gaps(field)))
            hits = [(int(cut), rows) for cut in cuts if (rows := self._rows_changed_before(field, int(cut))).any()]
            if hits:
                found.append(self._name(field, hits))
        if not found and (leak := self._counted()) is not None:
            found.append(leak)
        return sorted(found, key=lambda leak: leak.row)

    # ---- looking ----

    def _run(self, changed: Mapping[str, NDArray[np.float64]], rows: int | None = None) -> NDArray[np.float64]:
        values = numbers_of(self.rule(self.frame.with_numbers(changed, rows)))
        wanted = self.frame.rows if rows is None else rows
        if len(values) != wanted:
            raise InputError(f"the rule returned {len(values)} rows for {wanted}: return one a row")
        return values

    def _changed(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """bool[rows]: which rows are others than they were."""
        base = self.base[: len(values)]
        if values.shape[1] != base.shape[1]:
            return np.ones(len(values), bool)
        size = np.nanmax(np.abs(np.where(np.isfinite(base), base, np.nan)), axis=0, initial=0.0)
        with np.errstate(invalid="ignore"):
            near = np.abs(values - base) <= _NEAR * np.maximum(np.abs(base), size)
        same = near | (values == base) | (np.isnan(values) & np.isnan(base))
        return np.asarray(~same.all(axis=1))

    def _gaps(self, field: str) -> NDArray[np.int64]:
        """Rows where a number is missing, and the next one is there."""
        missing = np.isnan(self.frame.numbers[field])
        rows = np.flatnonzero(missing[:-1] & ~missing[1:])
        return rows if len(rows) <= _AT_GAPS else rows[np.linspace(0, len(rows) - 1, _AT_GAPS).astype(int)]

    def _rows_changed_before(self, field: str, cut: int) -> NDArray[np.bool_]:
        """bool[cut + 1]: rows up to the cut that change with the field after it."""
        column = self.frame.numbers[field].copy()
        column[cut + 1 :] = self._other(column[cut + 1 :])
        return self._changed(self._run({field: column}))[: cut + 1]

    def _other(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        scale = float(np.nanstd(numbers)) if np.isfinite(numbers).any() else 1.0
        return numbers * self.rng.uniform(1.3, 2.0, len(numbers)) + self.rng.uniform(0.5, 1.5, len(numbers)) * (
            scale or 1.0
        )

    def _counted(self) -> Leak | None:
        """What knows how many rows there are, and nothing of them."""
        for cut in self.cuts.tolist():
            rows = np.flatnonzero(self._changed(self._run({}, cut + 1)))
            if len(rows):
                return Leak(
                    SCALING,
                    int(rows[0]),
                    COUNT,
                    "values change when later rows are cut off: they know how many there are",
                )
        return None

    # ---- naming ----

    def _name(self, field: str, hits: list[tuple[int, NDArray[np.bool_]]]) -> Leak:
        row = int(min(np.flatnonzero(rows)[0] for _, rows in hits))
        known = np.asarray(np.isfinite(self.base).any(axis=1))
        shares = [rows.sum() / max(np.count_nonzero(known[: cut + 1]), 1) for cut, rows in hits]
        if np.median(shares) > 0.5:
            return self._name_whole(field, row)
        cut = hits[len(hits) // 2][0]
        if all(np.isnan(self.frame.numbers[field][np.flatnonzero(one)]).all() for _, one in hits):
            return Leak(BACKFILL, row, field, f"where {field!r} is missing, its next value is filled in: fill forward")
        return self._name_near(field, row, cut)

    def _name_whole(self, field: str, row: int) -> Leak:
        tail = "the rows after it as well, to the end of the data"
        if field == self.target:
            return Leak(
                TARGET, row, field, f"row {row} is made from the target {field!r} of {tail}: encode on the past alone"
            )
        if _ACTION.search(field):
            why = f"row {row} changes with {field!r} of {tail}: adjust with what was known, or use returns"
            return Leak(ADJUSTED, row, field, why)
        if self._is_of_order(field):
            return Leak(
                RANK, row, field, f"row {row} is ranked by {field!r} among {tail}: rank within a window of the past"
            )
        return Leak(SCALING, row, field, f"row {row} is scaled by {field!r} of {tail}: scale with the past alone")

    def _is_of_order(self, field: str) -> bool:
        """Whether only the order of the field's values matters, or the results are ranks or classes."""
        column = self.frame.numbers[field]
        spread = float(np.nanstd(column)) or 1.0
        with np.errstate(over="ignore"):
            bent = np.sinh((column - np.nanmean(column)) / spread)
        if not self._changed(self._run({field: bent})).any():
            return True
        for values in self.base.T:
            known = values[np.isfinite(values)]
            if len(known) and (_is_grid(known) or len(np.unique(known)) <= 12):
                return True
        return False

    def _name_near(self, field: str, row: int, cut: int) -> Leak:
        furthest = self._furthest(field, cut)
        last = min(furthest + _STRETCH // 4, self.frame.rows)
        ahead, behind = np.zeros(self.frame.rows, int), np.zeros(self.frame.rows, int)
        for k in range(max(0, last - _STRETCH), last):
            rows = self._changed(self._run(self._with(field, k, up=True)))
            rows |= self._changed(self._run(self._with(field, k, up=False)))
            for i in np.flatnonzero(rows).tolist():
                ahead[i], behind[i] = max(ahead[i], k - i), max(behind[i], i - k)
        reach = int(ahead.max())
        at_furthest = np.count_nonzero((ahead > 0) & (np.arange(self.frame.rows) + ahead == furthest))
        if field in self.joined:
            return Leak(
                JOIN,
                row,
                field,
                f"row {row} holds {field!r} of a row up to {reach} later: join as of the row's own time",
            )
        blind = np.flatnonzero(ahead[max(0, last - _STRETCH) : max(0, last - reach)] == 0)
        periodic = len(blind) > 2 and len(np.unique(np.diff(blind))) == 1 and blind[1] - blind[0] > 1
        if at_furthest > 1 or periodic:  # rows that look ahead to one and the same: the end of a period
            why = f"row {row} holds {field!r} of the end of its period, up to {reach} rows later: stamp periods at their close"
            return Leak(RESAMPLED, row, field, why)
        if int(behind.max()) == reach:
            return Leak(
                CENTRED, row, field, f"row {row} uses {field!r} of {reach} rows before and after it: use the past alone"
            )
        name = ONE_BAR if reach == 1 else LOOK_AHEAD
        where = "the next row" if reach == 1 else f"up to {reach} rows later"
        return Leak(name, row, field, f"row {row} uses {field!r} of {where}: shift it back")

    def _with(self, field: str, row: int, up: bool) -> dict[str, NDArray[np.float64]]:
        """The field with one number far above, or below, all others; what is positive stays so."""
        column = self.frame.numbers[field].copy()
        low, high = float(np.nanmin(column)), float(np.nanmax(column))
        if low > 0.0:
            column[row] = high * 10.0 if up else low / 10.0
        else:
            column[row] = high + 5.0 * (high - low + 1.0) if up else low - 5.0 * (high - low + 1.0)
        return {field: column}

    def _furthest(self, field: str, cut: int) -> int:
        """The last row of the field that changes what is before or at the cut, by bisection."""
        low, high = cut + 1, self.frame.rows
        while high - low > 1:
            middle = (low + high) // 2
            column = self.frame.numbers[field].copy()
            column[middle:] = self._other(column[middle:])
            if self._changed(self._run({field: column}))[: cut + 1].any():
                low = middle
            else:
                high = middle
        return low


def _equal(one: NDArray[np.float64], other: NDArray[Any]) -> bool:
    """Whether two columns that vary are equal wherever both are known, but for a few rows."""
    both = np.isfinite(one) & np.isfinite(other)
    if both.sum() < 20 or np.ptp(other[both]) == 0.0:
        return False
    return bool(np.isclose(one[both], other[both], rtol=1e-9, atol=1e-15).mean() > 0.97)


def _is_grid(known: NDArray[np.float64]) -> bool:
    """Whether values are evenly spaced, each there once: ranks."""
    steps = np.diff(np.sort(known))
    return bool(len(steps) > 10 and steps.min() > 0.0 and np.ptp(steps) <= 1e-6 * steps.max())
