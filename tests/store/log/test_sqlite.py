"""The embedded log: the conformance suite, and what only SQLite can do wrong."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.store.log.actors import trade
from tests.store.log.conformance import LogConformance, opened, read_all

from quantlytic.model.errors import StoreError
from quantlytic.store.log import checkpoint, tapefile
from quantlytic.store.log.port import Writer
from quantlytic.store.log.sqlite import SqliteLog
from quantlytic.store.log.tapefile import TapeFile


class SqliteTape:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spec: dict[str, Any] = {"kind": "sqlite", "folder": str(folder)}

    @contextlib.contextmanager
    def failing(self, writer: Writer, patch: pytest.MonkeyPatch) -> Iterator[None]:
        def fail(*_: object) -> None:
            raise StoreError("injected")

        with patch.context() as patched:
            patched.setattr(TapeFile, "commit", fail)
            with pytest.raises(StoreError, match="injected"):
                yield


@pytest.fixture
def tape(tmp_path: Path) -> SqliteTape:
    return SqliteTape(tmp_path / "log")


class TestSqlite(LogConformance):
    """The whole suite on files."""


def fill(folder: Path, commits: int = 50) -> None:
    with contextlib.closing(SqliteLog(folder)) as log:
        writer = log.writer("w")
        for k in range(commits):
            writer.commit({"market.box": [trade(100 * k + j) for j in range(100)]}, {"raw.box": k})


def refused(folder: Path, *words: str) -> None:
    """Opening says what is wrong in one line with the file's path."""
    with pytest.raises(StoreError) as caught:
        SqliteLog(folder).close()
    for word in (str(folder), *words):
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "decisions.db").write_bytes(b"no database at all" * 1000)
    refused(tmp_path, "decisions.db", "move it away")


def test_a_database_of_another_program(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "market.db")) as other:
        other.execute("CREATE TABLE notes (text)")
    refused(tmp_path, "market.db", "another program")


def test_a_log_of_a_newer_version(tmp_path: Path) -> None:
    fill(tmp_path, 1)
    with contextlib.closing(sqlite3.connect(tmp_path / "market.db")) as other:
        other.execute("PRAGMA user_version = 9")
    refused(tmp_path, "market.db", "upgrade")


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    refused(tmp_path / "home", "cannot make the folder")


def test_a_folder_that_cannot_be_written() -> None:
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o555)
    try:
        with contextlib.ExitStack() as back:
            if os.geteuid() == 0:  # root may write anywhere
                os.seteuid(65534)
                back.callback(os.seteuid, 0)
            refused(folder, "market.db", "writable")
    finally:
        shutil.rmtree(folder)


