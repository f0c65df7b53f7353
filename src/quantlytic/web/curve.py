"""An equity curve of bounded size, with its drawdown."""

from __future__ import annotations

import math

from quantlytic.model.time import NS_PER_MS, NS_PER_S

Point = tuple[float, float]
"""(time in ms, equity)."""
LEAP_NS = 30 * 86_400 * NS_PER_S
"""A bar from so far ahead of all others is not believed by itself: the curve would stand still until then."""


class EquityCurve:
    """Equity over time in at most `capacity` evenly spaced points: when they run out, the spacing doubles.

    A point holds the last equity of its interval, so the curve always ends at the account's last word. First value,
    peak and drawdowns are taken from every value, not from the points. The points' times only grow: a bar that comes late
    (of an instrument whose trades had to be fetched after a hole) says what the account is worth now, not what it was, and so
    does one from more than `LEAP_NS` ahead, until the next one agrees.
    """

    def __init__(self, capacity: int = 5000) -> None:
        self._capacity = capacity
        self._step_ns = NS_PER_S
        self._points: dict[int, float] = {}
        self._changed: set[int] = set()
        self._resampled = False
        self._newest = 0
        self._has_leapt = False
        self._peak = 0.0
        self.first: Point | None = None
        self.last: Point | None = None
        self.drawdown = 0.0
        self.max_drawdown = 0.0

    def add(self, event_time: int, equity: float) -> None:
        """Take in the account's worth at `event_time` (ns UTC), as the tape has it. One that is no number draws nothing."""
        if not math.isfinite(equity):
            return
        leaps = 0 < self._newest < event_time - LEAP_NS
        event_time = self._newest = self._newest if leaps and not self._has_leapt else max(event_time, self._newest)
        self._has_leapt = leaps and not self._has_leapt
        self.last = (event_time / NS_PER_MS, equity)
        if self.first is None:
            self.first = self.last
        self._peak = max(self._peak, equity)
        self.drawdown = 1.0 - equity / self._peak if self._peak > 0 else 0.0
        self.max_drawdown = max(self.max_drawdown, self.drawdown)
        time = event_time - event_time % self._step_ns
        self._points[time] = equity
        self._changed.add(time)
        while len(self._points) > self._capacity:
            self._step_ns *= 2
            self._points = {time - time % self._step_ns: value for time, value in self._points.items()}
            self._resampled = True

    def points(self) -> list[Point]:
        """The whole curve, oldest first."""
        return [(time / NS_PER_MS, value) for time, value in self._points.items()]

    def drain(self) -> tuple[bool, list[Point]]:
        """(whether the points replace everything shown so far, points changed since the last call), oldest first."""
        replace, changed = self._resampled, sorted(self._changed)
        self._resampled = False
        self._changed.clear()
        return replace, self.points() if replace else [(time / NS_PER_MS, self._points[time]) for time in changed]
