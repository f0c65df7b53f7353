"""Kaufman's adaptive moving average."""

from __future__ import annotations

import math

from quantlytic.engine.indicators.indicator import Indicator
from quantlytic.engine.indicators.window import Lag, Sum


class EfficiencyRatio(Indicator):
    """The net move over `period` values by the sum of single moves: 1 is a straight line, 0 goes nowhere.

    A stretch without any move counts as straight. Source: Kaufman, "Smarter Trading" (1995); TA-Lib ER.
    """

    def __init__(self, period: int = 10) -> None:
        self.check_period(period)
        self.past = Lag(period)
        self.path = Sum(period)
        self.last = math.nan
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns the ratio, NaN until there are `period` + 1 values."""
        move = abs(x - self.past.update(x))
        path = self.path.update(abs(x - self.last))
        self.last = x
        if math.isnan(path) or math.isnan(move):
            self.value = math.nan
        else:
            self.value = move / path if path > move else 1.0
        return self.value


class KAMA(Indicator):
    """An EMA as fast as EMA(`fast`) in a straight move and as slow as EMA(`slow`) in noise, by the efficiency ratio.

    Begins at the value before the first result. A stretch of `period` values without any move counts as straight.
    Source: Kaufman, "Smarter Trading" (1995); TA-Lib KAMA.
    """

    on_nan = "skip"

    def __init__(self, period: int = 10, fast: int = 2, slow: int = 30) -> None:
        self.check_period(period)
        self.check_period(fast, name="fast period")
        self.check_period(slow, name="slow period")
        self.past = Lag(period)
        self.path = Sum(period)
        self.fast_alpha = 2.0 / (fast + 1.0)
        self.slow_alpha = 2.0 / (slow + 1.0)
        self.last = math.nan
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns the average, NaN until there are `period` + 1 values."""
        if not math.isfinite(x):
            return self.value
        move = abs(x - self.past.update(x))
        path = self.path.update(abs(x - self.last))
        if not math.isnan(path):
            ratio = move / path if path > move else 1.0
            alpha = ratio * (self.fast_alpha - self.slow_alpha) + self.slow_alpha
            before = self.last if math.isnan(self.value) else self.value
            self.value = before + alpha * alpha * (x - before)
        self.last = x
        return self.value
