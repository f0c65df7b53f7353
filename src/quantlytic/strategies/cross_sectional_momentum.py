"""Yesterday's winners."""

from __future__ import annotations

import math

import numpy as np

from quantlytic import param
from quantlytic.strategies.portfolio import Portfolio, greatest


class CrossSectionalMomentum(Portfolio):
    """Ranks the instruments by what they gained, and holds the best few in equal shares until the next ranking. The newest
    bars are left out of the gain, since what has just jumped tends to fall back.

    Source: Jegadeesh & Titman, Returns to buying winners and selling losers (1993).

    `lookback`: bar times over which the gain is taken; `skip`: newest ones left out; `top`: how many are held; `rebalance`: bar
    times between two rankings. With `short`, as many of the worst are sold short, half of equity on each side.

    >>> import quantlytic as ql
    >>> bars = ql.demo_bars(600, instruments=6)
    >>> result = ql.backtest(CrossSectionalMomentum(lookback=120, top=2), bars, cash=1e5)
    >>> result.metrics["fills"] > 10
    True
    """

    lookback: int = param(120, low=2, high=480)
    skip: int = param(5, low=0, high=24)
    top: int = param(2, low=1, high=50)
    short: bool = param(False)

    def setup(self) -> None:
        super().setup()
        self.gains = np.zeros(self.instruments)

    def weigh(self) -> bool:
        ranked = 0
        for i in range(self.instruments):
            gain = self.past(i, self.skip) / self.past(i, self.skip + self.lookback) - 1.0
            self.gains[i] = gain if self.is_trading(i) else math.nan
            ranked += not math.isnan(self.gains[i])
        count = min(self.top, ranked // 2 if self.short else ranked)
        for _ in range(count):
            best = greatest(self.gains)
            self.gains[best] = math.nan
            self.weights[best] = (0.5 if self.short else 1.0) / count
        for _ in range(count if self.short else 0):
            worst = greatest(-self.gains)
            self.gains[worst] = math.nan
            self.weights[worst] = -0.5 / count
        return count > 0
