"""How alive a venue's feed is: age of its last message, lag, messages a second."""

from __future__ import annotations

from collections import deque

from quantlytic.model.time import NS_PER_MS, NS_PER_S

WINDOW_S = 5
KINDS = ("trades", "quotes", "book")


class FeedMeter:
    """Counts market messages by the second in which we received them. Memory is bounded; no clock is read here."""

    def __init__(self, stale_after_s: float) -> None:
        self.stale_after_s = stale_after_s
        self.total = dict.fromkeys(KINDS, 0)
        self._first_receive = 0
        self._last_receive = 0
        self._last_event = 0
        self._seconds: dict[int, list[int]] = {}
        self._lags: deque[int] = deque(maxlen=512)

    @property
    def first_receive(self) -> int:
        """When the first message counted here was received, ns UTC (0: none yet)."""
        return self._first_receive

    def add(self, kind: int, event_time: int, receive_time: int) -> None:
        """Count one message; `kind` is its index in `KINDS`."""
        self.total[KINDS[kind]] += 1
        if not self._first_receive:
            self._first_receive = receive_time
        self._last_receive = max(self._last_receive, receive_time)
        self._last_event = event_time
        if (
            KINDS[kind] == "book" or not self.total["book"]
        ):  # trades may be fetched long after; quotes often have no time
            self._lags.append(receive_time - event_time)
        second = receive_time // NS_PER_S
        counts = self._seconds.get(second)
        if counts is None:
            counts = self._seconds[second] = [0] * len(KINDS)
            for old in [old for old in self._seconds if old < second - 2 * WINDOW_S]:
                del self._seconds[old]
        counts[kind] += 1

    def age_s(self, now_ns: int) -> float | None:
        """Seconds since the last message was received, None before the first."""
        return max(0, now_ns - self._last_receive) / NS_PER_S if self._last_receive else None

    def is_stale(self, now_ns: int) -> bool:
        """Whether a feed that had begun has been silent for longer than `stale_after_s`."""
        age = self.age_s(now_ns)
        return age is not None and age > self.stale_after_s

    def lag_ms(self, share: float) -> float | None:
        """The quantile `share` of receive time - event time over the last 512 book messages (of any, without a book)."""
        if not self._lags:
            return None
        lags = sorted(self._lags)
        return lags[min(len(lags) - 1, int(share * len(lags)))] / NS_PER_MS

    def rates(self, now_ns: int) -> dict[str, float]:
        """Messages a second by kind, over the last five whole seconds (fewer just after the start)."""
        now = now_ns // NS_PER_S
        start = max(now - WINDOW_S, self._first_receive // NS_PER_S)
        span = max(1, now - start)
        rows = [counts for second, counts in self._seconds.items() if start <= second < now]
        return {kind: round(sum(row[i] for row in rows) / span, 1) for i, kind in enumerate(KINDS)}

    def view(self, now_ns: int) -> dict[str, object]:
        """What the page shows. `state` is "waiting", "live" or "stale"; times are ms UTC."""
        age = self.age_s(now_ns)
        state = "waiting" if age is None else "stale" if self.is_stale(now_ns) else "live"
        return {
            "state": state,
            "age_ms": None if age is None else round(age * 1000),
            "last_ms": self._last_receive // NS_PER_MS or None,
            "first_ms": self._first_receive // NS_PER_MS or None,
            "event_ms": self._last_event // NS_PER_MS or None,
            "lag_p50_ms": self.lag_ms(0.50),
            "lag_p99_ms": self.lag_ms(0.99),
            "rates": self.rates(now_ns),
            "total": sum(self.total.values()),
        }
