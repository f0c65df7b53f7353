"""Patterns of four and five candles. Candle 4 is the oldest, candle 0 the newest."""

from __future__ import annotations

from typing import Any

from quantlytic.engine.indicators.candles.candles import (
    black,
    gap_down,
    gap_up,
    long_body,
    near,
    no_lower,
    no_upper,
    short_body,
    white,
)
from quantlytic.engine.indicators.candles.pattern import CandlePattern, PenetrationPattern


class ThreeBlackCrows(CandlePattern):
    """After a white candle three falling black ones without lower shadows, each from within the one before. Bearish.

    Source: TA-Lib CDL3BLACKCROWS.
    """

    bars_before = 13

    def match(self, c: Any) -> float:
        if not (white(c, 3) and black(c, 2) and black(c, 1) and black(c, 0)):
            return 0.0
        within = c.close[2] < c.open[1] < c.open[2] and c.close[1] < c.open[0] < c.open[1]
        falling = c.high[3] > c.close[2] and c.close[2] > c.close[1] and c.close[1] > c.close[0]
        return -100.0 if no_lower(c, 2) and no_lower(c, 1) and no_lower(c, 0) and within and falling else 0.0


class ThreeLineStrike(CandlePattern):
    """Three candles of one color, undone by one of the other. The sign is that of the three.

    Source: TA-Lib CDL3LINESTRIKE.
    """

    bars_before = 8

    def match(self, c: Any) -> float:
        side = c.color[1]
        if not (c.color[3] == side and c.color[2] == side and c.color[0] == -side):
            return 0.0
        third = c.open[2] >= c.bottom[3] - near(c, 3) and c.open[2] <= c.top[3] + near(c, 3)
        second = c.open[1] >= c.bottom[2] - near(c, 2) and c.open[1] <= c.top[2] + near(c, 2)
        up = c.close[1] > c.close[2] > c.close[3] and c.open[0] > c.close[1] and c.close[0] < c.open[3]
        down = c.close[1] < c.close[2] < c.close[3] and c.open[0] < c.close[1] and c.close[0] > c.open[3]
        return 100.0 * side if third and second and (up if side > 0 else down) else 0.0


class ConcealingBabySwallow(CandlePattern):
    """Two black marubozus, a black one gapping down with a shadow into them, one that engulfs it. Bullish.

    Source: TA-Lib CDLCONCEALBABYSWALL.
    """

    bars_before = 13

    def match(self, c: Any) -> float:
        if not (black(c, 3) and black(c, 2) and black(c, 1) and black(c, 0)):
            return 0.0
        full = no_lower(c, 3) and no_upper(c, 3) and no_lower(c, 2) and no_upper(c, 2)
        baby = gap_down(c, 1, 2) and c.upper[1] > c.tenth[1] and c.high[1] > c.close[2]
        return 100.0 if full and baby and c.high[0] > c.high[1] and c.low[0] < c.low[1] else 0.0


class Breakaway(CandlePattern):
    """A gap in the long first candle's direction, two more candles of the same way, and one back into the gap.

    Source: TA-Lib CDLBREAKAWAY.
    """

    bars_before = 14

    def match(self, c: Any) -> float:
        side = c.color[4]
        if not (long_body(c, 4) and c.color[3] == side and c.color[1] == side and c.color[0] == -side):
            return 0.0
        falling = c.high[2] < c.high[3] and c.low[2] < c.low[3] and c.high[1] < c.high[2] and c.low[1] < c.low[2]
        rising = c.high[2] > c.high[3] and c.low[2] > c.low[3] and c.high[1] > c.high[2] and c.low[1] > c.low[2]
        up = side < 0 and gap_down(c, 3, 4) and falling and c.close[0] > c.open[3] and c.close[0] < c.close[4]
        down = side > 0 and gap_up(c, 3, 4) and rising and c.close[0] < c.open[3] and c.close[0] > c.close[4]
        return 100.0 * c.color[0] if up or down else 0.0


class LadderBottom(CandlePattern):
    """Three falling black candles, a black one with an upper shadow, a white one closing above it. Bullish.

    Source: TA-Lib CDLLADDERBOTTOM.
    """

    bars_before = 14

    def match(self, c: Any) -> float:
        if not (black(c, 4) and black(c, 3) and black(c, 2) and black(c, 1) and white(c, 0)):
            return 0.0
        falling = c.open[4] > c.open[3] > c.open[2] and c.close[4] > c.close[3] > c.close[2]
        return (
            100.0 if falling and c.upper[1] > c.tenth[1] and c.open[0] > c.open[1] and c.close[0] > c.high[1] else 0.0
        )


class MatHold(PenetrationPattern):
    """Long white, three short ones (the first gaps up) that hold above its middle, a white one to a new high. Bullish.

    Source: TA-Lib CDLMATHOLD.
    """

    bars_before = 14

    def __init__(self, penetration: float = 0.5) -> None:
        super().__init__(penetration)

    def match(self, c: Any) -> float:
        if not (long_body(c, 4) and short_body(c, 3) and short_body(c, 2) and short_body(c, 1)):
            return 0.0
        floor = c.close[4] - c.body[4] * self.penetration
        colors = white(c, 4) and black(c, 3) and white(c, 0) and gap_up(c, 3, 4)
        below = c.bottom[2] < c.close[4] and c.bottom[1] < c.close[4]
        held = below and c.bottom[2] > floor and c.bottom[1] > floor
        falling = c.top[2] < c.open[3] and c.top[1] < c.top[2]
        new = c.open[0] > c.close[1] and c.close[0] > max(c.high[3], c.high[2], c.high[1])
        return 100.0 if colors and held and falling and new else 0.0


class RiseFallThreeMethods(CandlePattern):
    """A long candle, three short ones against it within its range, a long one with it that closes beyond it.

    Source: TA-Lib CDLRISEFALL3METHODS.
    """

    bars_before = 14

    def match(self, c: Any) -> float:
        side = c.color[4]
        if not (c.color[3] == -side and c.color[2] == -side and c.color[1] == -side and c.color[0] == side):
            return 0.0
        sizes = long_body(c, 4) and short_body(c, 3) and short_body(c, 2) and short_body(c, 1) and long_body(c, 0)
        held = c.bottom[3] < c.high[4] and c.bottom[2] < c.high[4] and c.bottom[1] < c.high[4]
        held = held and c.top[3] > c.low[4] and c.top[2] > c.low[4] and c.top[1] > c.low[4]
        against = c.close[2] * side < c.close[3] * side and c.close[1] * side < c.close[2] * side
        beyond = c.open[0] * side > c.close[1] * side and c.close[0] * side > c.close[4] * side
        return 100.0 * side if sizes and held and against and beyond else 0.0
