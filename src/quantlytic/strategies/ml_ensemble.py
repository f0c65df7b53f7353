"""A model and plain rules, asked together."""

from __future__ import annotations

from typing import Any

from quantlytic import param
from quantlytic.indicators import SMA, Lag
from quantlytic.strategies.hearing import Hearing


class MLEnsemble(Hearing):
    """Asks a model's forecast, a moving average and the momentum of the price, and goes with what they agree on. Judges that err
    for different reasons err less together; a model that has gone stale is overruled.

    It holds nothing on bars without forecasts.

    Source: Bates & Granger, The combination of forecasts, Operational Research Quarterly 20 (1969); Faber, A quantitative
    approach to tactical asset allocation, Journal of Wealth Management 9 (2007), for the average as a filter.

    `mode`: 0 ("and") holds a side that forecast and average agree on; 1 ("or") one that either takes, unless they contradict
    each other; 2 ("vote") one that two of the three take. `up`, `down`: probabilities of a rise from which the forecast is for
    or against; `band`: it keeps its opinion until it is this far back. `average`: its period; it is for a close above it.
    `momentum`: bars; it is for a close above that of so many bars ago. `patience`: bars without a forecast after which
    positions are closed. `returns`, `certain_bps`: forecasts are returns, of which one of `certain_bps` counts as certain.
    `weight`: the share of equity that is held. `short`: goes short, where the account may.

    Example:
        >>> import math
        >>> import quantlytic as ql
        >>> bars = ql.demo_bars()
        >>> told = bars.with_forecasts([0.5 + 0.2 * math.sin(k / 30) for k in range(len(bars))])
        >>> result = ql.backtest(MLEnsemble(mode=2, average=50), told, cash=1e5)
        >>> len(result.round_trips)
        33
    """

    mode: int = param(0, low=0, high=2)
    up: float = param(0.55, low=0.5, high=0.8)
    down: float = param(0.45, low=0.2, high=0.5)
    band: float = param(0.05, low=0.0, high=0.2)
    average: int = param(100, low=5, high=300)
    momentum: int = param(50, low=2, high=300)
    patience: int = param(3, low=1, high=100)
    returns: bool = param(False)
    certain_bps: float = param(100.0, low=10.0, high=1000.0)
    weight: float = param(0.95, low=0.05, high=0.99)
    short: bool = param(False)

    def setup(self) -> None:
        self.sma = SMA(self.average)
        self.before = Lag(self.momentum)
        self.opinion = 0
        self.silent = 0

    def on_bar(self, bar: Any, broker: Any) -> None:
        average = self.sma.update(bar.close)
        before = self.before.update(bar.close)
        if not self.hears(bar.forecast, broker):
            if self.silent >= self.patience:
                self.opinion = 0
            return
        self.judge(bar.forecast)
        if not (self.sma.ready and self.before.ready):
            return
        trend = int(bar.close > average) - int(bar.close < average)
        moved = int(bar.close > before) - int(bar.close < before)
        votes = self.votes(trend, moved)
        if votes > 0 and not broker.is_long:
            broker.target_weight(self.weight)
        elif self.short and votes < 0 and not broker.is_short:
            broker.target_weight(-self.weight)
        elif (broker.is_long and votes <= 0) or (broker.is_short and votes >= 0):
            broker.close()

    def judge(self, forecast: float) -> None:
        """Have an opinion on the forecast."""
        if self.returns:
            forecast = 0.5 + forecast * 5_000.0 / self.certain_bps
        if forecast >= self.up:
            self.opinion = 1
        elif forecast <= self.down:
            self.opinion = -1
        elif (self.opinion > 0 and forecast < self.up - self.band) or (
            self.opinion < 0 and forecast > self.down + self.band
        ):
            self.opinion = 0

    def votes(self, trend: int, moved: int) -> int:
        """Above 0: long; below: short; 0: neither."""
        if self.mode == 0:
            return trend if trend == self.opinion else 0
        if self.mode == 1:
            return trend + self.opinion
        total = trend + moved + self.opinion
        return total if abs(total) >= 2 else 0
