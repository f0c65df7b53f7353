"""Distance from the mean in mean deviations."""

from __future__ import annotations

import math

from quantlytic.engine.indicators.indicator import Indicator
from quantlytic.engine.indicators.sma import SMA


class AvgDev(Indicator):
    """The mean distance of the last `period` values from their `mean`. O(period) a bar. Source: TA-Lib AVGDEV."""

    def __init__(self, period: int = 14) -> None:
        self.check_period(period)
        self.sma = SMA(period)
        self.mean = math.nan
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns the deviation, NaN until there are `period` values."""
        self.mean = self.sma.update(x)
        total = 0.0
        for k in range(self.sma.period):
            total += abs(self.sma.window[k] - self.mean)
        self.value = total / self.sma.period
        return self.value


class CCI(Indicator):
    """Commodity channel index: the typical price's distance from its mean over `period`, in units of 0.015 mean deviations;
    0 when flat. O(period) a bar. Source: Lambert (1980); TA-Lib CCI."""

    def __init__(self, period: int = 14) -> None:
        self.check_period(period)
        self.deviation = AvgDev(period)
        self.value = math.nan

    def update(self, high: float, low: float, close: float) -> float:
        """Take the next bar; returns the index, NaN until there are `period` bars."""
        price = (high + low + close) / 3.0
        deviation = self.deviation.update(price)
        mean = self.deviation.mean
        # What is left when equal prices are added up in another order is no deviation.
        self.value = 0.0 if deviation <= 1e-14 * abs(mean) else (price - mean) / (0.015 * deviation)
        return self.value
