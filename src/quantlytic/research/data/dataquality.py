"""What is wrong with an equity's history? Errors that vendors make are found and told in plain words; nothing is mended.

The tests are those of statistics of this one instrument, so a real move can look like an error: a finding is a reason to look.
`sigma` is the robust standard deviation (1.4826 x median absolute deviation) of the log gaps from each close to the next open.

    unit          a price that steps by about 100 (pence and pounds), between two bars or within one
    price         an open far from the closes before and after it, by a factor of 1.6 or more and 12 sigma
    split         prices that step as a stated split does though they are said to be adjusted for it, or do not step though
                  they are said not to be; a step of a whole ratio for which no split is stated
    dividend      one larger than the price; one of 10 % or more that the open and the close hardly felt; two within 17 days
                  of nearly one amount. (One that is a hundred times too small drowns in the noise: it is not found.)
    adjustment    adjusted closes that do not follow from the closes, dividends and splits (not looked at where bars are larger
                  than a day: an ex-date lies within them)

What happens over a hole of more than ten days is not looked at. The errors are those known of Yahoo's data: see yfinance's
documentation of price repair.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.data.adjust import adjust
from quantlytic.model.action import ActionKind
from quantlytic.model.errors import DataError
from quantlytic.model.time import iso
from quantlytic.store.barfile import most_frequent

_DAY_NS = 86_400_000_000_000
_UNIT = np.log(100.0)
_UNIT_SLACK = 0.7  # in logs: a step of 50 to 200 is one of 100 and a day's move
_WHOLE = np.log([2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 15.0, 20.0, 25.0, 30.0, 50.0])
_TWICE_NS = 17 * _DAY_NS
_LARGE, _FELT = 0.1, 0.3  # a dividend of this share of the price must have cost the price this share of it
_HOLE_NS = 10 * _DAY_NS
_FAR = 0.47  # in logs: a factor of 1.6


@dataclass(frozen=True)
class Finding:
    """`kind`: unit, price, split, dividend or adjustment. `time` (ns UTC) is that of the bar or the action."""

    kind: str
    time: int
    text: str

    def __str__(self) -> str:
        return f"{iso(self.time)[:10]} {self.kind}: {self.text}"


@dataclass(frozen=True)
class _Day:
    """An action, where it acts: between bar `row - 1` and bar `row`."""

    row: int
    time: int
    value: float


def check(
    bars: NDArray[Any],
    actions: NDArray[Any],
    adjusted_close: NDArray[np.float64] | None = None,
    *,
    split_adjusted: bool = False,
) -> list[Finding]:
    """What looks wrong with one instrument's bars (dtype BAR) and actions (dtype ACTION), by time.

    `adjusted_close`: the vendor's, f8, as many as bars, is held against what follows from the rest. `split_adjusted`: the
    prices are said to be adjusted for splits (Yahoo's are), else to be raw (LEAN's). Raises DataError for prices that are no
    numbers above 0, or another number of adjusted closes.
    """
    for name in ("open", "high", "low", "close"):
        if not (bars[name] > 0).all() or np.isinf(bars[name]).any():
            raise DataError(f"{name} is not a number above 0 at {iso(int(bars['open_time'][~(bars[name] > 0)][0]))}")
    if adjusted_close is not None and len(adjusted_close) != len(bars):
        raise DataError(f"{len(adjusted_close):,} adjusted closes for {len(bars):,} bars")
    if len(bars) < 2:
        return []
    gaps, sigma = gaps_of(bars)
    splits, dividends = (_days(bars, actions, kind) for kind in (ActionKind.SPLIT, ActionKind.DIVIDEND))
    found = _units(bars, gaps) + _prices(bars, gaps, sigma)
    found += _splits(bars, gaps, sigma, splits, dividends, split_adjusted)
    found += _dividends(bars, dividends)
    if adjusted_close is not None and most_frequent(np.diff(bars["open_time"])) <= _DAY_NS:
        money = actions[actions["kind"] == ActionKind.DIVIDEND] if split_adjusted else actions
        found += _adjustments(bars, money, dividends, adjusted_close)
    return sorted(found, key=lambda one: (one.time, one.kind))


def gaps_of(bars: NDArray[Any]) -> tuple[NDArray[np.float64], float]:
    """The log gap from the close before to each bar's open (0 for the first, and over a hole), and their `sigma`."""
    gaps = np.concatenate(([0.0], np.log(bars["open"][1:] / bars["close"][:-1])))
    gaps[1:][bars["open_time"][1:] - bars["close_time"][:-1] > _HOLE_NS] = 0.0
    sigma = max(1.4826 * float(np.median(np.abs(gaps[1:] - np.median(gaps[1:])))), 0.002)
    return gaps, sigma


