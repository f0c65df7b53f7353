"""Waking readers in other threads and processes of one machine, without polling.

A reader that waits binds a Unix datagram socket in the *wake folder* of the log; a writer, after its commit, sends one
byte to each socket there whose reader waits for one of the streams written. The socket's file name carries that interest
as 64 bits (one a stream, by checksum), so a reader is not woken by streams it does not follow. Nothing here is needed for
correctness: a lost wake-up only costs the reader its slow fallback poll.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import select
import socket
import tempfile
import time
import zlib
from collections.abc import Iterable
from pathlib import Path

FALLBACK_S = 0.5
"""A reader looks for itself this often, should a wake-up be lost."""

_UNBOUND_FALLBACK_S = 0.05
_LONGEST_FOLDER = 64  # macOS allows 104 bytes for a socket's path; its name takes up to 36
_CLOCK_GRAIN_NS = 20_000_000  # a folder's modification time may lag the clock by a kernel tick
_numbers = itertools.count()


def wake_folder(folder: Path) -> Path:
    """Where the readers of the log in `folder` listen: within it if its path is short enough, else a temporary one."""
    real = os.path.realpath(folder)
    if len(os.fsencode(real)) <= _LONGEST_FOLDER - len("/wake"):
        return Path(real, "wake")
    digest = hashlib.sha256(os.fsencode(real)).hexdigest()[:12]
    base = "/tmp" if os.access("/tmp", os.W_OK) else tempfile.gettempdir()
    return Path(base, f"quantlytic-{os.getuid()}-{digest}")


def interest(streams: Iterable[str]) -> int:
    """The streams as a set of bits; two different streams may share one (then a reader wakes once too often)."""
    bits = 0
    for stream in streams:
        bits |= 1 << (zlib.crc32(stream.encode()) & 63)
    return bits


class Waiter:
    """The reader's side: sleeps until a writer rings. For one thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket: socket.socket | None = None
        self._poll = select.poll()
        self._path = ""
        self._stem = ""
        self._bits = 0

    def listen(self, streams: Iterable[str]) -> None:
        """Ask to be woken for these streams. After this call, look whether there is something before sleeping."""
        bits = interest(streams)
        if bits == self._bits:
            return
        with contextlib.suppress(OSError):  # no sockets on this file system: the fallback poll still works
            if self._socket is None:
                self._bind(bits)
            else:
                path = os.path.join(self._folder, f"{self._stem}-{bits:x}")
                os.rename(self._path, path)
                self._path = path
        self._bits = bits

    def drain(self) -> None:
        """Forget the rings so far."""
        if self._socket is not None:
            with contextlib.suppress(BlockingIOError):
                while True:
                    self._socket.recv(1)

    def sleep(self, timeout_s: float) -> None:
        """Until rung, or `timeout_s`, or the fallback interval."""
        longest = _UNBOUND_FALLBACK_S if self._socket is None else FALLBACK_S
        self._poll.poll(max(0.0, min(timeout_s, longest)) * 1000)

    def close(self) -> None:
        """Stop listening; the last one out removes the folder."""
        if self._socket is None:
            return
        self._poll.unregister(self._socket)
        self._socket.close()
        self._socket = None
        self._bits = 0
        with contextlib.suppress(OSError):
            os.unlink(self._path)
            os.rmdir(self._folder)

    def _bind(self, bits: int) -> None:
        self._stem = f"{os.getpid():x}-{next(_numbers):x}"
        self._path = os.path.join(self._folder, f"{self._stem}-{bits:x}")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            listener.setblocking(False)
            for _ in range(3):  # the last reader may be removing the folder just now
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                with contextlib.suppress(FileNotFoundError):
                    listener.bind(self._path)
                    break
        except OSError:
            listener.close()
            raise
        self._socket = listener
        self._poll.register(listener, select.POLLIN)


class Waker:
    """The writer's side. Costs one `stat` where nobody listens. For one thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._seen_ns = -1
        self._listeners: list[tuple[str, int]] = []

    def ring(self, streams: Iterable[str]) -> None:
        """Wake whoever waits for one of these streams. Never blocks, never fails."""
        try:
            changed_ns = os.stat(self._folder).st_mtime_ns
            if changed_ns != self._seen_ns:
                self._scan(changed_ns)
        except OSError:
            return
        if not self._listeners:
            return
        bits = interest(streams)
        for path, wanted in self._listeners:
            if wanted & bits:
                self._send(path)

    def close(self) -> None:
        self._socket.close()

    def _scan(self, changed_ns: int) -> None:
        now_ns = time.time_ns()
        self._listeners = []
        for name in os.listdir(self._folder):
            with contextlib.suppress(ValueError):
                self._listeners.append((os.path.join(self._folder, name), int(name.rpartition("-")[2], 16)))
        # A change within the same tick of the file system's clock would go unseen: then look again next time.
        self._seen_ns = changed_ns if changed_ns < now_ns - _CLOCK_GRAIN_NS else -1

    def _send(self, path: str) -> None:
        try:
            self._socket.sendto(b"!", path)
        except ConnectionRefusedError:  # its process was killed
            with contextlib.suppress(OSError):
                os.unlink(path)
        except OSError:  # full: it will wake anyway; gone: so be it
            pass
