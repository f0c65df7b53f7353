"""The last values: their sum, greatest, least, and the one that many bars ago. Others are built on these."""

from __future__ import annotations

import math

import numpy as np

from quantlytic.engine.indicators.indicator import Indicator
from quantlytic.engine.param import capacity_of


class Sum(Indicator):
    """The sum of the last `period` values.

    The running sum is replaced, each time the window has gone round, by one added up afresh beside it: rounding errors
    never pile up beyond two rounds, and no update costs more than another. Of equal values, zeros above all, it is exact.
    Source: definition.
    """

    def __init__(self, period: int) -> None:
        self.check_period(period)
        self.period = int(period)
        self.next = 0
        self.missing = self.period
        """How many values in a row are still needed until the window holds numbers only."""
        self.divisor = 1.0
        self.last = math.nan
        self.run = 0
        """How many values in a row have been equal."""
        self.total = 0.0
        self.fresh = 0.0
        self.value = math.nan
        self.window = np.zeros(capacity_of(period))

    def update(self, x: float) -> float:
        """Take the next value; returns the sum, NaN until there are `period` values."""
        if not math.isfinite(x):
            x = 0.0
            self.missing = self.period + 1
        i = self.next
        self.total += x - self.window[i]
        self.fresh += x
        self.window[i] = x
        self.next = i + 1
        if self.next == self.period:
            self.next = 0
            self.total = self.fresh
            self.fresh = 0.0
        self.run = self.run + 1 if x == self.last else 1
        self.last = x
        if self.missing > 0:
            self.missing -= 1
        if self.missing > 0:
            self.value = math.nan
        elif self.run >= self.period:
            self.total = x * self.period
            self.value = x * (self.period / self.divisor)
        else:
            self.value = self.total / self.divisor
        return self.value


class Lag(Indicator):
    """The value `period` updates ago. Source: definition."""

    def __init__(self, period: int = 1) -> None:
        self.check_period(period)
        self.period = int(period)
        self.next = 0
        self.value = math.nan
        self.window = np.full(capacity_of(period), math.nan)

    def update(self, x: float) -> float:
        """Take the next value; returns the one `period` updates before it, NaN until there is one."""
        self.value = self.window[self.next]
        self.window[self.next] = x if math.isfinite(x) else math.nan
        self.next += 1
        if self.next == self.period:
            self.next = 0
        return self.value


class Max(Indicator):
    """The greatest of the last `period` values; `age` is how many updates ago it came, the latest of equal ones.

    Candidates in falling order in a fixed ring: O(1) amortised. Source: Lemire, "Streaming maximum-minimum filter" (2006).
    """

    def __init__(self, period: int) -> None:
        self.check_period(period)
        self.period = int(period)
        self.clock = 0
        self.missing = self.period
        self.head = 0
        self.size = 0
        self.age = 0
        self.value = math.nan
        self.candidates = np.zeros(capacity_of(period))
        self.times = np.zeros(capacity_of(period), np.int64)

    def update(self, x: float) -> float:
        """Take the next value; returns the greatest, NaN until there are `period` values."""
        if not math.isfinite(x):
            x = -math.inf
            self.missing = self.period + 1
        if self.size > 0 and self.times[self.head] <= self.clock - self.period:
            self.size -= 1
            self.head = self.head + 1 if self.head + 1 < self.period else 0
        last = self.head + self.size - 1
        while self.size > 0 and self.candidates[last if last < self.period else last - self.period] <= x:
            self.size -= 1
            last -= 1
        last += 1
        if last >= self.period:
            last -= self.period
        self.candidates[last] = x
        self.times[last] = self.clock
        self.size += 1
        self.age = self.clock - self.times[self.head]
        self.clock += 1
        if self.missing > 0:
            self.missing -= 1
        self.value = self.candidates[self.head] if self.missing == 0 else math.nan
        return self.value


class Min(Indicator):
    """The least of the last `period` values; `age` is how many updates ago it came, the latest of equal ones.

    Source: Lemire, "Streaming maximum-minimum filter" (2006).
    """

    def __init__(self, period: int) -> None:
        self.check_period(period)
        self.period = int(period)
        self.negated = Max(period)
        self.age = 0
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns the least, NaN until there are `period` values."""
        self.value = -self.negated.update(-x)
        self.age = self.negated.age
        return self.value


class ArgMax(Indicator):
    """How many updates ago the greatest of the last `period` values came: 0 is now; the latest of equal ones.

    Source: definition.
    """

    def __init__(self, period: int) -> None:
        self.check_period(period)
        self.greatest = Max(period)
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns the age of the greatest, NaN until there are `period` values."""
        self.greatest.update(x)
        self.value = float(self.greatest.age) if self.greatest.ready else math.nan
        return self.value


class ArgMin(Indicator):
    """How many updates ago the least of the last `period` values came: 0 is now; the latest of equal ones.

    Source: definition.
    """

    def __init__(self, period: int) -> None:
        self.check_period(period)
        self.least = Min(period)
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns the age of the least, NaN until there are `period` values."""
        self.least.update(x)
        self.value = float(self.least.age) if self.least.ready else math.nan
        return self.value
