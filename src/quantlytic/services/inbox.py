"""One stream as a consumer sees it: the next event, and how far it has come."""

from __future__ import annotations

from collections import deque

from quantlytic.model.event import Event
from quantlytic.store.log.port import Log


class Inbox:
    """Events of one stream from a position on, read ahead in batches. `position` is what a commit has to name."""

    def __init__(self, log: Log, stream: str, position: int) -> None:
        self.stream, self.position = stream, position
        self.read_position = position
        self._log = log
        self._ahead: deque[tuple[int, Event]] = deque()

    def peek(self) -> tuple[int, Event] | None:
        """The next (offset, event), or None when the stream has no more for now."""
        if not self._ahead:
            batch = self._log.read(self.stream, self.read_position)
            self._ahead.extend(zip(batch.offsets, batch.events, strict=True))
            self.read_position = batch.next_offset
        return self._ahead[0] if self._ahead else None

    def take(self) -> tuple[int, Event]:
        """Remove what `peek` shows, and move the position past it."""
        offset, event = self._ahead.popleft()
        self.position = offset + 1
        return offset, event
