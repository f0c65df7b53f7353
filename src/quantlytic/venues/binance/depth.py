"""One instrument's book changes: each once, their sequence checked, a book kept from them to prove that they fit."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence

from quantlytic.model.book import BookDelta
from quantlytic.model.event import Event
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.model.losses import CAME_LATE
from quantlytic.model.time import NS_PER_MS, NS_PER_S
from quantlytic.venues.binance.wire import DepthMessage, Levels, SnapshotMessage
from quantlytic.venues.book import LocalBook
from quantlytic.venues.gaps import Gaps
from quantlytic.venues.port import Request

MAX_PENDING = 5000
PROMPT_TRIES = 3
RESTART_NS = NS_PER_S
NEVER, INVALID = -2, -1
"""Ids that no message has: nothing was ever seen; what was seen cannot be built upon."""

SavedDepth = tuple[int, int, list[tuple[int, int]]]


class DepthSequence:
    """Every message spans (previous, last]: spot says U = previous + 1, futures say pu = previous; spans must chain.

    Changes go out as they come, also those before the first snapshot; a reader rebuilds the book from a snapshot row
    and the changes that end after it. When the chain breaks, or the book crosses, a snapshot is asked for; a message
    that was only late closes the hole itself. What is still missing when the snapshot comes is stated as a GAP.
    """

    def __init__(self, instrument: str, request: Request) -> None:
        self.instrument = instrument
        self.book = LocalBook()
        self.in_sync = False
        """The book is complete as of the last message."""
        self.wanted: Request | None = None
        self._request = request
        self._last = NEVER
        self._last_time = 0
        self._book_id = NEVER
        self._pending: list[DepthMessage] = []
        self._missing = Gaps()
        self._stated = Gaps()
        self._asked = False
        self._tries = 0
        self._patience = 0

    def on_message(self, message: DepthMessage, receive_time: int) -> Sequence[Event]:
        """A change."""
        event_time = (message.transaction_ms or message.event_ms) * NS_PER_MS
        times_ids = (event_time, receive_time, message.first_id, message.last_id)
        delta = BookDelta(self.instrument, *times_ids, *_columns(message.bids, message.asks))
        previous = message.previous_id if message.previous_id >= 0 else message.first_id - 1
        if previous == self._last and self.in_sync:
            self._last = message.last_id
            self._last_time = event_time
            if message.last_id <= self._book_id or self._apply(message):
                return (delta,)
            return (delta, self._crossed(message))
        return self._out_of_turn(message, previous, delta)

    def on_snapshot(self, message: SnapshotMessage, receive_time: int) -> Sequence[Event]:
        """The book as a whole. It goes out always; it is loaded when the own book is not in step."""
        self._asked = False
        last = message.last_id
        event_time = message.transaction_ms * NS_PER_MS or receive_time
        times_ids = (event_time, receive_time, last, last)
        delta = BookDelta(self.instrument, *times_ids, *_columns(message.bids, message.asks), snapshot=True)
        events: list[Event] = [delta]
        if self.in_sync:
            return events
        rebuilt = self._book_id != NEVER or bool(self._missing)
        if last > self._book_id:
            self.book.load(message.bids, message.asks)
            self._book_id = last
        self._advance()
        if not self.in_sync:
            self._ask_later()
            return events
        self._tries = 0
        events += self._state(self._missing.take_up_to(self._last))
        if rebuilt:
            events.append(self._entry(LedgerKind.RESYNC, last, self._last, detail="book rebuilt from a snapshot"))
        return events

    def on_failed(self, reason: str) -> Sequence[Event]:
        """The snapshot was refused: say so, ask again after some more changes."""
        self._asked = False
        self._ask_later()
        return (self._entry(LedgerKind.INVALID, self._last, self._last, detail=f"no snapshot: {reason}"),)

    def on_started(self) -> Sequence[Event]:
        """A new recorder: the book of the one before is gone; what it was still missing will not come any more."""
        events = self._state(self._missing.take_up_to(self._last))
        self.book.load((), ())
        self._pending.clear()
        self._stated.clear()
        self.in_sync = self._asked = False
        self._tries = self._patience = 0
        self.wanted = None
        self._book_id = NEVER if self._last == NEVER else INVALID
        return events

    def save(self) -> SavedDepth:
        """What outlives a restart."""
        return self._last, self._last_time, self._missing.stretches

    def restore(self, saved: SavedDepth) -> None:
        """Take over what `save` gave."""
        self._last, self._last_time, missing = saved
        self._missing = Gaps([(first, last) for first, last in missing])

    def _out_of_turn(self, message: DepthMessage, previous: int, delta: BookDelta) -> Sequence[Event]:
        events: list[Event] = [delta]
        last = message.last_id
        if self._last == NEVER:
            self._take(message, delta)
        elif last <= self._last:
            if self._missing.take(previous + 1, last):
                insort(self._pending, message, key=_last_id)
                self._advance()
            elif self._stated.take(previous + 1, last):
                events.append(self._entry(LedgerKind.BACKFILL, previous + 1, last, CAME_LATE))
            elif delta.event_time > self._last_time + RESTART_NS:
                events += self._restart(message, delta)
            else:
                return (self._entry(LedgerKind.DUPLICATE, previous + 1, last),)
        else:
            if previous > self._last:
                self._missing.add(self._last + 1, previous)
                self.in_sync = False
            self._take(message, delta)
        if self.in_sync:  # a snapshot had run ahead of the stream: the book needs what is missing no more
            events += self._state(self._missing.take_up_to(self._last))
        self._ask()
        return events

    def _take(self, message: DepthMessage, delta: BookDelta) -> None:
        """A message at the head of the stream while the book is not in step."""
        self._last = message.last_id
        self._last_time = delta.event_time
        self._pending.append(message)
        del self._pending[:-MAX_PENDING]
        self._patience -= 1
        if self._book_id >= 0:
            self._advance()

    def _restart(self, message: DepthMessage, delta: BookDelta) -> list[Event]:
        detail = f"the venue began to count anew after {self._last}"
        events = self._state(self._missing.take_up_to(self._last))
        events.append(self._entry(LedgerKind.GAP, message.first_id, message.last_id, detail, 0))
        self._stated.clear()
        self._pending.clear()
        self.in_sync = False
        self._book_id = INVALID
        self._take(message, delta)
        return events

    def _advance(self) -> None:
        """Apply the waiting messages as far as they chain on to the book."""
        done = 0
        for message in self._pending:
            if message.last_id > self._book_id:
                previous = message.previous_id if message.previous_id >= 0 else message.first_id - 1
                if previous > self._book_id:
                    break
                self.book.apply(message.bids, message.asks)
                self._book_id = message.last_id
            done += 1
        del self._pending[:done]
        self.in_sync = not self._pending

    def _apply(self, message: DepthMessage) -> bool:
        self._book_id = message.last_id
        return self.book.apply(message.bids, message.asks)

    def _crossed(self, message: DepthMessage) -> LedgerEntry:
        """The book is wrong: start again from a snapshot to which this message chains, or which is newer."""
        detail = f"bid {self.book.best_bid!r}, ask {self.book.best_ask!r}"
        self._pending = [message]
        self._book_id = INVALID
        self.in_sync = False
        self._ask()
        return self._entry(LedgerKind.CROSSED, message.last_id, message.last_id, detail)

    def _ask(self) -> None:
        if not self.in_sync and not self._asked and self._patience <= 0:
            self._asked = True
            self.wanted = self._request

    def _ask_later(self) -> None:
        """At once the first times, then after more and more changes: what has no answer must not be asked fast."""
        self._tries += 1
        self._patience = 0 if self._tries <= PROMPT_TRIES else min(2**self._tries, 1024)
        self._ask()

    def _state(self, stretches: list[tuple[int, int]]) -> list[Event]:
        for first, last in stretches:
            self._stated.add(first, last)
        return [self._entry(LedgerKind.GAP, first, last) for first, last in stretches]

    def _entry(self, kind: LedgerKind, first: int, last: int, detail: str = "", count: int = 1) -> LedgerEntry:
        return LedgerEntry(self.instrument, "book", kind, self._last_time, first, last, count, detail)


Column = tuple[float, ...]


def _columns(bids: Levels, asks: Levels) -> tuple[Column, Column, Column, Column]:
    """Levels as bid prices, bid quantities, ask prices, ask quantities."""
    bid_prices, bid_quantities = zip(*bids) if bids else ((), ())  # noqa: B905  (pairs, checked when decoded)
    ask_prices, ask_quantities = zip(*asks) if asks else ((), ())  # noqa: B905
    return bid_prices, bid_quantities, ask_prices, ask_quantities


def _last_id(message: DepthMessage) -> int:
    return message.last_id
