"""What a run was worth, in figures. A figure that is undefined is None: never NaN, never an invented 0.

Returns are taken between distinct bar times, from the account's last equity at each; they are simple returns, the
risk-free rate is 0. They are annualised by the number of bar times in a year of 365.25 days as the run has them: about
525,960 for minutes without holes, about 252 for the days of an exchange.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

YEAR_NS = 31_557_600 * 1_000_000_000
_ROUNDING = 1e-15  # a standard deviation of returns below this is rounding, not risk

Times = NDArray[np.int64]
Values = NDArray[np.float64]


class Drawdown(msgspec.Struct, frozen=True):
    """A fall below an earlier peak: `depth` is a negative share of the peak, times are ns UTC.

    `end_time` is when the peak was reached again; None if it has not been, and `duration_ns` goes on to the last bar.
    """

    depth: float
    start_time: int
    trough_time: int
    end_time: int | None
    duration_ns: int


def last_of_each_time(times: Times, values: Values) -> tuple[Times, Values]:
    """The last value at each distinct time. `times` must not decrease."""
    last = np.append(times[1:] != times[:-1], True)
    return (times, values) if last.all() else (times[last], values[last])


def drawdown_curve(equity: Values) -> Values:
    """Equity over its highest value so far, less one: 0 at a peak, -0.25 a quarter below it."""
    return equity / np.maximum.accumulate(equity) - 1.0


def drawdowns(times: Times, equity: Values, count: int = 5) -> list[Drawdown]:
    """The deepest drawdowns that do not overlap, deepest first. One point a time; equity starts above 0."""
    below = drawdown_curve(equity)
    under = below < 0
    edges = np.flatnonzero(np.diff(np.concatenate(([False], under, [False])).astype(np.int8)))
    starts, ends = edges[::2] - 1, edges[1::2]  # the peak before, and the first point that is back at it
    if not len(starts):
        return []
    depths = np.minimum.reduceat(below, np.column_stack((starts, np.minimum(ends, len(below) - 1))).ravel())[::2]
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


def equity_metrics(times: Times, equity: Values, cash: float) -> dict[str, float | int | None]:
    """Return, risk, and the two over each other, from the equity after each bar and the cash at the start.

    `times` are the bars' close times (ns UTC, not decreasing, several bars may share one); shapes are equal.
    """
    times, equity = last_of_each_time(times, equity)
    years = (int(times[-1]) - int(times[0])) / YEAR_NS if len(times) else 0.0
    final = float(equity[-1]) if len(equity) else cash
    growth = final / cash
    figures: dict[str, float | int | None] = {
        "total_return": growth - 1.0,
        "cagr": _power(growth, years) if years > 0 and growth > 0 else None,
        "volatility": None,
        "sharpe": None,
        "sortino": None,
        "calmar": None,
        "max_drawdown": None,
        "max_drawdown_start_time": None,
        "max_drawdown_trough_time": None,
        "max_drawdown_end_time": None,
        "max_drawdown_duration_ns": None,
        "bars_per_year": (len(times) - 1) / years if years > 0 else None,
    }
    if len(equity) and np.isfinite(equity).all() and equity[0] > 0:
        figures["max_drawdown"] = 0.0
        for worst in drawdowns(times, equity, 1):
            figures["max_drawdown"] = worst.depth
            figures["max_drawdown_start_time"] = worst.start_time
            figures["max_drawdown_trough_time"] = worst.trough_time
            figures["max_drawdown_end_time"] = worst.end_time
            figures["max_drawdown_duration_ns"] = worst.duration_ns
            figures["calmar"] = _ratio(figures["cagr"], -worst.depth)
        if years > 0 and equity.min() > 0:
            figures |= _risk(equity[1:] / equity[:-1] - 1.0, (len(times) - 1) / years)
    return {name: _finite(value) for name, value in figures.items()}


def _risk(returns: Values, bars_per_year: float) -> dict[str, float | int | None]:
    if len(returns) < 2:
        return {}
    mean, scale = float(returns.mean()), math.sqrt(bars_per_year)
    deviation = float(returns.std(ddof=1))
    losses = np.minimum(returns, 0.0)
    downside = math.sqrt(float(losses @ losses) / len(returns))
    return {
        "volatility": deviation * scale,
        "sharpe": mean / deviation * scale if deviation > _ROUNDING else None,
        "sortino": mean / downside * scale if downside > _ROUNDING else None,
    }


def trade_metrics(fills: NDArray[Any], round_trips: NDArray[Any]) -> dict[str, float | int | None]:
    """Counts, fees and what round trips brought after fees, in the account's currency. Arrays of FILL, ROUND_TRIP."""
    pnl = round_trips["pnl"]
    wins, losses = pnl[pnl > 0], pnl[pnl < 0]
    held = round_trips["exit_time"] - round_trips["entry_time"]
    figures: dict[str, float | int | None] = {
        "fills": len(fills),
        "fees_paid": math.fsum(fills["fee"]),
        "traded_value": math.fsum(fills["quantity"] * fills["price"]),
        "round_trips": len(pnl),
        "win_rate": len(wins) / len(pnl) if len(pnl) else None,
        "profit_factor": _ratio(math.fsum(wins), -math.fsum(losses)),
        "avg_trade": math.fsum(pnl) / len(pnl) if len(pnl) else None,
        "avg_win": math.fsum(wins) / len(wins) if len(wins) else None,
        "avg_loss": math.fsum(losses) / len(losses) if len(losses) else None,
        "best_trade": float(pnl.max()) if len(pnl) else None,
        "worst_trade": float(pnl.min()) if len(pnl) else None,
        "avg_holding_ns": int(held.mean()) if len(pnl) else None,
    }
    return {name: _finite(value) for name, value in figures.items()}


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


def _power(growth: float, years: float) -> float | None:
    try:
        return float(growth ** (1.0 / years)) - 1.0
    except OverflowError:
        return None


def _ratio(over: float | int | None, under: float) -> float | None:
    return None if over is None or under <= 0 else over / under


def _finite(value: float | int | None) -> float | int | None:
    return None if value is None or not math.isfinite(value) else value
