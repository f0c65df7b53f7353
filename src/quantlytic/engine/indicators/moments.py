"""The shape of the last values: of their distribution and of their path. O(period) a bar, by one or two passes."""

from __future__ import annotations

import math

import numpy as np

from quantlytic.engine.compiler.record import Record
from quantlytic.engine.indicators.indicator import Indicator
from quantlytic.engine.param import capacity_of


class Window(Record):
    """The last `period` values, oldest first by `get`."""

    def __init__(self, period: int) -> None:
        self.period = int(period)
        self.next = 0
        self.missing = self.period
        self.values = np.zeros(capacity_of(period))

    def push(self, x: float) -> bool:
        """Take the next value; whether the window holds `period` finite ones."""
        if not math.isfinite(x):
            self.missing = self.period + 1
        self.values[self.next] = x
        self.next = self.next + 1 if self.next + 1 < self.period else 0
        if self.missing > 0:
            self.missing -= 1
        return self.missing == 0

    def get(self, i: int) -> float:
        """The value `i` bars after the oldest."""
        i += self.next
        return float(self.values[i if i < self.period else i - self.period])

    def mean(self) -> float:
        total = 0.0
        for i in range(self.period):
            total += self.get(i) - self.get(0)
        return self.get(0) + total / self.period

    def moment(self, mean: float, power: int) -> float:
        """The mean of the distances' powers."""
        total = 0.0
        for i in range(self.period):
            product = 1.0
            for _ in range(power):  # not `**`, which the compiler rounds in its own way
                product *= self.get(i) - mean
            total += product
        return total / self.period


class Skewness(Indicator):
    """How lopsided the last `period` values lie: m3 / m2^1.5 (population); 0 while flat. Source: Fisher's g1 (1930)."""

    def __init__(self, period: int) -> None:
        self.check_period(period, low=2)
        self.window = Window(period)
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns the skewness, NaN until there are `period` values."""
        self.value = math.nan
        if self.window.push(x):
            mean = self.window.mean()
            variance = self.window.moment(mean, 2)
            self.value = self.window.moment(mean, 3) / (variance * math.sqrt(variance)) if variance > 0.0 else 0.0
        return self.value


class Kurtosis(Indicator):
    """How fat the tails of the last `period` values are: m4 / m2^2 - 3 (population, excess: a normal's is 0); 0 while flat.

    Source: Fisher's g2 (1930).
    """

    def __init__(self, period: int) -> None:
        self.check_period(period, low=2)
        self.window = Window(period)
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns the excess kurtosis, NaN until there are `period` values."""
        self.value = math.nan
        if self.window.push(x):
            mean = self.window.mean()
            variance = self.window.moment(mean, 2)
            self.value = self.window.moment(mean, 4) / (variance * variance) - 3.0 if variance > 0.0 else 0.0
        return self.value


class Autocorrelation(Indicator):
    """How the last `period` values go with those `lag` bars before, one mean for both; 0 while flat.

    Sum of (x[t] - m)(x[t-lag] - m) over sum of (x[t] - m)^2. Source: Box & Jenkins, Time Series Analysis (1970).
    """

    def __init__(self, period: int, lag: int = 1) -> None:
        self.check_period(lag, name="lag")
        self.check_period(period, low=int(lag) + 1)
        self.lag = int(lag)
        self.window = Window(period)
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns the autocorrelation, NaN until there are `period` values."""
        self.value = math.nan
        w = self.window
        if w.push(x):
            mean = w.mean()
            variance = w.moment(mean, 2)
            total = 0.0
            for i in range(self.lag, w.period):
                total += (w.get(i) - mean) * (w.get(i - self.lag) - mean)
            self.value = total / w.period / variance if variance > 0.0 else 0.0
        return self.value


class Hurst(Indicator):
    """How a path spreads with time: above 0.5 it trends, below it reverts, 0.5 is a random walk. Give it log prices.

    Half the slope of log(mean squared change over d bars) on log(d), for d = 1, 2, 4 ... up to a quarter of `period`; 0 while
    flat. O(period log period) a bar. Source: the generalised exponent H(2) of Di Matteo, Multi-scaling in finance (2007).
    """

    def __init__(self, period: int = 100) -> None:
        self.check_period(period, low=8)
        self.window = Window(period)
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns the exponent, NaN until there are `period` values."""
        self.value = self.slope() / 2.0 if self.window.push(x) else math.nan
        return self.value

    def slope(self) -> float:
        w = self.window
        lag, n = 1, 0.0
        sum_x, sum_y, sum_xx, sum_xy = 0.0, 0.0, 0.0, 0.0
        while lag <= w.period // 4:
            total = 0.0
            for i in range(lag, w.period):
                change = w.get(i) - w.get(i - lag)
                total += change * change
            if total == 0.0:
                return 0.0
            x, y = math.log(float(lag)), math.log(total / (w.period - lag))
            n += 1.0
            sum_x += x
            sum_y += y
            sum_xx += x * x
            sum_xy += x * y
            lag *= 2
        return (n * sum_xy - sum_x * sum_y) / (n * sum_xx - sum_x * sum_x)


class Entropy(Indicator):
    """How evenly the last `period` values fill `bins` equal steps from least to greatest: 1 evenly, 0 all in one step.

    Shannon's entropy of the shares, over log(bins). Source: Shannon, A Mathematical Theory of Communication (1948).
    """

    def __init__(self, period: int = 100, bins: int = 10) -> None:
        self.check_period(period, low=2)
        self.check_period(bins, low=2, name="number of bins")
        self.bins = int(bins)
        self.counts = np.zeros(capacity_of(bins))
        self.window = Window(period)
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns the entropy, NaN until there are `period` values."""
        self.value = self.of_window() if self.window.push(x) else math.nan
        return self.value

    def of_window(self) -> float:
        w = self.window
        least = greatest = w.get(0)
        for i in range(1, w.period):
            least, greatest = min(least, w.get(i)), max(greatest, w.get(i))
        if greatest == least:
            return 0.0
        self.counts[:] = 0.0
        for i in range(w.period):
            self.counts[min(int((w.get(i) - least) / (greatest - least) * self.bins), self.bins - 1)] += 1.0
        total = 0.0
        for k in range(self.bins):
            if self.counts[k] > 0.0:
                total -= self.counts[k] / w.period * math.log(self.counts[k] / w.period)
        return total / math.log(float(self.bins))
