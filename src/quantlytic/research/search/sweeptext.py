"""The figures of a sweep as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from quantlytic.research import text
from quantlytic.research.figures.curve import DAY_NS
from quantlytic.research.figures.metrics import MIN_RATIO_DAYS

if TYPE_CHECKING:
    from quantlytic.research.search.sweep import Sweep

_PERCENT = {"total_return", "cagr", "volatility", "max_drawdown", "exposure", "win_rate"}
_MONEY = {"final_equity", "fees_paid", "traded_value", "avg_trade", "best_trade", "worst_trade"}
_LABELS = {"cagr": "return a year", "avg_trade": "average trade", "avg_holding_ns": "average holding"}


def figure(metric: str, value: float | int | None) -> str:
    """A metric as people read it."""
    if metric in _PERCENT:
        return text.percent(value)
    if metric in _MONEY:
        return text.money(value)
    if value is None:
        return text.NONE
    if metric == "avg_holding_ns":
        return text.duration(int(value))
    return f"{value:,}" if isinstance(value, int) else text.ratio(value)


def label(metric: str) -> str:
    """A metric's name for people."""
    return _LABELS.get(metric, metric.replace("_", " "))


def why_none(found: Sweep, metric: str) -> str:
    """Why no cell has a metric, and what to do about it."""
    said = f"no cell has a {label(metric)}"
    finished = [one for one in found.outcomes if not one.error]
    times, forecasts = found.bars.array["close_time"], found.bars.array["forecast"]
    if not finished:
        return f"{said}: none has finished"
    if not any(one.figures["fills"] for one in finished):
        if not found.bars.has_forecasts:
            return f"{said}: none has traded; try other values"
        low, high = np.nanmin(forecasts), np.nanmax(forecasts)
        return (
            f"{said}: none has traded. The forecasts lie between {low:.4g} and {high:.4g}: choose thresholds among them, such as "
            f"{np.nanquantile(forecasts, 0.9):.4g}, above which one in ten lies"
        )
    if (days := int(times[-1] - times[0]) / DAY_NS) < MIN_RATIO_DAYS:
        return f"{said}: these bars span {days:.1f} days, and it needs {MIN_RATIO_DAYS}; --metric sharpe_per_bar needs none"
    return f"{said}: too few returns, or an equity that fell to nothing"
