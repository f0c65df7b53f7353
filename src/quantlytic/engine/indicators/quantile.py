"""The last values in order of size."""

from __future__ import annotations

import math

import numpy as np

from quantlytic.engine.indicators.indicator import Indicator
from quantlytic.engine.param import capacity_of
from quantlytic.model.errors import InputError


class Quantile(Indicator):
    """The `q` quantile of the last `period` values, with linear interpolation between two. `q` 0.5 is the median.

    The window is kept sorted: found by bisection, moved along at O(period) a bar.
    Source: Hyndman & Fan (1996), type 7, as in NumPy.
    """

    def __init__(self, period: int, q: float = 0.5) -> None:
        self.check_period(period)
        if not 0.0 <= q <= 1.0:
            raise InputError(f"{type(self).__name__}: q is a share from 0 to 1, not {q!r}")
        self.period = int(period)
        self.q = float(q)
        self.next = 0
        self.size = 0
        self.value = math.nan
        self.window = np.full(capacity_of(period), math.nan)
        self.ordered = np.zeros(capacity_of(period))

    def update(self, x: float) -> float:
        """Take the next value; returns the quantile, NaN until there are `period` values."""
        old = self.window[self.next]
        if not math.isfinite(x):
            x = math.nan
        self.window[self.next] = x
        self.next = self.next + 1 if self.next + 1 < self.period else 0
        if not math.isnan(old):
            self.size -= 1
            for i in range(self.place(old, self.size + 1), self.size):
                self.ordered[i] = self.ordered[i + 1]
        if not math.isnan(x):
            place = self.place(x, self.size)
            for i in range(self.size, place, -1):
                self.ordered[i] = self.ordered[i - 1]
            self.ordered[place] = x
            self.size += 1
        self.value = math.nan
        if self.size == self.period:
            rank = self.q * (self.period - 1)
            low = int(rank)
            high = min(low + 1, self.period - 1)
            self.value = self.ordered[low] + (rank - low) * (self.ordered[high] - self.ordered[low])
        return self.value

    def place(self, x: float, size: int) -> int:
        """How many of the first `size` values are below x."""
        low, high = 0, size
        while low < high:
            middle = (low + high) // 2
            if self.ordered[middle] < x:
                low = middle + 1
            else:
                high = middle
        return low


class Median(Quantile):
    """The middle of the last `period` values; between two, their mean. Source: definition."""

    def __init__(self, period: int) -> None:
        super().__init__(period, 0.5)
