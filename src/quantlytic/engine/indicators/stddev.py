"""How far the last values lie from their mean."""

from __future__ import annotations

import math

import numpy as np

from quantlytic.engine.indicators.indicator import Indicator
from quantlytic.engine.param import capacity_of
from quantlytic.model.errors import InputError

_NOISE = 1e-12
"""A variance below this share of the mean square it is the rest of is rounding: it is 0."""


class Var(Indicator):
    """The mean squared distance of the last `period` values from their `mean`; `ddof` = 1 divides by period - 1.

    Sums are of distances from a recent value (`anchor`), so that nothing cancels at large prices, and are replaced each
    round by fresh ones, as in `Sum`. Source: Chan, Golub & LeVeque (1983); TA-Lib VAR (ddof = 0).
    """

    def __init__(self, period: int, ddof: int = 0) -> None:
        self.check_period(period)
        if ddof not in (0, 1) or period <= ddof:
            raise InputError(f"{type(self).__name__}: ddof is 0 or 1, and below the period, not {ddof!r}")
        self.period = int(period)
        self.ddof = int(ddof)
        self.next = 0
        self.missing = self.period
        self.anchor = math.nan
        self.total = 0.0
        self.squares = 0.0
        self.fresh_anchor = math.nan
        self.fresh_total = 0.0
        self.fresh_squares = 0.0
        self.last = math.nan
        self.run = 0
        self.mean = math.nan
        self.value = math.nan
        self.window = np.zeros(capacity_of(period))

    def update(self, x: float) -> float:
        """Take the next value; returns the variance, NaN until there are `period` values."""
        if not math.isfinite(x):
            self.missing = self.period + 1
            x = self.fresh_anchor if math.isfinite(self.anchor) else 0.0
        if math.isnan(self.anchor):
            self.anchor = self.fresh_anchor = x
            self.window[:] = x
        i = self.next
        new, old = x - self.anchor, self.window[i] - self.anchor
        self.total += new - old
        self.squares += new * new - old * old
        self.fresh_total += x - self.fresh_anchor
        self.fresh_squares += (x - self.fresh_anchor) * (x - self.fresh_anchor)
        self.window[i] = x
        self.next = i + 1
        if self.next == self.period:
            self.next = 0
            self.anchor, self.total, self.squares = self.fresh_anchor, self.fresh_total, self.fresh_squares
            self.fresh_anchor, self.fresh_total, self.fresh_squares = x, 0.0, 0.0
        self.run = self.run + 1 if x == self.last else 1
        self.last = x
        if self.missing > 0:
            self.missing -= 1
        if self.missing > 0:
            self.mean = self.value = math.nan
            return self.value
        if self.run >= self.period:
            self.mean, self.value = x, 0.0
            return self.value
        shift = self.total / self.period
        square = self.squares / self.period
        self.mean = self.anchor + shift
        rest = square - shift * shift
        self.value = rest * self.period / (self.period - self.ddof) if rest > _NOISE * square else 0.0
        return self.value


class StdDev(Indicator):
    """The root of the variance of the last `period` values, times `width`. Source: TA-Lib STDDEV (ddof = 0)."""

    def __init__(self, period: int, width: float = 1.0, ddof: int = 0) -> None:
        self.check_period(period)
        self.check_number(width, "width")
        self.variance = Var(period, ddof)
        self.width = float(width)
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns the deviation, NaN until there are `period` values."""
        self.value = math.sqrt(self.variance.update(x)) * self.width
        return self.value


class ZScore(Indicator):
    """How many standard deviations the value lies above the mean of the last `period` (itself included); 0 when flat.

    Source: definition.
    """

    def __init__(self, period: int = 20, ddof: int = 0) -> None:
        self.check_period(period, low=2)
        self.variance = Var(period, ddof)
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns its score, NaN until there are `period` values."""
        variance = self.variance.update(x)
        if variance > 0.0:
            self.value = (x - self.variance.mean) / math.sqrt(variance)
        else:
            self.value = 0.0 if variance == 0.0 else math.nan
        return self.value
