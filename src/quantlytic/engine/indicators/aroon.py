"""How long ago the extremes were."""

from __future__ import annotations

import math

from quantlytic.engine.indicators.indicator import Indicator, derived
from quantlytic.engine.indicators.window import Max, Min


class Aroon(Indicator):
    """`up`: how recent the highest high of the last `period` + 1 bars is, 100 now and 0 at its far end; `down`: the same of
    the lowest low; `oscillator`: up - down. Source: Chande (1995); TA-Lib AROON, AROONOSC."""

    outputs = ("up", "down", "oscillator")

    def __init__(self, period: int = 14) -> None:
        self.check_period(period)
        self.period = int(period)
        self.highest = Max(derived(period, lambda n: n + 1))
        self.lowest = Min(derived(period, lambda n: n + 1))
        self.value = math.nan
        self.up = math.nan
        self.down = math.nan
        self.oscillator = math.nan

    def update(self, high: float, low: float) -> float:
        """Take the next bar; returns the oscillator, NaN until there are `period` + 1 bars."""
        self.highest.update(high)
        self.lowest.update(low)
        self.up = 100.0 * (self.period - self.highest.age) / self.period if self.highest.ready else math.nan
        self.down = 100.0 * (self.period - self.lowest.age) / self.period if self.lowest.ready else math.nan
        self.value = self.oscillator = self.up - self.down
        return self.value
