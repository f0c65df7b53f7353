"""The band that follows price."""

from __future__ import annotations

from typing import Any

from quantlytic import Strategy, param
from quantlytic.indicators import Supertrend


class SupertrendFollower(Strategy):
    """Long while price holds above a band that follows it at a few average ranges and never gives way. The band widens with
    volatility, so a wild market needs a larger move to turn it.

    Source: Seban, Tout le monde merite d'etre riche (2007).

    `period`: bars of the average true range. `multiplier`: the band's distance, in average true ranges. `weight`: the share
    of equity that is held. `short`: short while price is below the band, where the account may.

    Example:
        >>> import quantlytic as ql
        >>> result = ql.backtest(SupertrendFollower(period=20), ql.demo_bars(), cash=1e5)
        >>> len(result.round_trips)
        25
    """

    period: int = param(10, low=5, high=60)
    multiplier: float = param(3.0, low=1.0, high=8.0)
    weight: float = param(0.95, low=0.05, high=0.99)
    short: bool = param(False)

    def setup(self) -> None:
        self.supertrend = Supertrend(self.period, self.multiplier)

    def on_bar(self, bar: Any, broker: Any) -> None:
        self.supertrend.update(bar.high, bar.low, bar.close)
        if not self.supertrend.ready:
            return
        if self.supertrend.trend > 0.0:
            if not broker.is_long:
                broker.target_weight(self.weight)
        elif self.short:
            if not broker.is_short:
                broker.target_weight(-self.weight)
        elif broker.is_long:
            broker.close()
