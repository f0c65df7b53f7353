"""Exponential moving averages, and those built of several."""

from __future__ import annotations

import math

from quantlytic.engine.indicators.indicator import Indicator, derived
from quantlytic.engine.indicators.window import Lag


class EMA(Indicator):
    """Weights fall off by `alpha` = 2 / (period + 1); begins with the plain mean of the first `period` values.

    Source: TA-Lib EMA.
    """

    on_nan = "skip"

    def __init__(self, period: int) -> None:
        self.check_period(period)
        self.period = int(period)
        self.alpha = 2.0 / (self.period + 1.0)
        self.count = 0
        self.total = 0.0
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns the average, NaN until there are `period` values."""
        if not math.isfinite(x):
            return self.value
        if self.count < self.period:
            self.count += 1
            self.total += x
            if self.count == self.period:
                self.value = self.total / self.period
        else:
            self.value += (x - self.value) * self.alpha
        return self.value


class RMA(EMA):
    """Wilder's smoothing (SMMA): as EMA with weights falling off by 1 / period. Source: Wilder (1978); TA-Lib RMA."""

    def __init__(self, period: int) -> None:
        super().__init__(period)
        self.alpha = 1.0 / self.period


class DEMA(Indicator):
    """2 EMA - EMA of EMA. Source: Mulloy, TASC (1994); TA-Lib DEMA."""

    on_nan = "skip"

    def __init__(self, period: int) -> None:
        self.check_period(period)
        self.first = EMA(period)
        self.second = EMA(period)
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns the average, NaN until there are 2 period - 1 values."""
        if not math.isfinite(x):
            return self.value
        first = self.first.update(x)
        self.value = 2.0 * first - self.second.update(first)
        return self.value


class TEMA(Indicator):
    """3 EMA - 3 EMA of EMA + EMA of EMA of EMA. Source: Mulloy, TASC (1994); TA-Lib TEMA."""

    on_nan = "skip"

    def __init__(self, period: int) -> None:
        self.check_period(period)
        self.first = EMA(period)
        self.second = EMA(period)
        self.third = EMA(period)
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns the average, NaN until there are 3 period - 2 values."""
        if not math.isfinite(x):
            return self.value
        first = self.first.update(x)
        second = self.second.update(first)
        self.value = 3.0 * (first - second) + self.third.update(second)
        return self.value


class T3(Indicator):
    """Six EMAs in a row, weighted by `factor` (0: a triple EMA of EMAs; 1: the fastest). Source: Tillson, TASC (1998);
    TA-Lib T3."""

    on_nan = "skip"

    def __init__(self, period: int = 5, factor: float = 0.7) -> None:
        self.check_period(period)
        self.check_number(factor, "factor")
        self.first = EMA(period)
        self.second = EMA(period)
        self.third = EMA(period)
        self.fourth = EMA(period)
        self.fifth = EMA(period)
        self.sixth = EMA(period)
        self.factor = float(factor)
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns the average, NaN until there are 6 period - 5 values."""
        if not math.isfinite(x):
            return self.value
        third = self.third.update(self.second.update(self.first.update(x)))
        fourth = self.fourth.update(third)
        fifth = self.fifth.update(fourth)
        sixth = self.sixth.update(fifth)
        v = self.factor
        self.value = (
            -v * v * v * sixth
            + 3.0 * v * v * (1.0 + v) * fifth
            - 3.0 * v * (1.0 + v) * (1.0 + v) * fourth
            + (1.0 + v) * (1.0 + v) * (1.0 + v) * third
        )
        return self.value


class ZLEMA(Indicator):
    """EMA of 2 x the value - the value (period - 1) / 2 bars ago, which takes the lag out. Source: Ehlers & Way (2010);
    TA-Lib ZLEMA."""

    on_nan = "skip"

    def __init__(self, period: int) -> None:
        self.check_period(period)
        self.has_lag = period > 2
        self.lag = Lag(derived(period, lambda n: max((n - 1) // 2, 1)))
        self.ema = EMA(period)
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns the average, NaN until there are period + (period - 1) / 2 values."""
        if not math.isfinite(x):
            return self.value
        past = self.lag.update(x)
        self.value = self.ema.update(2.0 * x - past if self.has_lag else x)
        return self.value
