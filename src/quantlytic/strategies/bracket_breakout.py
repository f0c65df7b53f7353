"""In with the breakout, out by bracket."""

from __future__ import annotations

from typing import Any

from quantlytic import Side, Strategy, param
from quantlytic.indicators import ATR, Max, Min


class BracketBreakout(Strategy):
    """Buys when a bar closes above the highest high of the bars before it, with both exits fixed at once: a stop `stop`
    average true ranges below, and a limit `target` of them above; what fills first cancels the other (OCO). The size is
    such that the stop costs `risk` of equity.

    Source: Donchian's channel (1960); sized by risk: Van Tharp, Trade Your Way to Financial Freedom (1998).

    `period`: bars of the channel; `atr_period`: bars of the average true range; `weight`: share of equity in one position, at
    most. With `short`, the same below the lowest low.

    >>> import quantlytic as ql
    >>> result = ql.backtest(BracketBreakout(period=40), ql.demo_bars(1000), cash=1e5)
    >>> result.metrics["round_trips"] > 3
    True
    """

    period: int = param(48, low=2, high=500)
    atr_period: int = param(14, low=2, high=100)
    stop: float = param(2.0, low=0.25, high=10.0)
    target: float = param(4.0, low=0.25, high=20.0)
    risk: float = param(0.01, low=0.0005, high=0.1)
    weight: float = param(0.95, low=0.0, high=1.0)
    short: bool = param(False)

    def setup(self) -> None:
        self.highest = Max(self.period)
        self.lowest = Min(self.period)
        self.true_range = ATR(self.atr_period)

    def on_bar(self, bar: Any, broker: Any) -> None:
        above, below = bar.close > self.highest.value, bar.close < self.lowest.value
        self.highest.update(bar.high)
        self.lowest.update(bar.low)
        reach = self.true_range.update(bar.high, bar.low, bar.close)
        if not (reach > 0.0 and broker.is_flat and broker.open_orders == 0):
            return
        loss = self.stop * reach
        size = broker.equity * min(self.risk / loss, self.weight / bar.close)
        if above and loss < bar.close:
            broker.bracket(Side.BUY, size, bar.close - loss, bar.close + self.target * reach)
        elif below and self.short and self.target * reach < bar.close:
            broker.bracket(Side.SELL, size, bar.close + loss, bar.close - self.target * reach)
