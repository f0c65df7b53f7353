"""Alpaca's market data by the unmodified SDK, against a local server that speaks its protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

pytest.importorskip("alpaca", reason="needs alpaca-py (pip install quantlytic[alpaca])")
pytest.importorskip("aiohttp", reason="the local server needs aiohttp")

from tests.venues.alpaca.server import AlpacaServer
from tests.venues.alpaca.test_alpaca_orders import market_at

from quantlytic.model.codec import encode_batch
from quantlytic.model.event import Event
from quantlytic.model.frame import RawFrame
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.model.trade import Trade
from quantlytic.venues.alpaca.feed import AlpacaFeed, AlpacaFeedTimings
from quantlytic.venues.alpaca.keys import AlpacaKeys
from quantlytic.venues.alpaca.normaliser import AlpacaNormaliser
from quantlytic.venues.clock import GuardedClock
from quantlytic.venues.port import STARTED

QUICK = AlpacaFeedTimings(start=5, backoff=0.05, request=2)


class Recording(list[RawFrame]):
    """An `Inbox` that normalises what comes, and hands on what the normaliser asks for."""

    def __init__(self, normaliser: AlpacaNormaliser) -> None:
        super().__init__()
        self.normaliser = normaliser
        self.events: list[Event] = []
        self.feed: AlpacaFeed | None = None

    async def put(self, frame: RawFrame) -> None:
        self.append(frame)
        self.events += self.normaliser.feed(frame)
        for request in self.normaliser.requests():
            assert self.feed is not None
            self.feed.request(request)

    def trades(self) -> list[float]:
        return [event.price for event in self.events if isinstance(event, Trade)]

    def ledger(self) -> list[LedgerKind]:
        return [event.kind for event in self.events if isinstance(event, LedgerEntry)]


@pytest.fixture
def server() -> Iterator[AlpacaServer]:
    with AlpacaServer() as server:
        yield server


def record(
    server: AlpacaServer, symbols: list[str], work: Callable[[Recording], Awaitable[None]], **more: object
) -> Recording:
    async def scenario() -> Recording:
        clock = GuardedClock()
        feed = AlpacaFeed(market_at(server), symbols, AlpacaKeys("KEY", "SECRET"), clock, timings=QUICK, **more)  # type: ignore[arg-type]
        recording = Recording(AlpacaNormaliser())
        recording.feed = feed
        await recording.put(RawFrame("recorder", clock.now(), STARTED, b""))
        running = asyncio.create_task(feed.run(recording))
        try:
            async with asyncio.timeout(20):
                worker = asyncio.ensure_future(work(recording))
                await asyncio.wait({worker, running}, return_when=asyncio.FIRST_COMPLETED)
                if running.done():
                    worker.cancel()
                    await running
                await worker
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        return recording

    return asyncio.run(scenario())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


def test_what_was_printed_while_nobody_listened_is_fetched_and_comes_first(server: AlpacaServer) -> None:
    async def work(recording: Recording) -> None:
        await until(lambda: server.listeners("stocks") == 1 and server.listeners("crypto") == 1)
        server.quote("AAPL", 149.9, 150.1)
        for price in (150.1, 150.0, 149.9):
            await asyncio.to_thread(server.print, "AAPL", price)
        await asyncio.to_thread(server.print, "BTC/USD", 60_001.0, 0.5)
        await until(lambda: len(recording.trades()) == 4)
        server.cut("stocks")
        for price in (151.0, 152.0):
            await asyncio.to_thread(server.print, "AAPL", price, 1.0, False)
        await until(lambda: server.listeners("stocks") == 1)
        await asyncio.to_thread(server.print, "AAPL", 153.0)
        await until(lambda: len(recording.trades()) == 7)

    recording = record(server, ["AAPL", "BTC/USD"], work)
    assert [price for price in recording.trades() if price < 1000] == [150.1, 150.0, 149.9, 151.0, 152.0, 153.0]
    assert recording.ledger() == [LedgerKind.RECONNECT, LedgerKind.BACKFILL]
    fresh = AlpacaNormaliser()
    assert encode_batch([event for frame in recording for event in fresh.feed(frame)]) == encode_batch(recording.events)
