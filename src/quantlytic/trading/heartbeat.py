"""A sign of life that another process can see: a file whose time of change is the last beat."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from quantlytic.model.errors import StoreError


class Heartbeat:
    """`folder/ACCOUNT.heartbeat`. It is there while the executor runs; one that ended cleanly has taken it away."""

    def __init__(self, folder: Path, account: str) -> None:
        self._path = folder / f"{account}.heartbeat"

    def beat(self, now_ns: int) -> None:
        """Alive. Costs some microseconds. Raises StoreError when it cannot be written."""
        try:
            try:
                os.utime(self._path, ns=(now_ns, now_ns))
            except FileNotFoundError:
                self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._path.touch()
                os.utime(self._path, ns=(now_ns, now_ns))
        except OSError as error:
            raise StoreError(f"the sign of life {self._path} cannot be written: {error.strerror or error}") from None

    def stop(self) -> None:
        """A clean end: silence is no alarm from now on."""
        with contextlib.suppress(OSError):
            self._path.unlink()

    def last_ns(self) -> int | None:
        """The last beat, ns UTC; None when nobody is expected to beat."""
        try:
            return os.stat(self._path).st_mtime_ns
        except FileNotFoundError:
            return None
        except OSError:  # it is there and cannot be looked at: as good as silent
            return 0
