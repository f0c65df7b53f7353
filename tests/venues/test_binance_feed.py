"""The feed against the exchange in a box."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from quantlytic.model.errors import InputError, VenueError
from quantlytic.model.frame import RawFrame
from quantlytic.venues.binance.feed import BinanceFeed, FeedTimings
from quantlytic.venues.binance.market import BinanceMarket, spot
from quantlytic.venues.clock import GuardedClock
from quantlytic.venues.exchange.config import ExchangeConfig
from quantlytic.venues.exchange.server import ExchangeServer
from quantlytic.venues.port import CONNECTED, FAILED, LOST, Request

QUICK = FeedTimings(start=5, stale=0.3, backoff=0.02, backoff_max=0.05, spacing=0.01, request=2)


class Collector:
    """An `Inbox` that keeps everything."""

    def __init__(self) -> None:
        self.frames: list[RawFrame] = []

    async def put(self, frame: RawFrame) -> None:
        self.frames.append(frame)

    def channels(self) -> list[str]:
        return [frame.channel for frame in self.frames]


def market_at(box: ExchangeServer) -> BinanceMarket:
    return spot("box", box.rest_url, box.stream_url + "/stream", box.stream_url + "/ws-api/v3")


def collect(feed: BinanceFeed, until: Callable[[Collector], bool], act: Callable[[], None] = lambda: None) -> Collector:
    """Run the feed until the frames satisfy `until`; `act` is called once, when the first frames are there."""
    inbox = Collector()

    async def scenario() -> None:
        running = asyncio.create_task(feed.run(inbox))
        acted = False
        try:
            async with asyncio.timeout(15):
                while not until(inbox):
                    await asyncio.sleep(0.01)
                    if running.done():
                        await running
                    if len(inbox.frames) > 5 and not acted:
                        acted = True
                        await asyncio.to_thread(act)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(scenario())
    return inbox


@pytest.fixture(scope="module")
def box() -> ExchangeServer:  # type: ignore[misc]
    with ExchangeServer(ExchangeConfig(port=0, trades_per_s=200)) as server:
        yield server


def test_it_delivers_all_streams_of_all_symbols_with_rising_receive_times(box: ExchangeServer) -> None:
    feed = BinanceFeed(market_at(box), ["btcusdt", "ETHUSDT", "BTCUSDT"], GuardedClock(), timings=QUICK)
    wanted = {f"{s}@{kind}" for s in ("btcusdt", "ethusdt") for kind in ("trade", "bookTicker", "depth@100ms")}

    def all_there(inbox: Collector) -> bool:
        return wanted <= {frame.payload[11 : frame.payload.find(b'"', 11)].decode() for frame in inbox.frames}

    inbox = collect(feed, all_there)
    assert inbox.frames[0].channel == CONNECTED
    stamps = [frame.receive_time for frame in inbox.frames]
    assert stamps == sorted(set(stamps))
    assert [one.id for one in feed.instruments] == ["box:BTCUSDT", "box:ETHUSDT"]
    assert feed.instruments[0].base == "BTC"
    assert feed.instruments[0].tick_size > 0


def test_a_broken_connection_is_announced_and_made_anew(box: ExchangeServer) -> None:
    feed = BinanceFeed(market_at(box), ["BTCUSDT"], GuardedClock(), timings=QUICK)
    inbox = collect(feed, lambda inbox: inbox.channels().count(CONNECTED) == 2, box.disconnect_all)
    channels = [channel for channel in inbox.channels() if channel]
    assert channels == [CONNECTED, LOST, CONNECTED]
    assert feed.reconnects == 1


def test_a_silent_connection_is_given_up(box: ExchangeServer) -> None:
    feed = BinanceFeed(market_at(box), ["BTCUSDT"], GuardedClock(), timings=QUICK)
    try:
        inbox = collect(feed, lambda inbox: LOST in inbox.channels(), lambda: box.faults.set({"stale": 1}))
    finally:
        box.faults.clear()
    (lost,) = [frame for frame in inbox.frames if frame.channel == LOST]
    assert lost.payload == b"no frame for 0.3 s"


def test_requests_are_answered_under_their_path_and_failures_said(box: ExchangeServer) -> None:
    market = market_at(box)
    feed = BinanceFeed(market, ["BTCUSDT"], GuardedClock(), timings=QUICK)
    good, bad = market.depth_request("BTCUSDT"), Request("/api/v3/depth?symbol=NOPE", 1)

    def ask() -> None:
        feed.request(good)
        feed.request(bad)

    inbox = collect(feed, lambda inbox: sum(c.endswith("NOPE") or c == good.path for c in inbox.channels()) == 2, ask)
    answers = {frame.channel: frame for frame in inbox.frames if frame.connection == "rest"}
    assert b"lastUpdateId" in answers[good.path].payload
    assert b"Invalid symbol" in answers[FAILED + bad.path].payload


def test_refusals_and_server_errors_are_waited_out(box: ExchangeServer) -> None:
    market = market_at(box)
    feed = BinanceFeed(market, ["BTCUSDT"], GuardedClock(), timings=QUICK)
    request = market.depth_request("BTCUSDT")

    def ask() -> None:
        box.faults.set({"http5xx": 1, "http5xx.times": 2, "http429": 1, "http429.times": 1, "html": 1, "html.times": 1})
        feed.request(request)

    try:
        collect(feed, lambda inbox: request.path in inbox.channels(), ask)
    finally:
        box.faults.clear()


def test_an_unknown_symbol_is_refused_by_name(box: ExchangeServer) -> None:
    feed = BinanceFeed(market_at(box), ["BTCUSDT", "NOPEUSDT"], GuardedClock(), timings=QUICK)
    with pytest.raises(InputError, match="NOPEUSDT"):
        collect(feed, lambda inbox: False)


def test_no_symbols_are_refused() -> None:
    with pytest.raises(InputError, match="no symbols"):
        BinanceFeed(spot(), [], GuardedClock())


@pytest.mark.parametrize("answering", [False, True], ids=["refused", "silent"])
def test_an_unreachable_venue_is_one_line_within_bounded_time(answering: bool) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if answering:
            listener.listen()  # takes the connection and says nothing
        url = f"127.0.0.1:{listener.getsockname()[1]}"
        timings = FeedTimings(start=0.5, backoff=0.01, request=5)
        feed = BinanceFeed(
            spot("box", f"http://{url}", f"ws://{url}/stream"), ["BTCUSDT"], GuardedClock(), timings=timings
        )
        with pytest.raises(VenueError, match=r"box cannot be reached at http.*check the network") as caught:
            collect(feed, lambda inbox: False)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["binance_spot_btcusdt_20240808.ws.gz"])
def test_a_replay_as_fast_as_it_goes_arrives_byte_for_byte(market_data: Path, tmp_path: Path, name: str) -> None:
    import gzip

    with gzip.open(market_data / "raw_ws_binance" / name) as lines:
        kept = [line for line, _ in zip(lines, range(8000), strict=False)]
    tape = tmp_path / "tape.ws"
    tape.write_bytes(b"".join(kept))
    payloads = [line.rstrip(b"\n").partition(b" ")[2] for line in kept]
    wanted = [payload for payload in payloads if payload.startswith(b'{"stream"')]
    with ExchangeServer(ExchangeConfig(port=0, replay=(tape,), speed=0)) as box:
        feed = BinanceFeed(market_at(box), ["BTCUSDT"], GuardedClock(), timings=QUICK)
        inbox = collect(feed, lambda inbox: len(inbox.frames) >= len(wanted) + 2)
    assert [frame.payload for frame in inbox.frames if frame.payload.startswith(b'{"stream"')] == wanted
