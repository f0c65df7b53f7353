"""A strategy that does what the model says, for tests of runs with forecasts."""

from __future__ import annotations

import math
from typing import Any

from quantlytic import Strategy, param
from quantlytic.indicators import EMA


class FollowForecast(Strategy):
    """Long while the model's chance of a rise is above `enter`, flat below the complement; a limit order around it now and
    then. Without a forecast it does nothing."""

    enter: float = param(0.55, low=0.5, high=1.0)
    weight: float = param(0.3, low=0.0, high=1.0)

    def setup(self) -> None:
        self.average = EMA(5)
        self.silent = 0

    def on_bar(self, bar: Any, broker: Any) -> None:
        average = self.average.update(bar.close)
        if math.isnan(bar.forecast):
            self.silent += 1
        elif bar.forecast > self.enter and broker.is_flat:
            broker.target_weight(self.weight)
        elif bar.forecast < 1.0 - self.enter and broker.is_long:
            broker.close()
        elif bar.close > average and broker.is_long and broker.open_orders == 0:
            broker.limit(-1, broker.position / 2.0, bar.close * 1.001)
