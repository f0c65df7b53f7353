"""An unmodified ccxt trades on the exchange in a box, by REST and by WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest

from quantlytic.venues.exchange.config import ExchangeConfig
from quantlytic.venues.exchange.server import ExchangeServer

ccxt = pytest.importorskip("ccxt", reason="needs ccxt (pip install quantlytic[ccxt])")
SYMBOL = "BTC/USDT"


def point_at(urls: dict[str, Any], server: ExchangeServer) -> None:
    """Rewrite every address that ccxt knows for Binance: the path stays, the host becomes ours; all WebSockets go to /ws."""
    for name, url in urls.items():
        if isinstance(url, dict):
            point_at(url, server)
        elif url.startswith("wss"):
            urls[name] = f"{server.stream_url}/ws"
        else:
            urls[name] = server.rest_url + "/" + url.partition("://")[2].partition("/")[2]


def trade(script: Callable[[Any, ExchangeServer], Awaitable[None]]) -> None:
    """Run a script with ccxt pointed at a fresh exchange, as the README tells people to."""
    import ccxt.pro

    async def run(server: ExchangeServer) -> None:
        key, secret = server.keys()
        options = {"fetchMarkets": {"types": ["spot"]}, "fetchCurrencies": False}
        binance = ccxt.pro.binance({"apiKey": key, "secret": secret, "options": options})
        point_at(binance.urls["api"], server)
        try:
            async with asyncio.timeout(60):
                await binance.load_markets()
                await script(binance, server)
        finally:
            await binance.close()

    with ExchangeServer(ExchangeConfig(port=0)) as server:
        asyncio.run(run(server))


def test_market_data() -> None:
    async def script(binance: Any, server: ExchangeServer) -> None:
        assert set(binance.markets) == {"BTC/USDT", "ETH/USDT"}
        market = binance.market(SYMBOL)
        assert (market["precision"]["price"], market["precision"]["amount"]) == (0.01, 1e-05)
        assert market["limits"]["cost"]["min"] == 5.0

        trades = await binance.watch_trades(SYMBOL)
        fetched = await binance.fetch_trades(SYMBOL, params={"fromId": trades[0]["id"]}, limit=1)
        same = ("id", "price", "amount", "timestamp")
        assert [fetched[0][name] for name in same if name != "id"] == [trades[0][name] for name in same if name != "id"]

        nonce = 0
        for _ in range(5):
            book = await binance.watch_order_book(SYMBOL)
            assert book["bids"][0][0] < book["asks"][0][0]
            assert book["nonce"] > nonce
            nonce = book["nonce"]
        book = await binance.fetch_order_book(SYMBOL, 5)
        assert len(book["bids"]) == 5

        ticker = await binance.watch_ticker(SYMBOL)
        assert 50_000 < ticker["last"] < 70_000
        quote = (await binance.watch_bids_asks([SYMBOL]))[SYMBOL]
        assert quote["bid"] < quote["ask"]
        candle = (await binance.watch_ohlcv(SYMBOL, "1s"))[-1]
        closed = await binance.fetch_ohlcv(SYMBOL, "1s", since=candle[0], limit=1)
        assert closed[0][:2] == candle[:2]
        assert (await binance.fetch_ticker(SYMBOL))["symbol"] == SYMBOL

    trade(script)


def test_orders_and_balances_by_rest() -> None:
    async def script(binance: Any, server: ExchangeServer) -> None:
        bought = await binance.create_order(SYMBOL, "market", "buy", 0.01)
        assert (bought["status"], bought["filled"]) == ("closed", 0.01)
        resting = await binance.create_order(SYMBOL, "limit", "sell", 0.005, 70_000)
        assert resting["status"] == "open"
        assert [o["id"] for o in await binance.fetch_open_orders(SYMBOL)] == [resting["id"]]
        assert (await binance.fetch_balance())["BTC"]["used"] == 0.005
        assert (await binance.cancel_order(resting["id"], SYMBOL))["status"] == "canceled"
        assert (await binance.fetch_order(resting["id"], SYMBOL))["status"] == "canceled"
        sold = await binance.create_order(SYMBOL, "limit", "sell", 0.004, 50_000, {"timeInForce": "IOC"})
        assert (sold["status"], sold["average"] > 50_000) == ("closed", True)
        assert len(await binance.fetch_my_trades(SYMBOL)) >= 2
        assert [o["id"] for o in await binance.fetch_orders(SYMBOL)] == [bought["id"], resting["id"], sold["id"]]
        with pytest.raises(ccxt.InsufficientFunds):
            await binance.create_order(SYMBOL, "limit", "buy", 10, 60_000)
        with pytest.raises(ccxt.OrderNotFound):
            await binance.cancel_order("999999999", SYMBOL)
        with pytest.raises(ccxt.BadRequest, match="NOTIONAL"):
            await binance.create_order(SYMBOL, "limit", "sell", 0.00002, 50_000)
        with pytest.raises(ccxt.OrderImmediatelyFillable):
            await binance.create_order(SYMBOL, "limit", "sell", 0.01, 50_000, {"postOnly": True})
        binance.secret = "wrong"
        with pytest.raises(ccxt.AuthenticationError):
            await binance.fetch_balance()

    trade(script)


def test_own_orders_trades_and_balances_by_websocket() -> None:
    async def script(binance: Any, server: ExchangeServer) -> None:
        reports: dict[str, list[str]] = {}
        fills: dict[str, float] = {}
        balances: dict[str, Any] = {}

        async def orders() -> None:
            while True:
                for order in await binance.watch_orders(SYMBOL):
                    reports.setdefault(order["id"], []).append(order["status"])

        async def my_trades() -> None:
            while True:
                fills.update({fill["id"]: fill["amount"] for fill in await binance.watch_my_trades(SYMBOL)})

        async def own_balances() -> None:
            while True:
                balances.update(await binance.watch_balance())

        watchers = [asyncio.create_task(watch()) for watch in (orders, my_trades, own_balances)]
        await asyncio.sleep(0.5)
        bought = await binance.create_order(SYMBOL, "market", "buy", 0.02)
        resting = await binance.create_order(SYMBOL, "limit", "sell", 0.01, 70_000)
        await binance.cancel_order(resting["id"], SYMBOL)
        sold = await binance.create_order(SYMBOL, "market", "sell", 0.015)
        for _ in range(100):
            if reports.get(sold["id"], [""])[-1] == "closed":
                break
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.1)
        for watcher in watchers:
            watcher.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)

        assert reports[bought["id"]][-1] == "closed"
        assert reports[resting["id"]][-1] == "canceled"
        assert sum(fills.values()) == pytest.approx(0.035)
        truth = server.state()["accounts"]["demo"]
        fetched = await binance.fetch_balance()
        for asset in ("BTC", "USDT"):
            assert {balances[asset]["free"], fetched[asset]["free"]} == {float(truth[asset]["free"])}
            assert {balances[asset]["used"], fetched[asset]["used"]} == {0.0}
        state = server.state()
        for asset, total in state["totals"].items():
            parts = [a[asset] for a in state["accounts"].values() if asset in a]
            assert sum(Decimal(part["free"]) + Decimal(part["locked"]) for part in parts) == Decimal(total)

    trade(script)
