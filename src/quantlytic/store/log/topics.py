"""Streams as Kafka topics: names, creation, sizes, and errors that a person can act on."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any

import confluent_kafka.admin
from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition

from quantlytic.model.errors import Fenced, StoreError

MAX_VALUE_BYTES = 8 << 20
"""The largest event or snapshot."""

REPLY_S = 20.0
"""How long the brokers have to answer a question: longer than one takes to start again on a busy machine."""

_HEADROOM_BYTES = 64 << 10
_FENCED = {
    KafkaError._FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.PRODUCER_FENCED,
    KafkaError.INVALID_PRODUCER_ID_MAPPING,
    KafkaError.TRANSACTION_COORDINATOR_FENCED,
}
_NO_LEADER = {KafkaError._NOENT, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.NOT_LEADER_FOR_PARTITION}
"""What a broker says that has just started again, for a moment."""
_EVENTS = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
_STATE = {"cleanup.policy": "compact", "segment.bytes": str(16 << 20), "min.cleanable.dirty.ratio": "0.1"}
_admin: Any = confluent_kafka.admin  # its own annotations are not complete
_LOGGER = logging.getLogger("quantlytic.kafka")  # what matters is raised; this is for whoever wants to see more
_LOGGER.addHandler(logging.NullHandler())
_ILLEGAL = re.compile(r"[^A-Za-z0-9.-]")  # "_" is the escape, so it is escaped too
_ESCAPED = re.compile(r"(?:_[0-9a-f]{2})+")


def client_settings(servers: str) -> dict[str, Any]:
    """What every client of the brokers is made with."""
    return {
        "bootstrap.servers": servers,
        "logger": _LOGGER,
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1000,
        "message.max.bytes": MAX_VALUE_BYTES + _HEADROOM_BYTES,
        "allow.auto.create.topics": False,
    }


def store_error(servers: str, doing: str, error: KafkaException | KafkaError, name: str = "") -> StoreError:
    """The StoreError (or Fenced) that says what went wrong and what to do."""
    cause = error.args[0] if isinstance(error, KafkaException) else error
    if cause.code() in _FENCED:
        return Fenced(f"another {name!r} has taken over from this one: it stops here, and wrote nothing more")
    return StoreError(f"Kafka at {servers}: {doing} failed ({cause.str()}): check that the brokers are up and healthy")


class Topics:
    """The topics of one log: those whose name begins with `prefix`."""

    def __init__(self, servers: str, prefix: str) -> None:
        self.servers = servers
        self.prefix = prefix
        self.state = f"{prefix}state"
        self._admin = _admin.AdminClient(
            {key: value for key, value in client_settings(servers).items() if "auto" not in key}
        )
        self._known: set[str] = set()
        self.refresh()
        self._create(self.state, _STATE)

    def name_of(self, stream: str) -> str:
        """The stream's topic; letters Kafka does not allow are written `_xx`. Raises StoreError if it gets too long."""
        escaped = _ILLEGAL.sub(lambda match: "".join(f"_{byte:02x}" for byte in match[0].encode()), stream)
        topic = f"{self.prefix}stream.{escaped}"
        if len(topic) > 249:
            raise StoreError(f"stream name {stream[:40]!r}... is too long for Kafka: use a shorter name")
        return topic

    def exists(self, stream: str) -> bool:
        topic = self.name_of(stream)
        if topic not in self._known:
            self.refresh()
        return topic in self._known

    def ensure(self, stream: str) -> str:
        """The stream's topic, made if it was missing."""
        topic = self.name_of(stream)
        if topic not in self._known:
            self._create(topic, _EVENTS)
        return topic

    def refresh(self) -> None:
        """Ask the brokers which topics there are."""
        try:
            found = self._admin.list_topics(timeout=REPLY_S).topics
        except KafkaException as error:
            raise store_error(self.servers, "asking for the topics", error) from None
        self._known = {topic for topic in found if topic.startswith(self.prefix)}

    def used_streams(self) -> list[str]:
        """Names of the streams that hold or held events, sorted."""
        self.refresh()
        head = f"{self.prefix}stream."
        topics = [topic for topic in self._known if topic.startswith(head)]
        used = [topic for topic, end in self.ends(topics).items() if end > 0]
        return sorted(_ESCAPED.sub(_unescape, topic.removeprefix(head)) for topic in used)

    def ends(self, topics: Iterable[str]) -> Mapping[str, int]:
        """Topic -> the offset after its last committed event."""
        return self._offsets(topics, _admin.OffsetSpec.latest())

    def starts(self, topics: Iterable[str]) -> Mapping[str, int]:
        """Topic -> the first offset still held."""
        return self._offsets(topics, _admin.OffsetSpec.earliest())

    def delete_before(self, topic: str, offset: int) -> None:
        """Forget the topic's records before `offset`."""
        futures = self._admin.delete_records([TopicPartition(topic, 0, offset)], request_timeout=REPLY_S)
        for future in futures.values():
            self._answer(future, f"trimming {topic}")

    def _offsets(self, topics: Iterable[str], spec: Any) -> Mapping[str, int]:
        wanted = {TopicPartition(topic, 0): spec for topic in topics}
        if not wanted:
            return {}
        ends_s = time.monotonic() + REPLY_S
        while True:
            futures = self._admin.list_offsets(
                wanted, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=REPLY_S
            )
            try:
                return {part.topic: int(future.result(REPLY_S + 5).offset) for part, future in futures.items()}
            except KafkaException as error:
                if error.args[0].code() not in _NO_LEADER or time.monotonic() > ends_s:
                    raise store_error(self.servers, "asking for the ends of topics", error) from None
            time.sleep(0.2)

    def _create(self, topic: str, settings: Mapping[str, str]) -> None:
        if topic in self._known:
            return
        config = {**settings, "max.message.bytes": str(MAX_VALUE_BYTES + _HEADROOM_BYTES)}
        made = self._admin.create_topics([_admin.NewTopic(topic, 1, -1, config=config)], request_timeout=REPLY_S)
        try:
            made[topic].result(REPLY_S)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise store_error(self.servers, f"making the topic {topic}", error) from None
        self._known.add(topic)

    def _answer(self, future: Any, doing: str) -> Any:
        try:
            return future.result(REPLY_S + 5)
        except KafkaException as error:
            raise store_error(self.servers, doing, error) from None


def _unescape(match: re.Match[str]) -> str:
    return bytes.fromhex(match[0].replace("_", "")).decode()
