"""What a run is measured against: buying the same instruments and holding them, or a series of the user's.

With strategy returns r and benchmark returns b between the same times: beta is cov(r, b) / var(b), alpha what is left,
(mean r - beta mean b) a year (Jensen 1968); the tracking error is the deviation of r - b, the information ratio their mean
over it, both a year.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.data.bars import Bars
from quantlytic.model.errors import InputError
from quantlytic.research.figures.curve import DAY_NS, Curve, last_of_each_time
from quantlytic.research.figures.metrics import MIN_RATIO_DAYS, MIN_RETURNS, Figures, curve_metrics, finite

_FLAT = 1e-15


def benchmark_name(given: Bars | Curve | None) -> str:
    """What a page calls it."""
    if isinstance(given, Bars):
        return ", ".join(one.symbol or one.id for one in given.instruments[:3]) + " held"
    return "buy and hold" if given is None else "the benchmark"


def benchmark_of(bars: Bars, cash: float, given: Bars | Curve | None = None) -> Curve:
    """The benchmark at the run's bar times, worth `cash` at the start. By default the run's instruments, held.

    `given` is another instrument's bars (held in the same way) or a curve of any level; between its times the last value
    holds. InputError when it has nothing at or before the run's first bar's close: that would be a look ahead.
    """
    if given is None:
        return hold(bars.array, len(bars.instruments), cash)
    times, _ = last_of_each_time(bars.array["close_time"], bars.array["close"])
    curve = hold(given.array, len(given.instruments), cash) if isinstance(given, Bars) else given
    if not len(curve) or curve.times[0] > times[0]:
        raise InputError("the benchmark begins after the run does: give one that covers it, or begin the run later")
    values = curve.at(times)
    first = values[0]
    if isinstance(given, Bars) and curve.times[0] == times[0]:
        first = cash  # bought at the first bar's open, as the run's own instruments would be
    if not first > 0:
        raise InputError("the benchmark's values are above 0")
    return Curve(times, values / first * cash)


def hold(bars: NDArray[Any], count: int, cash: float) -> Curve:
    """The cash split equally over `count` instruments, each bought at its first open without fees and held."""
    if count == 1:
        curve = Curve.of(bars["close_time"], bars["close"])
        with np.errstate(over="ignore"):
            return Curve(curve.times, cash / bars["open"][0] * curve.values)
    times, _ = last_of_each_time(bars["close_time"], bars["close"])
    order = np.argsort(bars["instrument"], kind="stable")
    edges = np.searchsorted(bars["instrument"][order], np.arange(count + 1))
    value = np.zeros(len(times))
    for index in range(count):
        rows = order[edges[index] : edges[index + 1]]
        growth = np.ones(len(times))  # cash, until it is there
        if len(rows):
            own = bars[rows]
            known = np.searchsorted(own["close_time"], times, side="right") - 1
            growth = np.where(known < 0, 1.0, own["close"][np.maximum(known, 0)] / own["open"][0])
        value += cash / count * growth
    return Curve(times, value)


def benchmark_metrics(curve: Curve, benchmark: Curve, cash: float) -> Figures:
    """The benchmark's own figures, and the run's against it. Both curves have the same times."""
    own = curve_metrics(benchmark, cash)
    figures: Figures = {
        "benchmark_return": own["total_return"],
        "benchmark_cagr": own["cagr"],
        "benchmark_sharpe": own["sharpe"],
        "benchmark_max_drawdown": own["max_drawdown"],
        **dict.fromkeys(("alpha", "beta", "correlation", "tracking_error", "information_ratio")),
    }
    r, b = curve.returns, benchmark.returns
    if len(r) < 2 or len(r) != len(b):
        return figures
    mean_r, mean_b = float(r.mean()), float(b.mean())
    off_r, off_b = r - mean_r, b - mean_b
    variance, own_variance = float(off_b @ off_b) / (len(b) - 1), float(off_r @ off_r) / (len(r) - 1)
    if variance > _FLAT**2:
        covariance = float(off_r @ off_b) / (len(r) - 1)
        beta = figures["beta"] = covariance / variance
        if own_variance > _FLAT**2:
            figures["correlation"] = covariance / math.sqrt(variance * own_variance)
        per_year = curve.per_year or 0.0
        active = off_r - off_b
        deviation = math.sqrt(float(active @ active) / (len(r) - 1))
        if curve.span_ns >= MIN_RATIO_DAYS * DAY_NS and len(r) >= MIN_RETURNS:
            figures["alpha"] = (mean_r - beta * mean_b) * per_year
            figures["tracking_error"] = deviation * math.sqrt(per_year)
            if deviation > _FLAT:
                figures["information_ratio"] = (mean_r - mean_b) / deviation * math.sqrt(per_year)
    return finite(figures)
