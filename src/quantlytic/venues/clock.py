"""The wall clock as a recorder may use it: it never goes back."""

from __future__ import annotations

import time
from collections.abc import Callable


class GuardedClock:
    """Nanoseconds since 1970 UTC, strictly increasing.

    If the system clock jumps back by an hour, the stamps go on from the last one in steps of 1 ns until the system
    clock has caught up: order is kept, and the stamps of that hour are too late by at most the jump. A jump forward is
    taken over at once. `advance_to` carries the guarantee over a restart. Not for sharing between threads.
    """

    def __init__(self, source: Callable[[], int] = time.time_ns) -> None:
        self._source = source
        self._last = 0

    def now(self) -> int:
        """A stamp later than every earlier one."""
        now = self._source()
        if now <= self._last:
            now = self._last + 1
        self._last = now
        return now

    def advance_to(self, stamp: int) -> None:
        """Never again give a stamp at or before `stamp` (the last one of an earlier process)."""
        self._last = max(self._last, stamp)
