"""Momentum oscillators of prices."""

from __future__ import annotations

import math

from quantlytic.engine.indicators.ema import EMA
from quantlytic.engine.indicators.indicator import Indicator, derived
from quantlytic.engine.indicators.roc import ROC
from quantlytic.engine.indicators.sma import SMA
from quantlytic.engine.indicators.window import Lag, Max, Min, Sum
from quantlytic.engine.indicators.wma import WMA


class TRIX(Indicator):
    """The one-bar rate of change, in percent, of EMA of EMA of EMA. Source: Hutson, TASC (1983); TA-Lib TRIX."""

    on_nan = "skip"

    def __init__(self, period: int = 30) -> None:
        self.check_period(period)
        self.first = EMA(period)
        self.second = EMA(period)
        self.third = EMA(period)
        self.last = math.nan
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns the percentage, NaN until there are 3 `period` - 1 values."""
        if not math.isfinite(x):
            return self.value
        smooth = self.third.update(self.second.update(self.first.update(x)))
        self.value = (smooth - self.last) / self.last * 100.0 if self.last != 0.0 else 0.0
        self.last = smooth
        return self.value


class TSI(Indicator):
    """True strength index: changes smoothed twice by EMAs, in percent of their sizes smoothed likewise; 0 when flat.

    Source: Blau (1991); TA-Lib TSI.
    """

    on_nan = "skip"

    def __init__(self, first: int = 25, second: int = 13) -> None:
        self.first = EMA(first)
        self.second = EMA(second)
        self.first_size = EMA(first)
        self.second_size = EMA(second)
        self.last = math.nan
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns the index, NaN until there are `first` + `second` values."""
        if not math.isfinite(x):
            return self.value
        change = x - self.last
        self.last = x
        smooth = self.second.update(self.first.update(change))
        size = self.second_size.update(self.first_size.update(abs(change)))
        self.value = 100.0 * smooth / size if size != 0.0 else 0.0
        return self.value


class BOP(Indicator):
    """Balance of power: (close - open) / (high - low), 0 in a bar without range. Source: Livshin, TASC (2001); TA-Lib BOP."""

    def __init__(self) -> None:
        self.value = math.nan

    def update(self, open: float, high: float, low: float, close: float) -> float:
        """Take the next bar; returns its balance, -1 to 1."""
        spread = high - low if math.isfinite(open + high + low + close) else math.nan
        self.value = (close - open) / spread if spread != 0.0 else 0.0
        return self.value


class UltimateOscillator(Indicator):
    """Buying pressure (close above the true low) by true range, over three spans weighted 4 : 2 : 1; 0 to 100.

    Source: Williams, TASC (1985); TA-Lib ULTOSC.
    """

    def __init__(self, fast: int = 7, middle: int = 14, slow: int = 28) -> None:
        self.fast_pressure = Sum(fast)
        self.fast_range = Sum(fast)
        self.middle_pressure = Sum(middle)
        self.middle_range = Sum(middle)
        self.slow_pressure = Sum(slow)
        self.slow_range = Sum(slow)
        self.last = math.nan
        self.value = math.nan

    def update(self, high: float, low: float, close: float) -> float:
        """Take the next bar; returns the oscillator, NaN until there are `slow` + 1 bars."""
        known = math.isfinite(high + low + close + self.last)
        pressure = close - min(low, self.last) if known else math.nan
        spread = max(high, self.last) - min(low, self.last) if known else math.nan
        self.last = close
        fast = _share(self.fast_pressure.update(pressure), self.fast_range.update(spread))
        middle = _share(self.middle_pressure.update(pressure), self.middle_range.update(spread))
        slow = _share(self.slow_pressure.update(pressure), self.slow_range.update(spread))
        self.value = 100.0 * (4.0 * fast + 2.0 * middle + slow) / 7.0
        return self.value


def _share(part: float, whole: float) -> float:
    return part / whole if whole != 0.0 else 0.0


class AwesomeOscillator(Indicator):
    """SMA(`fast`) - SMA(`slow`) of the middle of bars; `acceleration` is that less its own SMA(`smooth`).

    Source: Williams, "New Trading Dimensions" (1998); TA-Lib AO, AC.
    """

    outputs = ("value", "acceleration")

    def __init__(self, fast: int = 5, slow: int = 34, smooth: int = 5) -> None:
        self.fast = SMA(fast)
        self.slow = SMA(slow)
        self.mean = SMA(smooth)
        self.acceleration = math.nan
        self.value = math.nan

    def update(self, high: float, low: float) -> float:
        """Take the next bar; returns the oscillator, NaN until there are `slow` bars."""
        middle = (high + low) / 2.0
        self.value = self.fast.update(middle) - self.slow.update(middle)
        self.acceleration = self.value - self.mean.update(self.value)
        return self.value


