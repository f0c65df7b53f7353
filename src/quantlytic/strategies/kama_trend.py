"""Kaufman's adaptive average."""

from __future__ import annotations

import math
from typing import Any

from quantlytic import Strategy, param
from quantlytic.indicators import KAMA, StdDev


class KamaTrend(Strategy):
    """Follows Kaufman's adaptive average, which is quick in a straight move and all but stands still in noise. Long once it
    has risen from its last low by more than a filter, out once it has fallen that far from its last high.

    Source: Kaufman, Smarter Trading (1995), and Trading Systems and Methods (5th ed., 2013), chapter 17.

    `period`: bars over which the average judges how straight the move is. `threshold`: the filter, in standard deviations
    of the average's own changes over `filter_period` bars. `weight`: the share of equity that is held. `short`: short
    after a fall, where the account may.

    Example:
        >>> import quantlytic as ql
        >>> result = ql.backtest(KamaTrend(period=20), ql.demo_bars(), cash=1e5)
        >>> len(result.round_trips)
        6
    """

    period: int = param(10, low=5, high=60)
    filter_period: int = param(20, low=10, high=60)
    threshold: float = param(1.0, low=0.1, high=5.0)
    weight: float = param(0.95, low=0.05, high=0.99)
    short: bool = param(False)

    def setup(self) -> None:
        self.kama = KAMA(self.period)
        self.noise = StdDev(self.filter_period)
        self.lowest = math.nan
        self.highest = math.nan

    def on_bar(self, bar: Any, broker: Any) -> None:
        before = self.kama.value
        value = self.kama.update(bar.close)
        if math.isnan(before):
            self.lowest = self.highest = value
            return
        reach = self.threshold * self.noise.update(value - before)
        self.lowest = min(self.lowest, value)
        self.highest = max(self.highest, value)
        if not self.noise.ready:
            return
        if value > self.lowest + reach:
            self.highest = value
            if not broker.is_long:
                broker.target_weight(self.weight)
        elif value < self.highest - reach:
            self.lowest = value
            if self.short and not broker.is_short:
                broker.target_weight(-self.weight)
            elif broker.is_long:
                broker.close()
