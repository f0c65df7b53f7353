"""Simple moving average."""

from __future__ import annotations

import math

import numpy as np

from quantlytic.engine.indicators.indicator import Indicator
from quantlytic.engine.param import capacity_of


class SMA(Indicator):
    """The mean of the last `period` values. `value` is NaN until `ready`.

    The running sum is replaced, each time the window has gone round, by one added up afresh beside it: rounding errors
    never pile up beyond two rounds, and no update costs more than another.
    """

    def __init__(self, period: int) -> None:
        self.check_period(period)
        self.period = int(period)
        self.next = 0
        self.count = 0
        self.total = 0.0
        self.fresh = 0.0
        self.value = math.nan
        self.window = np.zeros(capacity_of(period))

    @property
    def ready(self) -> bool:
        return self.count == self.period

    def update(self, x: float) -> float:
        """Take the next value; returns the average, NaN until there are `period` values."""
        i = self.next
        self.total += x - self.window[i]
        self.fresh += x
        self.window[i] = x
        if self.count < self.period:
            self.count += 1
        self.next = i + 1
        if self.next == self.period:
            self.next = 0
            self.total = self.fresh
            self.fresh = 0.0
        if self.count == self.period:
            self.value = self.total / self.period
        return self.value
