"""Average true range."""

from __future__ import annotations

import math

from quantlytic.engine.indicators.indicator import Indicator


class ATR(Indicator):
    """Wilder's: the true range (the bar's, the gap from the last close included), smoothed by 1 / period.

    Begins with the plain mean of the first `period` true ranges; the first bar has none, so it is NaN for `period` bars.
    """

    def __init__(self, period: int = 14) -> None:
        self.check_period(period)
        self.period = int(period)
        self.count = 0
        self.last = math.nan
        self.total = 0.0
        self.value = math.nan

    @property
    def ready(self) -> bool:
        return self.count > self.period

    def update(self, high: float, low: float, close: float) -> float:
        """Take the next bar; returns the average, NaN until there are `period` + 1 bars."""
        true_range = max(high, self.last) - min(low, self.last)
        self.last = close
        if self.count <= self.period:
            self.count += 1
            if self.count > 1:
                self.total += true_range
            if self.count > self.period:
                self.value = self.total / self.period
        else:
            self.value = (self.value * (self.period - 1) + true_range) / self.period
        return self.value
