"""Five averages in a row."""

from __future__ import annotations

from typing import Any

from quantlytic import Strategy, param
from quantlytic.indicators import SMA


class SmaFamily(Strategy):
    """Long while enough of five moving averages, fast to slow, lie in order, each above the next slower one; out when too few
    still do. It waits for a trend that every horizon agrees on, so it comes late and is seldom alone.

    Source: the stacked averages ("perfect order") of chart books; Lien, Day Trading the Currency Market (2005).

    `first`, `second`, `third`, `fourth`, `fifth`: their periods, 7, 21, 50, 100 and 200 bars. `needed`: how many of the four
    pairs of neighbours must be in order to enter; `kept`: how many to stay (never more than `needed`). `weight`: the share of
    equity that is held. `short`: does the same the other way round, where the account may.

    Example:
        >>> import quantlytic as ql
        >>> result = ql.backtest(SmaFamily(first=5, second=20), ql.demo_bars(), cash=1e5)
        >>> len(result.round_trips)
        5
    """

    first: int = param(7, low=3, high=15)
    second: int = param(21, low=16, high=35)
    third: int = param(50, low=36, high=75)
    fourth: int = param(100, low=76, high=150)
    fifth: int = param(200, low=151, high=300)
    needed: int = param(4, low=1, high=4)
    kept: int = param(2, low=1, high=4)
    weight: float = param(0.95, low=0.05, high=0.99)
    short: bool = param(False)

    def setup(self) -> None:
        self.sma_1 = SMA(self.first)
        self.sma_2 = SMA(self.second)
        self.sma_3 = SMA(self.third)
        self.sma_4 = SMA(self.fourth)
        self.sma_5 = SMA(self.fifth)

    def on_bar(self, bar: Any, broker: Any) -> None:
        a, b = self.sma_1.update(bar.close), self.sma_2.update(bar.close)
        c, d = self.sma_3.update(bar.close), self.sma_4.update(bar.close)
        e = self.sma_5.update(bar.close)
        if not self.sma_5.ready:
            return
        rising = int(a > b) + int(b > c) + int(c > d) + int(d > e)
        falling = int(a < b) + int(b < c) + int(c < d) + int(d < e)
        kept = min(self.kept, self.needed)
        if rising >= self.needed and rising > falling and not broker.is_long:
            broker.target_weight(self.weight)
        elif self.short and falling >= self.needed and falling > rising and not broker.is_short:
            broker.target_weight(-self.weight)
        elif (broker.is_long and rising < kept) or (broker.is_short and falling < kept):
            broker.close()
