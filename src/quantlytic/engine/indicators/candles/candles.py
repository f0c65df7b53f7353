"""The last bars as candles: bodies, shadows, gaps, and what "long", "short", "near" and "equal" mean just now.

The words are S. Nison's (Japanese Candlestick Charting Techniques, 1991); the measures are TA-Lib's defaults: a body is long
when it exceeds the mean body of the 10 bars before it, a doji's is at most 0.1 of their mean high-low range, and so on.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from quantlytic.engine.compiler.record import Record

# A running sum is known by what it adds up, over how many bars, and the bar it began with: TA-Lib begins each pattern's sums
# at the first bars that it needs, and sums begun apart may differ in the last digit, which decides where a price lies
# exactly on a threshold. Columns of `sums`: those over 10 bars begin with bars 0 to 4, those over 5 with bars 0 to 9.
BODY, RANGE, SHADOWS = 0, 1, 2
BODY_10, RANGE_10, SHADOWS_10, RANGE_5 = 0, 5, 10, 15
COLUMNS = 25


class Candles(Record):
    """The last 8 bars by age (`high[0]` is the newest's, `high[1]` the one's before) and running sums for all patterns. O(1).

    `judge` says how long bodies and shadows usually were, as a pattern of that lookback measures it: `usual` bodies, a
    `tenth` of the high-low range, half of both `shadows`, the mean `reach` (high-low range) over 5 bars.
    A bar with a NaN or infinite price begins everything anew.
    """

    def __init__(self) -> None:
        self.count = 0
        self.open = np.zeros(8)
        self.high = np.zeros(8)
        self.low = np.zeros(8)
        self.close = np.zeros(8)
        self.top = np.zeros(8)
        self.bottom = np.zeros(8)
        self.body = np.zeros(8)
        self.upper = np.zeros(8)
        self.lower = np.zeros(8)
        self.color = np.zeros(8)
        self.usual = np.zeros(5)
        self.tenth = np.zeros(5)
        self.shadows = np.zeros(5)
        self.reach = np.zeros(5)
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
        for k in range(7, 0, -1):
            self.open[k] = self.open[k - 1]
            self.high[k] = self.high[k - 1]
            self.low[k] = self.low[k - 1]
            self.close[k] = self.close[k - 1]
            self.top[k] = self.top[k - 1]
            self.bottom[k] = self.bottom[k - 1]
            self.body[k] = self.body[k - 1]
            self.upper[k] = self.upper[k - 1]
            self.lower[k] = self.lower[k - 1]
            self.color[k] = self.color[k - 1]
        self.open[0] = open
        self.high[0] = high
        self.low[0] = low
        self.close[0] = close
        self.top[0] = max(open, close)
        self.bottom[0] = min(open, close)
        self.body[0] = abs(close - open)
        self.upper[0] = high - self.top[0]
        self.lower[0] = self.bottom[0] - low
        self.color[0] = 1.0 if close >= open else -1.0
        slot = self.count & 15
        self.ranges[BODY, slot] = self.body[0]
        self.ranges[RANGE, slot] = high - low
        self.ranges[SHADOWS, slot] = self.upper[0] + self.lower[0]
        self.count += 1

    def roll(self, column: int, starts: int, kind: int, period: int) -> None:
        """Move sums on by a bar: to the `period` bars before the one that is coming."""
        i = self.count
        now, before = i & 7, (i - 1) & 7
        added = self.ranges[kind, (i - 1) & 15]
        change = added - self.ranges[kind, (i - 1 - period) & 15]
        if i > starts + period:
            for start in range(column, column + starts):
                self.sums[now, start] = self.sums[before, start] + change
            return
        for start in range(min(starts, i)):  # a sum's first bar is taken as it is, then it grows to its period
            total = self.sums[before, column + start] if i - 1 > start else 0.0
            self.sums[now, column + start] = total + (added if i - 1 - period < start else change)

    def mean(self, column: int, period: int, k: int, start: int) -> float:
        """The mean over the `period` bars before the candle of age `k`, by the sum begun with bar `start`."""
        return float(self.sums[(self.count - 1 - k) & 7, column + start] / period)

    def judge(self, lookback: int) -> bool:
        """Whether there are more than `lookback` bars; measures for a pattern that needs them are then set."""
        if self.count <= lookback:
            return False
        if lookback >= 10:
            for k in range(lookback - 9):
                start = lookback - 10 - k
                self.usual[k] = self.mean(BODY_10, 10, k, start)
                self.tenth[k] = 0.1 * self.mean(RANGE_10, 10, k, start)
                self.shadows[k] = self.mean(SHADOWS_10, 10, k, start) / 2.0
                self.reach[k] = self.mean(RANGE_5, 5, k, start + 5)
        else:
            for k in range(lookback - 4):
                self.reach[k] = self.mean(RANGE_5, 5, k, lookback - 5 - k)
        return True


def white(c: Any, k: int) -> bool:
    """Close at or above the open."""
    return bool(c.color[k] > 0.0)


def black(c: Any, k: int) -> bool:
    return bool(c.color[k] < 0.0)


def long_body(c: Any, k: int) -> bool:
    return bool(c.body[k] > c.usual[k])


def short_body(c: Any, k: int) -> bool:
    return bool(c.body[k] < c.usual[k])


def doji(c: Any, k: int) -> bool:
    """Close about at the open."""
    return bool(c.body[k] <= c.tenth[k])


def no_upper(c: Any, k: int) -> bool:
    """No upper shadow, or a very short one."""
    return bool(c.upper[k] < c.tenth[k])


def no_lower(c: Any, k: int) -> bool:
    return bool(c.lower[k] < c.tenth[k])


def near(c: Any, k: int) -> float:
    """Prices up to this distance apart are near."""
    return float(0.2 * c.reach[k])


def far(c: Any, k: int) -> float:
    return float(0.6 * c.reach[k])


def equal(c: Any, a: float, b: float, k: int) -> bool:
    """`a` equals `b`, a price of the candle `k` bars ago, to 0.05 of the usual high-low range."""
    return bool(b - 0.05 * c.reach[k] <= a <= b + 0.05 * c.reach[k])


def gap_up(c: Any, later: int, earlier: int) -> bool:
    """The later real body lies wholly above the earlier."""
    return bool(c.bottom[later] > c.top[earlier])


def gap_down(c: Any, later: int, earlier: int) -> bool:
    return bool(c.top[later] < c.bottom[earlier])


def shadow_gap_up(c: Any, later: int, earlier: int) -> bool:
    """Shadows included, the later candle lies wholly above the earlier."""
    return bool(c.low[later] > c.high[earlier])


def shadow_gap_down(c: Any, later: int, earlier: int) -> bool:
    return bool(c.high[later] < c.low[earlier])


def inside(c: Any, k: int, outer: int) -> bool:
    """The real body `k` bars ago lies strictly within the one `outer` bars ago."""
    return bool(c.top[k] < c.top[outer] and c.bottom[k] > c.bottom[outer])
