"""Why a sweep has nothing to rank."""

from __future__ import annotations

import numpy as np

from quantlytic.research.figures.curve import DAY_NS
from quantlytic.research.figures.metrics import MIN_RATIO_DAYS
from quantlytic.research.search.sweep import Sweep
from quantlytic.research.search.sweeptext import label


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
