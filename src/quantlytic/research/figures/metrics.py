"""What a run was worth, in figures. A figure that is undefined is None: never NaN, never an invented 0.

Returns are taken between distinct bar times, from the account's last equity at each; they are simple returns, the
risk-free rate is 0. They are annualised by the number of bar times in a year of 365.25 days as the run has them: about
525,960 for minutes without holes, about 252 for the days of an exchange.

Nothing is annualised from little: ratios and volatility need `MIN_RATIO_DAYS` days and `MIN_RETURNS` returns, what is
compounded to a year `MIN_COMPOUND_DAYS` days. `reasons` says which of them are None for that.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec
import numpy as np
from numpy.typing import NDArray

from quantlytic.research.figures.curve import DAY_NS, YEAR_NS, Curve, Times, Values, drawdown_curve, last_of_each_time

MIN_RATIO_DAYS = 30
MIN_COMPOUND_DAYS = 90
MIN_RETURNS = 20
_ROUNDING = 1e-15  # a standard deviation of returns below this is rounding, not risk

Figures = dict[str, float | int | None]

RATIOS = ("volatility", "sharpe", "sortino", "turnover", "alpha", "information_ratio", "tracking_error")
COMPOUNDED = ("cagr", "calmar", "benchmark_cagr")
DAILY = ("var_95", "cvar_95", "tail_ratio", "skew", "kurtosis", "positive_days", "best_day", "worst_day")

__all__ = ["YEAR_NS", "Curve", "Drawdown", "drawdown_curve", "drawdowns", "equity_metrics", "last_of_each_time"]


class Drawdown(msgspec.Struct, frozen=True):
    """A fall below an earlier peak: `depth` is a negative share of the peak, times are ns UTC.

    `end_time` is when the peak was reached again; None if it has not been, and `duration_ns` goes on to the last bar.
    `fall_ns` is from peak to trough, `recovery_ns` from the trough to the end (None: not yet).
    """

    depth: float
    start_time: int
    trough_time: int
    end_time: int | None
    duration_ns: int

    @property
    def fall_ns(self) -> int:
        return self.trough_time - self.start_time

    @property
    def recovery_ns(self) -> int | None:
        return None if self.end_time is None else self.end_time - self.trough_time


def drawdowns(times: Times, equity: Values, count: int = 5) -> list[Drawdown]:
    """The deepest drawdowns that do not overlap, deepest first. One point a time; equity starts above 0."""
    below = drawdown_curve(equity)
    starts, ends = _falls(below)
    if not len(starts):
        return []
    # one point more, at the peak: `reduceat` takes no edge past the end, where a fall that is not yet over has its end
    depths = np.minimum.reduceat(np.append(below, 0.0), np.column_stack((starts, ends)).ravel())[::2]
    found = []
    for at in np.argsort(depths, kind="stable")[:count]:
        start, end = int(starts[at]), int(ends[at])
        trough = start + int(np.argmin(below[start:end]))
        recovered = end < len(times)
        found.append(
            Drawdown(
                depth=float(below[trough]),
                start_time=int(times[start]),
                trough_time=int(times[trough]),
                end_time=int(times[end]) if recovered else None,
                duration_ns=int(times[end] if recovered else times[-1]) - int(times[start]),
            )
        )
    return found


def _falls(below: Values) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The peak before each stretch below one, and the first point that is back at it."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], below < 0, [False])).astype(np.int8)))
    return edges[::2] - 1, edges[1::2]


def equity_metrics(times: Times, equity: Values, cash: float) -> Figures:
    """Return, risk, and the two over each other, from the equity after each bar and the cash at the start.

    `times` are the bars' close times (ns UTC, not decreasing, several bars may share one); shapes are equal.
    """
    return curve_metrics(Curve.of(times, equity), cash)


def curve_metrics(curve: Curve, cash: float) -> Figures:
    """`equity_metrics` of a curve."""
    growth = (float(curve.values[-1]) if len(curve) else cash) / cash
    compounds = growth > 0 and curve.is_sound and curve.span_ns >= MIN_COMPOUND_DAYS * DAY_NS
    figures: Figures = {
        "total_return": growth - 1.0,
        "cagr": _power(growth, curve.years) if compounds else None,
        **dict.fromkeys(("volatility", "sharpe", "sortino", "calmar", "omega", "sharpe_per_bar")),
        "bars_per_year": curve.per_year,
        **_drawdown_metrics(curve),
        **_daily_metrics(curve.days),
    }
    depth = figures["max_drawdown"]
    if depth is not None:
        figures["calmar"] = _ratio(figures["cagr"], -depth)
    figures |= _risk(curve)
    return finite(figures)


def _risk(curve: Curve) -> Figures:
    returns = curve.returns
    if len(returns) < 2:
        return {}
    mean, deviation = float(returns.mean()), float(returns.std(ddof=1))
    losses = np.minimum(returns, 0.0)
    downside = math.sqrt(float(losses @ losses) / len(returns))
    lost, won = -float(losses.sum()), float(np.maximum(returns, 0.0).sum())
    figures: Figures = {
        "sharpe_per_bar": mean / deviation if deviation > _ROUNDING else None,
        "omega": won / lost if lost > _ROUNDING else None,
    }
    if curve.span_ns >= MIN_RATIO_DAYS * DAY_NS and len(returns) >= MIN_RETURNS:
        scale = math.sqrt(curve.per_year or 0.0)
        figures["volatility"] = deviation * scale
        figures["sharpe"] = mean / deviation * scale if deviation > _ROUNDING else None
        figures["sortino"] = mean / downside * scale if downside > _ROUNDING else None
    return figures


def _drawdown_metrics(curve: Curve) -> Figures:
    names = ("start_time", "trough_time", "end_time", "duration_ns")
    figures: Figures = {"max_drawdown": None, **dict.fromkeys(f"max_drawdown_{name}" for name in names)}
    figures |= dict.fromkeys(("longest_drawdown_ns", "time_in_drawdown", "ulcer_index"))
    if not (len(curve) and np.isfinite(curve.values).all() and curve.values[0] > 0):
        return figures
    below, times = curve.drawdown, curve.times
    figures |= {"max_drawdown": 0.0, "longest_drawdown_ns": 0}
    figures["time_in_drawdown"] = float(np.count_nonzero(below < 0) / len(below))
    figures["ulcer_index"] = math.sqrt(float(below @ below) / len(below))
    for worst in drawdowns(times, curve.values, 1):
        figures["max_drawdown"] = worst.depth
        for name in names:
            figures[f"max_drawdown_{name}"] = getattr(worst, name)
        starts, ends = _falls(below)
        figures["longest_drawdown_ns"] = int((times[np.minimum(ends, len(times) - 1)] - times[starts]).max())
    return figures


def _daily_metrics(days: Curve) -> Figures:
    """Tails, of returns from the end of one UTC day to the next's (of one bar to the next, where bars are longer)."""
    returns = days.returns
    figures: Figures = dict.fromkeys(DAILY)
    count = len(returns)
    if count < MIN_RETURNS:
        return figures
    low, high = np.percentile(returns, (5, 95))
    worst = int((count - 1) * 0.05)
    figures["var_95"] = float(low)
    figures["cvar_95"] = float(np.partition(returns, worst)[: worst + 1].mean())
    figures["tail_ratio"] = _ratio(abs(float(high)), abs(float(low)))
    figures["positive_days"] = float(np.count_nonzero(returns > 0) / count)
    figures["best_day"], figures["worst_day"] = float(returns.max()), float(returns.min())
    off = returns - returns.mean()
    second, third, fourth = (float((off**power).mean()) for power in (2, 3, 4))
    if second > _ROUNDING**2:  # the sample's, corrected for bias, as statistics packages have them; normal is 0 and 0
        figures["skew"] = math.sqrt(count * (count - 1)) / (count - 2) * third / second**1.5
        excess = (count + 1) * (fourth / second**2 - 3) + 6
        figures["kurtosis"] = (count - 1) / ((count - 2) * (count - 3)) * excess
    return figures


