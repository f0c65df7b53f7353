"""Patterns of two candles."""

from __future__ import annotations

from typing import Any

from quantlytic.engine.indicators.candles.candles import (
    black,
    doji,
    equal,
    gap_down,
    gap_up,
    inside,
    long_body,
    near,
    no_lower,
    no_upper,
    shadow_gap_down,
    shadow_gap_up,
    short_body,
    white,
)
from quantlytic.engine.indicators.candles.pattern import CandlePattern, PenetrationPattern


class Hammer(CandlePattern):
    """A short body on a long lower shadow, no upper one, at or below the lows of the bar before. Bullish.

    Source: TA-Lib CDLHAMMER.
    """

    bars_before = 11

    def match(self, c: Any) -> float:
        shape = short_body(c, 0) and c.lower[0] > c.body[0] and no_upper(c, 0)
        return 100.0 if shape and c.bottom[0] <= c.low[1] + near(c, 1) else 0.0


class HangingMan(CandlePattern):
    """A hammer's shape at or above the highs of the bar before. Bearish. Source: TA-Lib CDLHANGINGMAN."""

    bars_before = 11

    def match(self, c: Any) -> float:
        shape = short_body(c, 0) and c.lower[0] > c.body[0] and no_upper(c, 0)
        return -100.0 if shape and c.bottom[0] >= c.high[1] - near(c, 1) else 0.0


class InvertedHammer(CandlePattern):
    """A short body under a long upper shadow, no lower one, after a gap down. Bullish.

    Source: TA-Lib CDLINVERTEDHAMMER.
    """

    bars_before = 11

    def match(self, c: Any) -> float:
        shape = short_body(c, 0) and c.upper[0] > c.body[0] and no_lower(c, 0)
        return 100.0 if shape and gap_down(c, 0, 1) else 0.0


class ShootingStar(CandlePattern):
    """An inverted hammer's shape after a gap up. Bearish. Source: TA-Lib CDLSHOOTINGSTAR."""

    bars_before = 11

    def match(self, c: Any) -> float:
        shape = short_body(c, 0) and c.upper[0] > c.body[0] and no_lower(c, 0)
        return -100.0 if shape and gap_up(c, 0, 1) else 0.0


class Counterattack(CandlePattern):
    """Two long bodies of opposite colors with equal closes. Source: TA-Lib CDLCOUNTERATTACK."""

    bars_before = 11

    def match(self, c: Any) -> float:
        opposed = c.color[1] == -c.color[0] and long_body(c, 1) and long_body(c, 0)
        return 100.0 * c.color[0] if opposed and equal(c, c.close[0], c.close[1], 1) else 0.0


class DarkCloudCover(PenetrationPattern):
    """A black candle that opens above a long white one's high and closes well into its body. Bearish.

    Source: TA-Lib CDLDARKCLOUDCOVER.
    """

    bars_before = 11

    def __init__(self, penetration: float = 0.5) -> None:
        super().__init__(penetration)

    def match(self, c: Any) -> float:
        covered = c.close[0] > c.open[1] and c.close[0] < c.close[1] - c.body[1] * self.penetration
        return -100.0 if white(c, 1) and long_body(c, 1) and black(c, 0) and c.open[0] > c.high[1] and covered else 0.0


class DojiStar(CandlePattern):
    """A doji that gaps away from a long body in its direction: the move tires, so the sign is the other one's.

    Source: TA-Lib CDLDOJISTAR.
    """

    bars_before = 11

    def match(self, c: Any) -> float:
        away = (white(c, 1) and gap_up(c, 0, 1)) or (black(c, 1) and gap_down(c, 0, 1))
        return -100.0 * c.color[1] if long_body(c, 1) and doji(c, 0) and away else 0.0


class Engulfing(CandlePattern):
    """A body that engulfs the one before, of the other color: 100 or -100; 80 or -80 where one end is the same.

    Source: TA-Lib CDLENGULFING.
    """

    bars_before = 2

    def match(self, c: Any) -> float:
        above, below = c.top[0] - c.top[1], c.bottom[1] - c.bottom[0]
        if c.color[0] == c.color[1] or above < 0.0 or below < 0.0 or above == below == 0.0:
            return 0.0
        return float((80.0 if above == 0.0 or below == 0.0 else 100.0) * c.color[0])


class Harami(CandlePattern):
    """A short body within the long one before; the sign is against the long one's color. 80 where one end is the same.

    Source: TA-Lib CDLHARAMI.
    """

    bars_before = 11

    def match(self, c: Any) -> float:
        if not (long_body(c, 1) and c.body[0] <= c.usual[0]):
            return 0.0
        if inside(c, 0, 1):
            return float(-100.0 * c.color[1])
        return -80.0 * c.color[1] if c.top[0] <= c.top[1] and c.bottom[0] >= c.bottom[1] else 0.0


