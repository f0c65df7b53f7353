"""Stop and reverse."""

from __future__ import annotations

from typing import Any

from quantlytic import Strategy, param
from quantlytic.indicators import SAR


class ParabolicSar(Strategy):
    """Long while price stays above a stop that closes in on it faster with every new high; when they meet, out (or short). The
    stop gives a young trend room and an old one none.

    Source: Wilder, New Concepts in Technical Trading Systems (1978).

    `step`: by how much the stop's pace grows with each new extreme; `maximum`: at most so far. `weight`: the share of equity
    that is held. `short`: short below the stop, where the account may.

    Example:
        >>> import quantlytic as ql
        >>> result = ql.backtest(ParabolicSar(step=0.01), ql.demo_bars(), cash=1e5)
        >>> len(result.round_trips)
        66
    """

    step: float = param(0.02, low=0.002, high=0.05)
    maximum: float = param(0.2, low=0.05, high=0.5)
    weight: float = param(0.95, low=0.05, high=0.99)
    short: bool = param(False)

    def setup(self) -> None:
        self.sar = SAR(self.step, self.maximum)

    def on_bar(self, bar: Any, broker: Any) -> None:
        self.sar.update(bar.high, bar.low)
        if not self.sar.ready:
            return
        if self.sar.trend > 0.0 and bar.close > self.sar.value:
            if not broker.is_long:
                broker.target_weight(self.weight)
        elif self.sar.trend < 0.0 and bar.close < self.sar.value:
            if self.short and not broker.is_short:
                broker.target_weight(-self.weight)
            elif broker.is_long:
                broker.close()
