"""The order in which a run that looks at time takes its bars: not as they come, but when their time is complete."""

from __future__ import annotations

from collections import deque

import msgspec

from quantlytic.model.barsclosed import BarsClosed
from quantlytic.model.event import Event
from quantlytic.model.run import Run
from quantlytic.research.runs.paper import BarEvent, Rows

Item = tuple[int, BarEvent | BarsClosed]
"""An event of the bars' stream with its offset."""


class _State(msgspec.Struct, array_like=True):
    ready: list[Item]
    waiting: list[tuple[int, BarEvent]]
    closed: int | None


_STATE = msgspec.msgpack.Decoder(_State)


class Released:
    """Bars of a run go in as they come; they come out once BarsClosed has said that their time is complete: by close time, at
    one time in the run's order of instruments, then the BarsClosed itself. Bars that come later than that are left out, and
    those of the first time where the run begins in the middle of the stream: others of that time may lie before.
    """

    def __init__(self, run: Run, state: bytes | None = None) -> None:
        self._rows, self._is_midway = Rows(run), run.first_bar_offset > 0
        saved = _State([], [], None) if state is None else _STATE.decode(state)
        self.ready: deque[Item] = deque(saved.ready)
        """What may be taken, in order."""
        self._waiting, self._closed = saved.waiting, saved.closed

    def feed(self, offset: int, event: Event) -> None:
        """Take in the next event of the bars' stream."""
        if self._rows.wants(event):
            if self._closed is None or event.close_time > self._closed:
                self._waiting.append((offset, event))
        elif isinstance(event, BarsClosed) and event.bar_size_ns == self._rows.bar_size_ns:
            is_first, self._closed, until = self._closed is None, event.event_time, event.event_time
            now = [item for item in self._waiting if item[1].close_time <= until]
            self._waiting = [item for item in self._waiting if item[1].close_time > until]
            if is_first and self._is_midway:
                return
            now.sort(key=lambda item: (item[1].close_time, self._rows.index[item[1].instrument]))
            self.ready += now
            self.ready.append((offset, event))

    def save(self) -> bytes:
        """What has gone in and not come out."""
        return msgspec.msgpack.encode(_State(list(self.ready), self._waiting, self._closed))
