"""What a model is to foretell: for each bar a label, and over which time it is taken."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantlytic.engine.data.bars import Bars
from quantlytic.engine.indicators.stddev import StdDev
from quantlytic.learn.labels.barriers import first_touch
from quantlytic.learn.labels.labelspec import KINDS, LabelSpec
from quantlytic.learn.labels.trends import strongest_trend
from quantlytic.model.errors import DataError, InputError

Numbers = NDArray[np.float64]
_compiled: dict[Callable[..., Any], Any] = {}


@dataclass(frozen=True)
class Labels:
    """A label a row of the bars, taken from the row's close to the close of row `end_row` (of the same instrument) at
    `end_time`, ns UTC. `known`: it is one; elsewhere `value` is NaN and the end is the row itself.

    `value`: the return for "forward_return"; else 1 for up (for "meta": acting paid) and 0 for down. `result`: the return over
    the label's time (for barriers: at the price where it was left; for "meta": of the signal's side), ln for `log`.
    `touch`: of barriers, +1 profit, -1 stop, 0 neither. `strength`: of "trend_scan", the trend's |t|; else 1.
    """

    value: Numbers
    end_row: NDArray[np.int64]
    end_time: NDArray[np.int64]
    known: NDArray[np.bool_]
    result: Numbers
    touch: NDArray[np.int8]
    strength: Numbers


def labels_of(
    bars: Bars, spec: LabelSpec, *, signal: ArrayLike | None = None, bar_size_ns: int = 0, compiled: bool = True
) -> Labels:
    """The labels of all rows. `signal`: for "meta", one number a row: above 0 long, below 0 short, 0 no signal (unknown).
    `bar_size_ns`: labels that would span a missing bar are unknown; 0 leaves holes alone.

    A label whose horizon goes beyond the data is unknown, also where a barrier was touched before: else the last rows would
    hold quick outcomes only. Source: Lopez de Prado (2018), chapter 3; trend scanning: Lopez de Prado, "Machine Learning for
    Asset Managers" (2020), section 5.4. Raises InputError for a spec that cannot be, DataError for a horizon longer than the
    data.
    """
    _check(spec)
    sides = _signal(bars, spec, signal)
    found = _Labels(len(bars))
    array = bars.array
    for k, instrument in enumerate(bars.instruments):
        rows = np.flatnonzero(array["instrument"] == k)
        if len(rows) <= spec.horizon:
            raise DataError(
                f"{instrument.id} has {len(rows):,} bars, and a label looks {spec.horizon:,} bars ahead: no label is known; "
                "take a shorter horizon or more data"
            )
        own = array[rows]
        part = _of_instrument(own, spec, sides[rows], compiled)
        if bar_size_ns:
            holes = np.append(0, np.cumsum(np.diff(own["open_time"]) >= 2 * bar_size_ns))
            part.known &= holes[part.end] == holes
        found.put(rows, part)
    return found.done(array["close_time"])


class _Part:
    """Labels of one instrument's rows, by its own row numbers."""

    def __init__(self, rows: int) -> None:
        self.value, self.result = np.full(rows, np.nan), np.full(rows, np.nan)
        self.end, self.known = np.arange(rows), np.zeros(rows, bool)
        self.touch, self.strength = np.zeros(rows, np.int8), np.ones(rows)


class _Labels(_Part):
    """Those of all."""

    def put(self, rows: NDArray[np.int64], part: _Part) -> None:
        for name in ("value", "result", "known", "touch", "strength"):
            getattr(self, name)[rows] = getattr(part, name)
        self.end[rows] = rows[part.end]

    def done(self, times: NDArray[np.int64]) -> Labels:
        known = self.known & ~np.isnan(self.value)
        self.value[~known] = self.result[~known] = np.nan
        self.touch[~known] = 0
        end = np.where(known, self.end, np.arange(len(known)))
        return Labels(self.value, end, times[end], known, self.result, self.touch, self.strength)


