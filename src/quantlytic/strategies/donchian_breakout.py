"""The channel of highs and lows."""

from __future__ import annotations

from typing import Any

from quantlytic import Strategy, param
from quantlytic.indicators import DonchianChannel


class DonchianBreakout(Strategy):
    """Buys a close above the highest high of the last bars, and sells a close below the lowest low of fewer of them. A new
    extreme is where every trend has to pass; most of those bought are none, and the few that are have to pay for them.

    Source: Donchian, Trend-following methods in commodity price analysis, Commodity Year Book (1957).

    `entry`, `exit`: the bars looked back on, the one that decides not among them. `weight`: the share of equity that is held.
    `short`: the same the other way round, where the account may.

    Example:
        >>> import quantlytic as ql
        >>> result = ql.backtest(DonchianBreakout(entry=40), ql.demo_bars(), cash=1e5)
        >>> len(result.round_trips)
        13
    """

    entry: int = param(55, low=21, high=300)
    exit: int = param(20, low=3, high=100)
    weight: float = param(0.95, low=0.05, high=0.99)
    short: bool = param(False)

    def setup(self) -> None:
        self.entry_channel = DonchianChannel(self.entry)
        self.exit_channel = DonchianChannel(self.exit)

    def on_bar(self, bar: Any, broker: Any) -> None:
        upper, lower = self.entry_channel.upper, self.entry_channel.lower
        ceiling, floor = self.exit_channel.upper, self.exit_channel.lower
        ready = self.entry_channel.ready and self.exit_channel.ready
        self.entry_channel.update(bar.high, bar.low)
        self.exit_channel.update(bar.high, bar.low)
        if not ready:
            return
        if bar.close > upper:
            if not broker.is_long:
                broker.target_weight(self.weight)
        elif self.short and bar.close < lower:
            if not broker.is_short:
                broker.target_weight(-self.weight)
        elif (broker.is_long and bar.close < floor) or (broker.is_short and bar.close > ceiling):
            broker.close()