def _days(bars: NDArray[Any], actions: NDArray[Any], kind: ActionKind) -> list[_Day]:
    own = actions[actions["kind"] == kind]
    rows = np.searchsorted(bars["close_time"], own["event_time"], "left").tolist()
    every = zip(rows, own["event_time"].tolist(), own["value"].tolist(), strict=True)
    inside = [_Day(*one) for one in every if 0 < one[0] < len(bars)]
    return [one for one in inside if bars["open_time"][one.row] - bars["close_time"][one.row - 1] <= _HOLE_NS]


def _units(bars: NDArray[Any], gaps: NDArray[np.float64]) -> list[Finding]:
    found = []
    for row in np.flatnonzero(np.abs(np.abs(gaps) - _UNIT) < _UNIT_SLACK).tolist():
        text = (
            f"from {bars['close'][row - 1]:g} to {bars['open'][row]:g}, about 100 times: another unit of the currency?"
        )
        found.append(Finding("unit", int(bars["open_time"][row]), text))
    inside = np.log(bars["high"] / bars["low"])
    for row in np.flatnonzero(np.abs(inside - _UNIT) < _UNIT_SLACK).tolist():
        text = f"low {bars['low'][row]:g} and high {bars['high'][row]:g} in one bar, about 100 times: two units in one bar?"
        found.append(Finding("unit", int(bars["open_time"][row]), text))
    return found


def _prices(bars: NDArray[Any], gaps: NDArray[np.float64], sigma: float) -> list[Finding]:
    found = []
    for row in _lone_opens(bars, gaps, sigma).tolist():
        text = f"{_step(bars, row)}, and back to {bars['close'][row]:g} in one bar: a bad print?"
        found.append(Finding("price", int(bars["open_time"][row]), text))
    return found


def _lone_opens(bars: NDArray[Any], gaps: NDArray[np.float64], sigma: float) -> NDArray[np.int64]:
    """Rows whose open is far from the close before and from the bar's own, while these two are near."""
    back = np.log(bars["close"] / bars["open"])
    far = (np.abs(gaps) > max(_FAR, 12.0 * sigma)) & (np.abs(np.abs(gaps) - _UNIT) >= _UNIT_SLACK)
    return np.flatnonzero(far & (np.abs(gaps + back) < 0.3 * np.abs(gaps)))


def _splits(
    bars: NDArray[Any],
    gaps: NDArray[np.float64],
    sigma: float,
    splits: list[_Day],
    dividends: list[_Day],
    adjusted: bool,
) -> list[Finding]:
    found: list[Finding] = []
    explained = {one.row for one in dividends if one.value > 0.2 * bars["close"][one.row - 1]}
    for split in splits:
        step = float(np.log(split.value))
        slack = max(0.1 * abs(step), 4.0 * sigma)
        if abs(step) < 2.0 * slack:
            continue  # such a step is an ordinary move
        if adjusted:
            like = (np.abs(np.abs(gaps) - abs(step)) < slack) & (np.abs(gaps) > 6.0 * sigma)
            for row in sorted(set(np.flatnonzero(like).tolist()) - explained):
                explained.add(row)
                stated = f"the split of {split.value:g} of {iso(split.time)[:10]}"
                text = f"{_step(bars, row)} steps like {stated}: not adjusted for it?"
                found.append(Finding("split", int(bars["open_time"][row]), text))
        else:
            explained.add(split.row)
            if abs(gaps[split.row] + step) > max(0.5 * abs(step), slack):
                text = f"a split of {split.value:g} is stated, but {_step(bars, split.row)} does not step by it"
                found.append(Finding("split", split.time, text))
    near = np.abs(np.abs(gaps)[:, None] - _WHOLE).min(axis=1) < 0.06
    told = np.abs(np.abs(gaps) - _UNIT) < _UNIT_SLACK
    told[_lone_opens(bars, gaps, sigma)] = True
    for row in np.flatnonzero(near & ~told & (np.abs(gaps) > 12.0 * sigma)).tolist():
        if row not in explained:
            text = f"{_step(bars, row)} steps by a whole ratio, and no split is stated: one that is missing?"
            found.append(Finding("split", int(bars["open_time"][row]), text))
    return found


