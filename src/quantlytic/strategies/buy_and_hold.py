"""The yardstick."""

from __future__ import annotations

from typing import Any

from quantlytic import Strategy, param


class BuyAndHold(Strategy):
    """Buys once, at the first bar, for a share of equity, and holds. Whatever trades has to do better than this to be worth
    its costs.

    Source: Malkiel, A Random Walk Down Wall Street (1973), for the case that it is hard to beat.

    `weight`: the share of equity.

    Example:
        >>> import quantlytic as ql
        >>> result = ql.backtest(BuyAndHold(), ql.demo_bars(), cash=1e5)
        >>> len(result.fills)
        1
    """

    weight: float = param(0.99, low=0.0, high=1.0)

    def setup(self) -> None:
        self.sent = False

    def on_bar(self, bar: Any, broker: Any) -> None:
        if not self.sent:
            self.sent = True
            broker.target_weight(self.weight)
