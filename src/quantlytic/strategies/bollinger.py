"""The bands of Bollinger."""

from __future__ import annotations

from typing import Any

from quantlytic import Strategy, param
from quantlytic.indicators import BollingerBands


class Bollinger(Strategy):
    """Buys a close below the lower band and sells at the middle; or, with `breakout`, buys a close above the upper band and
    sells below the middle. The bands are an average and a few standard deviations, so "far" is measured by the market itself.

    Source: Bollinger, Bollinger on Bollinger Bands (2001), methods III (reversal) and I (volatility breakout).

    `period`, `width`: bars of the average, and standard deviations to the bands. `breakout`: goes with the move instead of
    against it. `weight`: the share of equity that is held. `short`: the same at the other band, where the account may.

    Example:
        >>> import quantlytic as ql
        >>> result = ql.backtest(Bollinger(width=2.5), ql.demo_bars(), cash=1e5)
        >>> len(result.round_trips)
        11
        >>> result = ql.backtest(Bollinger(breakout=True), ql.demo_bars(), cash=1e5)
        >>> len(result.round_trips)
        37
    """

    period: int = param(20, low=5, high=200)
    width: float = param(2.0, low=0.5, high=4.0)
    breakout: bool = param(False)
    weight: float = param(0.95, low=0.05, high=0.99)
    short: bool = param(False)

    def setup(self) -> None:
        self.bands = BollingerBands(self.period, self.width)

    def on_bar(self, bar: Any, broker: Any) -> None:
        middle = self.bands.update(bar.close)
        if not self.bands.ready:
            return
        way = 1.0 if self.breakout else -1.0
        above, below = bar.close > self.bands.upper, bar.close < self.bands.lower
        buys, sells = (above, below) if self.breakout else (below, above)
        if buys and not broker.is_long:
            broker.target_weight(self.weight)
        elif self.short and sells and not broker.is_short:
            broker.target_weight(-self.weight)
        elif broker.position * way * (bar.close - middle) < 0.0:
            broker.close()
