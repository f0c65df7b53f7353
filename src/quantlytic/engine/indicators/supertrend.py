"""Supertrend."""

from __future__ import annotations

import math

from quantlytic.engine.indicators.atr import ATR
from quantlytic.engine.indicators.indicator import Indicator


class Supertrend(Indicator):
    """A band `multiplier` x ATR(`period`) off the middle of the bar, that follows price and never gives way, until a close
    crosses it: then the trend turns. `trend` is 1 or -1 (0 before the first); `value` the band price is held by.

    Begins upwards. Source: Seban, "Tout le monde merite d'etre riche" (2007); TA-Lib SUPERTREND.
    """

    outputs = ("value", "trend")
    on_nan = "skip"

    def __init__(self, period: int = 10, multiplier: float = 3.0) -> None:
        self.check_period(period)
        self.check_number(multiplier, "multiplier")
        self.atr = ATR(period)
        self.multiplier = float(multiplier)
        self.upper = math.inf
        self.lower = -math.inf
        self.last = math.nan
        self.trend = 0.0
        self.value = math.nan

    def update(self, high: float, low: float, close: float) -> float:
        """Take the next bar; returns the band in force, NaN until there are `period` + 1 bars."""
        if not math.isfinite(high + low + close):
            return self.value
        reach = self.atr.update(high, low, close) * self.multiplier
        if self.atr.ready:
            middle = (high + low) / 2.0
            if middle + reach < self.upper or self.last > self.upper:
                self.upper = middle + reach
            if middle - reach > self.lower or self.last < self.lower:
                self.lower = middle - reach
            if self.trend == 0.0:
                self.trend = 1.0
            elif self.trend > 0.0 and close < self.lower:
                self.trend = -1.0
            elif self.trend < 0.0 and close > self.upper:
                self.trend = 1.0
            self.value = self.lower if self.trend > 0.0 else self.upper
            self.last = close
        return self.value
