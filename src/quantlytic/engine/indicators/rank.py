"""Where a value stands among the last ones."""

from __future__ import annotations

import math

import numpy as np

from quantlytic.engine.indicators.indicator import Indicator
from quantlytic.engine.indicators.rsi import RSI
from quantlytic.engine.param import capacity_of


class PercentRank(Indicator):
    """The percentage of the `period` values before this one that are below it. O(period) a bar.

    Source: TA-Lib PERCENTRANK.
    """

    def __init__(self, period: int = 100) -> None:
        self.check_period(period)
        self.period = int(period)
        self.next = 0
        self.missing = self.period + 1
        self.value = math.nan
        self.window = np.zeros(capacity_of(period))

    def update(self, x: float) -> float:
        """Take the next value; returns its rank, NaN until there are `period` + 1 values."""
        self.missing = self.period + 1 if not math.isfinite(x) else max(self.missing - 1, 0)
        below = 0
        for k in range(self.period):
            below += self.window[k] < x
        self.window[self.next] = x
        self.next = self.next + 1 if self.next + 1 < self.period else 0
        self.value = below / self.period * 100.0 if self.missing == 0 else math.nan
        return self.value


class ConnorsRSI(Indicator):
    """The mean of RSI(`period`) of the price, RSI(`streak_period`) of how many bars in a row it rose (fell: negative), and the
    percent rank of its last change among the `rank_period` before.

    Source: Connors & Alvarez, "An Introduction to ConnorsRSI" (2012).
    """

    on_nan = "skip"

    def __init__(self, period: int = 3, streak_period: int = 2, rank_period: int = 100) -> None:
        self.check_period(period, low=2)
        self.price_rsi = RSI(period)
        self.streak_rsi = RSI(streak_period)
        self.rank = PercentRank(rank_period)
        self.streak = 0.0
        self.last = math.nan
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns the index, NaN until there are `rank_period` + 2 values."""
        if not math.isfinite(x):
            return self.value
        if x > self.last:
            self.streak = max(self.streak, 0.0) + 1.0
        elif x < self.last:
            self.streak = min(self.streak, 0.0) - 1.0
        else:
            self.streak = 0.0
        change = x / self.last - 1.0 if self.last != 0.0 else 0.0
        self.last = x
        whole = self.price_rsi.update(x) + self.streak_rsi.update(self.streak) + self.rank.update(change)
        self.value = whole / 3.0
        return self.value
