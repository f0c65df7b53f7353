"""Above the cloud."""

from __future__ import annotations

from typing import Any

from quantlytic import Strategy, param
from quantlytic.indicators import Ichimoku


class IchimokuCloud(Strategy):
    """Long while the price is above the cloud, where the middles of past ranges lie, and the conversion line is above the base
    line; out when it falls into the cloud's far side. Three horizons have to agree.

    Source: Hosoda, Ichimoku Kinko Hyo (1969); Patel, Trading with Ichimoku Clouds (2010).

    `fast`, `middle`, `slow`: bars of the three ranges (9, 26, 52); the cloud lies `middle` bars ahead of what it is made from.
    `weight`: the share of equity that is held. `short`: short below the cloud, where the account may.

    Example:
        >>> import quantlytic as ql
        >>> result = ql.backtest(IchimokuCloud(), ql.demo_bars(), cash=1e5)
        >>> len(result.round_trips)
        19
    """

    fast: int = param(9, low=3, high=20)
    middle: int = param(26, low=21, high=44)
    slow: int = param(52, low=45, high=200)
    weight: float = param(0.95, low=0.05, high=0.99)
    short: bool = param(False)

    def setup(self) -> None:
        self.cloud = Ichimoku(self.fast, self.middle, self.slow, self.middle)

    def on_bar(self, bar: Any, broker: Any) -> None:
        self.cloud.update(bar.high, bar.low)
        if not self.cloud.ready:
            return
        top = max(self.cloud.span_a, self.cloud.span_b)
        bottom = min(self.cloud.span_a, self.cloud.span_b)
        way = self.cloud.conversion - self.cloud.base
        if bar.close > top and way > 0.0:
            if not broker.is_long:
                broker.target_weight(self.weight)
        elif self.short and bar.close < bottom and way < 0.0:
            if not broker.is_short:
                broker.target_weight(-self.weight)
        elif (broker.is_long and bar.close < bottom) or (broker.is_short and bar.close > top):
            broker.close()
