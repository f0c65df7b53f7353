"""Channels around prices."""

from __future__ import annotations

import math

from quantlytic.engine.indicators.atr import ATR
from quantlytic.engine.indicators.ema import EMA
from quantlytic.engine.indicators.indicator import Indicator
from quantlytic.engine.indicators.sma import SMA
from quantlytic.engine.indicators.window import Max, Min


class DonchianChannel(Indicator):
    """The highest high and lowest low of the last `period` bars, this one included, and the `middle` between them.

    For a breakout compare with the values before `update`. Source: Donchian (1960); TA-Lib DONCHIAN.
    """

    outputs = ("upper", "middle", "lower")

    def __init__(self, period: int = 20) -> None:
        self.check_period(period)
        self.highest = Max(period)
        self.lowest = Min(period)
        self.value = math.nan
        self.upper = math.nan
        self.middle = math.nan
        self.lower = math.nan

    def update(self, high: float, low: float) -> float:
        """Take the next bar; returns the middle, NaN until there are `period` bars."""
        self.upper = self.highest.update(high)
        self.lower = self.lowest.update(low)
        self.value = self.middle = (self.upper + self.lower) / 2.0
        return self.value


class KeltnerChannel(Indicator):
    """EMA(`period`) of the typical price, and `width` average true ranges (of `atr_period`) around it.

    The average that needs fewer bars begins later, so that both give their first value at the same bar.
    Source: Keltner (1960) as changed by Raschke; TA-Lib KC.
    """

    outputs = ("upper", "middle", "lower")
    on_nan = "skip"

    def __init__(self, period: int = 20, atr_period: int = 10, width: float = 2.0) -> None:
        self.check_period(period)
        self.check_number(width, "width")
        self.ema = EMA(period)
        self.atr = ATR(atr_period)
        self.ema_wait = max(int(atr_period) - (int(period) - 1), 0)
        self.atr_wait = max(int(period) - 1 - int(atr_period), 0)
        self.width = float(width)
        self.value = math.nan
        self.upper = math.nan
        self.middle = math.nan
        self.lower = math.nan

    def update(self, high: float, low: float, close: float) -> float:
        """Take the next bar; returns the middle, NaN until both averages are there."""
        if not math.isfinite(high + low + close):
            return self.value
        if self.ema_wait > 0:
            self.ema_wait -= 1
        else:
            self.ema.update((high + low + close) / 3.0)
        if self.atr_wait > 0:
            self.atr_wait -= 1
        else:
            self.atr.update(high, low, close)
        reach = self.atr.value * self.width
        self.value = self.middle = self.ema.value
        self.upper = self.middle + reach
        self.lower = self.middle - reach
        return self.value


class AccelerationBands(Indicator):
    """Means over `period` of high x (1 + 4w), low x (1 - 4w) and close, w = (high - low) / (high + low).

    Source: Headley, "Big Trends in Trading" (2002); TA-Lib ACCBANDS.
    """

    outputs = ("upper", "middle", "lower")

    def __init__(self, period: int = 20) -> None:
        self.check_period(period)
        self.highs = SMA(period)
        self.closes = SMA(period)
        self.lows = SMA(period)
        self.value = math.nan
        self.upper = math.nan
        self.middle = math.nan
        self.lower = math.nan

    def update(self, high: float, low: float, close: float) -> float:
        """Take the next bar; returns the middle, NaN until there are `period` bars."""
        whole = high + low
        spread = 4.0 * (high - low) / whole if whole != 0.0 else 0.0
        self.upper = self.highs.update(high * (1.0 + spread))
        self.lower = self.lows.update(low * (1.0 - spread))
        self.value = self.middle = self.closes.update(close)
        return self.value


class ChandelierExit(Indicator):
    """Where a trailing stop hangs: for longs the highest high of `period` bars less `multiplier` x ATR(period), for shorts
    the lowest low plus it. Source: LeBeau; Elder, "Come Into My Trading Room" (2002)."""

    outputs = ("long", "short")
    on_nan = "skip"

    def __init__(self, period: int = 22, multiplier: float = 3.0) -> None:
        self.check_period(period)
        self.check_number(multiplier, "multiplier")
        self.highest = Max(period)
        self.lowest = Min(period)
        self.atr = ATR(period)
        self.multiplier = float(multiplier)
        self.value = math.nan
        self.long = math.nan
        self.short = math.nan

    def update(self, high: float, low: float, close: float) -> float:
        """Take the next bar; returns the stop of longs, NaN until there are `period` + 1 bars."""
        if not math.isfinite(high + low + close):
            return self.value
        reach = self.atr.update(high, low, close) * self.multiplier
        self.value = self.long = self.highest.update(high) - reach
        self.short = self.lowest.update(low) + reach
        return self.value
