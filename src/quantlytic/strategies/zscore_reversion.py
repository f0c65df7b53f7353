"""Far from the mean."""

from __future__ import annotations

import math
from typing import Any

from quantlytic import Strategy, param
from quantlytic.indicators import ZScore


class ZscoreReversion(Strategy):
    """Buys when the price lies some standard deviations below its mean, and sells when it is near the mean again, or when
    patience runs out. What only strayed comes back; what does not come back in time did not stray.

    Source: Chan, Algorithmic Trading (2013), chapter 2; the holding limit follows from the half-life told there.

    `period`: bars of mean and deviation (of log prices). `entry`, `exit`: in standard deviations. `patience`: bars after
    which it leaves anyhow. `weight`: the share of equity that is held. `short`: sells what is as far above, where the account
    may.

    Example:
        >>> import quantlytic as ql
        >>> result = ql.backtest(ZscoreReversion(period=40), ql.demo_bars(), cash=1e5)
        >>> len(result.round_trips)
        24
    """

    period: int = param(50, low=10, high=300)
    entry: float = param(2.0, low=1.0, high=3.0)
    exit: float = param(0.25, low=0.0, high=0.9)
    patience: int = param(60, low=5, high=300)
    weight: float = param(0.95, low=0.05, high=0.99)
    short: bool = param(False)

    def setup(self) -> None:
        self.score = ZScore(self.period)
        self.held = 0  # bars
        self.armed = True  # the score has been near the mean since patience ran out

    def on_bar(self, bar: Any, broker: Any) -> None:
        score = self.score.update(math.log(bar.close))
        if not self.score.ready:
            return
        self.armed = self.armed or abs(score) < self.exit + 0.1
        self.held = 0 if broker.is_flat else self.held + 1
        if broker.is_flat:
            if self.armed and score < -self.entry:
                broker.target_weight(self.weight)
            elif self.armed and self.short and score > self.entry:
                broker.target_weight(-self.weight)
        elif self.held >= self.patience:
            self.armed = False
            broker.close()
        elif (broker.is_long and score > -self.exit) or (broker.is_short and score < self.exit):
            broker.close()
