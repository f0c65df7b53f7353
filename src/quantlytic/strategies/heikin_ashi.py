"""Averaged candles."""

from __future__ import annotations

from typing import Any

from quantlytic import Strategy, param
from quantlytic.indicators import HeikinAshi


class HeikinAshiTrend(Strategy):
    """Long after some averaged (Heikin-Ashi) candles in a row closed above their open, out after some that closed below.
    Averaging takes the noise out of single bars, so runs of one color last about as long as the trend does.

    Source: Valcu, Using the Heikin-Ashi technique, Technical Analysis of Stocks & Commodities (2004).

    `run`: candles in a row that it takes to enter; `exit_run`: to leave. `weight`: the share of equity that is held. `short`:
    short after a run of falling ones, where the account may.

    Example:
        >>> import quantlytic as ql
        >>> result = ql.backtest(HeikinAshiTrend(run=5), ql.demo_bars(), cash=1e5)
        >>> len(result.round_trips)
        68
    """

    run: int = param(4, low=1, high=12)
    exit_run: int = param(3, low=1, high=12)
    weight: float = param(0.95, low=0.05, high=0.99)
    short: bool = param(False)

    def setup(self) -> None:
        self.candle = HeikinAshi()
        self.rising = 0  # candles in a row
        self.falling = 0

    def on_bar(self, bar: Any, broker: Any) -> None:
        close = self.candle.update(bar.open, bar.high, bar.low, bar.close)
        self.rising = self.rising + 1 if close > self.candle.open else 0
        self.falling = self.falling + 1 if close < self.candle.open else 0
        if self.rising >= self.run and not broker.is_long:
            broker.target_weight(self.weight)
        elif self.short and self.falling >= self.run and not broker.is_short:
            broker.target_weight(-self.weight)
        elif (broker.is_long and self.falling >= self.exit_run) or (broker.is_short and self.rising >= self.exit_run):
            broker.close()
