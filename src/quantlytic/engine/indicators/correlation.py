"""How two series move together, and how one follows its own last value."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.compiler.record import Record
from quantlytic.engine.indicators.indicator import Indicator
from quantlytic.engine.param import capacity_of

_NOISE = 1e-12
"""A variance below this share of the mean square it is the rest of is rounding: it is 0."""


class CoMoments(Record):
    """Means, variances and covariance of the last `period` pairs (population). O(1), anchored and refreshed as `Var` is."""

    def __init__(self, period: int) -> None:
        self.period = int(period)
        self.next = 0
        self.missing = self.period
        self.last_x = math.nan
        self.last_y = math.nan
        self.run_x = 0
        self.run_y = 0
        self.anchor = np.full(2, math.nan)
        self.fresh_anchor = np.zeros(2)
        self.sums = np.zeros(5)
        self.fresh = np.zeros(5)
        self.mean_x = math.nan
        self.mean_y = math.nan
        self.var_x = math.nan
        self.var_y = math.nan
        self.covariance = math.nan
        self.window = np.zeros((capacity_of(period), 2))

    def update(self, x: float, y: float) -> bool:
        """Take the next pair; whether the window holds `period` finite ones."""
        if not (math.isfinite(x) and math.isfinite(y)):
            self.missing = self.period + 1
            x, y = self.fresh_anchor[0], self.fresh_anchor[1]
        if math.isnan(self.anchor[0]):
            self.begin(x, y)
        i = self.next
        add(self.sums, x - self.anchor[0], y - self.anchor[1], 1.0)
        add(self.sums, self.window[i, 0] - self.anchor[0], self.window[i, 1] - self.anchor[1], -1.0)
        add(self.fresh, x - self.fresh_anchor[0], y - self.fresh_anchor[1], 1.0)
        self.window[i, 0] = x
        self.window[i, 1] = y
        self.next = i + 1
        if self.next == self.period:
            self.next = 0
            self.anchor[:] = self.fresh_anchor
            self.sums[:] = self.fresh
            self.fresh_anchor[0] = x
            self.fresh_anchor[1] = y
            self.fresh[:] = 0.0
        self.run_x = self.run_x + 1 if x == self.last_x else 1
        self.run_y = self.run_y + 1 if y == self.last_y else 1
        self.last_x, self.last_y = x, y
        if self.missing > 0:
            self.missing -= 1
        if self.missing == 0:
            self.measure()
        return self.missing == 0

    def begin(self, x: float, y: float) -> None:
        """Distances are taken from the first pair."""
        self.anchor[0] = self.fresh_anchor[0] = x
        self.anchor[1] = self.fresh_anchor[1] = y
        self.window[:, 0] = x
        self.window[:, 1] = y

    def measure(self) -> None:
        """Moments from the sums."""
        n = float(self.period)
        dx, dy = self.sums[0] / n, self.sums[1] / n
        self.mean_x, self.mean_y = self.anchor[0] + dx, self.anchor[1] + dy
        self.var_x = spread(self.sums[2] / n, dx, self.run_x >= self.period)
        self.var_y = spread(self.sums[4] / n, dy, self.run_y >= self.period)
        self.covariance = self.sums[3] / n - dx * dy if self.var_x > 0.0 and self.var_y > 0.0 else 0.0


def add(sums: NDArray[np.float64], x: float, y: float, sign: float) -> None:
    """Add a pair to (take it from) the sums of x, y, xx, xy and yy."""
    sums[0] += sign * x
    sums[1] += sign * y
    sums[2] += sign * x * x
    sums[3] += sign * x * y
    sums[4] += sign * y * y


def spread(square: float, mean: float, flat: bool) -> float:
    """A variance, 0 where it would be rounding."""
    rest = square - mean * mean
    return 0.0 if flat or rest <= _NOISE * square else rest


class Correlation(Indicator):
    """Pearson's correlation of the last `period` pairs, -1 to 1; 0 while either is flat. Source: TA-Lib CORREL."""

    def __init__(self, period: int = 30) -> None:
        self.check_period(period)
        self.moments = CoMoments(period)
        self.value = math.nan

    def update(self, x: float, y: float) -> float:
        """Take the next pair; returns the correlation, NaN until there are `period`."""
        m = self.moments
        self.value = math.nan
        if m.update(x, y):
            scale = math.sqrt(m.var_x) * math.sqrt(m.var_y)
            self.value = max(-1.0, min(1.0, m.covariance / scale)) if scale > 0.0 else 0.0
        return self.value


class Beta(Indicator):
    """The slope of y's returns on x's over `period` returns (x the market, y the asset); 0 while the market is flat.

    NaN for `period` bars: the first has no return. Source: TA-Lib BETA, whose first argument is the market.
    """

    def __init__(self, period: int = 5) -> None:
        self.check_period(period)
        self.moments = CoMoments(period)
        self.last_x = math.nan
        self.last_y = math.nan
        self.started = False
        self.value = math.nan

    def update(self, x: float, y: float) -> float:
        """Take the next pair of prices; returns the slope, NaN until there are `period` + 1."""
        m = self.moments
        change_x = (x - self.last_x) / self.last_x if self.last_x != 0.0 else 0.0
        change_y = (y - self.last_y) / self.last_y if self.last_y != 0.0 else 0.0
        self.last_x, self.last_y = x, y
        self.value = math.nan
        if self.started and m.update(change_x, change_y):
            self.value = m.covariance / m.var_x if m.var_x > 0.0 else 0.0
        self.started = True
        return self.value


class HalfLife(Indicator):
    """Bars until half of a distance from the mean is gone, if the last `period` changes go on: log 2 / -log(1 + b).

    b is the slope of the change on the value before it (an Ornstein-Uhlenbeck process seen at bars). Infinite where nothing
    draws back (b >= 0), 0 where one bar goes all the way or beyond (b <= -1). O(1).
    Source: Chan, Algorithmic Trading (2013), chapter 2; Uhlenbeck & Ornstein (1930).
    """

    def __init__(self, period: int = 100) -> None:
        self.check_period(period, low=3)
        self.moments = CoMoments(period)
        self.last = math.nan
        self.started = False
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns the half-life in bars, NaN until there are `period` + 1 values."""
        m = self.moments
        last, self.last = self.last, x
        self.value = math.nan
        if self.started and m.update(last, x - last):
            b = m.covariance / m.var_x if m.var_x > 0.0 else 0.0
            if b >= 0.0:
                self.value = math.inf
            else:
                self.value = -math.log(2.0) / math.log(1.0 + b) if b > -1.0 else 0.0
        self.started = True
        return self.value
