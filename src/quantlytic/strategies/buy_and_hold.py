"""The yardstick."""

from __future__ import annotations

from typing import Any

from quantlytic import Strategy, param


class BuyAndHold(Strategy):
    """Buys once, at the first bar, for a share of equity, and holds."""

    weight: float = param(0.99, low=0.0, high=1.0)

    def setup(self) -> None:
        self.sent = False

    def on_bar(self, bar: Any, broker: Any) -> None:
        if not self.sent:
            self.sent = True
            broker.target_weight(self.weight)
