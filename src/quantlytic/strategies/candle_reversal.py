"""What candles say."""

from __future__ import annotations

from typing import Any

from quantlytic import Strategy, param
from quantlytic.indicators import SMA, Candles, Engulfing, Hammer, Harami, ShootingStar


class CandleReversal(Strategy):
    """Buys a candle pattern that says a fall is over, where there was a fall, and sells after some bars or at a pattern that
    says the opposite. Patterns are the oldest reading of a chart: sellers failed within these few bars.

    Source: Nison, Japanese Candlestick Charting Techniques (1991); tested, soberly, by Marshall, Young & Rose, Candlestick
    technical trading strategies: can they create value for investors?, Journal of Banking & Finance 30 (2006).

    Bullish are engulfing, harami and hammer; bearish are engulfing, harami and shooting star. `trend`: a pattern counts below
    (to sell short: above) the average of this many bars. `hold`: bars that a position is held. `weight`: the share of equity
    that is held. `short`: acts on bearish ones as well, where the account may.

    Example:
        >>> import quantlytic as ql
        >>> result = ql.backtest(CandleReversal(hold=12), ql.demo_bars(), cash=1e5)
        >>> len(result.round_trips)
        81
    """

    BARS = 12  # that the patterns need before the first they can judge

    trend: int = param(20, low=5, high=200)
    hold: int = param(10, low=1, high=100)
    weight: float = param(0.95, low=0.05, high=0.99)
    short: bool = param(False)

    def setup(self) -> None:
        self.trend_ma = SMA(self.trend)
        self.candles = Candles()
        self.engulfing = Engulfing()
        self.harami = Harami()
        self.hammer = Hammer()
        self.shooting_star = ShootingStar()
        self.held = 0  # bars

    def on_bar(self, bar: Any, broker: Any) -> None:
        trend = self.trend_ma.update(bar.close)
        self.candles.update(bar.open, bar.high, bar.low, bar.close)
        self.held = 0 if broker.is_flat else self.held + 1
        if not (self.candles.judge(self.BARS) and self.trend_ma.ready):
            return
        turn = self.engulfing.match(self.candles) + self.harami.match(self.candles)
        bullish = turn > 0.0 or self.hammer.match(self.candles) > 0.0
        bearish = turn < 0.0 or self.shooting_star.match(self.candles) < 0.0
        if broker.is_flat:
            if bullish and not bearish and bar.close < trend:
                broker.target_weight(self.weight)
            elif self.short and bearish and not bullish and bar.close > trend:
                broker.target_weight(-self.weight)
        elif self.held >= self.hold or (broker.is_long and bearish) or (broker.is_short and bullish):
            broker.close()
