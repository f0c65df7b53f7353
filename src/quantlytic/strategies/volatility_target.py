"""The same risk at all times."""

from __future__ import annotations

import math
from typing import Any

from quantlytic import Strategy, param
from quantlytic.indicators import Lag, Sum


class VolatilityTarget(Strategy):
    """Always long, more in calm times and less in wild ones, so that the risk stays near a target. Volatility can be foretold
    though returns cannot, and high volatility is not paid for in proportion.

    Source: Moreira & Muir, Volatility-managed portfolios, Journal of Finance 72 (2017); Harvey et al., The impact of
    volatility targeting, Journal of Portfolio Management 45 (2018).

    `target`: the volatility a year. `period`: bars that it is measured over (squared log returns over the time they took, so
    any bar size will do). `band`: trades only when the share held is this far from the wanted one. `weight`: the most that is
    held.

    Example:
        >>> import quantlytic as ql
        >>> result = ql.backtest(VolatilityTarget(target=0.2), ql.demo_bars(), cash=1e5)
        >>> len(result.fills)
        16
    """

    YEAR_NS = 31_557_600e9

    target: float = param(0.3, low=0.05, high=1.0)
    period: int = param(60, low=10, high=500)
    band: float = param(0.1, low=0.01, high=0.5)
    weight: float = param(0.95, low=0.05, high=0.99)

    def setup(self) -> None:
        self.squares = Sum(self.period)
        self.begin = Lag(self.period)
        self.last = 0.0

    def on_bar(self, bar: Any, broker: Any) -> None:
        change = math.log(bar.close / self.last) if self.last > 0.0 else math.nan
        self.last = bar.close
        squares = self.squares.update(change * change)
        years = (bar.close_time - self.begin.update(bar.close_time)) / self.YEAR_NS
        if not self.squares.ready:
            return
        wanted = min(self.weight, self.target / max(math.sqrt(squares / years), 1e-9))
        held = broker.position * bar.close / broker.equity
        if abs(wanted - held) > self.band or (broker.is_flat and wanted > 0.0):
            broker.target_weight(wanted)
