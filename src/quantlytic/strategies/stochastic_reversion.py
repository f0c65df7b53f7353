"""At the end of the range."""

from __future__ import annotations

from typing import Any

from quantlytic import Strategy, param
from quantlytic.indicators import Stochastic


class StochasticReversion(Strategy):
    """Buys when the stochastic oscillator turns up (%K above %D) near the bottom of the recent range, and sells near the top.
    In a market without direction the range's ends hold, and the turn says that this one has.

    Source: Lane, Lane's stochastics, Technical Analysis of Stocks & Commodities (1984).

    `period`: bars of the range. `smooth`: bars of both smoothings. `low`: buys below it; sells above 100 - `low`. `weight`: the
    share of equity that is held. `short`: sells short when it turns down near the top, where the account may.

    Example:
        >>> import quantlytic as ql
        >>> result = ql.backtest(StochasticReversion(period=21), ql.demo_bars(), cash=1e5)
        >>> len(result.round_trips)
        23
    """

    period: int = param(14, low=5, high=100)
    smooth: int = param(3, low=2, high=10)
    low: float = param(20.0, low=5.0, high=40.0)
    weight: float = param(0.95, low=0.05, high=0.99)
    short: bool = param(False)

    def setup(self) -> None:
        self.stochastic = Stochastic(self.period, self.smooth, self.smooth)

    def on_bar(self, bar: Any, broker: Any) -> None:
        self.stochastic.update(bar.high, bar.low, bar.close)
        if not self.stochastic.ready:
            return
        k, d = self.stochastic.k, self.stochastic.d
        high = 100.0 - self.low
        if k > d and d < self.low and not broker.is_long:
            broker.target_weight(self.weight)
        elif self.short and k < d and d > high and not broker.is_short:
            broker.target_weight(-self.weight)
        elif (broker.is_long and d > high) or (broker.is_short and d < self.low):
            broker.close()
