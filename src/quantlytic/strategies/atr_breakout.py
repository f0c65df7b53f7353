"""A bar that goes far."""

from __future__ import annotations

import math
from typing import Any

from quantlytic import Side, Strategy, param
from quantlytic.indicators import ATR


class AtrBreakout(Strategy):
    """Buys when a bar closes further above the last close than an ordinary bar goes, and then only follows with a trailing
    stop. A move out of proportion is news that the market has not finished with.

    Source: the volatility breakouts of Williams, Long-Term Secrets to Short-Term Trading (1999), and Wilder's volatility
    system, New Concepts in Technical Trading Systems (1978).

    `period`: bars of the average true range. `entry`: the move that is bought, in average true ranges of before. `trail`: the
    stop's distance from the best price since, likewise; the stop is an order at the broker. `weight`: the share of equity
    that is held. `short`: sells falls as far, where the account may.

    Example:
        >>> import quantlytic as ql
        >>> result = ql.backtest(AtrBreakout(entry=2.0), ql.demo_bars(), cash=1e5)
        >>> len(result.round_trips)
        9
    """

    period: int = param(14, low=5, high=60)
    entry: float = param(1.5, low=0.5, high=3.0)
    trail: float = param(4.0, low=1.0, high=10.0)
    weight: float = param(0.95, low=0.05, high=0.99)
    short: bool = param(False)

    def setup(self) -> None:
        self.atr = ATR(self.period)
        self.last = math.nan
        self.entry_id = 0

    def on_bar(self, bar: Any, broker: Any) -> None:
        reach = self.atr.value
        move = bar.close - self.last
        self.last = bar.close
        self.atr.update(bar.high, bar.low, bar.close)
        if not (reach > 0.0 and broker.is_flat) or broker.left(self.entry_id) > 0.0:
            return
        broker.cancel_all()  # the stop of an entry that was not filled
        if move > self.entry * reach:
            self.enter(Side.BUY, broker)
        elif self.short and move < -self.entry * reach:
            self.enter(Side.SELL, broker)

    def enter(self, side: int, broker: Any) -> None:
        size = self.weight * broker.equity / broker.price
        self.entry_id = broker.buy(size) if side > 0 else broker.sell(size)
        broker.trailing_stop(-side, size, self.trail * self.atr.value, reduce_only=True)
