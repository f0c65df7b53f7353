"""A served page over a real log, for tests that ask it things."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from tests.web.paper_tape import PaperTape

from quantlytic.store.log.sqlite import SqliteLog
from quantlytic.web.server import WebServer

TOKEN = "a-token-that-is-long-enough"


class Served(NamedTuple):
    server: WebServer
    tape: PaperTape
    home: Path

    @property
    def address(self) -> str:
        return self.server.address

    def get(self, path: str, **headers: str) -> httpx.Response:
        """An answer to a program that has the token."""
        return httpx.get(self.address + path, headers={"Authorization": f"Bearer {TOKEN}", **headers})


def wait_until(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Fails when the condition does not become true."""
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A page over 120 seconds of a made-up run; nothing is written after that unless a test does."""
    home = tmp_path_factory.mktemp("home")
    log = SqliteLog(home / "log")
    tape = PaperTape(log, home / "outbox")
    tape.history(time.time_ns(), bars=120)
    server = WebServer(
        lambda: SqliteLog(home / "log"), venue="box", outbox=home / "outbox", token=TOKEN, port=0,
        bar_sizes=["1s"], list_runs=lambda: [tape.run], warmup_bars=12,
    )  # fmt: skip
    with server:
        served = Served(server, tape, home)
        wait_until(lambda: not served.get("api/snapshot").json()["loading"])
        yield served
    tape.close()
    log.close()
