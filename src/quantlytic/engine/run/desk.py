"""What a session keeps besides its account when more than bars flow through it: time, slices, quotes, books, queues.

    Desk | Feed[n] | Slice, BAR[n] | (Book, PriceLevel[2 * depth])[n] | QueuePlace[n][capacity]

One flat record at the head of one buffer, as the account is of its arena. What no input or handler needs has no room there.
"""

# mypy: disable-error-code="no-any-return"
# Rows are fields of a buffer, not objects: their types are known when compiled.

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from quantlytic.engine.account.account import BAR_BYTES, BAR_ROW
from quantlytic.engine.compiler.record import Bytes, Record, at, layout_of, pack
from quantlytic.engine.data.slice import SLICE, SLICE_BYTES
from quantlytic.engine.matching.orderbook import BOOK, BOOK_BYTES, PRICE_LEVEL_BYTES

# The kinds of inputs, in the order in which events of one time are taken. What an instrument is matched against and valued
# by is the first of these that the tape has for it, actions left out.
ACTIONS, BOOKS, QUOTES, TRADES, BARS = 1, 2, 3, 4, 5
NEVER = -(2**63)

MOMENT = np.dtype([("kind", "i8"), ("time", "i8")])
"""What happens between events: the slice of a time that is over (`kind` ON_SLICE), or a timer (ON_TIMER)."""


class Feed(Record):
    """What is known of one instrument's market. `source`: the kind that matches and values it; `finest`: the input that
    holds its finest bars, -1 where there are none."""

    def __init__(self) -> None:
        self.source = BARS
        self.finest = -1
        self.bid = math.nan
        self.ask = math.nan
        self.quoted = False


class QueuePlace(Record):
    """How much rests before one of our orders (`ahead`), and what traded there since the level was last told (`traded`).
    `order_id` 0: free."""

    def __init__(self) -> None:
        self.order_id = 0
        self.price = 0.0
        self.ahead = 0.0
        self.traded = 0.0


FEED, QUEUE_PLACE = layout_of(Feed()), layout_of(QueuePlace())
FEED_BYTES, QUEUE_PLACE_BYTES = FEED.size, QUEUE_PLACE.size


class Desk(Record):
    """Event time, and where the rest is (`..._at`: bytes from this record's first; 0: not kept)."""

    def __init__(self) -> None:
        self.time = NEVER  # of the last event
        self.input = -1  # that it came from
        self.events = 0
        self.open_slice = False  # bars of `time` are in, and `on_slice` has not been called
        self.period = 0  # of `on_timer`; 0: none
        self.timer = 0  # the moment that `on_timer` is told
        self.next_timer = NEVER
        self.sample_ns = 0  # 0: equity is told at each bar
        self.next_sample = NEVER
        self.feeds_at = 0
        self.slice_at = 0
        self.books_at = 0
        self.book_bytes = 0
        self.queues_at = 0
        self.queue_capacity = 0
        self.queue = 0  # the model: see `tickmatch`

    def feed(self, instrument: int) -> Any:
        return at(self, self.feeds_at + instrument * FEED_BYTES, FEED)

    def slice(self) -> Any:
        return at(self, self.slice_at, SLICE)

    def last_bar(self, instrument: int) -> Any:
        return at(self, self.slice_at + SLICE_BYTES + instrument * BAR_BYTES, BAR_ROW)

    def book(self, instrument: int) -> Any:
        return at(self, self.books_at + instrument * self.book_bytes, BOOK)

    def queue_place(self, instrument: int, row: int) -> Any:
        distance = (instrument * self.queue_capacity + row) * QUEUE_PLACE_BYTES
        return at(self, self.queues_at + distance, QUEUE_PLACE)


DESK = layout_of(Desk())


def make_desk(
    sources: Sequence[int],
    finest: Sequence[int],
    *,
    sliced: bool,
    period: int,
    sample_ns: int,
    depth: int,
    capacity: int,
    queue: int,
) -> Bytes:
    """The desk in its first state. `sources` and `finest`: as in `Feed`, for each instrument; `depth`: levels a side of a
    book; `capacity`: open orders an instrument; `queue`: the model."""
    count, desk = len(sources), Desk()
    desk.period, desk.sample_ns, desk.queue = period, sample_ns, queue
    books = BOOKS in sources
    desk.book_bytes = BOOK_BYTES + 2 * depth * PRICE_LEVEL_BYTES if books else 0
    desk.queue_capacity = capacity if books else 0
    end = DESK.size
    for name, size in (
        ("feeds_at", count * FEED_BYTES),
        ("slice_at", SLICE_BYTES + count * BAR_BYTES if sliced else 0),
        ("books_at", count * desk.book_bytes),
        ("queues_at", count * desk.queue_capacity * QUEUE_PLACE_BYTES),
    ):
        if size:
            setattr(desk, name, end)
            end += -(-size // 8) * 8
    buffer = np.zeros(end, np.uint8)
    pack(desk, DESK, _record(buffer, 0, DESK))
    feed = Feed()
    for k in range(count):
        feed.source, feed.finest = sources[k], finest[k]
        pack(feed, FEED, _record(buffer, desk.feeds_at + k * FEED_BYTES, FEED))
        if sliced:
            row = _record(buffer, desk.slice_at + SLICE_BYTES + k * BAR_BYTES, BAR_ROW)
            row["instrument"], row["close_time"] = k, NEVER
            for name in ("open", "high", "low", "close", "forecast"):
                row[name] = np.nan
        if books:
            book = _record(buffer, desk.books_at + k * desk.book_bytes, BOOK)
            book["instrument"], book["depth"] = k, depth
    if sliced:
        _record(buffer, desk.slice_at, SLICE)["instruments"] = count
    return buffer


def _record(buffer: Bytes, start: int, layout: Any) -> Any:
    return buffer[start : start + layout.size].view(layout.dtype)[0]
