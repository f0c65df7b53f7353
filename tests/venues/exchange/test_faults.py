"""Each fault does what it says, and the exchange tells the truth about it."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import ClientConnection, connect

from quantlytic.model.errors import InputError
from quantlytic.venues.exchange.faults import Faults, kind_of, parse_faults
from quantlytic.venues.exchange.server import ExchangeServer

Serve = Callable[..., tuple[ExchangeServer, Any]]


def listen(server: ExchangeServer, streams: str, seconds: float) -> list[tuple[float, dict[str, Any]]]:
    """Messages with their times of arrival."""
    heard: list[tuple[float, dict[str, Any]]] = []
    with connect(f"{server.stream_url}/stream?streams={streams}") as socket:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                heard.append((time.monotonic(), json.loads(socket.recv(timeout=left))))
            except TimeoutError:
                break
    return heard


def ids(heard: list[tuple[float, dict[str, Any]]], stream: str = "btcusdt@trade") -> list[int]:
    return [message["data"]["t"] for _, message in heard if message["stream"] == stream]


def test_drop_only_the_kind_that_is_named(serve: Serve) -> None:
    server, client = serve(trades_per_s=200, faults={"drop.trade": 0.3})
    heard = listen(server, "btcusdt@trade/btcusdt@depth@100ms", 2)
    got = ids(heard)
    missing = set(range(got[0], got[-1])) - set(got)
    assert 0.1 < len(missing) / (got[-1] - got[0]) < 0.5
    diffs = [m["data"] for _, m in heard if "depth" in m["stream"]]
    assert all(after["U"] == before["u"] + 1 for before, after in pairwise(diffs))
    rows = client.get("historicalTrades", symbol="BTCUSDT", fromId=min(missing), limit=1).json()
    assert rows[0]["id"] == min(missing)  # what was dropped on the way is in the record
    injected = server.state()["faults"]["injected"]
    assert injected["drop.trade"] >= len(missing)
    assert set(injected) == {"drop.trade"}


def test_duplicate(serve: Serve) -> None:
    server, _ = serve(trades_per_s=100, faults={"duplicate": 1.0})
    got = ids(listen(server, "btcusdt@trade", 1))
    assert len(got) > 10
    assert got[:-1:2] == got[1::2]


def test_reorder_swaps_neighbours_and_loses_nothing(serve: Serve) -> None:
    server, _ = serve(trades_per_s=200, faults={"reorder": 0.3})
    got = ids(listen(server, "btcusdt@trade", 2))
    assert got != sorted(got)
    assert len(set(got)) == len(got)
    assert set(range(min(got) + 1, max(got) - 1)) <= set(got)


def test_delay(serve: Serve) -> None:
    server, client = serve(trades_per_s=100, faults={"delay.trade": 1.0, "delay_ms": 300, "delay.times": 1})
    with connect(f"{server.stream_url}/ws/btcusdt@trade") as socket:
        trade = json.loads(socket.recv(timeout=5))
        assert client.get("time").json()["serverTime"] - trade["T"] >= 250
        assert server.state()["faults"]["injected"] == {"delay.trade": 1}


def read_on(socket: ClientConnection) -> None:
    for _ in range(1000):
        socket.recv(timeout=5)


def test_disconnect_by_chance_and_at_once(serve: Serve) -> None:
    server, _ = serve(trades_per_s=100, faults={"disconnect": 0.05})
    with connect(f"{server.stream_url}/ws/btcusdt@trade") as socket, pytest.raises(ConnectionClosedError):
        read_on(socket)
    server.faults.clear()
    with connect(f"{server.stream_url}/ws/btcusdt@trade") as socket:
        socket.recv(timeout=5)
        server.disconnect_all()
        with pytest.raises(ConnectionClosedError):
            read_on(socket)


def silence(socket: ClientConnection) -> None:
    """Read until nothing has come for a while."""
    while True:
        try:
            socket.recv(timeout=0.4)
        except TimeoutError:
            return


def test_stale_feed_with_open_sockets(serve: Serve) -> None:
    server, client = serve(trades_per_s=100)
    with connect(f"{server.stream_url}/ws/btcusdt@trade") as socket:
        before = json.loads(socket.recv(timeout=5))["t"]
        server.faults.set({"stale": 1})
        silence(socket)
        socket.ping().wait(2)  # the connection lives
        assert client.get("trades", symbol="BTCUSDT", limit=1).json()[0]["id"] > before + 5
        server.faults.set({"stale": 0})
        assert json.loads(socket.recv(timeout=5))["t"] > before + 5


def test_requests_fail(serve: Serve) -> None:
    server, client = serve(faults={"http429": 1.0, "http429.times": 1, "retry_after_s": 7})
    refused = client.get("ping")
    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (429, -1003, "7")
    assert client.get("ping").status_code == 200
    server.faults.set({"http5xx": 1.0, "http5xx.times": 1})
    assert client.get("ping").status_code == 503
    server.faults.set({"html": 1.0, "html.times": 1})
    page = client.get("ping")
    assert (page.status_code, page.headers["content-type"].split(";")[0]) == (502, "text/html")
    assert client.get("ping").json() == {}


@pytest.mark.parametrize("fault", ["order_timeout", "order_cut", "order_unknown"])
def test_accepted_and_then_nothing(serve: Serve, fault: str) -> None:
    """The order is in the book and known by its client id, though its sender never heard."""
    server, client = serve(faults={fault: 1.0, f"{fault}.times": 1})
    client.http.timeout = httpx.Timeout(0.5)
    if fault == "order_unknown":
        answer = client.limit("BUY", "50000", "0.001", newClientOrderId="lost")
        assert (answer.status_code, answer.json()["code"]) == (504, -1007)
    else:
        expected = (httpx.ReadTimeout,) if fault == "order_timeout" else (httpx.RemoteProtocolError, httpx.ReadError)
        with pytest.raises(expected):
            client.limit("BUY", "50000", "0.001", newClientOrderId="lost")
    client.http.timeout = httpx.Timeout(10)
    found = client.send("GET", "order", symbol="BTCUSDT", origClientOrderId="lost").json()
    assert found["status"] == "NEW"
    assert client.limit("BUY", "50000", "0.001", newClientOrderId="lost").json()["code"] == -2010
    assert len(server.state()["open_orders"]) == 1
    assert server.state()["faults"]["injected"] == {f"{fault}.rest": 1}


def test_an_order_that_is_looked_at_late_is_taken_within_its_window(serve: Serve) -> None:
    _server, client = serve(faults={"order_late": 1.0, "late_ms": 300.0})
    for window_ms, code in ((1000, None), (200, -2013)):
        client.http.timeout = httpx.Timeout(0.1)
        name = f"late{window_ms}"
        with pytest.raises(httpx.ReadTimeout):
            client.limit("BUY", "50000", "0.001", newClientOrderId=name, recvWindow=window_ms)
        client.http.timeout = httpx.Timeout(10)
        before = client.send("GET", "order", symbol="BTCUSDT", origClientOrderId=name).json()
        assert before["code"] == -2013
        time.sleep(0.5)
        after = client.send("GET", "order", symbol="BTCUSDT", origClientOrderId=name).json()
        assert after.get("status", after.get("code")) == (code or "NEW")


def test_control_at_runtime_needs_the_token(serve: Serve) -> None:
    server, client = serve()
    token = {"X-Box-Token": server.control_token}
    assert client.http.post("/box/faults", json={"drop": 1.0}).status_code == 403
    assert client.http.post("/box/faults", json={"drop": 1.0}, headers={"X-Box-Token": "no"}).status_code == 403
    assert server.faults.settings == {}
    assert client.http.post("/box/faults", json={"drop": 0.5}, headers=token).json() == {"drop": 0.5}
    for wrong in ({"dorp": 1}, {"drop": 2}, {"drop": "x"}, [1]):
        assert client.http.post("/box/faults", json=wrong, headers=token).status_code == 400
    assert server.faults.settings == {"drop": 0.5}
    assert client.http.delete("/box/faults", headers=token).status_code == 200
    assert server.faults.settings == {}
    assert client.http.get("/box/nothing", headers=token).status_code == 404


def test_same_seed_same_faults() -> None:
    def strikes(seed: int) -> list[bool]:
        faults, source = Faults(seed, drop=0.5), random.Random(seed)
        return [faults.strikes("drop", "trade", source) for _ in range(50)]

    assert strikes(1) == strikes(1) != strikes(2)


def test_settings_are_read_and_checked() -> None:
    assert parse_faults(("drop=0.01", "delay.trade=0.2", "stale=1")) == {"drop": 0.01, "delay.trade": 0.2, "stale": 1}
    for wrong in ("drop", "drop=x", "drop=1.5", "drop=nan", "dorp=1", "drop.nope=1", "http429.trade=1", "stale=0.5"):
        with pytest.raises(InputError):
            parse_faults((wrong,))


def test_kinds() -> None:
    names = {"btcusdt@depth20@100ms": "depth", "btcusdt@kline_1s": "kline", "a@aggTrade": "aggTrade", "user:x": "user"}
    assert {name: kind_of(name) for name in names} == names
