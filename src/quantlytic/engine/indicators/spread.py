"""How wide prices range and how deep they fall."""

from __future__ import annotations

import math

from quantlytic.engine.indicators.atr import TrueRange
from quantlytic.engine.indicators.ema import EMA
from quantlytic.engine.indicators.indicator import Indicator
from quantlytic.engine.indicators.realised import root
from quantlytic.engine.indicators.roc import ROC
from quantlytic.engine.indicators.sma import SMA
from quantlytic.engine.indicators.window import Lag, Max, Min, Sum
from quantlytic.engine.indicators.wma import MidPrice


class MassIndex(Indicator):
    """The sum over `period` bars of EMA(`smooth`) of high - low by the EMA of that EMA: ranges that widen and narrow again
    foretell a turn. Source: Dorsey, TASC (1992); TA-Lib MASSI."""

    on_nan = "skip"

    def __init__(self, smooth: int = 9, period: int = 25) -> None:
        self.check_period(period)
        self.first = EMA(smooth)
        self.second = EMA(smooth)
        self.sum = Sum(period)
        self.value = math.nan

    def update(self, high: float, low: float) -> float:
        """Take the next bar; returns the index, NaN until there are 2 `smooth` + `period` - 2 bars."""
        if math.isfinite(high + low):
            single = self.first.update(high - low)
            double = self.second.update(single)
            self.value = self.sum.update(single / double if double != 0.0 else 0.0)
        return self.value


class ChaikinVolatility(Indicator):
    """The rate of change over `change` bars, in percent, of EMA(`period`) of high - low. Source: Chaikin; TA-Lib CVI."""

    on_nan = "skip"

    def __init__(self, period: int = 10, change: int = 10) -> None:
        self.check_period(period)
        self.ema = EMA(period)
        self.change = ROC(change)
        self.value = math.nan

    def update(self, high: float, low: float) -> float:
        """Take the next bar; returns the percentage, NaN until there are `period` + `change` bars."""
        if math.isfinite(high + low):
            self.value = self.change.update(self.ema.update(high - low))
        return self.value


class UlcerIndex(Indicator):
    """The root of the mean square, over `period` values, of the fall in percent from the greatest of the last `period`.

    Source: Martin & McCann, "The Investor's Guide to Fidelity Funds" (1989).
    """

    def __init__(self, period: int = 14) -> None:
        self.check_period(period)
        self.greatest = Max(period)
        self.mean = SMA(period)
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns the index, NaN until there are 2 `period` - 1 values."""
        top = self.greatest.update(x)
        fall = 100.0 * (x - top) / top if top != 0.0 else 0.0
        self.value = root(self.mean.update(fall * fall))
        return self.value


class Choppiness(Indicator):
    """100 x log(sum of the true ranges / range of the `period` bars) / log(period): near 100 sideways, near 0 in a trend.

    0 where the bars have no range. Source: Dreiss.
    """

    on_nan = "skip"

    def __init__(self, period: int = 14) -> None:
        self.check_period(period, low=2)
        self.true_range = TrueRange()
        self.sum = Sum(period)
        self.highest = Max(period)
        self.lowest = Min(period)
        self.scale = 100.0 / math.log(period)
        self.value = math.nan

    def update(self, high: float, low: float, close: float) -> float:
        """Take the next bar; returns the index, NaN until there are `period` + 1 bars."""
        if not math.isfinite(high + low + close):
            return self.value
        spread = self.highest.update(high) - self.lowest.update(low)
        path = self.sum.update(self.true_range.update(high, low, close))
        if not math.isnan(path):
            self.value = math.log(path / spread) * self.scale if spread > 0.0 and path > 0.0 else 0.0
        return self.value


class Ichimoku(Indicator):
    """`conversion`, `base`: halfway between highest high and lowest low of so many bars; the cloud that lies over this bar,
    made `shift` bars ago: `span_a`, halfway between those two, and `span_b`, the middle of the last `slow` bars.

    Source: Hosoda (1969).
    """

    outputs = ("conversion", "base", "span_a", "span_b")

    def __init__(self, fast: int = 9, middle: int = 26, slow: int = 52, shift: int = 26) -> None:
        self.fast = MidPrice(fast)
        self.middle = MidPrice(middle)
        self.slow = MidPrice(slow)
        self.past_a = Lag(shift)
        self.past_b = Lag(shift)
        self.value = math.nan
        self.conversion = math.nan
        self.base = math.nan
        self.span_a = math.nan
        self.span_b = math.nan

    def update(self, high: float, low: float) -> float:
        """Take the next bar; returns `span_b`, NaN until there are `slow` + `shift` bars."""
        self.conversion = self.fast.update(high, low)
        self.base = self.middle.update(high, low)
        self.span_a = self.past_a.update((self.conversion + self.base) / 2.0)
        self.value = self.span_b = self.past_b.update(self.slow.update(high, low))
        return self.value
