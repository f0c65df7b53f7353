"""How far a value has come from the one `period` updates ago."""

from __future__ import annotations

import math

from quantlytic.engine.indicators.indicator import Indicator
from quantlytic.engine.indicators.window import Lag


class Momentum(Indicator):
    """The value less the one `period` updates ago. Source: TA-Lib MOM."""

    def __init__(self, period: int = 10) -> None:
        self.check_period(period)
        self.past = Lag(period)
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns the difference, NaN until there are `period` + 1 values."""
        past = self.past.update(x)
        self.value = x - past if math.isfinite(x) else math.nan
        return self.value


class ROCR(Indicator):
    """The value over the one `period` updates ago; 0 where that was 0. Source: TA-Lib ROCR."""

    def __init__(self, period: int = 10) -> None:
        self.check_period(period)
        self.past = Lag(period)
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns the ratio, NaN until there are `period` + 1 values."""
        past = self.past.update(x)
        if not math.isfinite(x):
            past = math.nan
        self.value = x / past if past != 0.0 else 0.0
        return self.value


class ROCP(Indicator):
    """The change from the value `period` updates ago, over that value; 0 where that was 0. Source: TA-Lib ROCP."""

    def __init__(self, period: int = 10) -> None:
        self.check_period(period)
        self.past = Lag(period)
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns the share, NaN until there are `period` + 1 values."""
        past = self.past.update(x)
        if not math.isfinite(x):
            past = math.nan
        self.value = (x - past) / past if past != 0.0 else 0.0
        return self.value


class ROC(Indicator):
    """Rate of change: the change from the value `period` updates ago in percent of it. Source: TA-Lib ROC."""

    def __init__(self, period: int = 10) -> None:
        self.check_period(period)
        self.share = ROCP(period)
        self.value = math.nan

    def update(self, x: float) -> float:
        """Take the next value; returns the percentage, NaN until there are `period` + 1 values."""
        self.value = self.share.update(x) * 100.0
        return self.value
