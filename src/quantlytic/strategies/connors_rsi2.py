"""A dip in a rise."""

from __future__ import annotations

from typing import Any

from quantlytic import Strategy, param
from quantlytic.indicators import RSI, SMA


class ConnorsRsi2(Strategy):
    """Buys a sharp dip, RSI of two bars near 0, while the price is above its 200-bar average; sells when it closes above its
    5-bar average. In a rising market short fear is overdone more often than not.

    Source: Connors & Alvarez, Short Term Trading Strategies That Work (2009), chapter 9.

    `period`, `low`: bars of the index, and the value below which it buys. `trend`: bars of the average that allows it.
    `leave`: bars of the average at which it sells. `weight`: the share of equity that is held. `short`: sells sharp rises
    below the long average, where the account may. There is no stop, as in the book.

    Example:
        >>> import quantlytic as ql
        >>> result = ql.backtest(ConnorsRsi2(low=5.0), ql.demo_bars(), cash=1e5)
        >>> len(result.round_trips)
        15
    """

    period: int = param(2, low=2, high=6)
    low: float = param(10.0, low=1.0, high=30.0)
    trend: int = param(200, low=50, high=400)
    leave: int = param(5, low=2, high=20)
    weight: float = param(0.95, low=0.05, high=0.99)
    short: bool = param(False)

    def setup(self) -> None:
        self.rsi = RSI(self.period)
        self.trend_ma = SMA(self.trend)
        self.leave_ma = SMA(self.leave)

    def on_bar(self, bar: Any, broker: Any) -> None:
        strength = self.rsi.update(bar.close)
        trend = self.trend_ma.update(bar.close)
        leave = self.leave_ma.update(bar.close)
        if not self.trend_ma.ready:
            return
        if broker.is_flat:
            if strength < self.low and bar.close > trend:
                broker.target_weight(self.weight)
            elif self.short and strength > 100.0 - self.low and bar.close < trend:
                broker.target_weight(-self.weight)
        elif (broker.is_long and bar.close > leave) or (broker.is_short and bar.close < leave):
            broker.close()
