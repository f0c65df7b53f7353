"""The best of them, unless even the best is bad."""

from __future__ import annotations

import math

import numpy as np

from quantlytic import param
from quantlytic.model.errors import InputError
from quantlytic.strategies.portfolio import Portfolio, greatest


class DualMomentum(Portfolio):
    """Holds the instruments that gained most (relative momentum), but only those that gained more than `hurdle` (absolute
    momentum); the share of one that did not goes to a refuge, such as bonds, or stays cash.

    Source: Antonacci, Dual Momentum Investing (2014).

    `lookback`: bar times over which the gain is taken; `top`: how many are held; `hurdle`: the gain over `lookback` that cash
    would have had; `refuge`: number of the instrument that serves as one, from 0, -1: cash; `rebalance`: bar times between two
    rankings.

    >>> import quantlytic as ql
    >>> bars = ql.demo_bars(600, instruments=4)
    >>> result = ql.backtest(DualMomentum(lookback=120, refuge=3), bars, cash=1e5)
    >>> result.metrics["fills"] > 5
    True
    """

    lookback: int = param(240, low=2, high=500)
    top: int = param(1, low=1, high=50)
    hurdle: float = param(0.0, low=-0.5, high=0.5)
    refuge: int = param(-1, low=-1, high=1000)

    def setup(self) -> None:
        super().setup()
        if self.refuge >= self.instruments:
            raise InputError(
                f"DualMomentum: refuge {self.refuge} is no instrument: there are {self.instruments}, counted from 0"
            )
        self.gains = np.zeros(self.instruments)

    def weigh(self) -> bool:
        ranked = 0
        for i in range(self.instruments):
            gain = self.past(i, 0) / self.past(i, self.lookback) - 1.0
            self.gains[i] = gain if self.is_trading(i) and i != self.refuge else math.nan
            ranked += not math.isnan(self.gains[i])
        count = min(self.top, ranked)
        for _ in range(count):
            best = greatest(self.gains)
            if self.gains[best] > self.hurdle:
                self.weights[best] += 1.0 / count
            elif self.refuge >= 0:
                self.weights[self.refuge] += 1.0 / count
            self.gains[best] = math.nan
        return count > 0
