"""Volume goes ahead."""

from __future__ import annotations

from typing import Any

from quantlytic import Strategy, param
from quantlytic.indicators import EMA, OBV


class ObvTrend(Strategy):
    """Long while on-balance volume and the price are both above their averages: those who trade much are buying, and the
    price agrees. Volume alone may lead too early, price alone may mislead.

    Source: Granville, Granville's New Key to Stock Market Profits (1963).

    `period`: bars of the average of the volume; `price_period`: of the price. `weight`: the share of equity that is held.
    `short`: short while both are below, where the account may.

    Example:
        >>> import quantlytic as ql
        >>> result = ql.backtest(ObvTrend(period=50), ql.demo_bars(), cash=1e5)
        >>> len(result.round_trips)
        41
    """

    period: int = param(30, low=5, high=200)
    price_period: int = param(50, low=5, high=300)
    weight: float = param(0.95, low=0.05, high=0.99)
    short: bool = param(False)

    def setup(self) -> None:
        self.obv = OBV()
        self.obv_ma = EMA(self.period)
        self.price_ma = EMA(self.price_period)

    def on_bar(self, bar: Any, broker: Any) -> None:
        flow = self.obv.update(bar.close, bar.volume)
        flow -= self.obv_ma.update(flow)
        move = bar.close - self.price_ma.update(bar.close)
        if not (self.obv_ma.ready and self.price_ma.ready):
            return
        if flow > 0.0 and move > 0.0:
            if not broker.is_long:
                broker.target_weight(self.weight)
        elif self.short and flow < 0.0 and move < 0.0:
            if not broker.is_short:
                broker.target_weight(-self.weight)
        elif broker.position * flow < 0.0 and broker.position * move < 0.0:
            broker.close()
