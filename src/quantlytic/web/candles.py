"""Candles of one instrument at one bar size: the finished bars, and those still forming from trades."""

from __future__ import annotations

from bisect import insort

from quantlytic.model.bar import Bar
from quantlytic.model.time import NS_PER_MS

CandleRow = tuple[float, float, float, float, float, float, int]
"""(open time in ms, open, high, low, close, volume, 1 if finished else 0): what the page's chart takes."""


class CandleSeries:
    """The last `capacity` candles. A `Bar` is the truth; until it comes, trades draw its bucket.

    Trades in a bucket that a bar has closed, or before it, change nothing. A bar takes the place of what trades drew in
    its bucket, and removes what they drew before it: the bar maker decided that nothing belongs there.
    """

    def __init__(self, size_ns: int, capacity: int = 2000) -> None:
        self.size_ns = size_ns
        self._capacity = capacity
        self._rows: dict[int, CandleRow] = {}
        self._times: list[int] = []
        self._forming: list[int] = []
        self._finished_until = -1
        self._offsets: dict[int, int] = {}
        self._changed: set[int] = set()
        self._removed = False

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def bars(self) -> int:
        """How many of the candles held are finished bars."""
        return len(self._rows) - len(self._forming)

    def add_bar(self, bar: Bar, offset: int) -> None:
        """Take in a finished bar; `offset` is its place in the stream, by which fills refer to it."""
        row = (bar.open_time / NS_PER_MS, bar.open, bar.high, bar.low, bar.close, bar.volume, 1)
        self._put(bar.open_time, row)
        self._finished_until = max(self._finished_until, bar.open_time)
        self._offsets[offset] = bar.open_time
        if len(self._offsets) > self._capacity:
            del self._offsets[next(iter(self._offsets))]
        for time in [time for time in self._forming if time <= self._finished_until]:
            self._forming.remove(time)
            if self._rows[time][-1] == 0:
                del self._rows[time]
                self._times.remove(time)
                self._changed.discard(time)
                self._removed = True

    def add_trade(self, event_time: int, price: float, quantity: float) -> None:
        """Draw a trade into the candle that is forming."""
        time = event_time - event_time % self.size_ns
        if time <= self._finished_until:
            return
        old = self._rows.get(time)
        if old is None:
            self._forming.append(time)
            self._put(time, (time / NS_PER_MS, price, price, price, price, quantity, 0))
        else:
            _, first, high, low, _, volume, _ = old
            self._put(time, (old[0], first, max(high, price), min(low, price), price, volume + quantity, 0))

    def bar_time(self, offset: int) -> int | None:
        """Open time of the bar at `offset` in its stream, None when it is not held."""
        return self._offsets.get(offset)

    def rows(self) -> list[CandleRow]:
        """All candles, oldest first."""
        return [self._rows[time] for time in self._times]

    def drain(self) -> tuple[bool, list[CandleRow]]:
        """(whether the rows replace everything shown so far, rows changed since the last call), oldest first."""
        replace, changed = self._removed, sorted(self._changed)
        self._removed = False
        self._changed.clear()
        return replace, self.rows() if replace else [self._rows[time] for time in changed]

    def _put(self, time: int, row: CandleRow) -> None:
        if time not in self._rows:
            if not self._times or time > self._times[-1]:
                self._times.append(time)
            else:
                insort(self._times, time)
        self._rows[time] = row
        self._changed.add(time)
        while len(self._times) > self._capacity:
            oldest = self._times.pop(0)
            del self._rows[oldest]
            self._changed.discard(oldest)
            if oldest in self._forming:
                self._forming.remove(oldest)
