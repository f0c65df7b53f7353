"""Writing to topics: one Kafka transaction a commit, and the state of every writer in a compacted topic."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition

from quantlytic.model.codec import encode
from quantlytic.model.errors import Fenced, StoreError
from quantlytic.model.event import Event
from quantlytic.store.log.kafkareader import new_consumer
from quantlytic.store.log.topics import MAX_VALUE_BYTES, REPLY_S, Topics, client_settings, store_error

COMMIT_S = 20.0
"""How long a commit may take, a broker's restart included."""

_PRODUCER = {
    "enable.idempotence": True,
    "acks": "all",
    "linger.ms": 5,  # a commit flushes at once; this only lets the records of one commit share requests
    "delivery.timeout.ms": int(COMMIT_S * 1000),
    "transaction.timeout.ms": int(COMMIT_S * 1000),
    "queue.buffering.max.messages": 1_000_000,
    "retry.backoff.ms": 20,
    "retry.backoff.max.ms": 200,
}
_POSITIONS, _SNAPSHOT = b"positions ", b"snapshot "


class WriterStates:
    """What each writer has committed besides its outputs, read from the compacted state topic as far as needed."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._consumer: Consumer | None = None
        self._values: dict[bytes, bytes] = {}
        self._read_to = 0

    def refresh(self) -> None:
        """Read up to the last committed record. Raises StoreError."""
        topic = self._topics.state
        end = self._topics.ends([topic])[topic]
        if self._consumer is None:
            self._consumer = new_consumer(self._topics.servers)
            self._consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        deadline = time.monotonic() + REPLY_S
        while self._read_to < end:
            message = self._consumer.poll(0.1)
            if message is not None:
                self._take(message)
                deadline = time.monotonic() + REPLY_S
            elif time.monotonic() > deadline:
                raise StoreError(
                    f"Kafka at {self._topics.servers}: {topic} does not arrive: check that the brokers are healthy"
                )

    def positions(self, name: str) -> dict[str, int]:
        packed = self._values.get(_POSITIONS + name.encode())
        return {} if packed is None else msgspec.msgpack.decode(packed, type=dict[str, int])

    def snapshot(self, name: str) -> bytes | None:
        return self._values.get(_SNAPSHOT + name.encode())

    def close(self) -> None:
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _take(self, message: Any) -> None:
        error = message.error()
        if error is None:
            self._values[message.key()] = message.value()
            self._read_to = message.offset() + 1
        elif error.code() == KafkaError._PARTITION_EOF:
            self._read_to = max(self._read_to, message.offset())
        elif error.fatal():
            raise store_error(self._topics.servers, "reading", error)


def state_records(name: str, positions: Mapping[str, int] | None, snapshot: bytes | None) -> list[tuple[bytes, bytes]]:
    """The records of the state topic that a commit adds: key and value."""
    records = []
    if positions is not None:
        records.append((_POSITIONS + name.encode(), msgspec.msgpack.encode(positions)))
    if snapshot is not None:
        records.append((_SNAPSHOT + name.encode(), snapshot))
    return records


class KafkaWriter:
    """A named writer: Kafka fences its predecessors by the epoch of the transactional id."""

    def __init__(self, topics: Topics, states: WriterStates, name: str) -> None:
        self.name = name
        self._topics = topics
        self._dead = ""  # why it must not be used any more
        settings = {**client_settings(topics.servers), **_PRODUCER, "transactional.id": f"{topics.prefix}{name}"}
        self._producer = Producer(settings)
        try:
            self._producer.init_transactions(COMMIT_S)  # waits until a predecessor's last commit is decided
        except KafkaException as error:
            raise store_error(topics.servers, f"opening the writer {name!r}", error, name) from None
        states.refresh()
        self._positions = states.positions(name)
        self._snapshot = states.snapshot(name)

    @property
    def positions(self) -> Mapping[str, int]:
        return self._positions

    @property
    def snapshot(self) -> bytes | None:
        return self._snapshot

    def commit(
        self,
        outputs: Mapping[str, Sequence[Event]],
        positions: Mapping[str, int] | None = None,
        snapshot: bytes | None = None,
    ) -> dict[str, Sequence[int]]:
        if self._dead:
            raise StoreError(f"writer {self.name!r} {self._dead}")
        merged = {**self._positions, **positions} if positions else None
        records: list[tuple[str, bytes | None, bytes]] = [
            (self._topics.ensure(stream), None, encode(event)) for stream, events in outputs.items() for event in events
        ]
        state = self._topics.state
        records += [(state, key, value) for key, value in state_records(self.name, merged, snapshot)]
        for topic, _, value in records:
            if len(value) > MAX_VALUE_BYTES:
                what = "a snapshot or positions" if topic == state else "an event"
                raise StoreError(
                    f"writer {self.name!r}: {what} of {len(value)} bytes for {topic}: Kafka takes {MAX_VALUE_BYTES}; "
                    "make it smaller; nothing was written"
                )
        given: dict[str, list[int]] = {self._topics.name_of(stream): [] for stream in outputs}
        self._transact(records, given)
        self._positions = merged or self._positions
        self._snapshot = self._snapshot if snapshot is None else snapshot
        return {stream: sorted(given[self._topics.name_of(stream)]) for stream in outputs}

    def close(self) -> None:
        """Nothing is held between commits; afterwards `commit` is refused."""
        self._dead = "is closed"

    def _transact(self, records: Sequence[tuple[str, bytes | None, bytes]], given: dict[str, list[int]]) -> None:
        failed: list[KafkaError] = []

        def delivered(error: KafkaError | None, message: Any) -> None:
            if error is not None:
                failed.append(error)
            elif message.topic() in given:
                given[message.topic()].append(message.offset())

        deadline = time.monotonic() + COMMIT_S
        committing = False
        try:
            self._producer.begin_transaction()
            for topic, key, value in records:
                self._produce(topic, key, value, delivered)
            self._producer.flush(COMMIT_S)
            if failed:
                raise KafkaException(failed[0])
            committing = True
            self._commit_until(deadline)
        except KafkaException as error:
            self._give_up(error, committing)
        except BaseException:  # interrupted in the middle: let nothing of it stand
            self._dead = "was interrupted in a commit: open it anew, it goes on from what was committed"
            with contextlib.suppress(KafkaException):
                self._producer.purge()
                self._producer.abort_transaction(COMMIT_S)
            raise

    def _produce(self, topic: str, key: bytes | None, value: bytes, delivered: Any) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, partition=0, on_delivery=delivered)
                return
            except BufferError:
                self._producer.poll(0.05)

    def _commit_until(self, deadline: float) -> None:
        while True:
            try:
                self._producer.commit_transaction(max(0.1, deadline - time.monotonic()))
                return
            except KafkaException as error:
                if not error.args[0].retriable() or time.monotonic() > deadline:
                    raise

    def _give_up(self, error: KafkaException, committing: bool) -> None:
        """Abort, and say what happened: nothing was written, or the brokers never answered."""
        explained = store_error(self._topics.servers, f"a commit of {self.name!r}", error, self.name)
        if isinstance(explained, Fenced):
            self._dead = "was taken over by another"
            raise explained from None
        if committing and not error.args[0].txn_requires_abort():
            self._dead = "does not know whether its last commit took effect: open it anew, it goes on from the log"
            raise StoreError(f"{explained}; {self.name!r} {self._dead}") from None
        try:
            self._producer.purge()
            self._producer.abort_transaction(REPLY_S)
        except KafkaException:
            self._dead = "lost the brokers in a commit, which they will undo: open it anew"
        raise explained from None
