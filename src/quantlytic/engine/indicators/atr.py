"""The range of bars, the gap from the last close included."""

from __future__ import annotations

import math

from quantlytic.engine.indicators.indicator import Indicator


class TrueRange(Indicator):
    """The greatest of high - low and the distances of both from the last close. The first bar has none.

    Source: Wilder, "New Concepts in Technical Trading Systems" (1978); TA-Lib TRANGE.
    """

    on_nan = "skip"

    def __init__(self) -> None:
        self.last = math.nan
        self.value = math.nan

    def update(self, high: float, low: float, close: float) -> float:
        """Take the next bar; returns its true range, NaN for the first."""
        if math.isfinite(high + low + close):
            if not math.isnan(self.last):
                self.value = max(high, self.last) - min(low, self.last)
            self.last = close
        return self.value


class ATR(Indicator):
    """Wilder's average true range: smoothed by 1 / period, from the plain mean of the first `period` on.

    The first bar has no true range, so it is NaN for `period` bars. Source: Wilder (1978); TA-Lib ATR.
    """

    on_nan = "skip"

    def __init__(self, period: int = 14) -> None:
        self.check_period(period)
        self.period = int(period)
        self.count = 0
        self.last = math.nan
        self.total = 0.0
        self.value = math.nan

    def update(self, high: float, low: float, close: float) -> float:
        """Take the next bar; returns the average, NaN until there are `period` + 1 bars."""
        if not math.isfinite(high + low + close):
            return self.value
        true_range = max(high, self.last) - min(low, self.last)
        self.last = close
        if self.count <= self.period:
            self.count += 1
            if self.count > 1:
                self.total += true_range
            if self.count > self.period:
                self.value = self.total / self.period
        else:
            self.value = (self.value * (self.period - 1) + true_range) / self.period
        return self.value


class NATR(Indicator):
    """The average true range in percent of the close; 0 where that is 0. Source: TA-Lib NATR."""

    on_nan = "skip"

    def __init__(self, period: int = 14) -> None:
        self.check_period(period)
        self.atr = ATR(period)
        self.value = math.nan

    def update(self, high: float, low: float, close: float) -> float:
        """Take the next bar; returns the percentage, NaN until there are `period` + 1 bars."""
        if not math.isfinite(high + low + close):
            return self.value
        average = self.atr.update(high, low, close)
        if self.atr.ready:
            self.value = average / close * 100.0 if close != 0.0 else 0.0
        return self.value
