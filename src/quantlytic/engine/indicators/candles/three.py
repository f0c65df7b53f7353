"""Patterns of three candles: turns. Candle 2 is the oldest, candle 0 the newest."""

from __future__ import annotations

from typing import Any

from quantlytic.engine.indicators.candles.candles import (
    black,
    doji,
    gap_down,
    gap_up,
    inside,
    long_body,
    no_lower,
    no_upper,
    shadow_gap_down,
    shadow_gap_up,
    short_body,
    white,
)
from quantlytic.engine.indicators.candles.pattern import CandlePattern, PenetrationPattern


class TwoCrows(CandlePattern):
    """Long white, a black one gapping up, a black one from within it into the white body. Bearish.

    Source: TA-Lib CDL2CROWS.
    """

    bars_before = 12

    def match(self, c: Any) -> float:
        first = white(c, 2) and long_body(c, 2) and black(c, 1) and gap_up(c, 1, 2) and black(c, 0)
        opened = c.open[0] < c.open[1] and c.open[0] > c.close[1]
        return -100.0 if first and opened and c.close[0] > c.open[2] and c.close[0] < c.close[2] else 0.0


class UpsideGapTwoCrows(CandlePattern):
    """Long white, a small black one gapping up, a black one engulfing it but closing above the white. Bearish.

    Source: TA-Lib CDLUPSIDEGAP2CROWS.
    """

    bars_before = 12

    def match(self, c: Any) -> float:
        first = white(c, 2) and long_body(c, 2) and black(c, 1) and c.body[1] <= c.usual[1] and gap_up(c, 1, 2)
        engulfed = black(c, 0) and c.open[0] > c.open[1] and c.close[0] < c.close[1]
        return -100.0 if first and engulfed and c.close[0] > c.close[2] else 0.0


class ThreeInside(CandlePattern):
    """A harami, confirmed by a close beyond the first candle's open. Up: 100, down: -100. Source: TA-Lib CDL3INSIDE."""

    bars_before = 12

    def match(self, c: Any) -> float:
        harami = long_body(c, 2) and c.body[1] <= c.usual[1] and inside(c, 1, 2)
        down = white(c, 2) and black(c, 0) and c.close[0] < c.open[2]
        up = black(c, 2) and white(c, 0) and c.close[0] > c.open[2]
        return -100.0 * c.color[2] if harami and (down or up) else 0.0


class ThreeOutside(CandlePattern):
    """An engulfing, confirmed by a close beyond the second candle's. Source: TA-Lib CDL3OUTSIDE."""

    bars_before = 3

    def match(self, c: Any) -> float:
        up = (
            white(c, 1)
            and black(c, 2)
            and c.close[1] > c.open[2]
            and c.open[1] < c.close[2]
            and c.close[0] > c.close[1]
        )
        down = (
            black(c, 1)
            and white(c, 2)
            and c.open[1] > c.close[2]
            and c.close[1] < c.open[2]
            and c.close[0] < c.close[1]
        )
        return 100.0 * c.color[1] if up or down else 0.0


class ThreeStarsInSouth(CandlePattern):
    """Three black candles, each smaller and within the range of the one before, the last without shadows. Bullish.

    Source: TA-Lib CDL3STARSINSOUTH.
    """

    bars_before = 12

    def match(self, c: Any) -> float:
        if not (black(c, 2) and black(c, 1) and black(c, 0)):
            return 0.0
        first = long_body(c, 2) and c.lower[2] > c.body[2]
        within = c.open[1] > c.close[2] and c.open[1] <= c.high[2] and c.low[1] < c.close[2] and c.low[1] >= c.low[2]
        second = c.body[1] < c.body[2] and within and c.lower[1] > c.tenth[1]
        third = short_body(c, 0) and no_lower(c, 0) and no_upper(c, 0) and c.low[0] > c.low[1] and c.high[0] < c.high[1]
        return 100.0 if first and second and third else 0.0


