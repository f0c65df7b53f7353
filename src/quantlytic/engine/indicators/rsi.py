"""Gains against losses."""

from __future__ import annotations

import math

from quantlytic.engine.indicators.indicator import Indicator


class RSI(Indicator):
    """Wilder's relative strength index: 100 x mean gain / (mean gain + mean loss), both smoothed by 1 / period: 0 to 100.

    Begins with the plain means of the first `period` changes, so it is NaN for `period` values. A price that has not moved
    at all gives 0, as in TA-Lib. Source: Wilder (1978); TA-Lib RSI.
    """

    on_nan = "skip"

    def __init__(self, period: int = 14) -> None:
        self.check_period(period, low=2)
        self.period = int(period)
        self.count = 0
        self.last = math.nan
        self.gain = 0.0
        self.loss = 0.0
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns the index, NaN until there are `period` + 1 values."""
        if not math.isfinite(x):
            return self.value
        change = x - self.last
        self.last = x
        if self.count <= self.period:
            self.count += 1
            if self.count == 1:
                return self.value
        gain = change if change > 0.0 else 0.0
        loss = -change if change < 0.0 else 0.0
        if self.count <= self.period:
            self.gain += gain
            self.loss += loss
            return self.value
        if math.isnan(self.value):
            self.gain = (self.gain + gain) / self.period
            self.loss = (self.loss + loss) / self.period
        else:
            self.gain = (self.gain * (self.period - 1) + gain) / self.period
            self.loss = (self.loss * (self.period - 1) + loss) / self.period
        moved = self.gain + self.loss
        self.value = 100.0 * (self.gain / moved) if moved > 0.0 else 0.0
        return self.value


class CMO(Indicator):
    """Chande momentum oscillator: 100 x (mean gain - mean loss) / (their sum), smoothed as in RSI: -100 to 100; 0 when flat.

    It is 2 RSI - 100. Source: Chande & Kroll (1994); TA-Lib CMO.
    """

    on_nan = "skip"

    def __init__(self, period: int = 14) -> None:
        self.check_period(period, low=2)
        self.rsi = RSI(period)
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns the oscillator, NaN until there are `period` + 1 values."""
        if math.isfinite(x):
            self.rsi.update(x)
            if self.rsi.ready:
                moved = self.rsi.gain + self.rsi.loss
                self.value = 100.0 * ((self.rsi.gain - self.rsi.loss) / moved) if moved > 0.0 else 0.0
        return self.value
