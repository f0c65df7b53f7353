"""The trials of a search that are finished, on disk: a process that is killed loses none but the one it was at."""

from __future__ import annotations

import os
import statistics
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from quantlytic.model.errors import StoreError


class Tried(NamedTuple):
    """One setting: the metric after each fold (fewer than all, or none, where it was given up), what was searched, and its
    number."""

    number: int
    params: dict[str, Any]
    folds: list[float]
    pruned: bool

    @property
    def score(self) -> float:
        """The mean over its folds."""
        return statistics.fmean(self.folds)


class Journal:
    """A line a trial: its CRC-32 and it, as JSON. `finished`: by number.

    A line that was cut off, by a kill or a full disk, is passed over: each begins on a line of its own. Two processes may
    write at once: a trial that both computed came out alike.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.finished: dict[int, Tried] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            content = path.read_bytes() if path.exists() else b""
        except OSError as error:
            raise StoreError(f"the journal of trials {path} cannot be read: {error.strerror}") from None
        for line in content.splitlines():
            check, _, text = line.partition(b" ")
            if check == b"%08x" % zlib.crc32(text):
                tried = msgspec.json.decode(text, type=Tried)
                self.finished.setdefault(tried.number, tried)

    def add(self, tried: Tried) -> None:
        """Keep it; it is on the disk when this returns. StoreError when it cannot be."""
        text = msgspec.json.encode(tried)
        line = b"\n%08x %s\n" % (zlib.crc32(text), text)
        try:
            with self._path.open("ab", buffering=0) as file:
                if file.write(line) != len(line):
                    raise OSError(0, "the disk is full")
                os.fsync(file.fileno())
        except OSError as error:
            raise StoreError(f"the journal of trials {self._path} cannot be written: {error.strerror}") from None
        self.finished[tried.number] = tried