class HaramiCross(CandlePattern):
    """A harami whose second candle is a doji. Source: TA-Lib CDLHARAMICROSS."""

    bars_before = 11

    def match(self, c: Any) -> float:
        if not (long_body(c, 1) and doji(c, 0)):
            return 0.0
        if inside(c, 0, 1):
            return float(-100.0 * c.color[1])
        return -80.0 * c.color[1] if c.top[0] <= c.top[1] and c.bottom[0] >= c.bottom[1] else 0.0


class HomingPigeon(CandlePattern):
    """A short black body within the long black one before. Bullish. Source: TA-Lib CDLHOMINGPIGEON."""

    bars_before = 11

    def match(self, c: Any) -> float:
        bodies = black(c, 1) and black(c, 0) and long_body(c, 1) and c.body[0] <= c.usual[0]
        return 100.0 if bodies and c.open[0] < c.open[1] and c.close[0] > c.close[1] else 0.0


class InNeck(CandlePattern):
    """After a long black candle a white one opens below its low and closes at its close, or a little above. Bearish.

    Source: TA-Lib CDLINNECK.
    """

    bars_before = 11

    def match(self, c: Any) -> float:
        opened = black(c, 1) and long_body(c, 1) and white(c, 0) and c.open[0] < c.low[1]
        return -100.0 if opened and c.close[0] >= c.close[1] and equal(c, c.close[0], c.close[1], 1) else 0.0


class OnNeck(CandlePattern):
    """After a long black candle a white one opens below its low and closes at its low. Bearish.

    Source: TA-Lib CDLONNECK.
    """

    bars_before = 11

    def match(self, c: Any) -> float:
        opened = black(c, 1) and long_body(c, 1) and white(c, 0) and c.open[0] < c.low[1]
        return -100.0 if opened and equal(c, c.close[0], c.low[1], 1) else 0.0


class Thrusting(CandlePattern):
    """After a long black candle a white one opens below its low and closes in the lower half of its body. Bearish.

    Source: TA-Lib CDLTHRUSTING.
    """

    bars_before = 11

    def match(self, c: Any) -> float:
        opened = black(c, 1) and long_body(c, 1) and white(c, 0) and c.open[0] < c.low[1]
        above = c.close[0] > c.close[1] and not equal(c, c.close[0], c.close[1], 1)
        return -100.0 if opened and above and c.close[0] <= c.close[1] + c.body[1] * 0.5 else 0.0


class Kicking(CandlePattern):
    """Two marubozus of opposite colors with a gap between, in the direction of the second.

    Source: TA-Lib CDLKICKING.
    """

    bars_before = 11

    def match(self, c: Any) -> float:
        return 100.0 * c.color[0] if kicking(c) else 0.0


class KickingByLength(CandlePattern):
    """Kicking, but the sign is that of the longer of the two. Source: TA-Lib CDLKICKINGBYLENGTH."""

    bars_before = 11

    def match(self, c: Any) -> float:
        longer = 0 if c.body[0] > c.body[1] else 1
        return 100.0 * c.color[longer] if kicking(c) else 0.0


def kicking(c: Any) -> bool:
    full = (
        long_body(c, 1) and no_upper(c, 1) and no_lower(c, 1) and long_body(c, 0) and no_upper(c, 0) and no_lower(c, 0)
    )
    up = black(c, 1) and white(c, 0) and shadow_gap_up(c, 0, 1)
    down = white(c, 1) and black(c, 0) and shadow_gap_down(c, 0, 1)
    return full and (up or down)


class MatchingLow(CandlePattern):
    """Two black candles with equal closes. Bullish. Source: TA-Lib CDLMATCHINGLOW."""

    bars_before = 6

    def match(self, c: Any) -> float:
        return 100.0 if black(c, 1) and black(c, 0) and equal(c, c.close[0], c.close[1], 1) else 0.0


class Piercing(CandlePattern):
    """After a long black candle a long white one opens below its low and closes in the upper half of its body. Bullish.

    Source: TA-Lib CDLPIERCING.
    """

    bars_before = 11

    def match(self, c: Any) -> float:
        opened = black(c, 1) and long_body(c, 1) and white(c, 0) and long_body(c, 0) and c.open[0] < c.low[1]
        return 100.0 if opened and c.close[0] < c.open[1] and c.close[0] > c.close[1] + c.body[1] * 0.5 else 0.0


class SeparatingLines(CandlePattern):
    """After a candle of the other color a long belt hold with the same open. Source: TA-Lib CDLSEPARATINGLINES."""

    bars_before = 11

    def match(self, c: Any) -> float:
        held = (white(c, 0) and no_lower(c, 0)) or (black(c, 0) and no_upper(c, 0))
        same = c.color[1] == -c.color[0] and equal(c, c.open[0], c.open[1], 1)
        return 100.0 * c.color[0] if same and long_body(c, 0) and held else 0.0