def reasons(curve: Curve, figures: Figures) -> dict[str, str]:
    """Why the figures that are None for want of data are None, by name."""
    if len(curve) and not curve.is_sound:
        why = dict.fromkeys((*RATIOS, *COMPOUNDED, *DAILY), "equity fell to 0 or below")
        return {name: text for name, text in why.items() if name in figures and figures[name] is None}
    days, points = curve.span_ns / DAY_NS, max(len(curve) - 1, 0)
    found: dict[str, str] = {}

    def note(names: Iterable[str], enough: bool, text: str) -> None:
        if not enough:
            found.update({name: text for name in names if name in figures and figures[name] is None})

    spans = f"the run spans {days:,.0f} days" if days >= 2 else f"the run spans {days * 24:,.1f} hours"
    note(RATIOS, points >= MIN_RETURNS, f"{points} returns: at least {MIN_RETURNS} are needed")
    note(RATIOS, days >= MIN_RATIO_DAYS, f"{spans}: nothing is annualised below {MIN_RATIO_DAYS} days")
    note(COMPOUNDED, days >= MIN_COMPOUND_DAYS, f"{spans}: nothing is compounded to a year below {MIN_COMPOUND_DAYS}")
    count = max(len(curve.days) - 1, 0)
    note(DAILY, count >= MIN_RETURNS, f"{count} daily returns: at least {MIN_RETURNS} are needed")
    return found


def monthly_returns(times: Times, equity: Values, cash: float) -> list[tuple[int, int, float]]:
    """(year, month, return) of each calendar month (UTC) that the run saw, each from the equity before it."""
    times, equity = last_of_each_time(times, equity)
    # a bar that closes at midnight on the first belongs to the month before
    months = (times - 1).astype("datetime64[ns]").astype("datetime64[M]").astype(np.int64)
    months, ends = last_of_each_time(months, equity)
    begins = np.append(cash, ends[:-1])
    return [
        (1970 + int(month) // 12, int(month) % 12 + 1, float(end / begin - 1.0))
        for month, begin, end in zip(months, begins, ends, strict=True)
        if begin > 0 and math.isfinite(end)
    ]


def rolling_sharpe(curve: Curve, window: int, at: NDArray[np.int64]) -> Values:
    """The annualised Sharpe ratio of the last `window` returns, at the points `at`; NaN before there are as many."""
    returns = curve.returns
    out = np.full(len(at), np.nan)
    ready = (at >= window) & (at <= len(returns))
    if window < 2 or not ready.any():
        return out
    total, squares = (np.append(0.0, np.cumsum(values)) for values in (returns, returns * returns))
    ends = at[ready]
    mean = (total[ends] - total[ends - window]) / window
    variance = ((squares[ends] - squares[ends - window]) - window * mean * mean) / (window - 1)
    with np.errstate(all="ignore"):
        ratio = mean / np.sqrt(variance) * math.sqrt(curve.per_year or 0.0)
    out[ready] = np.where(variance > 1e-20, ratio, np.nan)
    return out


def _power(growth: float, years: float) -> float | None:
    try:
        return float(growth ** (1.0 / years)) - 1.0
    except OverflowError:
        return None


def _ratio(over: float | int | None, under: float) -> float | None:
    return None if over is None or under <= 0 else over / under


def finite(figures: Figures) -> Figures:
    """None for what is no finite number."""
    return {name: None if value is None or not math.isfinite(value) else value for name, value in figures.items()}