def test_damaged_pages(tmp_path: Path) -> None:
    fill(tmp_path)
    path = tmp_path / "market.db"
    size = path.stat().st_size
    with open(path, "r+b") as file:
        file.seek(size // 2)
        file.write(b"\xff" * (size // 4))
    with opened(SqliteTape(tmp_path)) as log, pytest.raises(StoreError, match=r"market\.db") as caught:
        read_all(log, "market.box")
    assert "damaged" in str(caught.value)


def test_rows_that_contradict_each_other(tmp_path: Path) -> None:
    """Damage that SQLite sees only as a key given twice is still damage, and nothing is written over it."""
    fill(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "market.db")) as other:
        other.execute("UPDATE batch SET count = 0")
        other.commit()
    with opened(SqliteTape(tmp_path)) as log, pytest.raises(StoreError, match=r"market\.db: the file is damaged"):
        log.writer("w").commit({"market.box": [trade(1)]})


def test_a_payload_that_cannot_be_decoded(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    with contextlib.closing(sqlite3.connect(tmp_path / "market.db")) as other:
        key = other.execute("SELECT key FROM batch ORDER BY key LIMIT 1 OFFSET 1").fetchone()[0]
        other.execute("UPDATE batch SET payload = x'93010203' WHERE key = ?", (key,))
        other.commit()
    with opened(SqliteTape(tmp_path)) as log:
        assert len(log.read("market.box", 0, 100).events) == 100
        with pytest.raises(StoreError, match=r"'market.box' cannot be read at offset 100 .*damaged"):
            log.read("market.box", 150)
        assert len(log.read("market.box", 200).events) == 100


def test_a_file_that_somebody_keeps_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tapefile, "LOCK_TIMEOUT_S", 0.2)
    with opened(SqliteTape(tmp_path)) as log:
        writer = log.writer("w")
        with contextlib.closing(sqlite3.connect(tmp_path / "market.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match=r"market\.db: locked by another program"):
                writer.commit({"market.box": [trade(1)]}, {"in": 1})
            writer.commit({"bars.box": [trade(1)]}, {"in": 2})  # the other file is free
            other.execute("ROLLBACK")
        writer.commit({"market.box": [trade(2)]}, {"in": 3})
        assert [event.trade_id for event in read_all(log, "market.box", 1)[0]] == [2]


def test_a_full_disk(tmp_path: Path) -> None:
    """A process whose files may not grow beyond 300 kB; the next one finds all that was acknowledged, and goes on."""
    script = """
import json, resource, signal, sys
sys.path.insert(0, sys.argv[2])
from tests.store.log.actors import open_spec, write_numbers
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = open_spec(json.loads(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
from quantlytic.model.errors import StoreError
try:
    write_numbers(log)
except StoreError as error:
    print("refused:", error)
log.close()
"""
    root = str(Path(__file__).parents[3])
    spec = json.dumps(SqliteTape(tmp_path).spec)
    done = subprocess.run([sys.executable, "-c", script, spec, root], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *acknowledged, last = done.stdout.splitlines()
    assert last.startswith(f"refused: {tmp_path}/market.db: the disk ")
    assert "nothing of this step was written" in last
    with opened(SqliteTape(tmp_path)) as log:
        writer = log.writer("numbers")
        events, _ = read_all(log, "market.n")
        assert len(events) == writer.positions["source"] == int(acknowledged[-1]) > 100
        assert [event.trade_id for event in events] == list(range(len(events)))
        writer.commit({"market.n": [trade(0)]})


def test_one_commit_is_for_one_file(tmp_path: Path) -> None:
    with opened(SqliteTape(tmp_path)) as log:
        writer = log.writer("w")
        with pytest.raises(StoreError, match=r"market\.box, bars\.box cannot be written in one commit"):
            writer.commit({"market.box": [trade(1)], "bars.box": [trade(1)]}, {"in": 1})
        assert (log.streams(), dict(writer.positions)) == ([], {})


def test_space_is_used_again_after_trim(tmp_path: Path) -> None:
    with opened(SqliteTape(tmp_path)) as log:
        writer = log.writer("w")
        sizes = []
        for _ in range(12):
            for _ in range(20):
                end = writer.commit({"market.box": [trade(j) for j in range(500)]})["market.box"][-1]
            log.trim("market.box", end - 2000)
            with contextlib.closing(sqlite3.connect(tmp_path / "market.db")) as other:
                sizes.append(other.execute("PRAGMA page_count").fetchone()[0])
    assert sizes[-1] == sizes[2], sizes


def test_the_write_ahead_log_is_folded_in_beside_the_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "NUDGE_PAGES", 500)
    before = threading.active_count()
    with opened(SqliteTape(tmp_path)) as log:
        writer = log.writer("w")
        for _ in range(100):
            writer.commit({"market.box": [trade(j) for j in range(1000)]})
        assert threading.active_count() == before + 1
        deadline = time.monotonic() + 10
        while (tmp_path / "market.db").stat().st_size < 2_000_000 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert (tmp_path / "market.db").stat().st_size >= 2_000_000
    assert threading.active_count() == before
    assert {path.name for path in tmp_path.iterdir()} == {"market.db", "decisions.db"}


def test_durability(tmp_path: Path) -> None:
    for durability, level in (("process", 1), ("power", 2)):
        with contextlib.closing(SqliteLog(tmp_path, durability)) as log:
            for file in log.files:
                assert file.execute("PRAGMA synchronous").fetchone()[0] == level
            log.writer("w").commit({"bars.box": [trade(1)]})


def test_two_processes_make_the_log_at_once(tmp_path: Path) -> None:
    def make() -> None:
        try:
            with opened(SqliteTape(tmp_path)) as log:
                log.writer(threading.current_thread().name).commit({"bars.box": [trade(1)]})
        except Exception as error:
            errors.append(error)

    errors: list[Exception] = []
    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with opened(SqliteTape(tmp_path)) as log:
        assert len(read_all(log, "bars.box")[0]) == 8
