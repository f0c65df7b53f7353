"""A strategy that does everything a strategy can, as often as it can, so that a lost or repeated step must show."""

from __future__ import annotations

from typing import Any

from quantlytic import Side, Strategy, TimeInForce, param
from quantlytic.indicators import EMA


class Churn(Strategy):
    """Market orders in and out of an average, limit orders around the price, cancels, IOC orders, and too large ones."""

    span: int = param(3, low=2, high=50)
    weight: float = param(0.3, low=0.0, high=1.0)

    def setup(self) -> None:
        self.average = EMA(self.span)
        self.bars = 0
        self.filled = 0
        self.resting = 0

    def on_fill(self, fill: Any, broker: Any) -> None:
        self.filled += 1
        if fill.order_id == self.resting:
            self.resting = 0

    def on_bar(self, bar: Any, broker: Any) -> None:
        average = self.average.update(bar.close)
        self.bars += 1
        if self.resting > 0 and self.bars % 4 == 0:
            broker.cancel(self.resting)
            self.resting = 0
        if bar.close > average and broker.is_flat:
            broker.target_weight(self.weight)
        elif bar.close < average and broker.is_long:
            broker.close()
        elif self.resting == 0 and broker.is_long:
            self.resting = broker.limit(Side.SELL, broker.position / 2.0, bar.close * 1.0005)
        elif self.filled % 3 == 1:
            broker.limit(Side.BUY, 0.001, bar.close * 0.9999, TimeInForce.IOC)
        if self.bars % 17 == 0:
            broker.buy(1.0e9)
