"""Reading committed events from topics: one consumer for all the streams a handle follows."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from typing import Any

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from quantlytic.model.codec import decode
from quantlytic.model.errors import StoreError
from quantlytic.model.event import Event
from quantlytic.store.log.batch import EventBatch, empty_batch
from quantlytic.store.log.topics import REPLY_S, Topics, client_settings, store_error

_BUFFERED = 20_000  # a stream that is not read is paused beyond this
_BURST = 5_000
_REFUSED = {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE}
_CONSUMER = {
    "group.id": "quantlytic",  # the client wants one, and never uses it: positions live in the log
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "isolation.level": "read_committed",
    "auto.offset.reset": "error",
    "enable.partition.eof": True,
    "fetch.wait.max.ms": 100,  # a stream that is read from a new place waits this long behind the others
    "fetch.queue.backoff.ms": 20,
    "fetch.error.backoff.ms": 50,
    "queued.min.messages": 10_000,
    "queued.max.messages.kbytes": 32_768,
}


def new_consumer(servers: str) -> Consumer:
    """A consumer of committed records that reports the end of a topic and keeps no positions of its own."""
    return Consumer({**client_settings(servers), **_CONSUMER})


class _Cursor:
    """Where a handle is in one stream, and what arrived and was not read yet."""

    def __init__(self, part: TopicPartition) -> None:
        self.part = part
        self.arrived: deque[tuple[int, bytes]] = deque()
        self.read_to = self.fetched_to = part.offset
        self.end_seen = -1
        self.paused = False
        self.refused = False  # the brokers do not hold this offset

    def skip_to(self, offset: int) -> bool:
        """Go on at `offset` if that is within what arrived."""
        if self.refused or not self.read_to <= offset <= self.fetched_to:
            return False
        while self.arrived and self.arrived[0][0] < offset:
            self.arrived.popleft()
        self.read_to = offset
        return True


class StreamReader:
    """Reads and waits. For one thread."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._consumer: Consumer | None = None
        self._cursors: dict[str, _Cursor] = {}

    def read(self, stream: str, offset: int, max_events: int) -> EventBatch:
        """As `Log.read`, for a stream whose topic exists."""
        cursor = self._cursor_at(stream, offset)
        self._take(0)
        if not cursor.arrived and not self._fetch(stream, cursor, offset):
            return empty_batch(offset)
        events: list[Event] = []
        offsets: list[int] = []
        while cursor.arrived and len(events) < max_events:
            at, payload = cursor.arrived[0]
            try:
                events.append(decode(payload))
            except (msgspec.MsgspecError, ValueError) as error:
                raise StoreError(
                    f"Kafka at {self._topics.servers}: stream {stream!r} cannot be read at offset {at} ({error}): "
                    "the record is damaged, or written by a newer Quantlytic"
                ) from None
            offsets.append(at)
            cursor.arrived.popleft()
            cursor.read_to = at + 1
        if cursor.paused and len(cursor.arrived) < _BUFFERED // 2:
            self._consume("resume", cursor)
            cursor.paused = False
        return EventBatch(events, offsets, cursor.read_to)

    def wait(self, positions: Mapping[str, int], timeout_s: float) -> bool:
        """As `Log.wait`, for streams whose topics exist."""
        deadline = time.monotonic() + timeout_s
        cursors = [self._cursor_at(stream, offset) for stream, offset in positions.items()]
        left_s = 0.0  # the first look does not sleep
        while True:
            self._take(left_s)
            if any(cursor.arrived or cursor.refused for cursor in cursors):
                return True
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False

    def close(self) -> None:
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _cursor_at(self, stream: str, offset: int) -> _Cursor:
        topic = self._topics.name_of(stream)
        cursor = self._cursors.get(topic)
        if cursor is not None:
            if cursor.skip_to(offset):
                return cursor
            self._consume("incremental_unassign", cursor)
        cursor = self._cursors[topic] = _Cursor(TopicPartition(topic, 0, offset))
        self._consume("incremental_assign", cursor)
        return cursor

    def _fetch(self, stream: str, cursor: _Cursor, offset: int) -> bool:
        """Nothing has arrived: is there something? If so wait for it to arrive."""
        topic = cursor.part.topic
        end = self._topics.ends([topic])[topic]
        deadline = time.monotonic() + REPLY_S
        while not cursor.arrived and not cursor.refused and max(offset, cursor.end_seen) < end:
            if time.monotonic() > deadline:
                raise StoreError(
                    f"Kafka at {self._topics.servers}: stream {stream!r} does not arrive from offset {offset} on: "
                    "check that the brokers are up and healthy"
                )
            self._take(0.1)
        if cursor.refused:
            first = self._topics.starts([topic])[topic]
            raise StoreError(
                f"Kafka at {self._topics.servers}: stream {stream!r} holds offsets {first} to {end}; "
                f"{offset} {'was trimmed away' if offset < first else 'lies beyond: the topic was made anew'}"
            )
        return bool(cursor.arrived)

    def _take(self, timeout_s: float) -> None:
        """Sort what arrives into the cursors; sleep only while nothing does."""
        if self._consumer is None:
            return
        message = self._consumer.poll(timeout_s)
        if message is not None:
            self._sort(message)
            for message in self._consumer.consume(_BURST, 0):
                self._sort(message)

    def _sort(self, message: Any) -> None:
        cursor = self._cursors.get(message.topic() or "")
        error = message.error()
        if error is not None and error.fatal():
            raise store_error(self._topics.servers, "reading", error)
        if cursor is None:  # about a broker that went away: the client reconnects by itself
            return
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                cursor.end_seen = max(cursor.end_seen, message.offset())
            cursor.refused |= error.code() in _REFUSED
        elif message.offset() >= cursor.fetched_to:
            cursor.arrived.append((message.offset(), message.value()))
            cursor.fetched_to = message.offset() + 1
            if not cursor.paused and len(cursor.arrived) > _BUFFERED:
                self._consume("pause", cursor)
                cursor.paused = True

    def _consume(self, action: str, cursor: _Cursor) -> Any:
        if self._consumer is None:
            self._consumer = new_consumer(self._topics.servers)
        try:
            return getattr(self._consumer, action)([cursor.part])
        except KafkaException as error:
            raise store_error(self._topics.servers, "reading", error) from None
