"""One SQLite file of the embedded log: opening, schema, locking, and errors that a person can act on."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from quantlytic.model.errors import StoreError
from quantlytic.store.log.checkpoint import Checkpointer

SCHEMA_VERSION = 1
LOCK_TIMEOUT_S = 10.0
OFFSET_BITS = 44
"""A batch's key is its stream's id and its first offset in one integer: 2^44 offsets a stream, 2^19 streams a file."""

_BACKSTOP_PAGES = 64_000  # the checkpointer works far earlier
_PAGE_BYTES = 4096
_SCHEMA = (
    "CREATE TABLE stream (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, first INTEGER NOT NULL DEFAULT 0)",
    "CREATE TABLE batch (key INTEGER PRIMARY KEY, count INTEGER NOT NULL, payload BLOB NOT NULL)",
    "CREATE TABLE writer (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, epoch INTEGER NOT NULL,"
    " sequence INTEGER NOT NULL, positions BLOB NOT NULL)",
    "CREATE TABLE snapshot (writer INTEGER PRIMARY KEY, payload BLOB NOT NULL)",
)
_NEXT = (
    "SELECT first, coalesce((SELECT (key & :mask) + count FROM batch WHERE key BETWEEN :low AND :high"
    " ORDER BY key DESC LIMIT 1), first) FROM stream WHERE id = :id"
)
_MASK = (1 << OFFSET_BITS) - 1


class TapeFile:
    """A connection to one file. For one thread at a time."""

    def __init__(self, path: Path, durability: str) -> None:
        self.path = path
        self._ids: dict[str, int] = {}
        self._new_ids: dict[str, int] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot make the folder {path.parent}: {error.strerror}; choose another home") from None
        try:
            # Locks are waited for below, in finer steps than SQLite's own busy handler takes.
            self._connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise self._explain(error) from None
        self._checkpointer = Checkpointer.of(path)
        try:
            self._prepare(durability)
        except BaseException:
            self.close()
            raise

    def execute(self, sql: str, values: Any = ()) -> sqlite3.Cursor:
        """Run one statement; wait while the file is locked. Raises StoreError."""
        try:
            return self._connection.execute(sql, values)
        except sqlite3.Error as error:
            if not _is_locked(error):
                raise self._explain(error) from None
        return self._execute_when_free(sql, values)

    def select(self, sql: str, values: Any = ()) -> Generator[Any, None, None]:
        """The rows of a query, one at a time; close the iterator if you stop early. Raises StoreError."""
        rows = self.execute(sql, values)
        try:
            yield from rows
        except sqlite3.Error as error:
            raise self._explain(error) from None
        finally:
            rows.close()

    def begin(self) -> None:
        """Take the write lock."""
        self.execute("BEGIN IMMEDIATE")

    def commit(self, bytes_written: int = 0) -> None:
        self.execute("COMMIT")
        self._ids.update(self._new_ids)
        self._new_ids.clear()
        self._checkpointer.wrote(3 + bytes_written // _PAGE_BYTES)

    def rollback(self) -> None:
        """Undo the open transaction, if any. Never fails."""
        self._new_ids.clear()
        if self._connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")

    def stream_id(self, stream: str) -> int | None:
        """The stream's number in this file; None while it has never held an event."""
        number = self._ids.get(stream)
        if number is None:
            row = self.execute("SELECT id FROM stream WHERE name = ?", (stream,)).fetchone()
            if row is None:
                return None
            number = int(row[0])
            (self._new_ids if self._connection.in_transaction else self._ids)[stream] = number
        return number

    def bounds(self, number: int) -> tuple[int, int]:
        """(first offset held, next offset) of the stream with this number."""
        low = number << OFFSET_BITS
        row = self.execute(_NEXT, {"mask": _MASK, "low": low, "high": low | _MASK, "id": number}).fetchone()
        return int(row[0]), int(row[1])

    def append(self, stream: str, count: int, payload: bytes) -> int:
        """Within a transaction: one micro-batch at the stream's end; returns its first offset."""
        number = self.stream_id(stream)
        if number is None:
            number = self.execute("INSERT INTO stream (name) VALUES (?)", (stream,)).lastrowid
            assert number is not None
            self._new_ids[stream] = number
        first = self.bounds(number)[1]
        if first + count > _MASK:
            raise StoreError(f"{self.path}: stream {stream!r} is full after {first} events; start a new log")
        self.execute("INSERT INTO batch VALUES (?, ?, ?)", ((number << OFFSET_BITS) | first, count, payload))
        return first

    def close(self) -> None:
        self._checkpointer.close()
        self._connection.close()

    def _execute_when_free(self, sql: str, values: Any) -> sqlite3.Cursor:
        deadline = time.monotonic() + LOCK_TIMEOUT_S
        pause_s = 0.0001
        while True:
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 0.002)
            try:
                return self._connection.execute(sql, values)
            except sqlite3.Error as error:
                if not _is_locked(error) or time.monotonic() > deadline:
                    raise self._explain(error) from None

    def _prepare(self, durability: str) -> None:
        version = int(self.execute("PRAGMA user_version").fetchone()[0])
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"{self.path} was written by a newer Quantlytic "
                f"(log version {version}, this one knows {SCHEMA_VERSION}): upgrade"
            )
        if self.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise StoreError(f"{self.path}: its file system cannot hold a write-ahead log; choose a local disk as home")
        self.execute(f"PRAGMA synchronous = {'FULL' if durability == 'power' else 'NORMAL'}")
        self.execute(f"PRAGMA wal_autocheckpoint = {_BACKSTOP_PAGES}")
        self.execute("PRAGMA secure_delete = OFF")
        self.execute("PRAGMA cache_size = -16000")
        if version == SCHEMA_VERSION:
            return
        try:
            self.begin()
            if int(self.execute("PRAGMA user_version").fetchone()[0]) == 0:  # nobody else made it meanwhile
                if self.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    raise StoreError(f"{self.path} is a database of another program; choose another home")
                for statement in _SCHEMA:
                    self.execute(statement)
                self.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            self.commit()
        except BaseException:
            self.rollback()
            raise

    def _explain(self, error: sqlite3.Error) -> StoreError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        name = getattr(error, "sqlite_errorname", "")
        advice = {
            sqlite3.SQLITE_FULL: "the disk is full: free some space; nothing of this step was written",
            sqlite3.SQLITE_IOERR: f"the disk cannot be read or written ({name}): check its health and free space; "
            "nothing of this step was written",
            sqlite3.SQLITE_CORRUPT: "the file is damaged: stop, move it away and restore a backup",
            sqlite3.SQLITE_CONSTRAINT: f"the file is damaged ({error}): stop, move it away and restore a backup",
            sqlite3.SQLITE_NOTADB: "the file is not a log, or it is damaged: move it away or choose another home",
            sqlite3.SQLITE_READONLY: "the file is read-only: mend its permissions or choose another home",
            sqlite3.SQLITE_PERM: "no permission: mend the file's permissions or choose another home",
            sqlite3.SQLITE_CANTOPEN: "the file cannot be opened or made: check that its folder is writable "
            f"{'' if os.path.isdir(self.path.parent) else '(it is missing) '}or choose another home",
            sqlite3.SQLITE_BUSY: f"locked by another program for over {LOCK_TIMEOUT_S:g} s: end that program",
            sqlite3.SQLITE_TOOBIG: "too much for one commit: write smaller micro-batches or a smaller snapshot",
        }.get(code, str(error))
        return StoreError(f"{self.path}: {advice}")


def _is_locked(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
