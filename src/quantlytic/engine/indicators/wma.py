"""Weighted moving averages of a window."""

from __future__ import annotations

import math

import numpy as np

from quantlytic.engine.indicators.indicator import Indicator, derived
from quantlytic.engine.indicators.sma import SMA
from quantlytic.engine.indicators.window import Max, Min
from quantlytic.engine.param import capacity_of


class WMA(Indicator):
    """The last `period` values weighted 1, 2, ... `period` (the newest). Sums are replaced each round by fresh ones, as in
    `Sum`. Source: definition; TA-Lib WMA."""

    def __init__(self, period: int) -> None:
        self.check_period(period)
        self.period = int(period)
        self.next = 0
        self.missing = self.period
        self.total = 0.0
        self.weighted = 0.0
        self.fresh_total = 0.0
        self.fresh_weighted = 0.0
        self.value = math.nan
        self.window = np.zeros(capacity_of(period))

    def update(self, x: float) -> float:
        """Take the next value; returns the average, NaN until there are `period` values."""
        if not math.isfinite(x):
            x = 0.0
            self.missing = self.period + 1
        i = self.next
        self.weighted += self.period * x - self.total
        self.total += x - self.window[i]
        self.fresh_weighted += (i + 1) * x
        self.fresh_total += x
        self.window[i] = x
        self.next = i + 1
        if self.next == self.period:
            self.next = 0
            self.total, self.weighted = self.fresh_total, self.fresh_weighted
            self.fresh_total = self.fresh_weighted = 0.0
        if self.missing > 0:
            self.missing -= 1
        whole = 0.5 * self.period * (self.period + 1)
        self.value = self.weighted / whole if self.missing == 0 else math.nan
        return self.value


class HMA(Indicator):
    """WMA of (2 WMA(period / 2) - WMA(period)) over the root of the period: fast and smooth. Source: Hull (2005);
    TA-Lib HMA."""

    def __init__(self, period: int = 20) -> None:
        self.check_period(period)
        self.half = WMA(derived(period, lambda n: max(n // 2, 1)))
        self.whole = WMA(period)
        self.smooth = WMA(derived(period, math.isqrt))
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns the average, NaN until there are period + root - 1 values."""
        self.value = self.smooth.update(2.0 * self.half.update(x) - self.whole.update(x))
        return self.value


class TRIMA(Indicator):
    """Triangular: the mean of means, so that the middle of the last `period` values weighs most. Source: TA-Lib TRIMA."""

    def __init__(self, period: int) -> None:
        self.check_period(period)
        self.first = SMA(derived(period, lambda n: (n + 1) // 2))
        self.second = SMA(derived(period, lambda n: n // 2 + 1))
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns the average, NaN until there are `period` values."""
        self.value = self.second.update(self.first.update(x))
        return self.value


class ALMA(Indicator):
    """The last `period` values weighted by a bell curve: its top at `offset` (0 the oldest, 1 the newest), its width
    period / `sigma`. O(period) a bar. Source: Legoux & Kouzis-Loukas, "ALMA" (2009)."""

    def __init__(self, period: int = 9, offset: float = 0.85, sigma: float = 6.0) -> None:
        self.check_period(period)
        self.check_number(offset, "offset")
        self.check_number(sigma, "sigma", low=1e-6)
        self.period = int(period)
        self.next = 0
        self.missing = self.period
        self.value = math.nan
        self.window = np.zeros(capacity_of(period))
        self.weights = np.zeros(capacity_of(period))
        ages = np.arange(self.period)
        bell = np.exp(-((ages - offset * (self.period - 1)) ** 2) / (2.0 * (self.period / sigma) ** 2))
        self.weights[: self.period] = bell / bell.sum()

    def update(self, x: float) -> float:
        """Take the next value; returns the average, NaN until there are `period` values."""
        if not math.isfinite(x):
            x = 0.0
            self.missing = self.period + 1
        self.window[self.next] = x
        self.next = self.next + 1 if self.next + 1 < self.period else 0
        if self.missing > 0:
            self.missing -= 1
        total = 0.0
        place = self.next
        for k in range(self.period):
            total += self.weights[k] * self.window[place]
            place = place + 1 if place + 1 < self.period else 0
        self.value = total if self.missing == 0 else math.nan
        return self.value


class MidPoint(Indicator):
    """Halfway between the greatest and the least of the last `period` values. Source: TA-Lib MIDPOINT."""

    def __init__(self, period: int = 14) -> None:
        self.check_period(period)
        self.greatest = Max(period)
        self.least = Min(period)
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns the middle, NaN until there are `period` values."""
        self.value = (self.greatest.update(x) + self.least.update(x)) / 2.0
        return self.value


class MidPrice(Indicator):
    """Halfway between the highest high and the lowest low of the last `period` bars. Source: TA-Lib MIDPRICE."""

    def __init__(self, period: int = 14) -> None:
        self.check_period(period)
        self.highest = Max(period)
        self.lowest = Min(period)
        self.value = math.nan

    def update(self, high: float, low: float) -> float:
        """Take the next bar; returns the middle, NaN until there are `period` bars."""
        self.value = (self.highest.update(high) + self.lowest.update(low)) / 2.0
        return self.value
