"""Bollinger bands."""

from __future__ import annotations

import math

from quantlytic.engine.indicators.indicator import Indicator
from quantlytic.engine.indicators.stddev import Var


class BollingerBands(Indicator):
    """The mean of the last `period` values (`middle`) and `width` standard deviations (population) around it.

    `bandwidth` is (upper - lower) / middle, NaN where that is 0; `percent_b` where the value lies: 0 at the lower band,
    1 at the upper, 0.5 when they are one. Source: Bollinger, "Bollinger on Bollinger Bands" (2001); TA-Lib BBANDS.
    """

    outputs = ("upper", "middle", "lower", "bandwidth", "percent_b")

    def __init__(self, period: int = 20, width: float = 2.0) -> None:
        self.check_period(period)
        self.check_number(width, "width")
        self.variance = Var(period)
        self.width = float(width)
        self.value = math.nan
        self.upper = math.nan
        self.middle = math.nan
        self.lower = math.nan
        self.bandwidth = math.nan
        self.percent_b = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns the middle, NaN until there are `period` values."""
        reach = math.sqrt(self.variance.update(x)) * self.width
        self.value = self.middle = self.variance.mean
        self.upper = self.middle + reach
        self.lower = self.middle - reach
        self.bandwidth = 2.0 * reach / self.middle if self.middle != 0.0 else math.nan
        if reach > 0.0:
            self.percent_b = (x - self.lower) / (2.0 * reach)
        else:
            self.percent_b = 0.5 if reach == 0.0 else math.nan
        return self.value
