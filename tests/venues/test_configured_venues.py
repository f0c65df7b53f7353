"""Venues as the settings open them: by name and addresses, with keys from the environment, over real sockets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.venues.conformance import Recording, Rig, until
from tests.venues.conformance_rigs import AlpacaRig, BinanceRig, FinnhubRig, stirring
from tests.venues.finnhub.server import KEY

from quantlytic.model.order import Order, OrderStatus, OrderType, TimeInForce
from quantlytic.model.side import Side
from quantlytic.model.trade import Trade
from quantlytic.venues.capabilities import capabilities_of
from quantlytic.venues.clock import GuardedClock
from quantlytic.venues.normalisers import normaliser_of
from quantlytic.venues.openers import VenueOptions, open_feed, open_orders


async def recorded(name: str, rig: Rig, options: VenueOptions) -> list[Any]:
    feed = open_feed(name, [rig.symbol], GuardedClock(), options)
    rig.normaliser = lambda: normaliser_of(name)  # type: ignore[method-assign]
    recording = Recording(rig, feed)
    tasks = [asyncio.create_task(feed.run(recording)), asyncio.create_task(stirring(rig))]
    async with asyncio.timeout(20):
        await until(lambda: recording.of(Trade) or tasks[0].done())
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return recording.of(Trade)


async def ordered(name: str, rig: Rig, options: VenueOptions) -> OrderStatus:
    order = Order("r", 1, f"{name}:{rig.symbol}", 0, Side.BUY, OrderType.LIMIT, TimeInForce.GTC, rig.lot, rig.away())
    async with asyncio.timeout(20), open_orders(name, options) as entry:
        state = await entry.submit(order, "conf.1")
        assert (await entry.cancel(order.instrument, "conf.1")).status == OrderStatus.CANCELED
        return state.status


@pytest.mark.parametrize("name", ["box", "binance", "binance-testnet", "binance-demo"])
def test_binance_by_name_and_address(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with BinanceRig() as rig:
        for variable, value in zip(capabilities_of(name).key_names, rig.box.keys(), strict=True):
            monkeypatch.setenv(variable, value)
        market = rig.market()
        options = VenueOptions(rest_url=market.rest_url, stream_url=market.stream_url, trading_url=market.trading_url)
        trades = asyncio.run(recorded(name, rig, options))
        assert {trade.instrument for trade in trades} == {f"{name}:BTCUSDT"}
        assert asyncio.run(ordered(name, rig, options)) == OrderStatus.NEW


def test_alpaca_by_name_and_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALPACA_API_KEY", "KEY")
    monkeypatch.setenv("ALPACA_API_SECRET", "SECRET")
    with AlpacaRig() as rig:
        market = rig.market()
        options = VenueOptions(
            rest_url=market.trading_url,
            trading_url=market.trading_stream_url,
            data_url=market.data_url,
            stream_url=market.stock_stream_url,
            crypto_stream_url=market.crypto_stream_url,
        )
        assert asyncio.run(recorded("alpaca", rig, options))
        assert asyncio.run(ordered("alpaca", rig, options)) == OrderStatus.NEW


def test_finnhub_by_name_and_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINNHUB_API_KEY", KEY)
    with FinnhubRig() as rig:
        options = VenueOptions(rest_url=rig.server.rest_url, stream_url=rig.server.stream_url)
        assert asyncio.run(recorded("finnhub", rig, options))
