"""Patterns of three candles: marches and gaps. Candle 2 is the oldest, candle 0 the newest."""

from __future__ import annotations

from typing import Any

from quantlytic.engine.indicators.candles.candles import (
    RANGE_5,
    black,
    equal,
    far,
    gap_down,
    gap_up,
    long_body,
    near,
    no_lower,
    no_upper,
    short_body,
    white,
)
from quantlytic.engine.indicators.candles.pattern import CandlePattern


def rising_whites(c: Any) -> bool:
    """Three white candles with higher and higher closes."""
    return white(c, 2) and white(c, 1) and white(c, 0) and bool(c.close[0] > c.close[1] > c.close[2])


def opens_near(c: Any, k: int) -> bool:
    """Opens within or near the white body before."""
    return bool(c.open[k + 1] < c.open[k] <= c.close[k + 1] + near(c, k + 1))


class ThreeWhiteSoldiers(CandlePattern):
    """Three rising white candles without upper shadows, none far shorter than the one before. Bullish.

    Source: TA-Lib CDL3WHITESOLDIERS.
    """

    bars_before = 12

    def match(self, c: Any) -> float:
        if not (rising_whites(c) and no_upper(c, 2) and no_upper(c, 1) and no_upper(c, 0)):
            return 0.0
        sized = c.body[1] > c.body[2] - far(c, 2) and c.body[0] > c.body[1] - far(c, 1) and c.body[0] > c.usual[0]
        return 100.0 if opens_near(c, 1) and opens_near(c, 0) and sized else 0.0


class AdvanceBlock(CandlePattern):
    """Three rising white candles that weaken: bodies shrink or upper shadows grow. Bearish.

    Source: TA-Lib CDLADVANCEBLOCK.
    """

    bars_before = 12

    def match(self, c: Any) -> float:
        if not (rising_whites(c) and opens_near(c, 1) and opens_near(c, 0)):
            return 0.0
        if not (long_body(c, 2) and c.upper[2] < c.shadows[2]):
            return 0.0
        first, second, third = c.body[2], c.body[1], c.body[0]
        stopped = second < first - far(c, 2) and third < second + near(c, 1)
        stopping = third < second - far(c, 1)
        shadowed = c.upper[0] > c.shadows[0] or c.upper[1] > c.shadows[1]
        shrinking = third < second and second < first and shadowed
        refused = third < second and c.upper[0] > third
        return -100.0 if stopped or stopping or shrinking or refused else 0.0


class StalledPattern(CandlePattern):
    """Two long rising white candles, then a short one at the top of the second. Bearish.

    Source: TA-Lib CDLSTALLEDPATTERN.
    """

    bars_before = 12

    def match(self, c: Any) -> float:
        if not (rising_whites(c) and long_body(c, 2) and long_body(c, 1) and no_upper(c, 1) and opens_near(c, 1)):
            return 0.0
        return -100.0 if short_body(c, 0) and c.open[0] >= c.close[1] - c.body[0] - near(c, 1) else 0.0


class IdenticalThreeCrows(CandlePattern):
    """Three falling black candles without lower shadows, each opening at the close before. Bearish.

    Source: TA-Lib CDLIDENTICAL3CROWS.
    """

    bars_before = 12

    def match(self, c: Any) -> float:
        if not (black(c, 2) and black(c, 1) and black(c, 0) and no_lower(c, 2) and no_lower(c, 1) and no_lower(c, 0)):
            return 0.0
        falling = c.close[2] > c.close[1] and c.close[1] > c.close[0]
        return -100.0 if falling and equal(c, c.open[1], c.close[2], 2) and equal(c, c.open[0], c.close[1], 1) else 0.0


class GapSideSideWhite(CandlePattern):
    """After a gap two white candles of like body and open. The sign is the gap's direction.

    Source: TA-Lib CDLGAPSIDESIDEWHITE.
    """

    bars_before = 7

    def match(self, c: Any) -> float:
        up = gap_up(c, 1, 2) and gap_up(c, 0, 2)
        down = gap_down(c, 1, 2) and gap_down(c, 0, 2)
        alike = c.body[0] >= c.body[1] - near(c, 1) and c.body[0] <= c.body[1] + near(c, 1)
        side = white(c, 1) and white(c, 0) and alike and equal(c, c.open[0], c.open[1], 1)
        return (100.0 if up else -100.0) if (up or down) and side else 0.0


