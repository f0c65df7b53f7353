"""Too far, too fast."""

from __future__ import annotations

from typing import Any

from quantlytic import Strategy, param
from quantlytic.indicators import RSI


class RsiReversion(Strategy):
    """Buys when Wilder's relative strength index says that losses have been one-sided, and sells once it is back. It earns
    from those who had to sell, and loses when they knew better.

    Source: Wilder, New Concepts in Technical Trading Systems (1978).

    `period`: bars of the index. `low`: buys below it; `exit`: sells above it. `weight`: the share of equity that is held.
    `short`: sells short above 100 - `low` and buys back below 100 - `exit`, where the account may.

    Example:
        >>> import quantlytic as ql
        >>> result = ql.backtest(RsiReversion(low=25.0), ql.demo_bars(), cash=1e5)
        >>> len(result.round_trips)
        6
    """

    period: int = param(14, low=2, high=50)
    low: float = param(30.0, low=5.0, high=45.0)
    exit: float = param(55.0, low=46.0, high=80.0)
    weight: float = param(0.95, low=0.05, high=0.99)
    short: bool = param(False)

    def setup(self) -> None:
        self.rsi = RSI(self.period)

    def on_bar(self, bar: Any, broker: Any) -> None:
        strength = self.rsi.update(bar.close)
        if not self.rsi.ready:
            return
        if strength < self.low and not broker.is_long:
            broker.target_weight(self.weight)
        elif self.short and strength > 100.0 - self.low and not broker.is_short:
            broker.target_weight(-self.weight)
        elif (broker.is_long and strength > self.exit) or (broker.is_short and strength < 100.0 - self.exit):
            broker.close()
