"""A strategy that sends every kind of order, right and wrong, in markets of every kind: for properties that always hold."""

from __future__ import annotations

from typing import Any

import numpy as np

from quantlytic import Fees, Side, Strategy, TimeInForce, param
from quantlytic.engine.market.latency import Latency
from quantlytic.engine.market.margin import Margin
from quantlytic.engine.market.market import Market
from quantlytic.engine.market.slippage import (
    FixedSlippage,
    NoSlippage,
    SpreadSlippage,
    SquareRootImpact,
    VolumeShareSlippage,
)


class Storm(Strategy):
    """Draws what to do from a pseudo-random sequence of its own."""

    seed: int = param(1, low=1, high=1_000_000)

    def setup(self) -> None:
        self.random = int(self.seed)
        self.order = 0
        self.watched = 0
        self.left = 0.0

    def draw(self, below: int) -> int:
        self.random = (self.random * 1_103_515_245 + 12_345) % 2_147_483_648
        return (self.random // 65_536) % below

    def on_fill(self, fill: Any, broker: Any) -> None:
        if self.draw(6) == 0:
            broker.amend(self.order, price=fill.price * 0.99)

    def on_bar(self, bar: Any, broker: Any) -> None:
        for _ in range(1 + self.draw(3)):
            self.act(bar, broker)
        self.watched += broker.order_status(self.order) + broker.open_orders
        self.left += broker.left(self.order)

    def act(self, bar: Any, broker: Any) -> None:
        what = self.draw(20)
        side = Side.BUY if self.draw(2) == 0 else Side.SELL
        size = (1 + self.draw(40)) * 0.25
        price = bar.close * (1.0 + (self.draw(60) - 30) * 0.001)
        force = TimeInForce.GTC
        drawn = self.draw(10)
        expiry = 0
        if drawn == 0:
            force = TimeInForce.DAY
        elif drawn == 1:
            force = TimeInForce.GTD
            expiry = bar.close_time + 60_000_000_000 * self.draw(6)
        elif drawn == 2:
            force = TimeInForce.IOC
        elif drawn == 3:
            force = TimeInForce.FOK
        elif drawn == 4:
            force = TimeInForce.AT_OPEN if self.draw(2) == 0 else TimeInForce.AT_CLOSE
        careful = self.draw(5) == 0
        if what == 0:
            broker.target_weight((self.draw(5) - 2) * 0.3)
        elif what == 1:
            broker.close()
        elif what == 2:
            broker.buy(size, force, careful)
        elif what == 3:
            broker.sell(size, force, careful)
        elif what < 7:
            self.order = broker.limit(side, size, price, force, self.draw(4) == 0, careful, expiry)
        elif what == 7:
            self.order = broker.stop(side, size, price, force, careful, expiry)
        elif what == 8:
            self.order = broker.stop_limit(
                side, size, price, price * (1.0 + 0.001 * (self.draw(5) - 2)), force, careful, expiry
            )
        elif what == 9:
            self.order = broker.trailing_stop(side, size, 0.5 + self.draw(3), self.draw(2) == 0, force, careful, expiry)
        elif what == 10:
            self.order = broker.take_profit(side, size, price, force, careful, expiry)
        elif what < 14:
            wide = 0.002 * (1 + self.draw(8)) * side
            self.order = broker.bracket(side, size, bar.close * (1.0 - wide), bar.close * (1.0 + wide))
        elif what == 14:
            self.order = broker.bracket(side, size, price * (1.0 - 0.01 * side), price * (1.0 + 0.01 * side), price)
        elif what == 15:
            broker.cancel(self.order)
        elif what == 16:
            broker.amend(self.order, size, price, price)
        elif what == 17:
            broker.amend(self.order, size * 0.5)
        elif what == 18:
            broker.limit(side, -size, price)
            broker.bracket(side, size, price, price)
        elif self.draw(4) == 0:
            broker.cancel_all()


def random_market(random: np.random.Generator) -> Market:
    """A market of any kind."""
    pick = random.integers
    slippage = (NoSlippage(), FixedSlippage(3), SpreadSlippage(4), VolumeShareSlippage(), SquareRootImpact(0.5, 5))[
        pick(5)
    ]
    fees = (Fees(), Fees(10, -1), Fees(5, 2, 1.0, 0.01, 3.0), Fees(10, 5, tiers=((1e4, 8, 3), (5e4, 5, 0))))[pick(4)]
    latency = (Latency(), Latency(20_000_000_000), Latency(lags_ns=(10**9, 61 * 10**9, 0), seed=7))[pick(3)]
    margin = (Margin(), Margin("cross", 5.0, 0.05, 20.0), Margin("isolated", 10.0, 0.02, 10.0))[pick(3)]
    return Market(
        fees=fees, slippage=slippage, latency=latency, margin=margin,
        participation=(None, 0.3, 1.0)[pick(3)], path=("worst", "ohlc", "olhc")[pick(3)],
        borrow_rate=(0.0, 0.5)[pick(2)], allow_short=bool(pick(2)),
    )  # fmt: skip
