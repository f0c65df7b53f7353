"""Two exponential averages."""

from __future__ import annotations

from typing import Any

from quantlytic import Strategy, param
from quantlytic.indicators import EMA


class EmaCross(Strategy):
    """Long while the fast exponential average is above the slow one. It turns sooner than plain averages do, and pays for
    that with more false starts.

    Source: Appel, Technical Analysis: Power Tools for Active Investors (2005); Brock, Lakonishok & LeBaron, Simple
    technical trading rules and the stochastic properties of stock returns, Journal of Finance 47 (1992).

    `fast`, `slow`: the periods in bars; their ranges do not overlap, so every pair makes sense. `band`: the averages must
    differ by this share of the slow one before a side is taken. `weight`: the share of equity that is held. `short`: short
    while the fast one is below, where the account may.

    Example:
        >>> import quantlytic as ql
        >>> result = ql.backtest(EmaCross(fast=10, slow=60), ql.demo_bars(), cash=1e5)
        >>> len(result.round_trips)
        20
    """

    fast: int = param(20, low=2, high=50)
    slow: int = param(100, low=51, high=300)
    band: float = param(0.0, low=0.0, high=0.02)
    weight: float = param(0.95, low=0.05, high=0.99)
    short: bool = param(False)

    def setup(self) -> None:
        self.fast_ma = EMA(self.fast)
        self.slow_ma = EMA(self.slow)

    def on_bar(self, bar: Any, broker: Any) -> None:
        fast = self.fast_ma.update(bar.close)
        slow = self.slow_ma.update(bar.close)
        if not self.slow_ma.ready:
            return
        if fast > slow * (1.0 + self.band) and not broker.is_long:
            broker.target_weight(self.weight)
        elif fast < slow * (1.0 - self.band) and not broker.is_short:
            if self.short:
                broker.target_weight(-self.weight)
            elif broker.is_long:
                broker.close()
