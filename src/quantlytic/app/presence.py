"""Which process runs which services of a data folder: a lock each, which ends with its process, however that ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from quantlytic.model.errors import InputError, StoreError
from quantlytic.model.time import NS_PER_S, iso

SHARED = ("watchdog", "scheduler")
"""Services of which there may be several: they take turns, and are not claimed."""
_SOMEBODY = "another process"


class Holder(msgspec.Struct, frozen=True):
    """Who runs a service: `command` as it was typed, `since_ns` ns UTC."""

    command: str
    pid: int
    host: str
    since_ns: int

    @property
    def words(self) -> str:
        """`quantlytic up` (process 123 on lab, since 2026-11-21 12:00:05 UTC)."""
        since = iso(self.since_ns // NS_PER_S * NS_PER_S)[:19].replace("T", " ")
        return f"`{self.command}` (process {self.pid} on {self.host}, since {since} UTC)"


_HOLDER = msgspec.json.Decoder(Holder)


class Presence:
    """The locks of `home/running/SERVICE`. A process claims what it is about to run; another is refused what is claimed."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "running"
        self._held: dict[str, int] = {}

    def claim(self, services: Iterable[str], command: str, *, take_over: bool = False) -> None:
        """Enter these services as run by this process, until it ends or `release`.

        Raises InputError, naming who runs one of them; with `take_over` it is entered over him: his next commit is fenced.
        """
        for service in services:
            if service in self._held:
                continue
            handle = self._lock(service)
            if handle is None and not take_over:
                who = self.holder(service)
                self.release()
                raise InputError(
                    f"{service} runs already: {who}; end that one first, or take its place with --take-over"
                )
            self._held[service] = self._replace(service) if handle is None else handle
            self._enter(service, command)

    def holder(self, service: str) -> str:
        """Who runs it, in words; "another process" where that cannot be read, and "" where nobody does, or this process."""
        if service in self._held and os.fstat(self._held[service]).st_ino == self._inode(service):
            return ""
        handle = self._lock(service)
        if handle is not None:
            os.close(handle)
            return ""
        try:
            return _HOLDER.decode((self._folder / service).read_bytes()).words
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return _SOMEBODY

    def since_ns(self, service: str) -> int | None:
        """Since when it runs, in this process or another, ns UTC (0 where that cannot be read); None where nobody runs it."""
        if service not in self._held and not self.holder(service):
            return None
        try:
            return _HOLDER.decode((self._folder / service).read_bytes()).since_ns
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return 0

    def running(self) -> dict[str, str]:
        """Service -> who runs it, of those that others run now."""
        names = sorted(path.name for path in self._folder.glob("[a-z]*")) if self._folder.is_dir() else []
        return {name: who for name in names if (who := self.holder(name))}

    def release(self) -> None:
        """They may be run by others again."""
        for handle in self._held.values():
            os.close(handle)
        self._held.clear()

    # ---- inside

    def _lock(self, service: str) -> int | None:
        """The locked file, None when somebody else has it."""
        path = self._folder / service
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            while True:
                handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(handle)
                    return None
                if os.fstat(handle).st_ino == self._inode(service):
                    return handle
                os.close(handle)  # it was taken over between opening and locking
        except OSError as error:
            raise StoreError(f"{path} cannot be used: {error.strerror or error}") from None

    def _replace(self, service: str) -> int:
        """A new file in the place of the one that somebody holds, locked by us."""
        path, part = self._folder / service, self._folder / f".{service}.{os.getpid()}"
        try:
            handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.replace(part, path)
        except OSError as error:
            raise StoreError(f"{path} cannot be used: {error.strerror or error}") from None
        return handle

    def _enter(self, service: str, command: str) -> None:
        words = msgspec.json.encode(Holder(command, os.getpid(), socket.gethostname(), time.time_ns()))
        handle = self._held[service]
        with contextlib.suppress(OSError):  # a full disk: the lock holds, and the name is missing
            os.ftruncate(handle, 0)
            os.pwrite(handle, words, 0)

    def _inode(self, service: str) -> int:
        try:
            return os.stat(self._folder / service).st_ino
        except FileNotFoundError:
            return -1


def typed_command() -> str:
    """What this process was started with, as a person would type it."""
    return " ".join(["quantlytic", *sys.argv[1:]])


def service_of(writer: str) -> str:
    """The service, as `quantlytic run` names it, that a name on the log belongs to: `notifier` for `courier.mail`."""
    kind = writer.partition(".")[0]
    return "notifier" if kind == "courier" else kind
