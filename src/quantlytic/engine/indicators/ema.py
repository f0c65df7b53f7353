"""Exponential moving average."""

from __future__ import annotations

import math

from quantlytic.engine.indicators.indicator import Indicator


class EMA(Indicator):
    """Weights fall off by 2 / (period + 1). Begins with the plain mean of the first `period` values; NaN until then."""

    def __init__(self, period: int) -> None:
        self.check_period(period)
        self.period = int(period)
        self.count = 0
        self.total = 0.0
        self.value = math.nan

    @property
    def ready(self) -> bool:
        return self.count >= self.period

    def update(self, x: float) -> float:
        """Take the next value; returns the average, NaN until there are `period` values."""
        if self.count < self.period:
            self.count += 1
            self.total += x
            if self.count == self.period:
                self.value = self.total / self.period
        else:
            self.value += (x - self.value) * (2.0 / (self.period + 1.0))
        return self.value
