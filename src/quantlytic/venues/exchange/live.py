"""Candles that are still growing, and the rolling day, of one symbol."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import msgspec

from quantlytic.venues.exchange.candles import DAY_MS, INTERVALS_MS, MINUTE_MS, Candle, candle_of, group, open_of
from quantlytic.venues.exchange.events import Print


class LiveCandles:
    """One growing candle an interval, and the minutes of the last day."""

    def __init__(self, minutes: Iterable[Candle] = ()) -> None:
        self.minutes = deque(minutes)
        self.growing: dict[str, Candle] = {}
        self._changed: dict[int, Candle] = {}
        self._last_ms = 0
        self._day: Candle | None = None
        self._day_minute = -1
        for interval, size in INTERVALS_MS.items():
            grouped = group(self.minutes, size) if size >= MINUTE_MS else []
            if grouped:
                self.growing[interval] = grouped[-1]

    def add(self, trade: Print) -> None:
        """Take in a trade."""
        self._last_ms = max(self._last_ms, trade.time_ms)  # a trade never goes back into a candle that has ended
        for interval, size in INTERVALS_MS.items():
            open_ms = open_of(self._last_ms, size)
            candle = self.growing.get(interval)
            part = candle_of(trade, open_ms)
            if candle is not None and candle.open_ms == open_ms:
                candle.merge(part)
            else:
                self.growing[interval] = part
        minute = self.growing["1m"]
        if not self.minutes or self.minutes[-1].open_ms != minute.open_ms:
            self.minutes.append(minute)
            if len(self.minutes) > DAY_MS // MINUTE_MS + 1:
                self.minutes.popleft()
        else:
            self.minutes[-1] = minute
        self._changed[minute.open_ms] = minute

    def take_minutes(self) -> list[Candle]:
        """The minutes that changed since the last call."""
        changed, self._changed = self._changed, {}
        return list(changed.values())

    def close(self, interval: str, now_ms: int) -> Candle | None:
        """The interval's candle if it has ended; then it is forgotten."""
        candle = self.growing.get(interval)
        if candle is None or candle.open_ms + INTERVALS_MS[interval] > now_ms:
            return None
        return self.growing.pop(interval)

    def day(self, now_ms: int) -> Candle | None:
        """The last 24 hours as one candle, to the minute; None without trades."""
        while self.minutes and self.minutes[0].open_ms < now_ms - DAY_MS:
            self.minutes.popleft()
        if not self.minutes:
            return None
        last = self.minutes[-1]
        if self._day_minute != last.open_ms:
            self._day = None
            for candle in list(self.minutes)[:-1]:
                if self._day is None:
                    self._day = msgspec.structs.replace(candle)
                else:
                    self._day.merge(candle)
            self._day_minute = last.open_ms
        day = msgspec.structs.replace(self._day or last)
        if self._day is not None:
            day.merge(last)
        return day
