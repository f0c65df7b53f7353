"""The trades and quotes that belong to a bar: read from `market.VENUE` before the bar is taken, in the order they came."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from quantlytic.model.book import BookDelta
from quantlytic.model.event import Event
from quantlytic.model.quote import Quote
from quantlytic.model.time import NS_PER_MS, NS_PER_S
from quantlytic.model.trade import Trade
from quantlytic.store.log.port import Log

GRACE_NS = 50 * NS_PER_MS
"""As long after a bar's end its last trades may still come: the barmaker waits so long before it closes the bar."""
_EARLIER_NS = 60 * NS_PER_S  # how much out of order the stream may be where it is entered
_READ = 2000
_KINDS: dict[str, type[Event]] = {"trade": Trade, "quote": Quote}


class MarketReader:
    """Reads on, for each bar, up to the first event that is `GRACE_NS` past the bar's end, or to the end of the stream.

    A bar of the barmaker is made of market events that were in the log before it: those that came in time have been read by
    then, those that came later are in no bar either. The order between the two streams is so a matter of their content, and
    reading them again gives the same.
    """

    def __init__(self, stream: str, words: frozenset[str]) -> None:
        self._stream = stream
        self._kinds = tuple(_KINDS[word] for word in sorted(words))
        self._position: int | None = None
        self.whole_from = 0
        """ns UTC: bars that open later have all their events; set by `begin`."""

    @property
    def has_begun(self) -> bool:
        """Whether it stands somewhere; else it is to `begin` before the first bar."""
        return self._position is not None

    def begin(self, log: Log, time_ns: int) -> None:
        """Stand before all events of `time_ns` and later."""
        low, high = log.bounds(self._stream)
        while low < high:
            middle = (low + high) // 2
            found = self._time_at(log, middle)
            if found is None or found >= time_ns - _EARLIER_NS:
                high = middle
            else:
                low = middle + 1
        self._position = low
        first = self._time_at(log, log.bounds(self._stream)[0])
        self.whole_from = time_ns + 1 if first is None else first + NS_PER_S

    def until(self, log: Log, close_time: int) -> Iterator[Any]:
        """The trades and quotes up to the end of a bar, and a few later ones."""
        assert self._position is not None
        while (batch := log.read(self._stream, self._position, _READ)).events:
            for offset, event in zip(batch.offsets, batch.events, strict=True):
                self._position = offset + 1
                if isinstance(event, self._kinds):
                    yield event
                if isinstance(event, Trade | Quote | BookDelta) and event.event_time >= close_time + GRACE_NS:
                    return
            self._position = batch.next_offset

    def _time_at(self, log: Log, offset: int) -> int | None:
        """The time of the first event with one at that offset or soon after."""
        events = log.read(self._stream, offset, 100).events
        return next((e.event_time for e in events if isinstance(e, Trade | Quote | BookDelta)), None)
