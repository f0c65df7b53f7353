"""Moving average convergence divergence."""

from __future__ import annotations

from typing import Any

from quantlytic import Strategy, param
from quantlytic.indicators import MACD


class MacdCross(Strategy):
    """Long while MACD is above its signal line: the distance between two averages grows. It sees a trend gather pace before
    the averages themselves cross.

    Source: Appel, The Moving Average Convergence-Divergence Trading Method (1979).

    `fast`, `slow`, `signal`: the periods in bars. `confirmed`: enters only on the trend's own side of zero (MACD above 0
    for longs). `weight`: the share of equity that is held. `short`: short while MACD is below its signal, where the account
    may.

    Example:
        >>> import quantlytic as ql
        >>> result = ql.backtest(MacdCross(confirmed=True), ql.demo_bars(), cash=1e5)
        >>> len(result.round_trips)
        50
    """

    fast: int = param(12, low=3, high=20)
    slow: int = param(26, low=21, high=100)
    signal: int = param(9, low=3, high=30)
    confirmed: bool = param(False)
    weight: float = param(0.95, low=0.05, high=0.99)
    short: bool = param(False)

    def setup(self) -> None:
        self.macd = MACD(self.fast, self.slow, self.signal)

    def on_bar(self, bar: Any, broker: Any) -> None:
        value = self.macd.update(bar.close)
        if not self.macd.ready:
            return
        histogram = self.macd.histogram
        if histogram > 0.0 and not broker.is_long and (value > 0.0 or not self.confirmed):
            broker.target_weight(self.weight)
        elif self.short and histogram < 0.0 and not broker.is_short and (value < 0.0 or not self.confirmed):
            broker.target_weight(-self.weight)
        elif (broker.is_long and histogram < 0.0) or (broker.is_short and histogram > 0.0):
            broker.close()
