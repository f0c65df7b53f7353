"""A rule picks the side, a model how much of it."""

from __future__ import annotations

import math
from typing import Any

from quantlytic import param
from quantlytic.indicators import SMA
from quantlytic.strategies.hearing import Hearing


class MetaLabel(Hearing):
    """Takes the side of two moving averages, but only where a model that was trained on the label "meta" expects that side to
    pay, and the more the surer it is. The rule finds what there is to take; the model says what to leave.

    It holds nothing on bars without forecasts.

    Source: Lopez de Prado, Advances in Financial Machine Learning (2018), sections 3.6 (meta-labels) and 10.3 (the size of a
    bet: 2 N(z) - 1 with z = (p - 1/2) / sqrt(p (1 - p))).

    `fast`, `slow`: the periods of the averages, as in the feature that is the label's `signal`; their ranges do not overlap.
    `least`: a side is taken at this probability of paying or above; `band`: and left below `least` - `band`, or when the
    averages change sides. `sized`: the share of equity is `weight` times the size of the bet, times `scale`, `weight` at the
    most; else all of `weight`. `step`: a position is made larger or smaller only when it is this far from the share wanted.
    `patience`: bars without a forecast after which it is closed. `weight`: the share of equity that is held. `short`: takes
    short sides too, where the account may.

    Example:
        >>> import math
        >>> import quantlytic as ql
        >>> bars = ql.demo_bars()
        >>> told = bars.with_forecasts([0.5 + 0.2 * math.sin(k / 30) for k in range(len(bars))])
        >>> result = ql.backtest(MetaLabel(fast=10, slow=60), told, cash=1e5)
        >>> len(result.round_trips)
        11
    """

    fast: int = param(20, low=2, high=50)
    slow: int = param(100, low=51, high=300)
    least: float = param(0.55, low=0.5, high=0.8)
    band: float = param(0.05, low=0.0, high=0.2)
    sized: bool = param(False)
    scale: float = param(2.0, low=0.5, high=10.0)
    step: float = param(0.1, low=0.02, high=0.5)
    patience: int = param(3, low=1, high=100)
    weight: float = param(0.95, low=0.05, high=0.99)
    short: bool = param(False)

    def setup(self) -> None:
        self.fast_ma = SMA(self.fast)
        self.slow_ma = SMA(self.slow)
        self.silent = 0

    def on_bar(self, bar: Any, broker: Any) -> None:
        fast = self.fast_ma.update(bar.close)
        slow = self.slow_ma.update(bar.close)
        if not self.hears(bar.forecast, broker) or not self.slow_ma.ready:
            return
        if bar.forecast >= self.least and fast > slow and not broker.is_long:
            broker.target_weight(self.share_of(bar.forecast))
        elif bar.forecast >= self.least and fast < slow and self.short and not broker.is_short:
            broker.target_weight(-self.share_of(bar.forecast))
        elif (
            bar.forecast < self.least - self.band
            or (broker.is_long and fast < slow)
            or (broker.is_short and fast > slow)
        ):
            if not broker.is_flat:
                broker.close()
        elif not broker.is_flat:
            self.resize(bar.forecast, broker)

    def resize(self, probability: float, broker: Any) -> None:
        share = self.share_of(probability) * (1.0 if broker.is_long else -1.0)
        held = broker.position * broker.price / broker.equity
        if abs(share - held) > self.step:
            broker.target_weight(share)

    def share_of(self, probability: float) -> float:
        """The share of equity for a side of this probability."""
        if not self.sized:
            return self.weight
        return self.weight * min(max(self.scale * self.bet(probability), 0.0), 1.0)

    def bet(self, probability: float) -> float:
        """2 N(z) - 1, from -1 to 1."""
        if not 0.0 < probability < 1.0:
            return 1.0 if probability >= 1.0 else -1.0
        z = (probability - 0.5) / math.sqrt(probability * (1.0 - probability))
        return math.erf(z / math.sqrt(2.0))
