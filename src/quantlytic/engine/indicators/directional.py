"""Wilder's directional movement system."""

from __future__ import annotations

import math

from quantlytic.engine.indicators.indicator import Indicator
from quantlytic.engine.indicators.window import Lag


class DirectionalMovement(Indicator):
    """How far bars reach beyond the last one, upwards (`plus`) and downwards (`minus`), and the true `range`: each a sum that
    loses 1 / period of itself a bar. `plus_di`, `minus_di`: in percent of the range; `dx`: 100 x |difference| / sum of these.

    The sums are NaN for `period` - 1 bars, the percentages for `period`. Where the bars have no range the percentages are
    0 and `dx` stays. Source: Wilder, "New Concepts in Technical Trading Systems" (1978); TA-Lib PLUS_DM, MINUS_DM, PLUS_DI,
    MINUS_DI, DX.
    """

    outputs = ("plus_di", "minus_di", "dx", "plus", "minus")
    on_nan = "skip"

    def __init__(self, period: int = 14) -> None:
        self.check_period(period, low=2)
        self.period = int(period)
        self.count = 0
        self.last_high = math.nan
        self.last_low = math.nan
        self.last_close = math.nan
        self.plus_sum = 0.0
        self.minus_sum = 0.0
        self.range_sum = 0.0
        self.value = math.nan
        self.plus = math.nan
        self.minus = math.nan
        self.plus_di = math.nan
        self.minus_di = math.nan
        self.dx = math.nan

    def update(self, high: float, low: float, close: float) -> float:
        """Take the next bar; returns `dx`, NaN until there are `period` + 1 bars."""
        if not math.isfinite(high + low + close):
            return self.value
        if self.count > 0:
            self._move(high, low)
        self.last_high, self.last_low, self.last_close = high, low, close
        if self.count <= self.period:
            self.count += 1
        if self.count >= self.period:
            self.plus, self.minus = self.plus_sum, self.minus_sum
        if self.count > self.period:
            self._share()
            self.value = self.dx
        return self.value

    def _move(self, high: float, low: float) -> None:
        up, down = high - self.last_high, self.last_low - low
        if self.count >= self.period:
            self.plus_sum -= self.plus_sum / self.period
            self.minus_sum -= self.minus_sum / self.period
            self.range_sum -= self.range_sum / self.period
        if down > 0.0 and up < down:
            self.minus_sum += down
        elif up > 0.0 and up > down:
            self.plus_sum += up
        self.range_sum += max(high, self.last_close) - min(low, self.last_close)

    def _share(self) -> None:
        traded = self.range_sum > 0.0
        self.plus_di = 100.0 * (self.plus_sum / self.range_sum) if traded else 0.0
        self.minus_di = 100.0 * (self.minus_sum / self.range_sum) if traded else 0.0
        whole = self.plus_di + self.minus_di
        if whole > 0.0:
            self.dx = 100.0 * (abs(self.minus_di - self.plus_di) / whole)
        elif math.isnan(self.dx):
            self.dx = 0.0


class ADX(Indicator):
    """Average directional index: `dx` smoothed by 1 / period, from the plain mean of the first `period` on; 0 to 100.

    `plus_di` and `minus_di` are those of `DirectionalMovement`. Source: Wilder (1978); TA-Lib ADX.
    """

    outputs = ("value", "plus_di", "minus_di")
    on_nan = "skip"

    def __init__(self, period: int = 14) -> None:
        self.check_period(period, low=2)
        self.movement = DirectionalMovement(period)
        self.period = int(period)
        self.count = 0
        self.total = 0.0
        self.value = math.nan
        self.plus_di = math.nan
        self.minus_di = math.nan

    def update(self, high: float, low: float, close: float) -> float:
        """Take the next bar; returns the index, NaN until there are 2 x `period` bars."""
        if not math.isfinite(high + low + close):
            return self.value
        dx = self.movement.update(high, low, close)
        self.plus_di, self.minus_di = self.movement.plus_di, self.movement.minus_di
        if math.isnan(dx):
            return self.value
        known = self.plus_di + self.minus_di > 0.0
        if self.count < self.period:
            self.count += 1
            self.total += dx if known else 0.0
            if self.count == self.period:
                self.value = self.total / self.period
        elif known:
            self.value = (self.value * (self.period - 1) + dx) / self.period
        return self.value


class ADXR(Indicator):
    """The mean of ADX now and `period` - 1 bars ago. Source: Wilder (1978); TA-Lib ADXR."""

    on_nan = "skip"

    def __init__(self, period: int = 14) -> None:
        self.check_period(period, low=2)
        self.adx = ADX(period)
        self.past = Lag(period)
        self.value = math.nan

    def update(self, high: float, low: float, close: float) -> float:
        """Take the next bar; returns the mean, NaN until there are 3 x `period` - 1 bars."""
        if math.isfinite(high + low + close):
            index = self.adx.update(high, low, close)
            self.past.update(index)
            self.value = (index + self.past.window[self.past.next]) / 2.0
        return self.value
