"""Indicators of volume that add up from the first bar on."""

from __future__ import annotations

import math

from quantlytic.engine.indicators.indicator import Indicator


def money_flow_multiplier(high: float, low: float, close: float) -> float:
    """Where the close lies in its bar: 1 at the high, -1 at the low, 0 in a bar without range."""
    return ((close - low) - (high - close)) / (high - low) if high > low else 0.0


class OBV(Indicator):
    """On-balance volume: adds the volume of bars that close higher than the one before, takes off that of lower ones.

    Begins with the first bar's volume, as TA-Lib does. Source: Granville (1963); TA-Lib OBV.
    """

    on_nan = "skip"

    def __init__(self) -> None:
        self.last = math.nan
        self.value = math.nan

    def update(self, close: float, volume: float) -> float:
        """Take the next bar; returns the balance."""
        if not math.isfinite(close + volume):
            return self.value
        if math.isnan(self.last):
            self.value = volume
        elif close > self.last:
            self.value += volume
        elif close < self.last:
            self.value -= volume
        self.last = close
        return self.value


class AD(Indicator):
    """Accumulation/distribution line: each bar's volume times where its close lies in its range (-1 to 1), added up.

    Source: Chaikin; TA-Lib AD.
    """

    on_nan = "skip"

    def __init__(self) -> None:
        self.total = 0.0
        self.value = math.nan

    def update(self, high: float, low: float, close: float, volume: float) -> float:
        """Take the next bar; returns the line."""
        if math.isfinite(high + low + close + volume):
            self.total += money_flow_multiplier(high, low, close) * volume
            self.value = self.total
        return self.value


class ADOSC(Indicator):
    """Chaikin oscillator: the accumulation/distribution line's fast exponential average less the slow one.

    Both averages begin at the first bar's line. Source: Chaikin; TA-Lib ADOSC.
    """

    on_nan = "skip"

    def __init__(self, fast: int = 3, slow: int = 10) -> None:
        self.check_period(fast, name="fast period")
        self.check_period(slow, name="slow period")
        self.line = AD()
        self.fast_alpha = 2.0 / (fast + 1.0)
        self.slow_alpha = 2.0 / (slow + 1.0)
        self.needed = max(int(fast), int(slow))
        self.fast = math.nan
        self.slow = math.nan
        self.value = math.nan

    def update(self, high: float, low: float, close: float, volume: float) -> float:
        """Take the next bar; returns the oscillator, NaN until there are `slow` bars."""
        if not math.isfinite(high + low + close + volume):
            return self.value
        line = self.line.update(high, low, close, volume)
        if math.isnan(self.fast):
            self.fast = self.slow = line
        else:
            self.fast += self.fast_alpha * (line - self.fast)
            self.slow += self.slow_alpha * (line - self.slow)
        if self.needed > 0:
            self.needed -= 1
        if self.needed == 0:
            self.value = self.fast - self.slow
        return self.value


class PVT(Indicator):
    """Price volume trend: each bar's volume times its return, added up from 0 at the first bar. Source: TA-Lib PVT."""

    on_nan = "skip"

    def __init__(self) -> None:
        self.last = math.nan
        self.value = math.nan

    def update(self, close: float, volume: float) -> float:
        """Take the next bar; returns the sum."""
        if not math.isfinite(close + volume):
            return self.value
        if math.isnan(self.last):
            self.value = 0.0
        elif self.last != 0.0:
            self.value += (close - self.last) / self.last * volume
        self.last = close
        return self.value
