"""The first bars of the day."""

from __future__ import annotations

import math
from typing import Any

from quantlytic import Strategy, param


class OpeningRangeBreakout(Strategy):
    """Notes the range of the day's first bars, buys the first close above it, leaves at a close below it and at the day's
    end. What is known overnight is settled in the first trades; a price that leaves their range has found something new.

    Source: Crabel, Day Trading with Short Term Price Patterns and Opening Range Breakout (1990); Holmberg, Lonnbark &
    Lundstrom, Assessing the profitability of intraday opening range breakout strategies, Finance Research Letters 10 (2013).

    `range_bars`: how many bars the range is made of. `session_hours`: how long a day is, from 0:00 UTC on (weeks begin on
    Monday); where bars are so long that fewer than 5 fit, seven of them count as one. One entry a day. `weight`: the share of
    equity that is held. `short`: sells the first close below the range, where the account may.

    Example:
        >>> import quantlytic as ql
        >>> result = ql.backtest(OpeningRangeBreakout(range_bars=6), ql.demo_bars(), cash=1e5)
        >>> len(result.round_trips)
        47
    """

    HOUR_NS = 3_600_000_000_000
    MONDAY_NS = 345_600_000_000_000  # 1970-01-05

    range_bars: int = param(4, low=1, high=60)
    session_hours: int = param(24, low=1, high=168)
    weight: float = param(0.95, low=0.05, high=0.99)
    short: bool = param(False)

    def setup(self) -> None:
        self.session = -1
        self.bars = 0
        self.high = math.nan
        self.low = math.nan
        self.entered = False

    def on_bar(self, bar: Any, broker: Any) -> None:
        length = self.session_hours * self.HOUR_NS
        while length < 5 * (bar.close_time - bar.open_time):
            length *= 7
        since_monday = bar.open_time - self.MONDAY_NS
        if since_monday // length != self.session:
            self.session = since_monday // length
            self.bars = 0
            self.high, self.low = bar.high, bar.low
            self.entered = False
        self.bars += 1
        if (self.bars == 1 and not broker.is_flat) or bar.close_time - self.MONDAY_NS >= (self.session + 1) * length:
            broker.close()
        elif self.bars <= self.range_bars:
            self.high, self.low = max(self.high, bar.high), min(self.low, bar.low)
        elif (broker.is_long and bar.close < self.low) or (broker.is_short and bar.close > self.high):
            broker.close()
        elif not self.entered and bar.close > self.high:
            self.entered = True
            broker.target_weight(self.weight)
        elif self.short and not self.entered and bar.close < self.low:
            self.entered = True
            broker.target_weight(-self.weight)
