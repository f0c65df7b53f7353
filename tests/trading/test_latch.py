"""The latch: shut on disk, opened by name, shut when in doubt."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from quantlytic.model.errors import InputError, StoreError
from quantlytic.trading.latch import Latch


def test_it_is_open_until_it_is_shut_and_shut_until_it_is_released(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there yet"
    latch, other = Latch(folder, "main"), Latch(folder, "main")
    assert latch.read() is None
    halt = latch.engage("kill", "operator", "why", 5)
    assert (halt.is_halted, halt.cause, halt.by, halt.event_time) == (True, "kill", "operator", 5)
    assert latch.read() == other.read() == halt
    assert Latch(folder, "other").read() is None
    assert json.loads((folder / "main.json").read_text())["cause"] == "kill"
    released = other.release(" main ", "ann", 9)
    assert (released.is_halted, released.cause, released.by, released.event_time) == (False, "kill", "ann", 9)
    assert latch.read() is None
    assert latch.engage("risk", "executor", "lost too much", 10) == other.read()


def test_only_the_accounts_name_releases_it(tmp_path: Path) -> None:
    latch = Latch(tmp_path, "main")
    with pytest.raises(InputError, match="nothing to release"):
        latch.release("main", "ann", 1)
    halt = latch.engage("kill", "operator", "why", 5)
    for typed in ("", "Main", "yes", "other"):
        with pytest.raises(InputError, match="main"):
            latch.release(typed, "ann", 6)
    assert latch.read() == halt


def test_the_first_cause_stays_but_a_kill_goes_before_all(tmp_path: Path) -> None:
    latch = Latch(tmp_path, "main")
    first = latch.engage("risk", "executor", "one", 1)
    assert latch.engage("risk", "executor", "two", 2) == first
    kill = latch.engage("kill", "operator", "three", 3)
    assert latch.read() == kill
    assert latch.engage("risk", "executor", "four", 4) == kill
    assert latch.engage("kill", "page", "five", 5) == kill
    assert latch.read() == kill


def test_the_dead_man_lets_go_only_of_what_it_shut_itself(tmp_path: Path) -> None:
    latch = Latch(tmp_path, "main")
    assert latch.release_dead_man("watchdog", "fresh", 1) is None
    latch.engage("dead-man", "watchdog", "stale", 2)
    assert latch.read() is not None
    kill = latch.engage("kill", "operator", "why", 3)
    released = latch.release_dead_man("watchdog", "fresh", 4)
    assert released is not None
    assert not released.is_halted
    assert latch.read() == kill
    latch.engage("dead-man", "watchdog", "stale", 5)
    latch.release("main", "ann", 6)
    assert latch.read() is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff\xfe", b'{"account": 1}', b"null", b"x" * 100_000])
def test_a_damaged_file_counts_as_shut_and_can_be_released(tmp_path: Path, content: bytes) -> None:
    latch = Latch(tmp_path, "main")
    latch.engage("kill", "operator", "why", 1)
    (tmp_path / "main.json").write_bytes(content)
    halt = latch.read()
    assert halt is not None
    assert halt.cause == "damaged"
    assert "main.json" in halt.text
    assert "\n" not in halt.text
    latch.release("main", "ann", 2)
    assert latch.read() is None


def test_a_file_of_another_account_or_of_half_a_halt_counts_as_shut(tmp_path: Path) -> None:
    latch = Latch(tmp_path, "main")
    Latch(tmp_path, "other").engage("kill", "operator", "why", 1)
    Latch(tmp_path, "other").release("other", "ann", 2)
    os.replace(tmp_path / "other.json", tmp_path / "main.json")
    assert latch.read() is not None
    (tmp_path / "main.json").write_text('{"account": "main", "is_halted": false}')
    assert latch.read() is not None


def test_a_file_that_may_not_be_read_or_is_none_counts_as_shut(tmp_path: Path) -> None:
    (tmp_path / "main.json").mkdir()
    assert Latch(tmp_path, "main").read() is not None
    (tmp_path / "file").write_text("")
    assert Latch(tmp_path / "file", "main").read() is not None  # the folder is no folder


def test_a_latch_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        Latch(tmp_path / "file", "main").engage("kill", "operator", "why", 1)


@pytest.mark.parametrize("name", ["", "../main", "a/b", ".hidden", "a b", "x" * 65, "a\n"])
def test_a_name_that_is_no_file_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="account name"):
        Latch(tmp_path, name)


def test_it_is_never_seen_open_while_it_is_shut_anew(tmp_path: Path) -> None:
    latch = Latch(tmp_path, "main")
    latch.engage("risk", "executor", "0", 0)
    done = threading.Event()

    def rewrite() -> None:
        writers = [Latch(tmp_path, "main") for _ in range(2)]
        for number in range(100):
            (tmp_path / "main.json").touch()
            writers[number % 2]._hard.write(writers[0].engage("kill", "operator", str(number), number))
        done.set()

    thread = threading.Thread(target=rewrite)
    thread.start()
    seen = 0
    while not done.is_set():
        assert latch.read() is not None
        seen += 1
    thread.join()
    assert seen > 10
    assert [path.name for path in tmp_path.iterdir()] == ["main.json"]  # no part of a file is left over


def test_when_a_person_last_let_go_is_known_to_other_processes(tmp_path: Path) -> None:
    latch, other = Latch(tmp_path, "main"), Latch(tmp_path, "main")
    assert other.released_ns() == 0
    latch.engage("risk", "executor", "lost too much", 5)
    latch.engage("kill", "operator", "to be sure", 6)
    assert other.released_ns() == 0
    latch.release("main", "ann", 9)
    assert other.released_ns() == 9
    latch.engage("dead-man", "watchdog", "silence", 10)
    latch.release_dead_man("watchdog", "all is well", 11)
    assert other.released_ns() == 9
    latch.engage("kill", "operator", "again", 12)
    assert other.released_ns() == 0
