"""Back to what was paid."""

from __future__ import annotations

from typing import Any

from quantlytic import Strategy, param
from quantlytic.indicators import RollingVWAP, StdDev


class VwapReversion(Strategy):
    """Buys when the price lies unusually far below the volume-weighted average of the last bars, and sells when it is back
    there. That average is what the others paid: below it they are under water, above it they are tempted to sell.

    Source: Berkowitz, Logue & Noser, The total cost of transactions on the NYSE, Journal of Finance 43 (1988), for the
    average; as a level to return to it is traders' lore.

    `period`: bars of the average, and of the standard deviation of the price's distance from it. `entry`: in such standard
    deviations. `weight`: the share of equity that is held. `short`: sells what is as far above, where the account may. Bars
    without any volume in the period change nothing.

    Example:
        >>> import quantlytic as ql
        >>> result = ql.backtest(VwapReversion(period=48), ql.demo_bars(), cash=1e5)
        >>> len(result.round_trips)
        15
    """

    period: int = param(24, low=5, high=200)
    entry: float = param(2.0, low=0.5, high=4.0)
    weight: float = param(0.95, low=0.05, high=0.99)
    short: bool = param(False)

    def setup(self) -> None:
        self.vwap = RollingVWAP(self.period)
        self.spread = StdDev(self.period)

    def on_bar(self, bar: Any, broker: Any) -> None:
        distance = bar.close / self.vwap.update(bar.high, bar.low, bar.close, bar.volume) - 1.0
        reach = self.entry * self.spread.update(distance)
        if not self.spread.ready:
            return
        if distance < -reach and not broker.is_long:
            broker.target_weight(self.weight)
        elif self.short and distance > reach and not broker.is_short:
            broker.target_weight(-self.weight)
        elif broker.position * distance > 0.0:
            broker.close()
