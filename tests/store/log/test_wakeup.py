"""Wake-ups: who is woken, who is not, and what is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from quantlytic.store.log.wakeup import FALLBACK_S, Waiter, Waker, interest, wake_folder


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    path = wake_folder(tmp_path)
    yield path
    assert not path.exists(), "the last reader removes the folder"


def slept_s(waiter: Waiter, timeout_s: float = 0.2) -> float:
    started = time.monotonic()
    waiter.sleep(timeout_s)
    return time.monotonic() - started


def test_a_ring_before_or_during_sleep_wakes(folder: Path) -> None:
    waiter, waker = Waiter(folder), Waker(folder)
    waiter.listen(["bars.a"])
    waker.ring(["bars.a"])
    assert slept_s(waiter) < 0.1
    waiter.drain()
    assert slept_s(waiter) >= 0.19
    waiter.close()
    waker.close()


def test_only_the_streams_listened_for(folder: Path) -> None:
    waiter, waker = Waiter(folder), Waker(folder)
    assert interest(["bars.a"]) != interest(["market.a"])
    waiter.listen(["bars.a"])
    waker.ring(["market.a"])
    assert slept_s(waiter, 0.1) >= 0.09
    waiter.listen(["market.a", "bars.a"])  # at once, within the same tick of the file system's clock
    waker.ring(["market.a"])
    assert slept_s(waiter) < 0.1
    waiter.drain()
    waiter.listen(["market.a"])
    waker.ring(["bars.a"])
    assert slept_s(waiter, 0.1) >= 0.09
    waiter.close()
    waker.close()


def test_readers_come_and_go(folder: Path) -> None:
    waker = Waker(folder)
    waker.ring(["x"])
    first, second = Waiter(folder), Waiter(folder)
    for waiter in (first, second):
        waiter.listen(["x"])
    waker.ring(["x"])
    assert max(slept_s(first), slept_s(second)) < 0.1
    first.close()
    second.drain()
    waker.ring(["x"])
    assert slept_s(second) < 0.1
    second.close()
    second.listen(["x"])
    waker.ring(["x"])
    assert slept_s(second) < 0.1
    second.close()
    waker.close()


def test_a_full_queue_does_not_block_the_writer(folder: Path) -> None:
    waiter, waker = Waiter(folder), Waker(folder)
    waiter.listen(["x"])
    started = time.monotonic()
    for _ in range(5000):
        waker.ring(["x"])
    assert time.monotonic() - started < 5
    assert slept_s(waiter) < 0.1
    waiter.drain()
    assert slept_s(waiter, 0.05) >= 0.04
    waiter.close()
    waker.close()


def test_the_socket_of_a_dead_reader_is_removed(folder: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from quantlytic.store.log.wakeup import Waiter;"
        "w = Waiter(Path(sys.argv[1])); w.listen(['x']); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=False)
    assert len(os.listdir(folder)) == 1
    waker = Waker(folder)
    waker.ring(["x"])
    waker.close()
    assert os.listdir(folder) == []
    waiter = Waiter(folder)
    waiter.listen(["x"])
    waiter.close()


def test_a_long_path_listens_elsewhere(tmp_path: Path) -> None:
    short = Path("/q")
    assert wake_folder(short) == Path("/q/wake")
    long = tmp_path / ("long" * 20)
    assert len(os.fsencode(wake_folder(long))) <= 64
    assert wake_folder(long) == wake_folder(tmp_path / "x" / ".." / ("long" * 20)) != wake_folder(tmp_path)


def test_without_sockets_the_fallback_still_looks(tmp_path: Path) -> None:
    (tmp_path / "wake").write_text("not a folder")
    waiter = Waiter(tmp_path / "wake")
    waiter.listen(["x"])
    assert slept_s(waiter, 5) < FALLBACK_S
    waiter.close()
