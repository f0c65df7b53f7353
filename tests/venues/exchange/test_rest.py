"""REST as a bot sees it: answers, refusals, signatures, limits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from quantlytic.venues.exchange.server import ExchangeServer

Shared = tuple[ExchangeServer, Any]


def wait_for_trades(client: Any, count: int = 5) -> None:
    for _ in range(200):
        if len(client.get("trades", symbol="BTCUSDT", limit=count).json()) >= count:
            return
        time.sleep(0.02)
    raise AssertionError("no trades in four seconds")


def test_public_answers(shared: Shared) -> None:
    _, client = shared
    wait_for_trades(client)
    assert client.get("ping").json() == {}
    assert abs(client.get("time").json()["serverTime"] - time.time() * 1000) < 5000
    assert [s["symbol"] for s in client.get("exchangeInfo").json()["symbols"]] == ["BTCUSDT", "ETHUSDT"]
    only = client.get("exchangeInfo", symbols='["ETHUSDT"]').json()
    assert [s["symbol"] for s in only["symbols"]] == ["ETHUSDT"]
    depth = client.get("depth", symbol="BTCUSDT", limit=5).json()
    assert float(depth["bids"][0][0]) < float(depth["asks"][0][0])
    assert len(depth["bids"]) == 5
    assert client.get("ticker/24hr", symbol="BTCUSDT").json()["count"] >= 5
    assert {row["symbol"] for row in client.get("ticker/price").json()} == {"BTCUSDT", "ETHUSDT"}
    for path in ("margin/allPairs", "margin/isolated/allPairs"):
        assert client.http.get(f"/sapi/v1/{path}").json() == []


def test_trades_by_id(shared: Shared) -> None:
    _, client = shared
    wait_for_trades(client)
    rows = client.get("historicalTrades", symbol="BTCUSDT", fromId=2, limit=3).json()
    assert [row["id"] for row in rows] == [2, 3, 4]
    latest = client.get("trades", symbol="BTCUSDT", limit=2).json()
    assert latest[1]["id"] == latest[0]["id"] + 1
    aggregates = client.get("aggTrades", symbol="BTCUSDT", fromId=2, limit=2).json()
    assert [row["a"] for row in aggregates] == [2, 3]
    assert client.get("historicalTrades", symbol="BTCUSDT", fromId=10**9).json() == []


def test_klines_by_time(shared: Shared) -> None:
    _, client = shared
    wait_for_trades(client)
    rows = client.get("klines", symbol="BTCUSDT", interval="1s").json()
    start = rows[0][0]
    assert client.get("klines", symbol="BTCUSDT", interval="1s", startTime=start, limit=1).json()[0][0] == start
    assert client.get("klines", symbol="BTCUSDT", interval="1s", startTime=0, endTime=start - 1).json() == []
    minute = client.get("klines", symbol="BTCUSDT", interval="1m").json()[0]
    assert minute[0] % 60_000 == 0
    assert minute[8] > 0


@pytest.mark.parametrize(
    ("path", "params", "status", "code"),
    [
        ("depth", {}, 400, -1102),
        ("depth", {"symbol": "NOPE"}, 400, -1121),
        ("depth", {"symbol": "BTCUSDT", "limit": "x"}, 400, -1100),
        ("trades", {"symbol": "BTCUSDT", "limit": "0"}, 400, -1130),
        ("klines", {"symbol": "BTCUSDT", "interval": "7m"}, 400, -1120),
        ("historicalTrades", {"symbol": "BTCUSDT", "fromId": "-3"}, 400, -1100),
        ("exchangeInfo", {"symbols": "[broken"}, 400, -1100),
        ("nothing", {}, 404, -1000),
        ("account", {}, 401, -2014),
    ],
)
def test_public_refusals(shared: Shared, path: str, params: dict[str, str], status: int, code: int) -> None:
    answer = shared[1].get(path, **params)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


GOOD = {"type": "LIMIT", "timeInForce": "GTC", "price": "50000.00", "quantity": "0.001"}


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"price": "50000.001"}, -1013, "PRICE_FILTER"),
        ({"quantity": "0.000001"}, -1013, "LOT_SIZE"),
        ({"quantity": "0.00002"}, -1013, "NOTIONAL"),
        ({"price": "1.00", "quantity": "10"}, -1013, "PERCENT_PRICE_BY_SIDE"),
        ({"price": ""}, -1102, "price"),
        ({"timeInForce": ""}, -1102, "timeInForce"),
        ({"timeInForce": "GTX"}, -1115, "timeInForce"),
        ({"side": "HOLD"}, -1117, "side"),
        ({"type": "STOP_LOSS"}, -1116, "orderType"),
        ({"symbol": "NOPE"}, -1121, "symbol"),
        ({"quantity": "abc"}, -1100, "quantity"),
        ({"quantity": "9000"}, -2010, "insufficient balance"),
        ({"newClientOrderId": "x~y"}, -1100, "newClientOrderId"),
        ({"icebergQty": "1"}, -1106, "icebergQty"),
        ({"selfTradePreventionMode": "NONE"}, -2010, "self-trade"),
        ({"type": "MARKET"}, -1106, "price"),
        ({"type": "LIMIT_MAKER", "price": "90000"}, -2010, "immediately match"),
    ],
)
def test_order_refusals(shared: Shared, change: dict[str, str], code: int, words: str) -> None:
    _, client = shared
    before = client.balances()
    answer = client.send("POST", "order", **({"symbol": "BTCUSDT", "side": "BUY"} | GOOD | change))
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert words in answer.json()["msg"]
    assert client.balances() == before


def test_life_of_a_limit_order(shared: Shared) -> None:
    server, client = shared
    placed = client.limit("BUY", "50000.00", "0.01", newClientOrderId="life").json()
    assert (placed["status"], placed["clientOrderId"], placed["fills"]) == ("NEW", "life", [])
    assert client.balances()["USDT"][1] == "500.00000000"
    assert [o["orderId"] for o in client.send("GET", "openOrders").json()] == [placed["orderId"]]
    assert server.state()["open_orders"] == [{"account": "demo", "symbol": "BTCUSDT", "order_id": placed["orderId"]}]
    found = client.send("GET", "order", symbol="BTCUSDT", origClientOrderId="life").json()
    assert (found["status"], found["orderId"]) == ("NEW", placed["orderId"])
    gone = client.send("DELETE", "order", symbol="BTCUSDT", orderId=placed["orderId"], newClientOrderId="stop").json()
    assert (gone["status"], gone["origClientOrderId"], gone["clientOrderId"]) == ("CANCELED", "life", "stop")
    assert client.balances()["USDT"][1] == "0.00000000"
    again = client.send("DELETE", "order", symbol="BTCUSDT", orderId=placed["orderId"])
    assert again.json()["code"] == -2011
    assert client.send("GET", "order", symbol="BTCUSDT", orderId=10**12).json()["code"] == -2013
    assert client.send("GET", "order", symbol="ETHUSDT", orderId=placed["orderId"]).json()["code"] == -2013
    assert client.send("GET", "order", symbol="BTCUSDT").json()["code"] == -1102


def test_market_order_fills_and_fees(shared: Shared) -> None:
    _, client = shared
    before = client.balances()
    placed = client.order("BUY", type="MARKET", quantity="0.00500", newClientOrderId="mkt").json()
    assert (placed["status"], placed["executedQty"]) == ("FILLED", "0.00500000")
    fills = placed["fills"]
    fee = sum(round(float(fill["commission"]) * 1e8) for fill in fills)
    assert fee == sum(round(float(fill["qty"]) * 1e8) // 1000 for fill in fills)
    after = client.balances()
    units = {asset: round(float(after[asset][0]) * 1e8) - round(float(before[asset][0]) * 1e8) for asset in after}
    assert units["BTC"] == 500_000 - fee
    assert units["USDT"] == -round(float(placed["cummulativeQuoteQty"]) * 1e8)
    mine = client.send("GET", "myTrades", symbol="BTCUSDT", orderId=placed["orderId"]).json()
    assert [(row["id"], row["qty"]) for row in mine] == [(fill["tradeId"], fill["qty"]) for fill in fills]
    public = client.get("historicalTrades", symbol="BTCUSDT", fromId=mine[0]["id"], limit=1).json()[0]
    assert (public["price"], public["qty"], public["time"]) == (mine[0]["price"], mine[0]["qty"], mine[0]["time"])
    repeat = client.order("BUY", type="MARKET", quantity="0.00500", newClientOrderId="mkt")
    assert repeat.json() == {"code": -2010, "msg": "Duplicate order sent."}
    assert client.balances() == after


@pytest.mark.parametrize(("kind", "fields"), [("ACK", 5), ("RESULT", 16), ("FULL", 17)])
def test_kinds_of_answer(shared: Shared, kind: str, fields: int) -> None:
    answer = shared[1].limit("BUY", "50000.00", "0.001", newOrderRespType=kind).json()
    assert len(answer) == fields
    shared[1].send("DELETE", "openOrders", symbol="BTCUSDT")


def test_quote_quantity_and_test_order(shared: Shared) -> None:
    _, client = shared
    placed = client.order("BUY", type="MARKET", quoteOrderQty="100").json()
    assert 99 < float(placed["cummulativeQuoteQty"]) <= 100
    before = client.balances()
    answer = client.send("POST", "order/test", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.01")
    assert (answer.status_code, answer.json()) == (200, {})
    assert client.balances() == before


def test_cancel_all_and_order_history(shared: Shared) -> None:
    _, client = shared
    ids = [client.limit("BUY", "50000.00", "0.001").json()["orderId"] for _ in range(3)]
    assert [o["orderId"] for o in client.send("DELETE", "openOrders", symbol="BTCUSDT").json()] == ids
    assert client.send("DELETE", "openOrders", symbol="BTCUSDT").json()["code"] == -2011
    history = client.send("GET", "allOrders", symbol="BTCUSDT", orderId=ids[0]).json()
    assert [(o["orderId"], o["status"]) for o in history] == [(number, "CANCELED") for number in ids]
    assert client.send("GET", "allOrders", symbol="BTCUSDT", limit=1).json()[0]["orderId"] == ids[2]


def test_signatures(shared: Shared) -> None:
    _, client = shared
    good = client.sign({"symbol": "BTCUSDT"})
    assert client.send("GET", "openOrders", text=good).status_code == 200
    assert client.send("GET", "openOrders", text=good.replace("BTCUSDT", "ETHUSDT")).json()["code"] == -1022
    assert client.send("GET", "openOrders", text=good[:-1]).json()["code"] == -1022
    assert client.send("GET", "openOrders", text=good.rpartition("&")[0]).json()["code"] == -1102
    stale = client.send("GET", "account", timestamp=int(time.time() * 1000) - 6000)
    assert (stale.status_code, stale.json()["code"]) == (400, -1021)
    assert client.send("GET", "account", timestamp=int(time.time() * 1000) - 6000, recvWindow=20_000).status_code == 200
    assert client.send("GET", "account", timestamp=int(time.time() * 1000) + 9000).json()["code"] == -1021
    assert client.send("GET", "account", timestamp="soon").json()["code"] == -1102
    assert client.send("GET", "account", recvWindow=70_000).json()["code"] == -1131
    unknown = client.http.get("/api/v3/account?" + client.sign({}), headers={"X-MBX-APIKEY": "0" * 64})
    assert (unknown.status_code, unknown.json()["code"]) == (401, -2015)


def test_signed_body_instead_of_query(shared: Shared) -> None:
    _, client = shared
    body = client.sign({"symbol": "BTCUSDT", "side": "BUY", **GOOD})
    headers = {"X-MBX-APIKEY": client.key, "Content-Type": "application/x-www-form-urlencoded"}
    answer = client.http.post("/api/v3/order", content=body, headers=headers)
    assert answer.json()["status"] == "NEW"
    client.send("DELETE", "openOrders", symbol="BTCUSDT")


def test_weights_and_the_limit(serve: Callable[..., tuple[ExchangeServer, Any]]) -> None:
    while time.time() % 60 > 55:  # the window is a minute of the clock: do not run across its end
        time.sleep(0.2)
    _, client = serve(weight_limit=60)
    used = [int(client.get("trades", symbol="BTCUSDT").headers["x-mbx-used-weight-1m"]) for _ in range(2)]
    assert used == [25, 50]
    refused = client.get("trades", symbol="BTCUSDT")
    assert (refused.status_code, refused.json()["code"]) == (429, -1003)
    assert 0 < int(refused.headers["retry-after"]) <= 60


def test_order_rate_limit(serve: Callable[..., tuple[ExchangeServer, Any]]) -> None:
    while time.time() % 10 > 8:
        time.sleep(0.1)
    _, client = serve(order_limit=2)
    counts = [client.limit("BUY", "50000", "0.001").headers["x-mbx-order-count-10s"] for _ in range(2)]
    assert counts == ["1", "2"]
    refused = client.limit("BUY", "50000", "0.001")
    assert (refused.status_code, refused.json()["code"]) == (429, -1015)


def test_max_open_orders(serve: Callable[..., tuple[ExchangeServer, Any]]) -> None:
    _, client = serve(order_limit=1000)
    for _ in range(200):
        assert client.limit("BUY", "50000", "0.0002").status_code == 200
    assert client.limit("BUY", "50000", "0.0002").json()["msg"] == "Filter failure: MAX_NUM_ORDERS"
