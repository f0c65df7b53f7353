"""The embedded log: two SQLite files in WAL mode, any number of processes on one machine.

Market data (`raw.*`, `market.*`) lives in `market.db`, everything else in `decisions.db`: SQLite lets one writer at a
time into a file, and a burst of ticks must not hold up a decision. One row is one micro-batch. Offsets of a stream count
from 0 without gaps.

A commit goes to the file of its outputs, its positions and snapshot with it, so that it is one transaction of one file;
one commit cannot append to both. A writer's state is the newer of what the two files hold (`sequence` counts its commits).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from quantlytic.model.codec import decode_batch, encode_batch
from quantlytic.model.errors import Fenced, StoreError
from quantlytic.model.event import Event
from quantlytic.store.log.batch import EventBatch, empty_batch
from quantlytic.store.log.tapefile import OFFSET_BITS, TapeFile
from quantlytic.store.log.wakeup import Waiter, Waker, wake_folder

_MARKET_KINDS = ("raw.", "market.")
_TRIM_BATCHES = 64
_READ = (
    "SELECT key, count, payload FROM batch WHERE key >= coalesce("
    "(SELECT key FROM batch WHERE key BETWEEN ?1 AND ?2 ORDER BY key DESC LIMIT 1), ?2) AND key < ?3 ORDER BY key"
)
_encode_positions = msgspec.msgpack.Encoder().encode
_decode_positions = msgspec.msgpack.Decoder(dict[str, int]).decode


class SqliteLog:
    """A handle on the embedded log. One a thread."""

    def __init__(self, folder: Path, durability: str = "process") -> None:
        self._market = TapeFile(folder / "market.db", durability)
        try:
            self._decisions = TapeFile(folder / "decisions.db", durability)
        except BaseException:
            self._market.close()
            raise
        wake = wake_folder(folder)
        self._waiter = Waiter(wake)
        self.waker = Waker(wake)
        self._last: tuple[int, Sequence[Event]] = (-1, ())

    @property
    def files(self) -> tuple[TapeFile, TapeFile]:
        """Always locked in this order."""
        return self._market, self._decisions

    def file_of(self, stream: str) -> TapeFile:
        return self._market if stream.startswith(_MARKET_KINDS) else self._decisions

    def writer(self, name: str) -> SqliteWriter:
        return SqliteWriter(self, name)

    def read(self, stream: str, offset: int, max_events: int = 5000) -> EventBatch:
        file = self.file_of(stream)
        number = file.stream_id(stream)
        if number is None:
            return empty_batch(offset)
        low = number << OFFSET_BITS
        events: list[Event] = []
        expected = offset
        with contextlib.closing(file.select(_READ, (low, low + offset, low + (1 << OFFSET_BITS)))) as rows:
            for key, count, payload in rows:
                first = key - low
                if first > expected:
                    break
                if first + count <= offset:
                    continue
                batch = self._decode(file, stream, key, count, payload)
                start = expected - first
                events.extend(batch[start : start + max_events - len(events)])
                expected = offset + len(events)
                if len(events) >= max_events:
                    break
        if not events:
            held = file.bounds(number)[0]
            if offset < held:
                raise StoreError(f"{file.path}: stream {stream!r} begins at offset {held}; {offset} was trimmed away")
            return empty_batch(offset)
        return EventBatch(events, range(offset, expected), expected)

    def wait(self, positions: Mapping[str, int], timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        self._waiter.listen(positions)
        while True:
            self._waiter.drain()
            if any(self.bounds(stream)[1] > offset for stream, offset in positions.items()):
                return True
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            self._waiter.sleep(left_s)

    def bounds(self, stream: str) -> tuple[int, int]:
        file = self.file_of(stream)
        number = file.stream_id(stream)
        return (0, 0) if number is None else file.bounds(number)

    def streams(self, prefix: str = "") -> list[str]:
        names = [row[0] for file in self.files for row in file.select("SELECT name FROM stream")]
        return sorted(name for name in names if name.startswith(prefix))

    def committed(self, name: str) -> dict[str, int]:
        query = "SELECT sequence, positions FROM writer WHERE name = ?"
        found = [row for file in self.files for row in file.select(query, (name,))]
        return _decode_positions(max(found)[1]) if found else {}

    def trim(self, stream: str, before: int) -> None:
        file = self.file_of(stream)
        number = file.stream_id(stream)
        if number is not None:
            while _trim_some(file, number, before):
                pass  # a little at a time: writers get in between

    def close(self) -> None:
        self._waiter.close()
        self.waker.close()
        for file in self.files:
            file.close()

    def _decode(self, file: TapeFile, stream: str, key: int, count: int, payload: bytes) -> Sequence[Event]:
        # Who reads a micro-batch in several steps has it decoded once. The two files may use the same key.
        mark = key if file is self._market else ~key
        if self._last[0] != mark:
            try:
                events = decode_batch(payload)
                if len(events) != count:
                    raise msgspec.DecodeError(f"{len(events)} events instead of {count}")
            except (msgspec.MsgspecError, ValueError, TypeError) as error:
                offset = key & ((1 << OFFSET_BITS) - 1)
                raise StoreError(
                    f"{file.path}: stream {stream!r} cannot be read at offset {offset} ({error}): "
                    "the file is damaged, or written by a newer Quantlytic"
                ) from None
            self._last = (mark, events)
        return self._last[1]


class SqliteWriter:
    """A named writer on a handle. Use it in the handle's thread."""

    def __init__(self, log: SqliteLog, name: str) -> None:
        self.name = name
        self._log = log
        self._closed = False
        self._positions: dict[str, int] = {}
        self._snapshot: bytes | None = None
        self._sequence = self._epoch = 0
        self._home = log.files[1]
        self._rows: dict[TapeFile, int] = {}
        try:
            for file in log.files:
                file.begin()
            self._take_over()
            for file in log.files:
                file.commit()
        except BaseException:
            for file in log.files:
                file.rollback()
            raise

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
    ) -> dict[str, range]:
        if self._closed:
            raise StoreError(f"writer {self.name!r} is closed")
        payloads = [(stream, len(events), encode_batch(events)) for stream, events in outputs.items() if events]
        file = self._file_for(payloads)
        merged = {**self._positions, **positions} if positions else self._positions
        if snapshot is None and file is not self._home:
            snapshot = self._snapshot
        given = dict.fromkeys(outputs, range(0))
        size = len(snapshot) if snapshot else 0
        try:
            file.begin()
            self._advance(file, merged, snapshot)
            for stream, count, payload in payloads:
                first = file.append(stream, count, payload)
                given[stream] = range(first, first + count)
                size += len(payload)
            file.commit(size)
        except BaseException:
            file.rollback()
            raise
        self._home, self._positions, self._sequence = file, merged, self._sequence + 1
        self._snapshot = self._snapshot if snapshot is None else snapshot
        if payloads:
            self._log.waker.ring(given)
        return given

    def close(self) -> None:
        """Nothing is held between commits; afterwards `commit` is refused."""
        self._closed = True

    def _file_for(self, payloads: Sequence[tuple[str, int, bytes]]) -> TapeFile:
        files = {self._log.file_of(stream) for stream, _, _ in payloads}
        if len(files) > 1:
            names = ", ".join(stream for stream, _, _ in payloads)
            raise StoreError(
                f"writer {self.name!r}: {names} cannot be written in one commit: "
                "raw.* and market.* live in a file of their own; split it in two"
            )
        return files.pop() if files else self._home

    def _advance(self, file: TapeFile, positions: dict[str, int], snapshot: bytes | None) -> None:
        row = self._rows[file]
        values = (self._sequence + 1, _encode_positions(positions), row, self._epoch)
        update = "UPDATE writer SET sequence = ?, positions = ? WHERE id = ? AND epoch = ?"
        if file.execute(update, values).rowcount != 1:
            raise Fenced(f"another {self.name!r} has taken over from this one: it stops here, and wrote nothing more")
        if snapshot is not None:
            file.execute("INSERT OR REPLACE INTO snapshot VALUES (?, ?)", (row, snapshot))

    def _take_over(self) -> None:
        """With both files locked: a new epoch, and the state of the file that was written last."""
        epochs = []
        for file in self._log.files:
            insert = "INSERT OR IGNORE INTO writer (name, epoch, sequence, positions) VALUES (?, 0, 0, x'80')"
            file.execute(insert, (self.name,))
            query = "SELECT id, epoch, sequence, positions FROM writer WHERE name = ?"
            row, epoch, sequence, positions = file.execute(query, (self.name,)).fetchone()
            self._rows[file] = row
            epochs.append(epoch)
            if sequence > self._sequence:
                self._home, self._sequence, self._positions = file, sequence, _decode_positions(positions)
        self._epoch = max(epochs) + 1
        for file, row in self._rows.items():
            file.execute("UPDATE writer SET epoch = ? WHERE id = ?", (self._epoch, row))
        query = "SELECT payload FROM snapshot WHERE writer = ?"
        saved = self._home.execute(query, (self._rows[self._home],)).fetchone()
        self._snapshot = None if saved is None else saved[0]


def _trim_some(file: TapeFile, number: int, before: int) -> bool:
    low = number << OFFSET_BITS
    try:
        file.begin()
        rows = list(
            file.select(
                "SELECT key, count FROM batch WHERE key >= ? AND key < ? ORDER BY key LIMIT ?",
                (low, low + min(max(before, 0), 1 << OFFSET_BITS), _TRIM_BATCHES),
            )
        )
        ends = [key - low + count for key, count in rows if key - low + count <= before]
        if ends:
            file.execute("DELETE FROM batch WHERE key >= ? AND key < ?", (low, low + ends[-1]))
            file.execute("UPDATE stream SET first = ? WHERE id = ?", (ends[-1], number))
        file.commit()
    except BaseException:
        file.rollback()
        raise
    return len(ends) == _TRIM_BATCHES
