"""Of one home there is one training at a time: the lock that says so, and who has it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from quantlytic.model.errors import StoreError
from quantlytic.model.time import NS_PER_S

_GRACE_NS = 60 * NS_PER_S  # its own trainer ends it before that, where it is alive


class Holder(msgspec.Struct, frozen=True):
    """The training that has the lock: its line, its process (and group), since when, and the time by which it has to be over."""

    line: str
    pid: int
    since_ns: int
    until_ns: int

    @property
    def words(self) -> str:
        """Who it is."""
        since = datetime.fromtimestamp(self.since_ns // NS_PER_S, UTC)
        return f"the training of line {self.line!r} (process {self.pid}, since {since:%Y-%m-%d %H:%M:%S} UTC)"

    def is_overdue(self, now_ns: int) -> bool:
        """Whether its time was over a minute ago: whoever was to end it is dead."""
        return now_ns > self.until_ns + _GRACE_NS

    def end(self) -> None:
        """Kill it, and what it began."""
        end_group(self.pid)


class TrainingLock:
    """A lock on a file, held by whoever has a descriptor of it open: the training itself, so that it outlives its trainer."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def take(self) -> int | None:
        """A descriptor that holds it; None while another one does. StoreError when there can be no such file."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            lock = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StoreError(f"no training can be started in {self._path.parent}: {error.strerror}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        os.ftruncate(lock, 0)  # who had it before is no longer named
        return lock

    def note(self, lock: int, holder: Holder) -> None:
        """Say who has it."""
        os.pwrite(lock, msgspec.json.encode(holder), 0)

    def holder(self) -> Holder | None:
        """Who had it last; None where that is not known."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Holder)
        except (OSError, msgspec.MsgspecError):
            return None


def end_group(pid: int) -> None:
    """Kill a process that leads a group, and the group; nothing where there is none."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
