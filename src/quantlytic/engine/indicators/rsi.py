"""Relative strength index."""

from __future__ import annotations

import math

from quantlytic.engine.indicators.indicator import Indicator


class RSI(Indicator):
    """Wilder's: 100 x mean gain / (mean gain + mean loss), both smoothed by 1 / period. From 0 to 100.

    Begins with the plain means of the first `period` changes, so it is NaN for `period` values. A price that has not moved
    at all gives 0, as in TA-Lib.
    """

    def __init__(self, period: int = 14) -> None:
        self.check_period(period, low=2)
        self.period = int(period)
        self.count = 0
        self.last = math.nan
        self.gain = 0.0
        self.loss = 0.0
        self.value = math.nan

    @property
    def ready(self) -> bool:
        return self.count > self.period

    def update(self, x: float) -> float:
        """Take the next value; returns the index, NaN until there are `period` + 1 values."""
        change = x - self.last
        self.last = x
        if self.count <= self.period:
            self.count += 1
            if self.count == 1:
                return self.value
        gain = change if change > 0.0 else 0.0
        loss = -change if change < 0.0 else 0.0
        if self.count <= self.period:
            self.gain += gain
            self.loss += loss
            return self.value
        if math.isnan(self.value):
            self.gain = (self.gain + gain) / self.period
            self.loss = (self.loss + loss) / self.period
        else:
            self.gain = (self.gain * (self.period - 1) + gain) / self.period
            self.loss = (self.loss * (self.period - 1) + loss) / self.period
        moved = self.gain + self.loss
        self.value = 100.0 * (self.gain / moved) if moved > 0.0 else 0.0
        return self.value
