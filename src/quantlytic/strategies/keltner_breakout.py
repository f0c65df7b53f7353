"""Out of the channel."""

from __future__ import annotations

from typing import Any

from quantlytic import Strategy, param
from quantlytic.indicators import KeltnerChannel


class KeltnerBreakout(Strategy):
    """Buys a close above a channel of average true ranges around an exponential average, and sells a close below that
    average. Ranges answer to gaps and wicks, which deviations of closes do not see.

    Source: Keltner, How to Make Money in Commodities (1960), as changed by Raschke & Connors, Street Smarts (1995).

    `period`: bars of the average. `atr_period`, `width`: bars of the average true range, and how many of them it is to the
    channel's edge. `weight`: the share of equity that is held. `short`: the same the other way round, where the account may.

    Example:
        >>> import quantlytic as ql
        >>> result = ql.backtest(KeltnerBreakout(width=2.5), ql.demo_bars(), cash=1e5)
        >>> len(result.round_trips)
        14
    """

    period: int = param(20, low=5, high=200)
    atr_period: int = param(10, low=5, high=60)
    width: float = param(2.0, low=0.5, high=5.0)
    weight: float = param(0.95, low=0.05, high=0.99)
    short: bool = param(False)

    def setup(self) -> None:
        self.channel = KeltnerChannel(self.period, self.atr_period, self.width)

    def on_bar(self, bar: Any, broker: Any) -> None:
        middle = self.channel.update(bar.high, bar.low, bar.close)
        if not self.channel.ready:
            return
        if bar.close > self.channel.upper and not broker.is_long:
            broker.target_weight(self.weight)
        elif self.short and bar.close < self.channel.lower and not broker.is_short:
            broker.target_weight(-self.weight)
        elif broker.position * (bar.close - middle) < 0.0:
            broker.close()
