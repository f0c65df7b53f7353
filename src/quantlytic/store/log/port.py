"""The log: the durable, ordered tape. Adapters: `sqlite` (embedded) and `kafka` (scale-out), one conformance suite for both.

A *stream* is an ordered sequence of events, named `kind.owner`: `raw.box`, `market.box`, `bars.box`, `decisions.RUN`,
`executions.RUN`, `deliveries`. Offsets in a stream strictly increase; they need not be contiguous (Kafka keeps some for itself).

A *writer* is a named identity (`recorder.box`, `strategist.RUN`). It appends outputs, records how far it has read its inputs
and saves a snapshot of its state in one atomic step: all of it is there afterwards, or nothing. Opening a writer fences every
earlier one of the same name: their next commit raises `Fenced`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from quantlytic.model.event import Event


class Batch(Protocol):
    """Some events of one stream, in order. `offsets[i]` is that of `events[i]`; go on reading at `next_offset`."""

    @property
    def events(self) -> Sequence[Event]: ...
    @property
    def offsets(self) -> Sequence[int]: ...
    @property
    def next_offset(self) -> int: ...


class Writer(Protocol):
    """The only way to append. Not for sharing between threads."""

    @property
    def name(self) -> str: ...
    @property
    def positions(self) -> Mapping[str, int]:
        """Input stream -> next offset to read, as last committed under this name ({} for a new one)."""

    @property
    def snapshot(self) -> bytes | None:
        """The state saved by the last commit that had one."""

    def commit(
        self,
        outputs: Mapping[str, Sequence[Event]],
        positions: Mapping[str, int] | None = None,
        snapshot: bytes | None = None,
    ) -> Mapping[str, Sequence[int]]:
        """Append, advance and save as one atomic step; returns the offsets given to the outputs, per stream.

        `positions` updates the streams it names and leaves others; `snapshot` None keeps the last one.
        Raises `Fenced` when another writer took the name, `StoreError` when nothing could be written; then nothing was.
        """

    def close(self) -> None: ...


class Log(Protocol):
    """A handle on the tape. One handle a thread; any number of processes."""

    def writer(self, name: str) -> Writer:
        """Take the identity `name`, fencing whoever held it."""

    def read(self, stream: str, offset: int, max_events: int = 5000) -> Batch:
        """Committed events from `offset` on, at once; an empty batch when there are none. Never blocks.

        An unknown stream is an empty one. An offset that was trimmed away raises `StoreError`.
        """

    def wait(self, positions: Mapping[str, int], timeout_s: float) -> bool:
        """Sleep, without spinning, until any of the streams holds an event at or after its position, or time is up."""

    def bounds(self, stream: str) -> tuple[int, int]:
        """(first offset still held, next offset to be given). (0, 0) for an unknown stream."""

    def streams(self, prefix: str = "") -> list[str]:
        """Names of the streams that hold or held events, sorted."""

    def committed(self, name: str) -> Mapping[str, int]:
        """The positions last committed by the writer `name`, without taking its identity."""

    def trim(self, stream: str, before: int) -> None:
        """Forget events before the offset `before` (they are in the lake). Whole micro-batches only; idempotent."""

    def close(self) -> None: ...
