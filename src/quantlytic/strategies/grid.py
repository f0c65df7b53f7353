"""A ladder of limit orders."""

from __future__ import annotations

from typing import Any

import numpy as np

from quantlytic import Side, Strategy, TimeInForce, param


class Grid(Strategy):
    """Lays buy limits on the rungs of a ladder below the price. A rung that has bought sells one rung higher, and then buys
    again: every swing over a rung earns its spacing. It gains in a market that goes sideways, and holds the whole inventory
    in one that falls, which is where such grids end.

    Source: practice, such as Hummingbot's grid strategies; why it gains nothing on a random walk: any stopping rule on a
    martingale (Doob, 1953).

    `levels`: rungs; `spacing`: percent from one to the next; `weight`: share of equity that all rungs together may hold, so the
    inventory is capped; `stop`: percent below the lowest rung at which everything is sold (0: never). While it holds
    nothing, and after a stop, the ladder follows the price.

    >>> import quantlytic as ql
    >>> result = ql.backtest(Grid(levels=8, spacing=1.0), ql.demo_bars(1000), cash=1e5)
    >>> result.metrics["round_trips"] > 5
    True
    """

    MOST = 15
    DUST = 1e-9

    levels: int = param(5, low=2, high=15)
    spacing: float = param(1.5, low=0.02, high=25.0)
    weight: float = param(0.9, low=0.0, high=1.0)
    stop: float = param(0.0, low=0.0, high=50.0)

    def setup(self) -> None:
        self.prices = np.zeros(self.MOST + 1)  # of the rungs; 0 is the reference, where the first rung sells
        self.orders = np.zeros(self.MOST + 1, np.int64)
        self.held = np.zeros(self.MOST + 1)
        self.unit = 0.0  # what a rung buys for
        self.laid = False

    def on_fill(self, fill: Any, broker: Any) -> None:
        for k in range(1, self.levels + 1):
            if self.orders[k] == fill.order_id:
                self.held[k] += fill.side * fill.quantity

    def on_bar(self, bar: Any, broker: Any) -> None:
        if self.laid and self.is_over(bar.close, broker):
            self.laid = False
            self.held[:] = 0.0
            broker.cancel_all()
            broker.close()
        elif self.laid:
            if self.total() == 0.0 and bar.close > self.prices[0] * (1.0 + 0.01 * self.spacing):
                self.lay(bar.close, broker)
                broker.cancel_all()
            self.tend(broker)
        elif broker.is_flat and broker.open_orders == 0:
            self.lay(bar.close, broker)
            self.tend(broker)

    def lay(self, price: float, broker: Any) -> None:
        self.laid = True
        self.unit = self.weight * broker.equity / self.levels
        self.prices[0] = price
        for k in range(1, self.levels + 1):
            self.prices[k] = self.prices[k - 1] / (1.0 + 0.01 * self.spacing)

    def tend(self, broker: Any) -> None:
        """Every rung without an order gets one: to sell what it holds, or to buy."""
        for k in range(1, self.levels + 1):
            if broker.left(self.orders[k]) == 0.0:
                if self.held[k] * self.prices[k] > self.DUST * self.unit:
                    # Reduce-only, since the position may differ from the rungs' sum by a rounding error.
                    self.orders[k] = broker.limit(
                        Side.SELL, self.held[k], self.prices[k - 1], TimeInForce.GTC, False, True
                    )
                else:
                    self.held[k] = 0.0
                    self.orders[k] = broker.limit(Side.BUY, self.unit / self.prices[k], self.prices[k])

    def is_over(self, price: float, broker: Any) -> bool:
        """The stop is reached; or the position is not the rungs' (a split, a liquidation), so they mean nothing any more."""
        strange = abs(broker.position - self.total()) * price > 1e-6 * self.unit
        return strange or (self.stop > 0.0 and price < self.prices[self.levels] * (1.0 - 0.01 * self.stop))

    def total(self) -> float:
        found = 0.0
        for k in range(1, self.levels + 1):
            found += self.held[k]
        return found
