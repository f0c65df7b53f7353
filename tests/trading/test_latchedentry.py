"""Nothing new passes a shut latch, and what repeats itself is broken off."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.trading.fake_venue import FakeVenue

from quantlytic.model.order import Order, OrderStatus, OrderType, TimeInForce
from quantlytic.model.side import Side
from quantlytic.trading.latch import Latch
from quantlytic.trading.latchedentry import latched
from quantlytic.venues.answers import Refused, Unheard
from quantlytic.venues.binance.keys import Keys
from quantlytic.venues.binance.market import spot
from quantlytic.venues.binance.orders import BinanceOrders, OrderTimings
from quantlytic.venues.exchange.config import ExchangeConfig
from quantlytic.venues.exchange.server import ExchangeServer

ORDER = Order("r", 1, "box:BTCUSDT", 0, Side.BUY, OrderType.MARKET, TimeInForce.GTC, 1.0, float("nan"))
BID = Order("r", 2, "box:BTCUSDT", 0, Side.BUY, OrderType.LIMIT, TimeInForce.GTC, 0.001, 40_000.0)


@pytest.fixture
def latch(tmp_path: Path) -> Latch:
    return Latch(tmp_path, "main")


def test_open_it_passes_and_shut_nothing_new_does(latch: Latch) -> None:
    venue = FakeVenue({"USDT": 1000.0})
    venue.rest("bid")

    async def work() -> None:
        async with latched(venue, latch) as entry:
            assert (await entry.submit(ORDER, "a")).status is OrderStatus.FILLED
            for cause in ("risk", "dead-man"):
                latch.engage(cause, "test", "why", 1)
                with pytest.raises(Refused, match="halted"):
                    await entry.submit(ORDER, "b")
                if cause == "risk":
                    latch.release("main", "test", 2)
            assert (await entry.cancel("box:BTCUSDT", "bid")).status is OrderStatus.CANCELED
            assert await entry.open_orders() == []
            assert await entry.status("box:BTCUSDT", "b") is None
            assert entry.void_after_s == venue.void_after_s
            seen: list[int] = []
            entry.connected = lambda: seen.append(1)
            venue.connected()
            assert seen == [1]

    asyncio.run(work())
    assert [what for what in venue.asked if what.startswith("submit")] == ["submit BUY box:BTCUSDT 1.0"]


def test_an_error_passes_as_it_is(latch: Latch) -> None:
    venue = FakeVenue({}, lose=1.0)

    async def work() -> None:
        async with latched(venue, latch) as entry:
            with pytest.raises(Unheard, match="the answer was lost"):
                await entry.submit(ORDER, "a")

    asyncio.run(work())


@pytest.fixture(scope="module")
def box() -> Iterator[ExchangeServer]:
    with ExchangeServer(ExchangeConfig(port=0, trades_per_s=30)) as server:
        yield server


@pytest.mark.parametrize("is_latched", [True, False])
def test_a_submit_that_repeats_itself_ends_when_the_latch_shuts(
    box: ExchangeServer, latch: Latch, is_latched: bool
) -> None:
    """Without the latched entry the order would be at the venue in the end: the test can tell."""
    name = f"repeat-{is_latched}"

    async def work() -> OrderStatus | None:
        market = spot("box", box.rest_url, box.stream_url + "/stream", box.stream_url + "/ws-api/v3")
        timings = OrderTimings(request=0.2, window=0.2, skew=0.0, poll=0.05, patience=5.0)
        orders = BinanceOrders(market, Keys(*box.keys()), timings=timings)
        box.faults.set({"http5xx": 1.0})
        async with latched(orders, latch if is_latched else Latch(Path("nowhere"), "none")) as entry:
            sending = asyncio.create_task(entry.submit(BID, name))
            await asyncio.sleep(0.5)
            latch.engage("kill", "test", "why", time.time_ns())
            if is_latched:
                with pytest.raises(Unheard, match="broken off"):
                    await sending
            box.faults.clear()
            await asyncio.sleep(1.0)
            state = await entry.status(BID.instrument, name)
            await asyncio.gather(sending, return_exceptions=True)
            return None if state is None else state.status

    assert asyncio.run(work()) is (None if is_latched else OrderStatus.NEW)