def _of_instrument(own: NDArray[Any], spec: LabelSpec, side: Numbers, compiled: bool) -> _Part:
    close = np.ascontiguousarray(own["close"])
    part, rows, ahead = _Part(len(own)), len(own), spec.horizon
    part.known[: rows - ahead] = True
    part.end[: rows - ahead] += ahead
    if spec.kind in ("forward_return", "direction"):
        step = close[ahead:] / close[: rows - ahead]
        part.result[: rows - ahead] = np.log(step) if spec.log else step - 1.0
        part.value = part.result.copy() if spec.kind == "forward_return" else _up(part.result, spec.dead_zone)
    elif spec.kind == "trend_scan":
        t_values = np.zeros(rows)
        _code(strongest_trend, "void(float64[::1], intp, intp, int64[::1], float64[::1])", compiled)(
            np.log(close), spec.shortest, ahead, part.end, t_values
        )
        part.result = np.log(close[part.end] / close) if spec.log else close[part.end] / close - 1.0
        part.value, part.strength = _up(t_values, 0.0), np.abs(t_values)
    else:
        _barriers(own, close, part, spec, side, compiled)
    return part


def _barriers(own: NDArray[Any], close: Numbers, part: _Part, spec: LabelSpec, side: Numbers, compiled: bool) -> None:
    """Triple barriers, in the direction of the signal (of up where there is none)."""
    returns = np.diff(np.log(close), prepend=np.nan)
    width = StdDev.over(returns, period=spec.volatility_window) * math.sqrt(spec.horizon)
    open_, high, low = (np.ascontiguousarray(own[name]) for name in ("open", "high", "low"))
    numbers = ", ".join(["float64[::1]"] * 6)
    _code(first_touch, f"void({numbers}, float64, float64, intp, int64[::1], int8[::1], float64[::1])", compiled)(
        open_, high, low, close, width, side, spec.profit, spec.stop, spec.horizon, part.end, part.touch, part.result
    )
    part.known &= np.isfinite(width) & (width > 0.0) & (side != 0.0)
    if spec.kind == "meta":
        part.value = np.where(np.isnan(part.result), np.nan, part.result > spec.min_return).astype(np.float64)
        return
    part.value = _up(part.result, 0.0)
    part.value[part.touch > 0], part.value[part.touch < 0] = 1.0, 0.0
    if spec.at_end == "drop":
        part.known &= part.touch != 0


def _up(numbers: Numbers, dead_zone: float) -> Numbers:
    """1 above, 0 below, NaN within the dead zone (and for exactly 0, which is neither)."""
    with np.errstate(invalid="ignore"):
        return np.where(numbers > dead_zone, 1.0, np.where(numbers < -dead_zone, 0.0, np.nan))


def _signal(bars: Bars, spec: LabelSpec, signal: ArrayLike | None) -> Numbers:
    if spec.kind != "meta":
        if signal is not None:
            raise InputError(f'labels of kind {spec.kind!r} take no signal: kind = "meta" does')
        return np.ones(len(bars))
    if signal is None:
        raise InputError("meta-labels judge a signal: give one number a row (above 0 long, below 0 short, 0 none)")
    given = np.asarray(signal, np.float64)
    if given.shape != (len(bars),):
        raise InputError(f"the signal has shape {given.shape}, and there are {len(bars):,} bars: give one number a row")
    return np.ascontiguousarray(np.sign(np.nan_to_num(given, nan=0.0)))


def _check(spec: LabelSpec) -> None:
    if spec.kind not in KINDS:
        close = difflib.get_close_matches(spec.kind, KINDS, 1)
        raise InputError(
            f"there is no label {spec.kind!r}: " + (f"did you mean {close[0]!r}?" if close else ", ".join(KINDS))
        )
    if spec.horizon < 1:
        raise InputError(f"[label] horizon is 1 bar or more, not {spec.horizon}")
    for name in ("dead_zone", "profit", "stop"):
        if not (math.isfinite(value := getattr(spec, name)) and value >= 0.0):
            raise InputError(f"[label] {name} is 0 or more, not {value}")
    if spec.at_end not in ("sign", "drop"):
        raise InputError(f'[label] at_end is "sign" or "drop", not {spec.at_end!r}')
    if spec.kind in ("triple_barrier", "meta") and spec.volatility_window < 2:
        raise InputError(f"[label] volatility_window is 2 bars or more, not {spec.volatility_window}")
    if spec.kind == "trend_scan" and not 2 <= spec.shortest <= spec.horizon:
        raise InputError(
            f"[label] shortest is 2 bars or more and at most the horizon {spec.horizon}, not {spec.shortest}"
        )


def _code(function: Callable[..., Any], signature: str, compiled: bool) -> Any:
    if not compiled:
        return function
    from quantlytic.engine.compiler.jit import compile_function

    if function not in _compiled:
        _compiled[function] = compile_function(function, signature)
    return _compiled[function]
