"""The checkpointer: one a file, when enough was written and the disk is calm."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from quantlytic.store.log import checkpoint
from quantlytic.store.log.checkpoint import Checkpointer
from quantlytic.store.log.tapefile import TapeFile


def until(what: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def write(file: TapeFile, batches: int) -> None:
    """Each of them some pages long."""
    for _ in range(batches):
        file.begin()
        file.append("market.x", 1, b"x" * 9_000)
        file.commit(9_000)


def moved(path: Path) -> bool:
    """Whether the database itself, without its log, holds the batches."""
    return path.stat().st_size > 100_000


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "NUDGE_PAGES", 40)
    monkeypatch.setattr(checkpoint, "RESTART_PAGES", 400)
    monkeypatch.setattr(checkpoint, "PAUSE_S", 0.01)
    monkeypatch.setattr(checkpoint, "CALM_S", 60.0)


def test_handles_on_a_file_share_one(tmp_path: Path) -> None:
    first, second = Checkpointer.of(tmp_path / "a.db"), Checkpointer.of(tmp_path / "a.db")
    other = Checkpointer.of(tmp_path / "b.db")
    assert first is second is not other
    first.close()
    assert Checkpointer.of(tmp_path / "a.db") is second
    for one in (first, second, other):
        one.close()
    assert not [path for path in checkpoint._open if path.is_relative_to(tmp_path)]


def test_pages_are_moved_once_enough_is_written_by_all_handles(tmp_path: Path, small: None) -> None:
    path = tmp_path / "market.db"
    with contextlib.closing(TapeFile(path, "process")) as one, contextlib.closing(TapeFile(path, "process")) as other:
        write(one, 6)
        time.sleep(0.1)
        assert not moved(path)
        write(other, 6)
        until(lambda: moved(path))


def test_a_busy_disk_is_waited_for_but_not_for_ever(
    tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, asked = tmp_path / "market.db", list[float]()

    def busy(descriptor: int) -> None:
        asked.append(time.monotonic())
        time.sleep(0.002)

    monkeypatch.setattr(checkpoint, "_sync", busy)
    monkeypatch.setattr(checkpoint, "CALM_S", 0.001)
    with contextlib.closing(TapeFile(path, "process")) as file:
        write(file, 12)
        until(lambda: len(asked) > 10)
        assert not moved(path)
        write(file, 100)
        until(lambda: moved(path))


def test_closing_does_not_wait_for_a_busy_disk(tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "CALM_S", 0.0)
    path = tmp_path / "market.db"
    with contextlib.closing(TapeFile(path, "process")) as file:
        write(file, 12)
        began_s = time.monotonic()
    assert time.monotonic() - began_s < 5
    with contextlib.closing(sqlite3.connect(path)) as found:
        assert found.execute("SELECT count(*) FROM batch").fetchone() == (12,)


def test_one_that_could_not_begin_is_tried_again(tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    path, connect, refused = tmp_path / "market.db", sqlite3.connect, list[Path]()

    def first_refused(database: Path, *more: float) -> sqlite3.Connection:
        if not refused:
            refused.append(database)
            raise sqlite3.OperationalError("unable to open database file")
        return connect(database, *more)

    with contextlib.closing(TapeFile(path, "process")) as file:
        monkeypatch.setattr(sqlite3, "connect", first_refused)
        write(file, 12)
        until(lambda: bool(refused))
        time.sleep(0.1)
        write(file, 12)
        until(lambda: moved(path))


def test_a_file_that_cannot_be_opened_leaves_none_behind(tmp_path: Path) -> None:
    path = tmp_path / "market.db"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(Exception, match="not a log"):
        TapeFile(path, "process")
    assert path not in checkpoint._open
