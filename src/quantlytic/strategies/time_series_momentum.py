"""What rose goes on."""

from __future__ import annotations

import math
from typing import Any

from quantlytic import Strategy, param
from quantlytic.indicators import Lag, Sum


class TimeSeriesMomentum(Strategy):
    """Long after a rise over the last year or so, else flat (or short), held in inverse proportion to how much the price has
    moved of late. An asset's own past return foretells its next, and scaling keeps the risk alike at all times.

    Source: Moskowitz, Ooi & Pedersen, Time series momentum, Journal of Financial Economics 104 (2012).

    `lookback`: bars over which the past return is taken. `target`: the volatility a year that a position is scaled to, by
    that of the last `volatility_period` bars (squared log returns over the time they took, so any bar size will do).
    `rebalance`: bars between decisions. `weight`: the most that is held. `short`: short after a fall, where the account may.

    Example:
        >>> import quantlytic as ql
        >>> result = ql.backtest(TimeSeriesMomentum(lookback=200), ql.demo_bars(), cash=1e5)
        >>> len(result.fills)
        43
    """

    YEAR_NS = 31_557_600e9

    lookback: int = param(250, low=20, high=1000)
    volatility_period: int = param(60, low=10, high=250)
    target: float = param(0.4, low=0.05, high=1.0)
    rebalance: int = param(20, low=1, high=100)
    weight: float = param(0.95, low=0.05, high=0.99)
    short: bool = param(False)

    def setup(self) -> None:
        self.past = Lag(self.lookback)
        self.squares = Sum(self.volatility_period)
        self.begin = Lag(self.volatility_period)
        self.last = 0.0
        self.waited = 0

    def on_bar(self, bar: Any, broker: Any) -> None:
        past = self.past.update(bar.close)
        change = math.log(bar.close / self.last) if self.last > 0.0 else math.nan
        self.last = bar.close
        squares = self.squares.update(change * change)
        years = (bar.close_time - self.begin.update(bar.close_time)) / self.YEAR_NS
        self.waited += 1
        if not (self.past.ready and self.squares.ready) or self.waited < self.rebalance:
            return
        self.waited = 0
        share = min(self.weight, self.target / max(math.sqrt(squares / years), 1e-9))
        if bar.close > past:
            broker.target_weight(share)
        elif self.short and bar.close < past:
            broker.target_weight(-share)
        else:
            broker.close()
