"""What a paper run takes one after the other: executor and strategist both, each from its own reading of the bars."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from quantlytic.engine.session import Session
from quantlytic.model.barsclosed import BarsClosed
from quantlytic.model.run import Run
from quantlytic.research.runs.paper import BarEvent, Rows
from quantlytic.research.runs.released import Released
from quantlytic.services.inbox import Inbox


class Turn(NamedTuple):
    """`event`: what the session is given: a BAR row, a MOMENT, or None where a time is over and nothing is due any more.
    `offset`: the bar's, for a moment that of the bar before it, for an end that of the BarsClosed; `time`: when it is."""

    event: Any
    offset: int
    time: int
    bar: BarEvent | None = None


class _State(msgspec.Struct, array_like=True):
    released: bytes
    last: int
    worked: bool


_STATE = msgspec.msgpack.Decoder(_State)


class Turns:
    """The turns of a run. Without `on_slice` and `on_timer` they are its bars, as they come.

    With one of these, a bar has its turn when its time is complete (`Released`), and between bars come the moments that are
    due, one at a time: those of times that are over. Then an end of what is known so far, if there was anything.
    """

    def __init__(self, inbox: Inbox, run: Run, session: Session, state: bytes | None = None) -> None:
        self.inbox = inbox
        self._rows, self._session = Rows(run), session
        self._released: Released | None = None
        if session.looks_at_time:
            saved = None if state is None else _STATE.decode(state)
            self._released = Released(run, None if saved is None else saved.released)
            self._last, self._worked = (-1, False) if saved is None else (saved.last, saved.worked)

    def take(self) -> Turn | None:
        """The next turn; None when it has not come yet. The session must have had the one before."""
        if self._released is None:
            while self.inbox.peek() is not None:
                offset, event = self.inbox.take()
                if self._rows.wants(event):
                    return self._bar(offset, event)
            return None
        ready = self._released.ready
        while self._read(self._released):
            offset, head = ready[0]
            moment = self._session.due(head.event_time + 1 if isinstance(head, BarsClosed) else head.close_time)
            if moment is not None:
                self._worked = True
                return Turn(moment, self._last, int(moment["time"]))
            ready.popleft()
            if not isinstance(head, BarsClosed):
                self._last, self._worked = offset, True
                return self._bar(offset, head)
            if self._worked:
                self._worked = False
                return Turn(None, offset, head.event_time)
        return None

    def save(self) -> bytes | None:
        """What a commit has to keep beside the inbox's position; None for nothing."""
        if self._released is None:
            return None
        return msgspec.msgpack.encode(_State(self._released.save(), self._last, self._worked))

    def _bar(self, offset: int, bar: BarEvent) -> Turn:
        return Turn(self._rows.bars([bar])[0], offset, bar.close_time, bar)

    def _read(self, released: Released) -> bool:
        """Read on until something may be taken."""
        while not released.ready and self.inbox.peek() is not None:
            released.feed(*self.inbox.take())
        return bool(released.ready)
