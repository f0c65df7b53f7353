"""Features of one instrument's numbers that are no indicators of the engine."""

from __future__ import annotations

import math

from quantlytic.engine.indicators.indicator import Indicator
from quantlytic.engine.indicators.window import Lag, Max, Min


class Same(Indicator):
    """The number itself: a field of the bar as a column."""

    def __init__(self) -> None:
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns it."""
        self.value = x
        return x


class Return(Indicator):
    """The return over the last `bars` bars: ln(x / x before) or, not `log`, x / x before - 1. NaN unless both are above 0."""

    def __init__(self, bars: int = 1, log: bool = True) -> None:
        self.check_period(bars, name="number of bars")
        self.before = Lag(int(bars))
        self.log = bool(log)
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns the return, NaN until there are `bars` + 1 values."""
        before = self.before.update(x)
        self.value = math.nan
        if x > 0.0 and before > 0.0:
            self.value = math.log(x / before) if self.log else x / before - 1.0
        return self.value


class DistanceToHigh(Indicator):
    """close / the highest high of the last `period` bars - 1: 0 at the high, else negative."""

    def __init__(self, period: int = 20) -> None:
        self.highest = Max(period)
        self.value = math.nan

    def update(self, high: float, close: float) -> float:
        """Take the next bar; returns the distance, NaN until there are `period` bars."""
        self.value = close / self.highest.update(high) - 1.0
        return self.value


class DistanceToLow(Indicator):
    """close / the lowest low of the last `period` bars - 1: 0 at the low, else positive."""

    def __init__(self, period: int = 20) -> None:
        self.lowest = Min(period)
        self.value = math.nan

    def update(self, low: float, close: float) -> float:
        """Take the next bar; returns the distance, NaN until there are `period` bars."""
        self.value = close / self.lowest.update(low) - 1.0
        return self.value


class RangePosition(Indicator):
    """Where the close lies in the bar: 0 at its low, 1 at its high, 0.5 in a bar without a range."""

    def __init__(self) -> None:
        self.value = math.nan

    def update(self, high: float, low: float, close: float) -> float:
        """Take the next bar; returns the position."""
        self.value = (close - low) / (high - low) if high > low else 0.5
        return self.value


class TradeSize(Indicator):
    """Volume a trade: volume / trades, NaN for a bar that does not say how many there were."""

    def __init__(self) -> None:
        self.value = math.nan

    def update(self, volume: float, trades: float) -> float:
        """Take the next bar; returns the mean size."""
        self.value = volume / trades if trades > 0.0 else math.nan
        return self.value


class Ratio(Indicator):
    """own / other, less 1 when both are equal: y / x - 1."""

    def __init__(self) -> None:
        self.value = math.nan

    def update(self, x: float, y: float) -> float:
        """Take the other's value and one's own."""
        self.value = y / x - 1.0 if x != 0.0 else math.nan
        return self.value


class Spread(Indicator):
    """ln(own) - `hedge` x ln(other), NaN unless both are above 0."""

    def __init__(self, hedge: float = 1.0) -> None:
        self.hedge = float(hedge)
        self.value = math.nan

    def update(self, x: float, y: float) -> float:
        """Take the other's value and one's own."""
        self.value = math.log(y) - self.hedge * math.log(x) if x > 0.0 and y > 0.0 else math.nan
        return self.value


class Difference(Indicator):
    """own - other: y - x."""

    def __init__(self) -> None:
        self.value = math.nan

    def update(self, x: float, y: float) -> float:
        """Take the other's value and one's own."""
        self.value = y - x
        return self.value
