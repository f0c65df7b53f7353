"""The scale-out log: Apache Kafka. One topic of one partition a stream, one record an event.

A commit is a Kafka transaction over the outputs and the compacted state topic, which holds each writer's positions and
snapshot. Readers see committed events only, some milliseconds after the commit returned; opening a writer waits until
all that its predecessors committed can be seen. Kafka keeps some offsets for itself (the ends of transactions): the
offsets of a stream have holes.
"""

from __future__ import annotations

from collections.abc import Mapping

from quantlytic.store.log.batch import EventBatch, empty_batch
from quantlytic.store.log.kafkareader import StreamReader
from quantlytic.store.log.kafkawriter import KafkaWriter, WriterStates
from quantlytic.store.log.topics import Topics


class KafkaLog:
    """A handle on the log kept by `servers` in topics whose names begin with `prefix`. One a thread."""

    def __init__(self, servers: str, prefix: str = "quantlytic-") -> None:
        self._topics = Topics(servers, prefix)
        self._states = WriterStates(self._topics)
        self._reader = StreamReader(self._topics)

    def writer(self, name: str) -> KafkaWriter:
        return KafkaWriter(self._topics, self._states, name)

    def read(self, stream: str, offset: int, max_events: int = 5000) -> EventBatch:
        return self._reader.read(stream, offset, max_events) if self._topics.exists(stream) else empty_batch(offset)

    def wait(self, positions: Mapping[str, int], timeout_s: float) -> bool:
        for stream in positions:
            self._topics.ensure(stream)  # so that its very first event wakes this reader, too
        return self._reader.wait(positions, timeout_s)

    def bounds(self, stream: str) -> tuple[int, int]:
        if not self._topics.exists(stream):
            return (0, 0)
        topic = self._topics.name_of(stream)
        return self._topics.starts([topic])[topic], self._topics.ends([topic])[topic]

    def streams(self, prefix: str = "") -> list[str]:
        return [stream for stream in self._topics.used_streams() if stream.startswith(prefix)]

    def committed(self, name: str) -> dict[str, int]:
        self._states.refresh()
        return self._states.positions(name)

    def trim(self, stream: str, before: int) -> None:
        first, end = self.bounds(stream)
        if min(before, end) > first:
            self._topics.delete_before(self._topics.name_of(stream), min(before, end))

    def close(self) -> None:
        self._states.close()
        self._reader.close()
