"""The classic: follow the trend that two moving averages see."""

from __future__ import annotations

from typing import Any

from quantlytic import Strategy, param
from quantlytic.indicators import SMA


class SmaCross(Strategy):
    """Long while the fast average is above the slow one, else flat. Averages smooth the noise away and come late to every turn:
    it gains in long moves and loses in short ones.

    Source: Gartley, Profits in the Stock Market (1935); Brock, Lakonishok & LeBaron, Simple technical trading rules and the
    stochastic properties of stock returns, Journal of Finance 47 (1992).

    `fast`, `slow`: the periods in bars. `weight`: the share of equity that is held.

    Example:
        >>> import quantlytic as ql
        >>> result = ql.backtest(SmaCross(fast=20, slow=80), ql.demo_bars(), cash=1e5)
        >>> len(result.round_trips)
        13
    """

    fast: int = param(50, low=2, high=200)
    slow: int = param(200, low=5, high=400)
    weight: float = param(0.99, low=0.0, high=1.0)

    def setup(self) -> None:
        self.fast_ma = SMA(self.fast)
        self.slow_ma = SMA(self.slow)

    def on_bar(self, bar: Any, broker: Any) -> None:
        fast = self.fast_ma.update(bar.close)
        slow = self.slow_ma.update(bar.close)
        if not self.slow_ma.ready:
            return
        if fast > slow and broker.is_flat:
            broker.target_weight(self.weight)
        elif fast < slow and broker.is_long:
            broker.close()
