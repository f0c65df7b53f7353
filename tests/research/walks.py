"""Daily bars as the day's prices make them: each is a walk of its own, so highs and lows lie beyond opens and closes.

Without that, what a stop or a limit fills inside a bar is worth money on pure noise: a stop above the open of a bar that
closes at its high always wins.
"""

from __future__ import annotations

import numpy as np

from quantlytic.engine.data.bars import Bars
from quantlytic.model.bar import blank_bars
from quantlytic.model.instrument import Instrument

DAY_NS = 86_400 * 1_000_000_000
_STEPS = 48  # inside a day


def walk(
    rng: np.random.Generator, count: int = 1_500, drift: float = 0.0, trend: float = 0.0, symbol: str = "X"
) -> Bars:
    """A random walk of fat-tailed steps, 1 % a day. `drift` is its annualised Sharpe ratio; `trend` the size, as a share of a
    day's risk, of a drift that keeps its sign for 60 days."""
    steps = rng.standard_t(5, (count, _STEPS)) / np.sqrt(5 / 3 * _STEPS)
    sign = np.repeat(rng.choice([-1.0, 1.0], count // 60 + 1), 60)[:count]
    steps += ((drift / np.sqrt(365.25) + trend * sign) / _STEPS)[:, None]
    path = 100 * np.exp(np.cumsum(0.01 * steps).reshape(count, _STEPS))
    array = blank_bars(count)
    array["open_time"] = np.arange(count) * DAY_NS
    array["close_time"] = array["open_time"] + DAY_NS
    array["close"] = path[:, -1]
    array["open"] = np.concatenate(([100.0], path[:-1, -1]))
    array["high"], array["low"] = (
        np.maximum(array["open"], path.max(axis=1)),
        np.minimum(array["open"], path.min(axis=1)),
    )
    array["volume"] = 1.0
    return Bars(array, (Instrument(f"noise:{symbol}", symbol),))
