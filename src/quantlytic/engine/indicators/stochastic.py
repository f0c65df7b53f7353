"""Where the close lies in the range of the last bars."""

from __future__ import annotations

import math

from quantlytic.engine.indicators.indicator import Indicator
from quantlytic.engine.indicators.rsi import RSI
from quantlytic.engine.indicators.sma import SMA
from quantlytic.engine.indicators.window import Max, Min


class WilliamsR(Indicator):
    """Where the close lies in the range of the last `period` bars: 0 at the high, -100 at the low; 0 without a range.

    Source: Williams (1973); TA-Lib WILLR.
    """

    def __init__(self, period: int = 14) -> None:
        self.check_period(period)
        self.highest = Max(period)
        self.lowest = Min(period)
        self.value = math.nan

    def update(self, high: float, low: float, close: float) -> float:
        """Take the next bar; returns the place, NaN until there are `period` bars."""
        top = self.highest.update(high)
        spread = top - self.lowest.update(low)
        self.value = (close - top) / spread * 100.0 if spread != 0.0 else 0.0
        return self.value


class StochasticFast(Indicator):
    """`k`: where the close lies in the range of the last `period` bars, 0 to 100 (0 without a range); `d`: its mean over
    `smooth`. Both begin with `d`. Source: Lane (1984); TA-Lib STOCHF."""

    outputs = ("k", "d")

    def __init__(self, period: int = 5, smooth: int = 3) -> None:
        self.check_period(period)
        self.highest = Max(period)
        self.lowest = Min(period)
        self.mean = SMA(smooth)
        self.value = math.nan
        self.k = math.nan
        self.d = math.nan

    def update(self, high: float, low: float, close: float) -> float:
        """Take the next bar; returns `k`, NaN until there are `period` + `smooth` - 1 bars."""
        bottom = self.lowest.update(low)
        spread = self.highest.update(high) - bottom
        k = (close - bottom) / spread * 100.0 if spread != 0.0 else 0.0
        self.d = self.mean.update(k)
        self.value = self.k = math.nan if math.isnan(self.d) else k
        return self.value


class Stochastic(Indicator):
    """`k`: the mean over `slow` of where the close lies in the range of the last `period` bars, 0 to 100; `d`: the mean of
    that over `smooth`. Both begin with `d`. Source: Lane (1984); TA-Lib STOCH."""

    outputs = ("k", "d")

    def __init__(self, period: int = 5, slow: int = 3, smooth: int = 3) -> None:
        self.check_period(period)
        self.fast = StochasticFast(period, slow)
        self.mean = SMA(smooth)
        self.value = math.nan
        self.k = math.nan
        self.d = math.nan

    def update(self, high: float, low: float, close: float) -> float:
        """Take the next bar; returns `k`, NaN until there are `period` + `slow` + `smooth` - 2 bars."""
        self.fast.update(high, low, close)
        self.d = self.mean.update(self.fast.d)
        self.value = self.k = math.nan if math.isnan(self.d) else self.fast.d
        return self.value


class StochasticRSI(Indicator):
    """The fast stochastic of RSI(`period`) in place of prices. Source: Chande & Kroll (1994); TA-Lib STOCHRSI."""

    outputs = ("k", "d")
    on_nan = "skip"

    def __init__(self, period: int = 14, stochastic_period: int = 5, smooth: int = 3) -> None:
        self.check_period(period, low=2)
        self.rsi = RSI(period)
        self.stochastic = StochasticFast(stochastic_period, smooth)
        self.value = math.nan
        self.k = math.nan
        self.d = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns `k`, NaN until there are `period` + `stochastic_period` + `smooth` - 1 values."""
        if math.isfinite(x):
            strength = self.rsi.update(x)
            self.value = self.k = self.stochastic.update(strength, strength, strength)
            self.d = self.stochastic.d
        return self.value
