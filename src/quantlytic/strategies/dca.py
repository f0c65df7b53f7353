"""A little, often."""

from __future__ import annotations

from typing import Any

from quantlytic import Strategy, param

DAY_NS = 86_400_000_000_000


class DCA(Strategy):
    """Buys for the same amount of money again and again, whatever the price, and never sells (dollar-cost averaging). It buys
    more units when they are cheap; it also stays out of the market for long, which is what it usually costs.

    Source: Graham, The Intelligent Investor (1949); what it costs: Constantinides, A note on the suboptimality of
    dollar-cost averaging (1979).

    `amount`: quote currency spent each time; `interval`: bars between two purchases, or UTC days with `days`. When the cash
    is used up, it stops. On an account with several instruments each gets the amount.

    >>> import quantlytic as ql
    >>> result = ql.backtest(DCA(amount=500.0, interval=100), ql.demo_bars(1000), cash=1e5)
    >>> result.metrics["fills"]
    10
    """

    amount: float = param(1_000.0, low=1.0, high=1e9)
    interval: int = param(24, low=1, high=1000)
    days: bool = param(False)

    def setup(self) -> None:
        self.bars = 0
        self.last = 0

    def on_bar(self, bar: Any, broker: Any) -> None:
        now = (bar.close_time - 1) // DAY_NS if self.days else self.bars
        if (self.bars == 0 or now - self.last >= self.interval) and broker.cash > 1.02 * self.amount:
            self.last = now
            broker.target_quantity(broker.position + self.amount / bar.close)
        self.bars += 1
