"""Orders to Alpaca by the unmodified SDK, against a local server that speaks its protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

pytest.importorskip("alpaca", reason="needs alpaca-py (pip install quantlytic[alpaca])")
pytest.importorskip("aiohttp", reason="the local server needs aiohttp")

from tests.venues.alpaca.server import AlpacaServer

from quantlytic.model.order import Order, OrderStatus, OrderType, TimeInForce
from quantlytic.model.side import Side
from quantlytic.venues.alpaca.keys import AlpacaKeys
from quantlytic.venues.alpaca.market import AlpacaMarket
from quantlytic.venues.alpaca.orders import AlpacaOrders, AlpacaTimings

QUICK = AlpacaTimings(request=0.5, poll=0.02, settle=2, patience=8)
AAPL = "alpaca:AAPL"
Work = Callable[[AlpacaOrders], Awaitable[None]]


@pytest.fixture(scope="module")
def server() -> Iterator[AlpacaServer]:
    with AlpacaServer() as server:
        yield server


def market_at(server: AlpacaServer) -> AlpacaMarket:
    return AlpacaMarket(
        trading_url=server.rest_url,
        trading_stream_url=f"{server.socket_url}/stream",
        data_url=server.rest_url,
        stock_stream_url=f"{server.socket_url}/v2/iex",
        crypto_stream_url=f"{server.socket_url}/v1beta3/crypto/us",
        calls_per_minute=60_000,
    )


def run(server: AlpacaServer, work: Work, keys: AlpacaKeys | None = None) -> None:
    async def scenario() -> None:
        async with AlpacaOrders(market_at(server), keys or AlpacaKeys("KEY", "SECRET"), timings=QUICK) as orders:
            async with asyncio.timeout(30):
                await work(orders)

    asyncio.run(scenario())


def limit_order(price: float, quantity: float = 1.0, side: Side = Side.BUY) -> Order:
    return Order("r", 1, AAPL, 0, side, OrderType.LIMIT, TimeInForce.GTC, quantity, price)


def test_an_order_lives_from_submit_to_cancel(server: AlpacaServer) -> None:
    async def work(orders: AlpacaOrders) -> None:
        state = await orders.submit(limit_order(100.0), "life.1")
        assert (state.status, state.client_order_id, state.instrument) == (OrderStatus.NEW, "life.1", AAPL)
        assert await orders.status(AAPL, "life.1") == state
        assert [each.client_order_id for each in await orders.open_orders()] == ["life.1"]
        assert await orders.reconcile([state]) == []
        assert (await orders.balances())["USD"].locked == pytest.approx(100.0)
        gone = await orders.cancel(AAPL, "life.1")
        assert (gone.status, gone.filled_quantity) == (OrderStatus.CANCELED, 0.0)
        assert await orders.status(AAPL, "never-sent") is None

    run(server, work)
    assert all(agent.startswith("APCA-PY/") for agent in server.agents)