class StickSandwich(CandlePattern):
    """A white candle between two black ones of equal close, and above it. Bullish. Source: TA-Lib CDLSTICKSANDWICH."""

    bars_before = 7

    def match(self, c: Any) -> float:
        colors = black(c, 2) and white(c, 1) and black(c, 0)
        return 100.0 if colors and c.low[1] > c.close[2] and equal(c, c.close[0], c.close[2], 2) else 0.0


class TasukiGap(CandlePattern):
    """After a gap a candle of like length from within the second closes into the gap, which stays open.

    Source: TA-Lib CDLTASUKIGAP.
    """

    bars_before = 7

    def match(self, c: Any) -> float:
        if c.color[1] == c.color[0] or not abs(c.body[1] - c.body[0]) < near(c, 1):
            return 0.0
        opened = c.bottom[1] < c.open[0] < c.top[1]
        up = gap_up(c, 1, 2) and white(c, 1) and c.close[0] < c.open[1] and c.close[0] > c.top[2]
        down = gap_down(c, 1, 2) and black(c, 1) and c.close[0] > c.open[1] and c.close[0] < c.bottom[2]
        return 100.0 * c.color[1] if opened and (up or down) else 0.0


class XSideGapThreeMethods(CandlePattern):
    """Two candles of one color with a gap between, closed by a third from within the second into the first.

    Source: TA-Lib CDLXSIDEGAP3METHODS.
    """

    bars_before = 2

    def match(self, c: Any) -> float:
        if not (c.color[2] == c.color[1] and c.color[1] == -c.color[0]):
            return 0.0
        filled = c.bottom[1] < c.open[0] < c.top[1] and c.bottom[2] < c.close[0] < c.top[2]
        gap = (white(c, 2) and gap_up(c, 1, 2)) or (black(c, 2) and gap_down(c, 1, 2))
        return 100.0 * c.color[2] if filled and gap else 0.0


class Hikkake(CandlePattern):
    """An inside bar, then a false break-out: 100 or -100; 200 or -200 when a close confirms within 3 bars (D. L. Chesler).

    Source: TA-Lib CDLHIKKAKE.
    """

    bars_before = 5

    def match(self, c: Any) -> float:
        found = hikkake(c, 0)
        if found != 0:
            return found
        for age in range(1, 4):
            found = hikkake(c, age)
            if found != 0:
                return confirmed(c, found, age, c.high[age + 1], c.low[age + 1])
        return 0.0


class ModifiedHikkake(CandlePattern):
    """A hikkake after two inside bars, the first closing near the end that is broken later (D. L. Chesler).

    Source: TA-Lib CDLHIKKAKEMOD.
    """

    bars_before = 10

    def match(self, c: Any) -> float:
        found = modified_hikkake(c, 0)
        if found != 0:
            return found
        for age in range(1, 4):
            found = modified_hikkake(c, age)
            if found != 0:
                return confirmed(c, found, age, c.high[age + 1], c.low[age + 1])
        return 0.0


def hikkake(c: Any, k: int) -> float:
    if not (c.high[k + 1] < c.high[k + 2] and c.low[k + 1] > c.low[k + 2]):
        return 0.0
    return breakout(c, k)


def modified_hikkake(c: Any, k: int) -> float:
    if c.count - 1 - k < 7 or not (c.high[k + 2] < c.high[k + 3] and c.low[k + 2] > c.low[k + 3]):
        return 0.0
    if not (c.high[k + 1] < c.high[k + 2] and c.low[k + 1] > c.low[k + 2]):
        return 0.0
    found = breakout(c, k)
    distance = 0.2 * c.mean(RANGE_5, 5, k + 2, 0)  # "near", by the sum that began with the first bar
    if found > 0:
        return found if c.close[k + 2] <= c.low[k + 2] + distance else 0.0
    return found if c.close[k + 2] >= c.high[k + 2] - distance else 0.0


def breakout(c: Any, k: int) -> float:
    """Below the candle before: 100; above it: -100: the break is taken to be false."""
    if c.high[k] < c.high[k + 1] and c.low[k] < c.low[k + 1]:
        return 100.0
    return -100.0 if c.high[k] > c.high[k + 1] and c.low[k] > c.low[k + 1] else 0.0


def confirmed(c: Any, found: float, age: int, high: float, low: float) -> float:
    """Twice the pattern of `age` bars ago, when the newest close is the first beyond the inside bar."""
    for k in range(age - 1, -1, -1):
        if (found > 0 and c.close[k] > high) or (found < 0 and c.close[k] < low):
            return 2.0 * found if k == 0 else 0.0
    return 0.0
