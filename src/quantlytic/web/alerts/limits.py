"""How often somebody may ask: token buckets."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable


class TokenBuckets:
    """A bucket for each key: it holds `burst` tokens, each take costs one, and one comes back every `refill_s` seconds.

    At most `capacity` keys are remembered; the one not asked for the longest is forgotten first. Threads may share it.
    """

    def __init__(
        self, burst: int, refill_s: float, capacity: int = 10_000, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._burst, self._refill_s, self._capacity, self._now_s = float(burst), refill_s, capacity, monotonic_s
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # key -> (tokens, at which time)
        self._lock = threading.Lock()

    def take(self, key: str) -> float:
        """0 when granted; else the seconds after which it will be, and nothing was taken."""
        now_s = self._now_s()
        with self._lock:
            tokens = self._tokens(key, now_s)
            wait_s = 0.0 if tokens >= 1.0 else (1.0 - tokens) * self._refill_s
            self._buckets.pop(key, None)
            self._buckets[key] = (tokens - 1.0 if wait_s == 0.0 else tokens, now_s)
            if len(self._buckets) > self._capacity:
                self._buckets.popitem(last=False)
        return wait_s

    def would_grant(self, key: str) -> bool:
        """Whether `take` would grant it now; nothing is taken."""
        with self._lock:
            return self._tokens(key, self._now_s()) >= 1.0

    def _tokens(self, key: str, now_s: float) -> float:
        tokens, since_s = self._buckets.get(key, (self._burst, now_s))
        return min(self._burst, tokens + (now_s - since_s) / self._refill_s)