class AbandonedBaby(PenetrationPattern):
    """Long, a doji with gaps on both sides (shadows included), then well back into the first. Sign of the last candle.

    Source: TA-Lib CDLABANDONEDBABY.
    """

    bars_before = 12

    def match(self, c: Any) -> float:
        if not (long_body(c, 2) and doji(c, 1) and c.body[0] > c.usual[0]):
            return 0.0
        depth = c.body[2] * self.penetration
        top_left = white(c, 2) and shadow_gap_up(c, 1, 2) and shadow_gap_down(c, 0, 1)
        bottom_left = black(c, 2) and shadow_gap_down(c, 1, 2) and shadow_gap_up(c, 0, 1)
        down = top_left and black(c, 0) and c.close[0] < c.close[2] - depth
        up = bottom_left and white(c, 0) and c.close[0] > c.close[2] + depth
        return 100.0 * c.color[0] if down or up else 0.0


class EveningDojiStar(PenetrationPattern):
    """Long white, a doji gapping up, a black one well back into the white. Bearish.

    Source: TA-Lib CDLEVENINGDOJISTAR.
    """

    bars_before = 12

    def match(self, c: Any) -> float:
        star = white(c, 2) and long_body(c, 2) and doji(c, 1) and gap_up(c, 1, 2)
        back = black(c, 0) and c.body[0] > c.usual[0] and c.close[0] < c.close[2] - c.body[2] * self.penetration
        return -100.0 if star and back else 0.0


class EveningStar(PenetrationPattern):
    """Long white, a short one gapping up, a black one well back into the white. Bearish.

    Source: TA-Lib CDLEVENINGSTAR.
    """

    bars_before = 12

    def match(self, c: Any) -> float:
        star = white(c, 2) and long_body(c, 2) and c.body[1] <= c.usual[1] and gap_up(c, 1, 2)
        back = black(c, 0) and c.body[0] > c.usual[0] and c.close[0] < c.close[2] - c.body[2] * self.penetration
        return -100.0 if star and back else 0.0


class MorningDojiStar(PenetrationPattern):
    """Long black, a doji gapping down, a white one well back into the black. Bullish.

    Source: TA-Lib CDLMORNINGDOJISTAR.
    """

    bars_before = 12

    def match(self, c: Any) -> float:
        star = black(c, 2) and long_body(c, 2) and doji(c, 1) and gap_down(c, 1, 2)
        back = white(c, 0) and c.body[0] > c.usual[0] and c.close[0] > c.close[2] + c.body[2] * self.penetration
        return 100.0 if star and back else 0.0


class MorningStar(PenetrationPattern):
    """Long black, a short one gapping down, a white one well back into the black. Bullish.

    Source: TA-Lib CDLMORNINGSTAR.
    """

    bars_before = 12

    def match(self, c: Any) -> float:
        star = black(c, 2) and long_body(c, 2) and c.body[1] <= c.usual[1] and gap_down(c, 1, 2)
        back = white(c, 0) and c.body[0] > c.usual[0] and c.close[0] > c.close[2] + c.body[2] * self.penetration
        return 100.0 if star and back else 0.0


class Tristar(CandlePattern):
    """Three dojis, the middle one gapping away. Source: TA-Lib CDLTRISTAR."""

    bars_before = 12

    def match(self, c: Any) -> float:
        limit = c.tenth[2]
        if c.body[2] > limit or c.body[1] > limit or c.body[0] > limit:
            return 0.0
        if gap_up(c, 1, 2) and c.top[0] < c.top[1]:
            return -100.0
        return 100.0 if gap_down(c, 1, 2) and c.bottom[0] > c.bottom[1] else 0.0


class UniqueThreeRiver(CandlePattern):
    """Long black, a black one within it with a lower low, a short white one opening above that low. Bullish.

    Source: TA-Lib CDLUNIQUE3RIVER.
    """

    bars_before = 12

    def match(self, c: Any) -> float:
        harami = black(c, 2) and long_body(c, 2) and black(c, 1) and c.close[1] > c.close[2] and c.open[1] <= c.open[2]
        return (
            100.0
            if harami and c.low[1] < c.low[2] and white(c, 0) and short_body(c, 0) and c.open[0] > c.low[1]
            else 0.0
        )
