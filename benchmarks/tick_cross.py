"""The strategy of workload C: two exponential averages of trade prices, one unit long or flat."""

from __future__ import annotations

from typing import Any

from quantlytic import Strategy


class TickCross(Strategy):
    """Averages of 2,000 and 20,000 trades that begin at the first price; trades after 20,000 of them."""

    def setup(self) -> None:
        self.fast, self.slow, self.seen = 0.0, 0.0, 0

    def on_trade(self, trade: Any, broker: Any) -> None:
        price = trade.price
        if self.seen == 0:
            self.fast = price
            self.slow = price
        self.fast += 2.0 / 2001.0 * (price - self.fast)
        self.slow += 2.0 / 20001.0 * (price - self.slow)
        self.seen += 1
        if self.seen > 20_000 and broker.open_orders == 0:
            if broker.position < 0.5 and self.fast > self.slow:
                broker.buy(1.0)
            elif broker.position > 0.5 and self.fast < self.slow:
                broker.sell(1.0)
