"""What a model says, traded."""

from __future__ import annotations

import math
from typing import Any

from quantlytic import param
from quantlytic.strategies.hearing import Hearing


class MLSignal(Hearing):
    """Long once a model's forecast is convinced enough of a rise, out once it no longer is, and short the other way round.
    Between the two thresholds lies a band in which nothing is done, so that a forecast that wavers costs no fees.

    It holds nothing on bars without forecasts.

    Source: thresholds with a band, Constantinides, Capital market equilibrium with transaction costs, Journal of Political
    Economy 94 (1986); sizes, Kelly, A new interpretation of information rate, Bell System Technical Journal 35 (1956), and
    Thorp, The Kelly criterion in blackjack, sports betting, and the stock market (2006).

    `up`: long at this probability of a rise or above; `down`: short at this one or below. `band`: a long is left below `up` -
    `band`, a short above `down` + `band`. `hold`: bars that a position is kept at least. `patience`: bars without a forecast
    after which it is closed all the same. `sizing`: 0 holds `weight`, the share of equity; 1 grows with the probability, up to
    `weight` at `sure`; 2 is `kelly` of Kelly's share, edge / variance over the next `hold` bars (variance: exponentially
    weighted over `period`), `weight` at the most. `step`: a position is made larger or smaller only when it is this far from
    the share wanted. `returns`: forecasts are returns; one of `certain_bps` then counts as certain, a probability of 1, and one
    of 0 as a half. `short`: goes short, where the account may.

    Example:
        >>> import math
        >>> import quantlytic as ql
        >>> bars = ql.demo_bars()
        >>> told = bars.with_forecasts([0.5 + 0.2 * math.sin(k / 30) for k in range(len(bars))])
        >>> result = ql.backtest(MLSignal(up=0.6), told, cash=1e5)
        >>> len(result.round_trips)
        11
    """

    up: float = param(0.55, low=0.5, high=0.8)
    down: float = param(0.45, low=0.2, high=0.5)
    band: float = param(0.05, low=0.0, high=0.2)
    hold: int = param(1, low=1, high=200)
    patience: int = param(3, low=1, high=100)
    sizing: int = param(0, low=0, high=2)
    sure: float = param(0.7, low=0.55, high=0.95)
    kelly: float = param(0.25, low=0.05, high=1.0)
    period: int = param(100, low=20, high=500)
    step: float = param(0.1, low=0.02, high=0.5)
    returns: bool = param(False)
    certain_bps: float = param(100.0, low=10.0, high=1000.0)
    weight: float = param(0.95, low=0.05, high=0.99)
    short: bool = param(False)

    def setup(self) -> None:
        self.side = 0
        self.bars_in = 0
        self.silent = 0
        self.seen = 0
        self.last = math.nan
        self.variance = 0.0

    def on_bar(self, bar: Any, broker: Any) -> None:
        self.look(bar.close)
        side = int(broker.is_long) - int(broker.is_short)
        self.bars_in = self.bars_in + 1 if side == self.side else 1
        self.side = side
        forecast = bar.forecast
        if not self.hears(forecast, broker):
            return
        if self.returns:
            forecast = 0.5 + forecast * 5_000.0 / self.certain_bps
        if forecast >= self.up and not broker.is_long:
            self.enter(1, forecast, broker)
        elif forecast <= self.down and self.short and not broker.is_short:
            self.enter(-1, forecast, broker)
        elif (broker.is_long and forecast < self.up - self.band) or (
            broker.is_short and forecast > self.down + self.band
        ):
            if self.may_leave(broker):
                broker.close()
        elif side != 0:
            self.resize(side, forecast, broker)

    def look(self, close: float) -> None:
        """Measure how far prices move."""
        if self.seen > 0:
            change = math.log(close / self.last)
            decay = 2.0 / (min(self.seen, self.period) + 1.0)
            self.variance += decay * (change * change - self.variance)
        self.last = close
        self.seen += 1

    def may_leave(self, broker: Any) -> bool:
        """Whether what is held, if anything is, was held for long enough."""
        return broker.is_flat or self.bars_in >= self.hold

    def enter(self, side: int, forecast: float, broker: Any) -> None:
        if self.may_leave(broker):
            broker.target_weight(side * self.share_of(0.5 + side * (forecast - 0.5)))

    def resize(self, side: int, forecast: float, broker: Any) -> None:
        share = side * self.share_of(0.5 + side * (forecast - 0.5))
        held = broker.position * broker.price / broker.equity
        if abs(share - held) > self.step:
            broker.target_weight(share)

    def share_of(self, probability: float) -> float:
        """The share of equity for a side of this probability."""
        if self.sizing == 0:
            return self.weight
        if self.sizing == 1:
            return self.weight * min(max((probability - 0.5) / (self.sure - 0.5), 0.0), 1.0)
        if self.seen <= self.period or self.variance <= 0.0:
            return 0.0
        deviation = math.sqrt(self.variance * self.hold)
        edge = (2.0 * probability - 1.0) * deviation
        if self.returns:
            edge = (2.0 * probability - 1.0) * self.certain_bps / 10_000.0
        return min(max(self.kelly * edge / (deviation * deviation), 0.0), self.weight)
