"""WebSockets as a bot sees them: subscriptions, envelopes, the account's own stream, the WebSocket API."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from quantlytic.venues.exchange.config import AccountConfig
from quantlytic.venues.exchange.server import ExchangeServer

Shared = tuple[ExchangeServer, Any]


def hear(socket: ClientConnection, wanted: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
    for _ in range(500):
        message: dict[str, Any] = json.loads(socket.recv(timeout=5))
        if wanted(message):
            return message
    raise AssertionError("500 messages, and none was the one")


def ask(socket: ClientConnection, method: str, params: Any = None, number: Any = 1) -> dict[str, Any]:
    socket.send(json.dumps({"method": method, "params": params, "id": number}))
    return hear(socket, lambda message: "id" in message)


@pytest.mark.parametrize(
    ("path", "combined"),
    [
        ("/ws/btcusdt@trade", False),
        ("/stream?streams=btcusdt@trade", True),
        ("/stream?streams=ethusdt@bookTicker/btcusdt@trade", True),
        ("/stream/ws/btcusdt@trade", False),
    ],
)
def test_streams_in_the_address(shared: Shared, path: str, combined: bool) -> None:
    with connect(shared[0].stream_url + path) as socket:
        message = hear(socket, lambda m: m.get("stream") == "btcusdt@trade" if combined else m.get("e") == "trade")
        assert ("data" in message) == combined


@pytest.mark.parametrize("path", ["/ws", "/ws/0", "/ws/17", "/stream"])
def test_subscribe_list_unsubscribe(shared: Shared, path: str) -> None:
    streams = ["btcusdt@trade", "btcusdt@depth@100ms"]
    with connect(shared[0].stream_url + path) as socket:
        assert ask(socket, "SUBSCRIBE", streams, 5) == {"result": None, "id": 5}
        assert ask(socket, "LIST_SUBSCRIPTIONS", number="six") == {"result": streams, "id": "six"}
        hear(socket, lambda m: m.get("data", m).get("e") == "trade")
        assert ask(socket, "UNSUBSCRIBE", streams[:1])["result"] is None
        assert ask(socket, "LIST_SUBSCRIPTIONS")["result"] == streams[1:]


def test_envelopes_can_be_switched(shared: Shared) -> None:
    with connect(shared[0].stream_url + "/ws/btcusdt@bookTicker") as socket:
        assert "u" in hear(socket)
        assert ask(socket, "SET_PROPERTY", ["combined", True])["result"] is None
        assert hear(socket, lambda m: "stream" in m)["stream"] == "btcusdt@bookTicker"


@pytest.mark.parametrize("text", ["", "[]", "{}", "{broken", '{"method": "SUBSCRIBE", "params": "x", "id": 1}'])
def test_junk_is_answered(shared: Shared, text: str) -> None:
    with connect(shared[0].stream_url + "/ws") as socket:
        socket.send(text)
        assert "error" in hear(socket)


@pytest.mark.parametrize("name", ["nope@trade", "btcusdt@nope", "btcusdt@kline_7m", "btcusdt", "BTCUSDT@trade"])
def test_unknown_streams_are_named(shared: Shared, name: str) -> None:
    with connect(shared[0].stream_url + "/ws") as socket:
        assert name in ask(socket, "SUBSCRIBE", [name])["error"]["msg"]


@pytest.mark.parametrize(
    ("stream", "field"),
    [
        ("btcusdt@trade", "t"),
        ("btcusdt@aggTrade", "a"),
        ("btcusdt@bookTicker", "B"),
        ("btcusdt@depth", "U"),
        ("btcusdt@depth@1000ms", "U"),
        ("btcusdt@depth@100ms", "u"),
        ("btcusdt@depth5", "lastUpdateId"),
        ("btcusdt@depth20@100ms", "lastUpdateId"),
        ("btcusdt@kline_1s", "k"),
        ("btcusdt@ticker", "w"),
        ("btcusdt@miniTicker", "c"),
    ],
)
def test_every_kind_of_stream_speaks(shared: Shared, stream: str, field: str) -> None:
    with connect(f"{shared[0].stream_url}/ws/{stream}") as socket:
        assert field in hear(socket)


def test_book_from_snapshot_and_diffs(shared: Shared) -> None:
    """The documented way: buffer diffs, fetch the snapshot, drop what is older, check that each follows the last."""
    server, client = shared
    with connect(server.stream_url + "/ws/btcusdt@depth@100ms") as socket:
        buffered = [hear(socket)]
        snapshot = client.get("depth", symbol="BTCUSDT", limit=5000).json()
        last = snapshot["lastUpdateId"]
        book = {side: {float(p): float(q) for p, q in snapshot[side]} for side in ("bids", "asks")}
        joined = False
        for _ in range(25):
            diff = buffered.pop() if buffered else hear(socket)
            if diff["u"] <= last:
                continue
            assert diff["U"] == last + 1 if joined else diff["U"] <= last + 1 <= diff["u"]
            joined, last = True, diff["u"]
            for side, rows in (("bids", diff["b"]), ("asks", diff["a"])):
                book[side].update({float(price): float(quantity) for price, quantity in rows})
            assert max(p for p, q in book["bids"].items() if q) < min(p for p, q in book["asks"].items() if q)
        assert joined


def test_own_stream_by_listen_key(shared: Shared) -> None:
    server, client = shared
    headers = {"X-MBX-APIKEY": client.key}
    key = client.http.post("/api/v3/userDataStream", headers=headers).json()["listenKey"]
    assert client.http.post("/api/v3/userDataStream", headers=headers).json()["listenKey"] == key
    assert client.http.put(f"/api/v3/userDataStream?listenKey={key}", headers=headers).json() == {}
    with connect(f"{server.stream_url}/ws/{key}") as socket:
        time.sleep(0.05)
        number = client.limit("BUY", "50000", "0.001", newClientOrderId="listen").json()["orderId"]
        report = hear(socket)
        assert (report["e"], report["x"], report["i"], report["c"]) == ("executionReport", "NEW", number, "listen")
        position = hear(socket)
        assert {"a": "USDT", "l": "50.00000000"}.items() <= position["B"][1].items()
        client.send("DELETE", "order", symbol="BTCUSDT", orderId=number)
        report = hear(socket)
        assert (report["x"], report["X"], report["C"]) == ("CANCELED", "CANCELED", "listen")
    assert client.http.delete(f"/api/v3/userDataStream?listenKey={key}", headers=headers).json() == {}
    refused = client.http.put(f"/api/v3/userDataStream?listenKey={key}", headers=headers)
    assert refused.json()["code"] == -1125


def signed(client: Any, **params: Any) -> dict[str, Any]:
    """Parameters of a WebSocket API request: signed in the order of their names."""
    values = {"apiKey": client.key, "timestamp": int(time.time() * 1000)} | params
    ordered = "&".join(f"{name}={values[name]}" for name in sorted(values))
    return values | {"signature": client.signature(ordered)}


def test_websocket_api_trades(shared: Shared) -> None:
    server, client = shared
    with connect(server.stream_url + "/ws-api/v3") as socket:
        assert ask(socket, "ping") == {"id": 1, "status": 200, "result": {}, "rateLimits": []}
        assert ask(socket, "userDataStream.subscribe.signature", signed(client))["result"] == {"subscriptionId": 0}
        order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
        placed = ask(socket, "order.place", signed(client, **order, price="50000.00", quantity="0.00100"), "a")
        assert (placed["id"], placed["status"], placed["result"]["status"]) == ("a", 200, "NEW")
        ask_id = placed["result"]["orderId"]
        status = ask(socket, "order.status", signed(client, symbol="BTCUSDT", orderId=ask_id))
        assert status["result"]["status"] == "NEW"
        assert ask(socket, "openOrders.cancelAll", signed(client, symbol="BTCUSDT"))["result"][0]["orderId"] == ask_id
        wrong = ask(socket, "account.status", signed(client) | {"signature": "0" * 64})
        assert (wrong["status"], wrong["error"]["code"]) == (400, -1022)
        assert ask(socket, "no.such")["error"]["code"] == -1000


def test_own_events_come_in_the_websocket_apis_envelope(shared: Shared) -> None:
    server, client = shared
    with connect(server.stream_url + "/ws-api/v3") as socket:
        ask(socket, "userDataStream.subscribe.signature", signed(client))
        client.limit("BUY", "50000", "0.001")
        event = hear(socket)
        assert (event["subscriptionId"], event["event"]["e"]) == (0, "executionReport")
        client.send("DELETE", "openOrders", symbol="BTCUSDT")


def test_one_account_does_not_hear_another(serve: Callable[..., tuple[ExchangeServer, Any]]) -> None:
    accounts = (AccountConfig(), AccountConfig(name="other"))
    server, client = serve(accounts=accounts)
    key, _ = server.keys("other")
    answer = client.http.post("/api/v3/userDataStream", headers={"X-MBX-APIKEY": key})
    with connect(f"{server.stream_url}/ws/{answer.json()['listenKey']}") as socket:
        client.limit("BUY", "50000", "0.001")
        with pytest.raises(TimeoutError):
            socket.recv(timeout=0.3)
