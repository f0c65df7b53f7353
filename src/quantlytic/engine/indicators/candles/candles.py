"""The last bars as candles: bodies, shadows, gaps, and what "long", "short", "near" and "equal" mean just now.

The words are S. Nison's (Japanese Candlestick Charting Techniques, 1991); the measures are TA-Lib's defaults: a body is long
when it exceeds the mean body of the 10 bars before it, a doji's is at most 0.1 of their mean high-low range, and so on.
"""

from __future__ import annotations

import math

import numpy as np

from quantlytic.engine.record import Record

# A running sum is known by what it adds up, over how many bars, and the bar it began with: TA-Lib begins each pattern's sums
# at the first bars that it needs, and sums begun apart may differ in the last digit, which decides where a price lies
# exactly on a threshold. Columns of `sums`: those over 10 bars begin with bars 0 to 4, those over 5 with bars 0 to 9.
BODY, RANGE, SHADOWS = 0, 1, 2
BODY_10, RANGE_10, SHADOWS_10, RANGE_5 = 0, 5, 10, 15
COLUMNS = 25


class Candles(Record):
    """The last 16 bars, their ranges, and the running sums that all patterns share. O(1) a bar.

    `origin` is the lookback of the pattern that is asking. A bar with a NaN or infinite price begins everything anew.
    """

    def __init__(self, origin: int = 10) -> None:
        self.origin = int(origin)
        self.count = 0
        self.opens = np.zeros(16)
        self.highs = np.zeros(16)
        self.lows = np.zeros(16)
        self.closes = np.zeros(16)
        self.ranges = np.zeros((3, 16))
        self.sums = np.zeros((8, COLUMNS))

    def update(self, open: float, high: float, low: float, close: float) -> None:
        """Take the next bar."""
        if not math.isfinite(open + high + low + close):
            self.count = 0
            return
        self.roll(BODY_10, 5, BODY, 10)
        self.roll(RANGE_10, 5, RANGE, 10)
        self.roll(SHADOWS_10, 5, SHADOWS, 10)
        self.roll(RANGE_5, 10, RANGE, 5)
        slot = self.count & 15
        self.opens[slot] = open
        self.highs[slot] = high
        self.lows[slot] = low
        self.closes[slot] = close
        self.ranges[BODY, slot] = abs(close - open)
        self.ranges[RANGE, slot] = high - low
        self.ranges[SHADOWS, slot] = (high - max(open, close)) + (min(open, close) - low)
        self.count += 1

    def roll(self, column: int, starts: int, kind: int, period: int) -> None:
        """Move sums on by a bar: to the `period` bars before the one that is coming."""
        i = self.count
        added = self.ranges[kind, (i - 1) & 15]
        change = added - self.ranges[kind, (i - 1 - period) & 15]
        for start in range(starts):
            total = self.sums[(i - 1) & 7, column + start]
            if i - 1 - period >= start:
                total += change
            elif i - 1 == start:
                total = added
            elif i - 1 > start:
                total += added
            self.sums[i & 7, column + start] = total

    def mean(self, column: int, period: int, k: int) -> float:
        """A mean over the `period` bars before the candle `k` bars ago."""
        return float(self.sums[(self.count - 1 - k) & 7, column + self.origin - period - k] / period)

    def open(self, k: int) -> float:
        """The open `k` bars ago."""
        return float(self.opens[(self.count - 1 - k) & 15])

    def high(self, k: int) -> float:
        return float(self.highs[(self.count - 1 - k) & 15])

    def low(self, k: int) -> float:
        return float(self.lows[(self.count - 1 - k) & 15])

    def close(self, k: int) -> float:
        return float(self.closes[(self.count - 1 - k) & 15])

    def body(self, k: int) -> float:
        """The length of the real body."""
        return float(self.ranges[BODY, (self.count - 1 - k) & 15])


def top(c: Candles, k: int) -> float:
    """The upper end of the real body."""
    return max(c.open(k), c.close(k))


def bottom(c: Candles, k: int) -> float:
    return min(c.open(k), c.close(k))


def upper(c: Candles, k: int) -> float:
    """The length of the upper shadow."""
    return c.high(k) - top(c, k)


def lower(c: Candles, k: int) -> float:
    return bottom(c, k) - c.low(k)


def color(c: Candles, k: int) -> int:
    """+1 for a white candle (close at or above the open), -1 for a black one."""
    return 1 if c.close(k) >= c.open(k) else -1


def white(c: Candles, k: int) -> bool:
    return c.close(k) >= c.open(k)


def black(c: Candles, k: int) -> bool:
    return c.close(k) < c.open(k)


def usual_body(c: Candles, k: int) -> float:
    """Longer is long, shorter is short."""
    return c.mean(BODY_10, 10, k)


def long_body(c: Candles, k: int) -> bool:
    return c.body(k) > usual_body(c, k)


def short_body(c: Candles, k: int) -> bool:
    return c.body(k) < usual_body(c, k)


def tenth(c: Candles, k: int) -> float:
    """A tenth of the usual high-low range: bodies up to it are a doji's, shadows below it are very short."""
    return 0.1 * c.mean(RANGE_10, 10, k)


def doji(c: Candles, k: int) -> bool:
    return c.body(k) <= tenth(c, k)


def no_upper(c: Candles, k: int) -> bool:
    """No upper shadow, or a very short one."""
    return upper(c, k) < tenth(c, k)


def no_lower(c: Candles, k: int) -> bool:
    return lower(c, k) < tenth(c, k)


def short_shadow(c: Candles, k: int) -> float:
    """Half of the usual length of both shadows: shorter is short."""
    return c.mean(SHADOWS_10, 10, k) / 2.0


def near(c: Candles, k: int) -> float:
    """Prices up to this distance apart are near."""
    return 0.2 * c.mean(RANGE_5, 5, k)


def far(c: Candles, k: int) -> float:
    return 0.6 * c.mean(RANGE_5, 5, k)


def equal(c: Candles, a: float, b: float, k: int) -> bool:
    """`a` equals `b`, a price of the candle `k` bars ago, to 0.05 of the usual high-low range."""
    tolerance = 0.05 * c.mean(RANGE_5, 5, k)
    return b - tolerance <= a <= b + tolerance


def gap_up(c: Candles, later: int, earlier: int) -> bool:
    """The later real body lies wholly above the earlier."""
    return bottom(c, later) > top(c, earlier)


def gap_down(c: Candles, later: int, earlier: int) -> bool:
    return top(c, later) < bottom(c, earlier)


def shadow_gap_up(c: Candles, later: int, earlier: int) -> bool:
    """Shadows included, the later candle lies wholly above the earlier."""
    return c.low(later) > c.high(earlier)


def shadow_gap_down(c: Candles, later: int, earlier: int) -> bool:
    return c.high(later) < c.low(earlier)


def inside(c: Candles, k: int, outer: int) -> bool:
    """The real body `k` bars ago lies strictly within the one `outer` bars ago."""
    return top(c, k) < top(c, outer) and bottom(c, k) > bottom(c, outer)
