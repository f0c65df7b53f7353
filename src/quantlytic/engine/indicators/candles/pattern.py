"""What all candle patterns share."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from quantlytic.engine.indicators.candles.candles import Candles
from quantlytic.engine.indicators.indicator import Indicator
from quantlytic.model.errors import InputError


class CandlePattern(Indicator):
    """100 (bullish), -100 (bearish) or 0 (no pattern) a bar; 0 until `ready`, and after a bar with a NaN until ready again.

    A pattern only looks at its candles: whether the trend before is the one that gives it its meaning is yours to check.
    Equal to TA-Lib's at its default candle settings, also where a length lies exactly on its threshold.
    """

    bars_before: ClassVar[int]
    """Bars needed before the first that can be judged (TA-Lib's lookback)."""

    def __init__(self) -> None:
        self.lookback = self.bars_before
        self.value = 0.0
        self.candles = Candles()

    @property
    def ready(self) -> bool:
        return self.candles.count > self.lookback

    def update(self, open: float, high: float, low: float, close: float) -> float:
        """Take the next bar; returns 100, -100 or 0 (some patterns grade: 80 or 200)."""
        self.candles.update(open, high, low, close)
        self.value = self.match(self.candles) if self.candles.judge(self.lookback) else 0.0
        return self.value

    def match(self, c: Any) -> float:
        """Judge the newest of the `Candles` c."""
        raise NotImplementedError


class PenetrationPattern(CandlePattern):
    """A pattern whose last candle must close well into the body of its first: by `penetration`, a share of that body."""

    def __init__(self, penetration: float = 0.3) -> None:
        super().__init__()
        if not 0.0 <= penetration < math.inf:
            raise InputError(f"{type(self).__name__}: the penetration is a share, 0 or more, not {penetration!r}")
        self.penetration = float(penetration)
