"""Of one home there is one training at a time: the lock that says so, and who has it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from quantlytic.model.errors import StoreError
from quantlytic.model.time import NS_PER_S

_GRACE_S = 60.0  # its own trainer ends it before that, where it is alive
_MOST_BYTES = 4096
_PS_S = 5.0


class Holder(msgspec.Struct, frozen=True):
    """The training that has the lock: its line, its process (which leads a group) and what tells that from others of its number
    (see `birth`), since when, and the time by which it has to be over, by the clock of `time.monotonic`: one that stands still
    while the machine sleeps, and that nobody sets."""

    line: Annotated[str, Meta(max_length=200)]
    pid: Annotated[int, Meta(gt=1, lt=2**31)]
    born: str
    since_ns: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    until_s: float

    @property
    def words(self) -> str:
        """Who it is."""
        since = datetime.fromtimestamp(self.since_ns // NS_PER_S, UTC)
        return f"the training of line {self.line!r} (process {self.pid}, since {since:%Y-%m-%d %H:%M:%S} UTC)"

    def is_overdue(self, now_s: float) -> bool:
        """Whether its time was over a minute ago: whoever was to end it is dead."""
        return now_s > self.until_s + _GRACE_S

    def end(self) -> bool:
        """Kill it, and what it began; False, and nothing is done, where it is not known to be that very process."""
        if not self.born or birth(self.pid) != self.born or self.pid == os.getpgrp():
            return False
        try:
            if os.getpgid(self.pid) != self.pid:
                return False
        except ProcessLookupError:
            return False
        end_group(self.pid)
        return True


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
            with self._path.open("rb") as file:
                return msgspec.json.decode(file.read(_MOST_BYTES), type=Holder)
        except (OSError, msgspec.MsgspecError):
            return None


def birth(pid: int) -> str:
    """When a process began, and in which run of the machine: no other of its number has the same. "" when that is not known."""
    try:
        if Path("/proc/self/stat").exists():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {fields[19]}"
        asked = subprocess.run(
            ("ps", "-o", "lstart=", "-p", str(pid)), capture_output=True, text=True, timeout=_PS_S, check=False,
            env=os.environ | {"LC_ALL": "C", "TZ": "UTC"},
        )  # fmt: skip
        return " ".join(asked.stdout.split())
    except (OSError, ValueError, IndexError, subprocess.SubprocessError):
        return ""


def end_group(pid: int) -> None:
    """Kill a process that leads a group, and the group; nothing where there is none."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
