"""Parabolic stop and reverse."""

from __future__ import annotations

import math

from quantlytic.engine.indicators.indicator import Indicator


class SARExt(Indicator):
    """Parabolic SAR with its own acceleration for each side; the value is negative while short.

    `start` above 0 begins long there, below 0 short at its size, 0 by the first two bars' directional movement.
    `offset` moves each reversal's first stop away by that share. Source: Wilder (1978); TA-Lib SAREXT.
    """

    outputs = ("value", "trend")
    on_nan = "skip"

    def __init__(
        self,
        start: float = 0.0,
        offset: float = 0.0,
        long_initial: float = 0.02,
        long_step: float = 0.02,
        long_maximum: float = 0.2,
        short_initial: float = 0.02,
        short_step: float = 0.02,
        short_maximum: float = 0.2,
    ) -> None:
        self.check_number(start, "start", low=-math.inf)
        for name, number in (("offset", offset), ("long maximum", long_maximum), ("short maximum", short_maximum)):
            self.check_number(number, name)
        for number in (long_initial, long_step, short_initial, short_step):
            self.check_number(number, "acceleration")
        self.start = float(start)
        self.widening = float(offset)
        self.long_initial = min(float(long_initial), float(long_maximum))
        self.long_step = min(float(long_step), float(long_maximum))
        self.long_maximum = float(long_maximum)
        self.short_initial = min(float(short_initial), float(short_maximum))
        self.short_step = min(float(short_step), float(short_maximum))
        self.short_maximum = float(short_maximum)
        self.last_high = math.nan
        self.last_low = math.nan
        self.acceleration = 0.0
        self.extreme = math.nan
        self.stop = math.nan
        """Where the next bar's stop lies."""
        self.trend = 0.0
        self.value = math.nan

    def update(self, high: float, low: float) -> float:
        """Take the next bar; returns its stop, NaN for the first."""
        if not math.isfinite(high + low):
            return self.value
        if not math.isnan(self.last_high):
            if self.trend == 0.0:
                self._begin(high, low)
            if self.trend > 0.0:
                self._long(high, low)
            else:
                self._short(high, low)
        self.last_high, self.last_low = high, low
        return self.value

    def _begin(self, high: float, low: float) -> None:
        down = self.last_low - low
        falls = down > 0.0 and high - self.last_high < down
        if self.start < 0.0 or (self.start == 0.0 and falls):
            self.trend, self.acceleration, self.extreme = -1.0, self.short_initial, low
            self.stop = self.last_high
        else:
            self.trend, self.acceleration, self.extreme = 1.0, self.long_initial, high
            self.stop = self.last_low
        if self.start != 0.0:
            self.stop = abs(self.start)
        # The first bar's own range bounds the second stop, not that of the bar before.
        self.last_high, self.last_low = high, low

    def _long(self, high: float, low: float) -> None:
        if low <= self.stop:
            self.stop = max(self.extreme, self.last_high, high)
            self.stop += self.stop * self.widening
            self.value = -self.stop
            self.trend, self.acceleration, self.extreme = -1.0, self.short_initial, low
            self.stop = max(self.stop + self.acceleration * (self.extreme - self.stop), self.last_high, high)
        else:
            self.value = self.stop
            if high > self.extreme:
                self.extreme = high
                self.acceleration = min(self.acceleration + self.long_step, self.long_maximum)
            self.stop = min(self.stop + self.acceleration * (self.extreme - self.stop), self.last_low, low)

    def _short(self, high: float, low: float) -> None:
        if high >= self.stop:
            self.stop = min(self.extreme, self.last_low, low)
            self.stop -= self.stop * self.widening
            self.value = self.stop
            self.trend, self.acceleration, self.extreme = 1.0, self.long_initial, high
            self.stop = min(self.stop + self.acceleration * (self.extreme - self.stop), self.last_low, low)
        else:
            self.value = -self.stop
            if low < self.extreme:
                self.extreme = low
                self.acceleration = min(self.acceleration + self.short_step, self.short_maximum)
            self.stop = max(self.stop + self.acceleration * (self.extreme - self.stop), self.last_high, high)


class SAR(Indicator):
    """Parabolic stop and reverse: a stop that closes in on price faster with each new extreme; when price crosses it, the
    `trend` (1 or -1, 0 before the first) turns. Source: Wilder (1978); TA-Lib SAR."""

    outputs = ("value", "trend")
    on_nan = "skip"

    def __init__(self, step: float = 0.02, maximum: float = 0.2) -> None:
        self.signed = SARExt(0.0, 0.0, step, step, maximum, step, step, maximum)
        self.trend = 0.0
        self.value = math.nan

    def update(self, high: float, low: float) -> float:
        """Take the next bar; returns its stop, NaN for the first."""
        self.value = abs(self.signed.update(high, low))
        self.trend = self.signed.trend
        return self.value
