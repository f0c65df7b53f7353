"""Moves the tape into the lake: each event exactly once, whatever happens in between."""

from __future__ import annotations

import datetime
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence

from quantlytic.model.codec import encode
from quantlytic.model.errors import StoreError
from quantlytic.model.event import Event
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.model.time import NS_PER_S
from quantlytic.store.lake import Lake, Progress
from quantlytic.store.log.port import Log

ARCHIVED = (
    "raw.",
    "market.",
    "bars.",
    "decisions.",
    "executions.",
    "commands.",
    "intents.",
    "forecasts.",
    "shadows.",
    "account.",
    "deliveries",
)
TRIMMED = ("raw.", "market.")
READ_EVENTS = 20_000
LOOK_S = 1.0  # how often a busy archiver looks for new streams; an idle one always does
UPKEEP_S = 60.0


class Pending:
    """What was read of a stream and is not in the lake yet."""

    def __init__(self, position: int) -> None:
        self.position = position  # read on here
        self.saved = position  # all before it is in the lake
        self.offsets: list[int] = []
        self.events: list[Event] = []
        self.since_s = 0.0

    def clear(self) -> None:
        self.saved = self.position
        self.offsets, self.events = [], []


class Archiver:
    """Reads every stream and files it: frames as raw objects, events in tables.

    Events wait until a stream has `batch_rows` of them or its first has waited `batch_s`: a commit costs about the same
    for one row as for ten thousand. What waits when the process dies is read again: the lake itself knows how far each
    stream is in, so nothing is lost and nothing doubled. `close` files everything that the streams hold.

    With `retain_ns`, frames and market events that came in longer ago leave the log, once they are in the lake and all
    their `readers` (stream -> names of the writers that read it) have passed them; `retain_events` stay in any case.
    """

    def __init__(
        self,
        log: Log,
        lake: Lake,
        *,
        batch_rows: int = 50_000,
        batch_s: float = 5.0,
        retain_ns: int | None = None,
        retain_events: int = 100_000,
        readers: Mapping[str, Sequence[str]] | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
        timer_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = "archiver"
        self._log, self._lake = log, lake
        self._batch_rows, self._batch_s = batch_rows, batch_s
        self._retain_ns, self._retain_events = retain_ns, retain_events
        self._readers = dict(readers or {})
        self._clock_ns, self._timer_s = clock_ns, timer_s
        self._writer = log.writer(self.name)
        self._streams: dict[str, Pending] = {}
        self._look_due_s = timer_s()
        self._upkeep_due_s = timer_s() + UPKEEP_S
        self._compacted: datetime.date | None = None

    # ---- the service

    def pump(self) -> int:
        count = sum(self._read(stream, pending) for stream, pending in self._streams.items())
        if count == 0 or self._timer_s() >= self._look_due_s:
            self._look_due_s = self._timer_s() + LOOK_S
            count += sum(self._read(stream, pending) for stream, pending in self._find_streams().items())
        now_s = self._timer_s()
        for stream, pending in self._streams.items():
            if len(pending.events) >= self._batch_rows or (pending.events and now_s - pending.since_s >= self._batch_s):
                self._file(stream, pending)
        if now_s >= self._upkeep_due_s:
            self._upkeep_due_s = now_s + UPKEEP_S
            self._upkeep()
        return count

    def wait(self, timeout_s: float) -> None:
        due_s = [pending.since_s + self._batch_s for pending in self._streams.values() if pending.events]
        until_due_s = min(due_s, default=float("inf")) - self._timer_s()
        positions = {stream: pending.position for stream, pending in self._streams.items()}
        self._log.wait(positions, max(0.0, min(timeout_s, until_due_s)))

    def close(self) -> None:
        try:
            self._find_streams()
            ends = {stream: self._log.bounds(stream)[1] for stream in self._streams}
            while any(self._streams[stream].position < end for stream, end in ends.items()) and self.pump():
                pass
            for stream, pending in self._streams.items():
                self._file(stream, pending)
        finally:
            self._writer.close()

    # ---- one stream

    def _find_streams(self) -> dict[str, Pending]:
        """Take up the streams that are new, and return them."""
        names = [name for name in self._log.streams() if name not in self._streams and name.startswith(ARCHIVED)]
        found = {name: Pending(self._start(name)) for name in names}
        self._streams |= found
        return found

    def _start(self, stream: str) -> int:
        """Where to go on: where the lake ends. Both must speak of the same tape, and what is lost is said."""
        progress = self._lake.progress(stream)
        first, end = self._log.bounds(stream)
        if progress is None:
            progress = Progress(0, -1, "")
        elif end < progress.next_offset or not self._is_same(stream, first, progress):
            raise StoreError(
                f"the log is not the one that filled the lake {self._lake.address} ({stream!r} was archived up to "
                f"offset {progress.next_offset}, and it differs there): give them back to each other, or use a new home"
            )
        if first > progress.next_offset:
            self._admit_loss(stream, progress.next_offset, first - 1)
        return max(first, progress.next_offset)

    def _is_same(self, stream: str, first: int, progress: Progress) -> bool:
        if progress.last_offset < first:
            return True  # trimmed away: nothing left to compare
        batch = self._log.read(stream, progress.last_offset, 1)
        return len(batch.events) == 1 and digest(batch.events[0]) == progress.last_digest

    def _admit_loss(self, stream: str, first: int, last: int) -> None:
        kind, _, owner = stream.partition(".")
        text = f"offsets of {stream} that were trimmed from the log before they reached the lake"
        entry = LedgerEntry(f"{owner}:", kind, LedgerKind.GAP, self._clock_ns(), first, last, last - first + 1, text)
        self._lake.append(f"archiver.{stream}", [last], [entry])

    def _read(self, stream: str, pending: Pending) -> int:
        room = self._batch_rows - len(pending.events)
        batch = self._log.read(stream, pending.position, min(room, READ_EVENTS)) if room > 0 else None
        if batch is None or not batch.events:
            return 0
        if not pending.events:
            pending.since_s = self._timer_s()
        pending.offsets.extend(batch.offsets)
        pending.events.extend(batch.events)
        pending.position = batch.next_offset
        return len(batch.events)

    def _file(self, stream: str, pending: Pending) -> None:
        """Everything pending into the lake, then the note that it is there, then the word to the log."""
        if not pending.events:
            return
        self._lake.append(stream, pending.offsets, pending.events)
        self._writer.commit({}, {stream: pending.position})  # refuses an archiver that was replaced
        last = Progress(pending.position, pending.offsets[-1], digest(pending.events[-1]))
        self._lake.advance(stream, last)
        pending.clear()

    # ---- upkeep

    def _upkeep(self) -> None:
        if self._retain_ns is not None:
            for stream, pending in self._streams.items():
                if stream.startswith(TRIMMED):
                    self._trim(stream, pending.saved, self._clock_ns() - self._retain_ns)
        today = datetime.datetime.fromtimestamp(self._clock_ns() // NS_PER_S, datetime.UTC).date()
        if today != self._compacted:
            self._compacted = today
            self._lake.compact(today)

    def _trim(self, stream: str, saved: int, before_ns: int) -> None:
        limit = min([saved, *(self._log.committed(name).get(stream, 0) for name in self._readers.get(stream, ()))])
        first, end = self._log.bounds(stream)
        limit = min(limit, end - self._retain_events)
        if limit > first:
            self._log.trim(stream, self._first_since(stream, first, limit, before_ns))

    def _first_since(self, stream: str, low: int, high: int, time_ns: int) -> int:
        """The first offset in [low, high) whose event came in at or after that time; `high` when none did."""
        while low < high:
            middle = (low + high) // 2
            batch = self._log.read(stream, middle, 1)
            if batch.events and arrival_ns(batch.events[0]) < time_ns:
                low = middle + 1
            else:
                high = middle
        return low


def digest(event: Event) -> str:
    """SHA-256 of the event's bytes."""
    return hashlib.sha256(encode(event)).hexdigest()


def arrival_ns(event: Event) -> int:
    """When it came in, or happened."""
    return int(getattr(event, "receive_time", 0) or getattr(event, "event_time", 0))