def _dividends(bars: NDArray[Any], dividends: list[_Day]) -> list[Finding]:
    found: list[Finding] = []
    for one in dividends:
        before = float(bars["close"][one.row - 1])
        fall = before - min(float(bars["open"][one.row]), float(bars["close"][one.row]))
        if one.value >= before:
            hint = "; a hundredth of it would fit" if one.value < 50.0 * before else ""
            found.append(Finding("dividend", one.time, f"{one.value:g} is paid on a price of {before:g}{hint}"))
        elif one.value > _LARGE * before and fall < _FELT * one.value:
            text = (
                f"{one.value:g} is paid, {one.value / before:.0%} of the price, which fell by {max(fall, 0.0):g} only"
            )
            found.append(Finding("dividend", one.time, text))
    for first, second in pairwise(dividends):
        ratio = first.value / second.value
        same = any(abs(ratio / scale - 1.0) < 0.2 for scale in (0.01, 1.0, 100.0))
        if second.time - first.time < _TWICE_NS and same:
            text = f"{first.value:g} on {iso(first.time)[:10]} and {second.value:g} soon after: one dividend, twice?"
            found.append(Finding("dividend", second.time, text))
    return found


def _adjustments(
    bars: NDArray[Any], actions: NDArray[Any], dividends: list[_Day], adjusted_close: NDArray[np.float64]
) -> list[Finding]:
    ours = bars.copy()
    ours["instrument"] = 0
    close = bars["close"]
    paid = dict.fromkeys((one.row for one in dividends), 0.0)
    for one in dividends:
        paid[one.row] += one.value
    possible = [k for k, row in enumerate(actions) if not _is_impossible(row, dividends, close)]
    expected = adjust(ours, actions[possible])["close"]
    with np.errstate(all="ignore"):
        step = np.diff(np.log(adjusted_close)) - np.diff(np.log(expected))
    step[bars["open_time"][1:] - bars["close_time"][:-1] > _HOLE_NS] = 0.0
    found = []
    for row in (np.flatnonzero(~(np.abs(step) < 1e-3)) + 1).tolist():
        before, dividend = float(close[row - 1]), paid.get(row, 0.0)
        with np.errstate(all="ignore"):
            taken = float(before - adjusted_close[row - 1] / adjusted_close[row] * close[row])
        if not abs(taken - dividend) > max(0.05 * dividend, 1e-3 * before) and row in paid:
            continue
        what = f"{taken:.6g} was taken out for it" if np.isfinite(taken) else "they are no numbers"
        text = f"of a dividend of {dividend:g}: {what}" if row in paid else f"without a dividend there: {what}"
        found.append(Finding("adjustment", int(bars["open_time"][row]), f"adjusted closes {text}"))
    return found


def _is_impossible(action: Any, dividends: list[_Day], close: NDArray[np.float64]) -> bool:
    """A dividend above the price is a finding already; nothing can be adjusted by it."""
    if action["kind"] != ActionKind.DIVIDEND:
        return False
    return any(one.time == action["event_time"] and one.value >= close[one.row - 1] for one in dividends)


def _step(bars: NDArray[Any], row: int) -> str:
    return f"the price from {bars['close'][row - 1]:g} to {bars['open'][row]:g}"