class CoppockCurve(Indicator):
    """WMA(`period`) of the sum of two rates of change in percent. Source: Coppock, Barron's (1962); TA-Lib COPPOCK."""

    def __init__(self, period: int = 10, fast: int = 11, slow: int = 14) -> None:
        self.check_period(period)
        self.smooth = WMA(period)
        self.fast = ROC(fast)
        self.slow = ROC(slow)
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns the curve, NaN until there are `slow` + `period` values."""
        self.value = self.smooth.update(self.fast.update(x) + self.slow.update(x))
        return self.value


class DetrendedPrice(Indicator):
    """The value `period` / 2 + 1 bars ago less the mean of the last `period`. Source: TA-Lib DPO."""

    def __init__(self, period: int = 20) -> None:
        self.check_period(period)
        self.past = Lag(derived(period, lambda n: n // 2 + 1))
        self.mean = SMA(period)
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns the difference, NaN until there are `period` values."""
        self.value = self.past.update(x) - self.mean.update(x)
        return self.value


class ElderRay(Indicator):
    """`bull`: how far the high reaches above EMA(`period`) of the close; `bear`: the low, likewise.

    Source: Elder, "Trading for a Living" (1993); TA-Lib ERI.
    """

    outputs = ("bull", "bear")
    on_nan = "skip"

    def __init__(self, period: int = 13) -> None:
        self.check_period(period)
        self.ema = EMA(period)
        self.value = math.nan
        self.bull = math.nan
        self.bear = math.nan

    def update(self, high: float, low: float, close: float) -> float:
        """Take the next bar; returns `bull`, NaN until there are `period` bars."""
        if math.isfinite(high + low + close):
            middle = self.ema.update(close)
            self.value = self.bull = high - middle
            self.bear = low - middle
        return self.value


class Vortex(Indicator):
    """`plus`: distances from each high to the last low over true ranges, summed over `period`; `minus`: from each low to the
    last high. 0 where there is no range. Source: Botes & Siepman, TASC (2010); TA-Lib VORTEX."""

    outputs = ("plus", "minus")

    def __init__(self, period: int = 14) -> None:
        self.check_period(period)
        self.plus_sum = Sum(period)
        self.minus_sum = Sum(period)
        self.range_sum = Sum(period)
        self.last_high = math.nan
        self.last_low = math.nan
        self.last_close = math.nan
        self.value = math.nan
        self.plus = math.nan
        self.minus = math.nan

    def update(self, high: float, low: float, close: float) -> float:
        """Take the next bar; returns plus - minus, NaN until there are `period` + 1 bars."""
        known = math.isfinite(high + low + close + self.last_high + self.last_low + self.last_close)
        spread = max(high, self.last_close) - min(low, self.last_close) if known else math.nan
        plus = self.plus_sum.update(abs(high - self.last_low) if known else math.nan)
        minus = self.minus_sum.update(abs(low - self.last_high) if known else math.nan)
        whole = self.range_sum.update(spread)
        self.plus, self.minus = _share(plus, whole), _share(minus, whole)
        self.last_high, self.last_low, self.last_close = high, low, close
        self.value = self.plus - self.minus
        return self.value


class FisherTransform(Indicator):
    """Where the middle of the bar lies in the range of the last `period` middles (-1 to 1), smoothed, and stretched by
    atanh so that extremes stand out; `signal` is the value one bar before. Source: Ehlers, TASC (2002)."""

    outputs = ("value", "signal")
    on_nan = "skip"

    def __init__(self, period: int = 10) -> None:
        self.check_period(period)
        self.highest = Max(period)
        self.lowest = Min(period)
        self.place = 0.0
        self.fisher = 0.0
        self.signal = math.nan
        self.value = math.nan

    def update(self, high: float, low: float) -> float:
        """Take the next bar; returns the transform, NaN until there are `period` bars."""
        middle = (high + low) / 2.0
        if not math.isfinite(middle):
            return self.value
        bottom = self.lowest.update(middle)
        spread = self.highest.update(middle) - bottom
        if math.isnan(spread):
            return self.value
        place = 2.0 * ((middle - bottom) / spread - 0.5) if spread > 0.0 else 0.0
        self.place = min(max(0.33 * place + 0.67 * self.place, -0.999), 0.999)
        self.signal = self.value
        self.fisher = 0.5 * math.log((1.0 + self.place) / (1.0 - self.place)) + 0.5 * self.fisher
        self.value = self.fisher
        return self.value
