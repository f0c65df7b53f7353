"""Starting and stopping, in a thread and from the command line."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from quantlytic.model.errors import InputError, StoreError
from quantlytic.model.time import NS_PER_S
from quantlytic.venues.exchange.box import Clock
from quantlytic.venues.exchange.config import AccountConfig, ExchangeConfig
from quantlytic.venues.exchange.server import ExchangeServer

Serve = Callable[..., tuple[ExchangeServer, Any]]


def test_starts_answers_stops_and_starts_again() -> None:
    before = threading.active_count()
    server = ExchangeServer(ExchangeConfig(port=0)).start()
    url = server.rest_url
    assert httpx.get(url + "/api/v3/ping").json() == {}
    with connect(server.stream_url + "/ws/btcusdt@bookTicker") as client:
        client.recv(timeout=5)
        begun = time.monotonic()
        server.stop()  # with a client still connected
        assert time.monotonic() - begun < 3
    server.stop()
    assert threading.active_count() <= before  # another test's thread may end meanwhile
    with pytest.raises(httpx.ConnectError):
        httpx.get(url + "/api/v3/ping")
    with ExchangeServer(ExchangeConfig(port=int(url.rpartition(":")[2]))) as again:
        assert again.rest_url == url


def test_one_server_can_be_started_twice(tmp_path: Path) -> None:
    server = ExchangeServer(ExchangeConfig(port=0, folder=tmp_path))
    for _ in range(2):
        server.start()
        assert httpx.get(server.rest_url + "/api/v3/ping").json() == {}
        server.stop()


def test_clock_follows_forward_and_never_goes_back() -> None:
    wall, steady = [1000 * NS_PER_S], [0]
    clock = Clock(lambda: wall[0], lambda: steady[0])
    steady[0] = wall[0] = 5 * NS_PER_S  # the wall clock was set back
    assert clock.now_ns() == 1005 * NS_PER_S
    wall[0] = 4000 * NS_PER_S  # the machine slept
    assert clock.now_ns() == 4000 * NS_PER_S
    steady[0] += NS_PER_S
    assert clock.now_ns() == 4001 * NS_PER_S


def test_port_in_use_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"port {port} .* in use.*--port") as error:
            ExchangeServer(ExchangeConfig(port=port)).start()
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"symbols": ("NOPE",)},
        {"symbols": ()},
        {"accounts": (AccountConfig(deposits={"BTC": "-1"}),)},
        {"accounts": (AccountConfig(name="crowd"),)},
    ],
)
def test_bad_settings_are_refused_at_the_start(settings: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        ExchangeServer(ExchangeConfig(port=0, **settings)).start()


def test_two_on_one_folder(tmp_path: Path, serve: Serve) -> None:
    serve(folder=tmp_path)
    with pytest.raises(StoreError, match="journal"):
        serve(folder=tmp_path)


def test_keys_are_random_unless_given(serve: Serve) -> None:
    first, _ = serve()
    second, _ = serve(accounts=(AccountConfig(api_key="a", api_secret="b"),))
    assert first.keys() != second.keys() == ("a", "b")
    assert len(first.keys()[1]) == 64


def test_state_counts_what_was_told(serve: Serve) -> None:
    server, client = serve(trades_per_s=100)
    with connect(server.stream_url + "/ws/btcusdt@trade") as socket_:
        heard = [socket_.recv(timeout=5) for _ in range(20)]
    state = client.http.get("/box/state").json()
    assert state["mode"] == "synthetic"
    assert state["delivered"]["btcusdt@trade"] >= len(heard)
    assert state["emitted"]["btcusdt@trade"] == state["symbols"]["BTCUSDT"]["last_trade_id"]
    assert state["accounts"]["demo"]["BTC"] == {"free": "1.00000000", "locked": "0.00000000"}
    assert state["totals"]["USDT"] == "20000100000.00000000"


def test_when_the_journal_fails_the_exchange_stops(tmp_path: Path, serve: Serve) -> None:
    server, _ = serve(folder=tmp_path)
    box = server._running()

    def full(*_: Any) -> None:
        raise StoreError("disk full")

    box.journal.commit = full  # type: ignore[method-assign]
    assert server.wait(5)
    assert isinstance(server.failure, StoreError)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_command_line_ends_cleanly(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "quantlytic", "exchange", "--port", "0", "--fault", "drop=0.5"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    lines = [child.stdout.readline() for _ in range(4)]
    assert "REST http://127.0.0.1:" in lines[0]
    assert "X-Box-Token" in lines[1]
    assert "API key" in lines[2]
    child.send_signal(number)
    _, errors = child.communicate(timeout=10)
    assert (child.returncode, errors) == (0, "")


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--symbols", "NOPE"], 2, "NOPE"),
        (["--fault", "dorp=1"], 2, "dorp"),
        (["--speed", "0"], 2, "0"),
        (["--replay", "missing.gz"], 2, "missing.gz"),
    ],
)
def test_command_line_refuses(options: list[str], code: int, words: str) -> None:
    command = [sys.executable, "-m", "quantlytic", "exchange", "--port", "0", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, env=os.environ)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr
