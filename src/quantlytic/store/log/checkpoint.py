"""Moving pages from a write-ahead log into its database beside the writers, not in the middle of somebody's commit."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from pathlib import Path

NUDGE_PAGES = 1000
RESTART_PAGES = 16_000
"""64 MB: only a log that is written without a pause gets here. Starting it anew holds the writers up for a moment."""


class Checkpointer:
    """A thread that checkpoints when it is nudged. Started by the first nudge.

    Measured (2 cores, ext4): commits of 1-5 events have p99.9 0.4 ms with it, 5 ms when SQLite checkpoints in a commit.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._wanted = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None
        self._pages = 0

    def wrote(self, pages: int) -> None:
        """Count what a commit wrote, and nudge when it is worth it."""
        self._pages += pages
        if self._pages >= NUDGE_PAGES:
            self._pages = 0
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"checkpoint {self._path.name}", daemon=True)
                self._thread.start()
            self._wanted.set()

    def close(self) -> None:
        """Let the thread finish what it is at, and end it."""
        if self._thread is not None:
            self._closing = True
            self._wanted.set()
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        # Nothing depends on a checkpoint: should one fail (disk full), a commit meets the same trouble and reports it.
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(self._path, 0.1)) as connection:
            while True:
                self._wanted.wait()
                self._wanted.clear()
                if self._closing:
                    return
                with contextlib.suppress(sqlite3.Error):
                    _, pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                    if pages > RESTART_PAGES:
                        connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
