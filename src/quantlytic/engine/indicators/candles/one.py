"""Patterns of one candle."""

from __future__ import annotations

from typing import Any

from quantlytic.engine.indicators.candles.candles import (
    black,
    doji,
    long_body,
    near,
    no_lower,
    no_upper,
    short_body,
    white,
)
from quantlytic.engine.indicators.candles.pattern import CandlePattern


class BeltHold(CandlePattern):
    """A long body that opens at its extreme: white without a lower shadow (100), black without an upper (-100).

    Source: TA-Lib CDLBELTHOLD.
    """

    bars_before = 10

    def match(self, c: Any) -> float:
        held = (white(c, 0) and no_lower(c, 0)) or (black(c, 0) and no_upper(c, 0))
        return 100.0 * c.color[0] if long_body(c, 0) and held else 0.0


class ClosingMarubozu(CandlePattern):
    """A long body that closes at its extreme: white without an upper shadow (100), black without a lower (-100).

    Source: TA-Lib CDLCLOSINGMARUBOZU.
    """

    bars_before = 10

    def match(self, c: Any) -> float:
        closed = (white(c, 0) and no_upper(c, 0)) or (black(c, 0) and no_lower(c, 0))
        return 100.0 * c.color[0] if long_body(c, 0) and closed else 0.0


class Doji(CandlePattern):
    """Close about at the open. 100, though it is neither bullish nor bearish. Source: TA-Lib CDLDOJI."""

    bars_before = 10

    def match(self, c: Any) -> float:
        return 100.0 if doji(c, 0) else 0.0


class DragonflyDoji(CandlePattern):
    """A doji at the top of a lower shadow. Source: TA-Lib CDLDRAGONFLYDOJI."""

    bars_before = 10

    def match(self, c: Any) -> float:
        return 100.0 if doji(c, 0) and no_upper(c, 0) and c.lower[0] > c.tenth[0] else 0.0


class GravestoneDoji(CandlePattern):
    """A doji at the bottom of an upper shadow. Source: TA-Lib CDLGRAVESTONEDOJI."""

    bars_before = 10

    def match(self, c: Any) -> float:
        return 100.0 if doji(c, 0) and no_lower(c, 0) and c.upper[0] > c.tenth[0] else 0.0


class HighWave(CandlePattern):
    """A short body between shadows of more than twice its length. Source: TA-Lib CDLHIGHWAVE."""

    bars_before = 10

    def match(self, c: Any) -> float:
        waves = c.upper[0] > 2.0 * c.body[0] and c.lower[0] > 2.0 * c.body[0]
        return 100.0 * c.color[0] if short_body(c, 0) and waves else 0.0


class LongLeggedDoji(CandlePattern):
    """A doji with a long shadow. Source: TA-Lib CDLLONGLEGGEDDOJI."""

    bars_before = 10

    def match(self, c: Any) -> float:
        return 100.0 if doji(c, 0) and (c.lower[0] > c.body[0] or c.upper[0] > c.body[0]) else 0.0


class LongLine(CandlePattern):
    """A long body between short shadows. Source: TA-Lib CDLLONGLINE."""

    bars_before = 10

    def match(self, c: Any) -> float:
        short = c.upper[0] < c.shadows[0] and c.lower[0] < c.shadows[0]
        return 100.0 * c.color[0] if long_body(c, 0) and short else 0.0


class Marubozu(CandlePattern):
    """A long body without shadows. Source: TA-Lib CDLMARUBOZU."""

    bars_before = 10

    def match(self, c: Any) -> float:
        return 100.0 * c.color[0] if long_body(c, 0) and no_upper(c, 0) and no_lower(c, 0) else 0.0


class RickshawMan(CandlePattern):
    """A doji near the middle of two long shadows. Source: TA-Lib CDLRICKSHAWMAN."""

    bars_before = 10

    def match(self, c: Any) -> float:
        middle = c.low[0] + (c.high[0] - c.low[0]) / 2.0
        legs = c.lower[0] > c.body[0] and c.upper[0] > c.body[0]
        centred = c.bottom[0] <= middle + near(c, 0) and c.top[0] >= middle - near(c, 0)
        return 100.0 if doji(c, 0) and legs and centred else 0.0


class ShortLine(CandlePattern):
    """A short body between short shadows. Source: TA-Lib CDLSHORTLINE."""

    bars_before = 10

    def match(self, c: Any) -> float:
        short = c.upper[0] < c.shadows[0] and c.lower[0] < c.shadows[0]
        return 100.0 * c.color[0] if short_body(c, 0) and short else 0.0


class SpinningTop(CandlePattern):
    """A short body between shadows longer than itself. Source: TA-Lib CDLSPINNINGTOP."""

    bars_before = 10

    def match(self, c: Any) -> float:
        spun = c.upper[0] > c.body[0] and c.lower[0] > c.body[0]
        return 100.0 * c.color[0] if short_body(c, 0) and spun else 0.0


class Takuri(CandlePattern):
    """A dragonfly doji whose lower shadow is very long. Source: TA-Lib CDLTAKURI."""

    bars_before = 10

    def match(self, c: Any) -> float:
        return 100.0 if doji(c, 0) and no_upper(c, 0) and c.lower[0] > 2.0 * c.body[0] else 0.0
