"""The straight line through the last values."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from quantlytic.engine.indicators.indicator import Indicator
from quantlytic.engine.param import capacity_of


class LinearRegression(Indicator):
    """The least-squares line through the last `period` values: its `value` at the newest, `slope` a bar, `intercept` at the
    oldest, `angle` of the slope in degrees, and `forecast` for the next bar.

    O(1): both sums are of distances from a recent value and replaced each round by fresh ones, as in `Var`.
    Source: definition; TA-Lib LINEARREG, _SLOPE, _INTERCEPT, _ANGLE and TSF.
    """

    outputs: ClassVar[tuple[str, ...]] = ("value", "slope", "intercept", "angle", "forecast")

    def __init__(self, period: int = 14) -> None:
        self.check_period(period, low=2)
        self.period = int(period)
        self.next = 0
        self.missing = self.period
        self.run = 0
        self.last = math.nan
        self.anchor = math.nan
        self.total = 0.0
        self.moment = 0.0
        self.fresh_anchor = 0.0
        self.fresh_total = 0.0
        self.fresh_moment = 0.0
        self.value = math.nan
        self.slope = math.nan
        self.intercept = math.nan
        self.angle = math.nan
        self.forecast = math.nan
        self.window = np.zeros(capacity_of(period))

    def update(self, x: float) -> float:
        """Take the next value; returns the line's value there, NaN until there are `period` values."""
        if not math.isfinite(x):
            self.missing = self.period + 1
            x = self.fresh_anchor
        if math.isnan(self.anchor):
            self.anchor = self.fresh_anchor = x
            self.window[:] = x
        i = self.next
        new, old = x - self.anchor, self.window[i] - self.anchor
        # All grow a bar older: their places fall by one, and the oldest leaves from place 0.
        self.total -= old
        self.moment += (self.period - 1) * new - self.total
        self.total += new
        self.fresh_total += x - self.fresh_anchor
        self.fresh_moment += i * (x - self.fresh_anchor)
        self.window[i] = x
        self.next = i + 1
        if self.next == self.period:
            self.next = 0
            self.anchor, self.total, self.moment = self.fresh_anchor, self.fresh_total, self.fresh_moment
            self.fresh_anchor, self.fresh_total, self.fresh_moment = x, 0.0, 0.0
        self.run = self.run + 1 if x == self.last else 1
        self.last = x
        if self.missing > 0:
            self.missing -= 1
        self.draw()
        return self.value

    def draw(self) -> None:
        """The line through the sums."""
        n = float(self.period)
        if self.missing > 0:
            self.slope = self.intercept = math.nan
        elif self.run >= self.period:
            self.slope, self.intercept = 0.0, self.last
        else:
            self.slope = (12.0 * self.moment - 6.0 * (n - 1.0) * self.total) / (n * (n * n - 1.0))
            self.intercept = self.anchor + self.total / n - self.slope * (n - 1.0) / 2.0
        self.value = self.intercept + self.slope * (n - 1.0)
        self.forecast = self.intercept + self.slope * n
        self.angle = math.degrees(math.atan(self.slope))
