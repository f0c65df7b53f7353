"""Equity over time as returns of equal periods, few enough for statistics that look at them thousands of times."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantlytic.research.figures.metrics import YEAR_NS, last_of_each_time

DAY_NS = 86_400 * 1_000_000_000
_FEWEST_DAYS = 60  # a run of fewer days is sampled finer
_MOST_PERIODS = 2_000

Times = NDArray[np.int64]
Values = NDArray[np.float64]


def sample_points(times: Times) -> NDArray[np.int64]:
    """Which of the (not decreasing) times end a period: the last of each UTC day, or, for a run of fewer than 60 days, at
    most 2,000 of them in equal steps. The evidence for a mean is in the span, not in how finely it is cut (Merton 1980)."""
    last = np.flatnonzero(np.append(times[1:] != times[:-1], True)) if len(times) else np.zeros(0, np.int64)
    # a bar that closes at midnight belongs to the day before
    days = (times[last] - 1) // DAY_NS
    ends = last[np.append(days[1:] != days[:-1], True)] if len(last) else last
    if len(ends) >= _FEWEST_DAYS:
        return ends
    step = -(-len(last) // _MOST_PERIODS) if len(last) else 1
    return last[::-1][::step][::-1]


def period_returns(times: Times, equity: Values, cash: float) -> tuple[Times, Values]:
    """(ends, simple returns) of the periods of `sample_points`; the first one begins with `cash`.

    Equity at or below 0 is a total loss: the returns end there, with -1.
    """
    if not len(times):
        return np.zeros(0, np.int64), np.zeros(0)
    at = sample_points(times)
    values = np.concatenate(([cash], equity[at]))
    lost = np.flatnonzero(~(values > 0))
    if len(lost):
        values = np.append(values[: lost[0]], 0.0)
    return times[at][: len(values) - 1], values[1:] / values[:-1] - 1.0


def periods_per_year(ends: Times) -> float:
    """How many such periods a year of 365.25 days has, as the data has them; 0 for fewer than two."""
    ends, _ = last_of_each_time(ends, np.zeros(len(ends)))
    span = int(ends[-1]) - int(ends[0]) if len(ends) > 1 else 0
    return (len(ends) - 1) * YEAR_NS / span if span else 0.0
