"""Simple moving average."""

from __future__ import annotations

from quantlytic.engine.indicators.window import Sum


class SMA(Sum):
    """The mean of the last `period` values. Source: definition; TA-Lib SMA."""

    def __init__(self, period: int) -> None:
        super().__init__(period)
        self.divisor = float(self.period)
