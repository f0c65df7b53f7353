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


class CrossChurn(Strategy):
    """The same on all instruments at once: each slice trades the ones that rose against the ones that fell; a timer withdraws
    what rests; bars and fills are seen as well. Every handler orders something."""

    PERIOD_NS = 1_500_000_000
    weight: float = param(0.1, low=0.0, high=1.0)

    def setup(self) -> None:
        self.every(self.PERIOD_NS)
        self.slices = 0
        self.filled = 0
        self.sum = 0.0
        self.resting = 0
        self.probe = 0

    def on_fill(self, fill: Any, broker: Any) -> None:
        self.filled += 1
        if self.filled % 5 == 0:
            broker.limit(Side.BUY, 0.01, fill.price * 0.9999)

    def on_bar(self, bar: Any, broker: Any) -> None:
        self.sum = self.sum * 0.5 + bar.close
        if broker.is_long and broker.open_orders == 0 and self.slices % 3 == 0:
            self.resting = broker.limit(Side.SELL, broker.position / 2.0, bar.close * 1.0002)
        if bar.instrument == 0 and broker.order_status(self.probe) == 2:  # it was told of the venue's answer
            broker.cancel(self.probe)

    def on_slice(self, slice: Any, broker: Any) -> None:
        self.slices += 1
        for i in range(slice.instruments):
            if slice.has(i):
                self.sum = self.sum * 0.25 + slice.close(i) + slice.count
                if slice.close(i) > slice.open(i):
                    broker.on(i).target_weight(self.weight)
                elif broker.on(i).is_long:
                    broker.on(i).close()
        if self.slices % 11 == 0:
            broker.on(0).buy(1.0e9)
        if self.slices % 3 == 0 and slice.has(0):
            self.probe = broker.on(0).limit(Side.BUY, 0.01, slice.close(0) * 0.99)

    def on_timer(self, time: int, broker: Any) -> None:
        for i in range(2):
            if time // self.PERIOD_NS % 2 == i and broker.on(i).open_orders > 1:
                broker.on(i).cancel_all()
