"""Only where there is a trend."""

from __future__ import annotations

from typing import Any

from quantlytic import Strategy, param
from quantlytic.indicators import ADX


class AdxTrend(Strategy):
    """Long when bars reach further up than down and the average directional index says that there is a trend at all; out when
    they reach further down. Most losses of trend followers are made where there is nothing to follow.

    Source: Wilder, New Concepts in Technical Trading Systems (1978).

    `period`: bars of the index. `threshold`: enters only above it. `weight`: the share of equity that is held. `short`: short
    when bars reach further down, where the account may.

    Example:
        >>> import quantlytic as ql
        >>> result = ql.backtest(AdxTrend(threshold=20.0), ql.demo_bars(), cash=1e5)
        >>> len(result.round_trips)
        39
    """

    period: int = param(14, low=5, high=60)
    threshold: float = param(25.0, low=10.0, high=45.0)
    weight: float = param(0.95, low=0.05, high=0.99)
    short: bool = param(False)

    def setup(self) -> None:
        self.adx = ADX(self.period)

    def on_bar(self, bar: Any, broker: Any) -> None:
        strength = self.adx.update(bar.high, bar.low, bar.close)
        if not self.adx.ready:
            return
        way = self.adx.plus_di - self.adx.minus_di
        if strength > self.threshold and way > 0.0:
            if not broker.is_long:
                broker.target_weight(self.weight)
        elif self.short and strength > self.threshold and way < 0.0:
            if not broker.is_short:
                broker.target_weight(-self.weight)
        elif broker.position * way < 0.0:
            broker.close()
