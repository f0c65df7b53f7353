"""How many orders were sent in the last second and minute."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from quantlytic.model.time import NS_PER_S


class RateWindow:
    """At most `limit` in any `window_s` seconds (None: as many as one likes). Remembers only the last `limit` times."""

    def __init__(self, limit: int | None, window_s: int) -> None:
        self.limit, self.window_s = limit, window_s
        self._window_ns = window_s * NS_PER_S
        self._sent: deque[int] = deque(maxlen=limit or 0)

    def is_full(self, now_ns: int) -> bool:
        """Whether one more at this time would be too many."""
        if self.limit is None:
            return False
        if len(self._sent) < self.limit:
            return False
        return self.limit == 0 or now_ns - self._sent[0] < self._window_ns

    def sent(self, now_ns: int) -> None:
        """Count one."""
        self._sent.append(now_ns)

    def times(self) -> list[int]:
        """What has to be kept over a restart, oldest first."""
        return list(self._sent)

    def restore(self, times: Iterable[int]) -> None:
        """Go on from `times()`, also under another limit."""
        self._sent.clear()
        self._sent.extend(times)
