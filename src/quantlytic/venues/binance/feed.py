"""Binance's public data: combined streams over WebSocket, and REST for what a normaliser asks for."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import quote

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from quantlytic.model.errors import InputError, VenueError
from quantlytic.model.frame import RawFrame
from quantlytic.model.instrument import Instrument
from quantlytic.venues.answers import Refused
from quantlytic.venues.binance import wire
from quantlytic.venues.binance.market import BinanceMarket
from quantlytic.venues.binance.rest import RestClient
from quantlytic.venues.budget import WeightBudget
from quantlytic.venues.clock import GuardedClock
from quantlytic.venues.port import CONNECTED, FAILED, LOST, Inbox, Request

STREAMS_A_CONNECTION = 200
REQUESTS_AT_ONCE = 3
MAX_FRAME_BYTES = 16 * 2**20
INVALID_SYMBOL = -1121


class FeedTimings(msgspec.Struct, frozen=True, kw_only=True):
    """How long the feed waits, in seconds. `start`: for the venue's first answer. `stale`: without any frame before a
    connection is made anew. `backoff`: after a loss, doubling up to `backoff_max`, with jitter. `spacing`: between two
    requests for the same thing."""

    start: float = 10.0
    stale: float = 60.0
    backoff: float = 0.25
    backoff_max: float = 30.0
    spacing: float = 0.25
    request: float = 10.0


class BinanceFeed:
    """The `MarketFeed` of Binance. `instruments` is known once the venue has answered. `reconnects` counts losses."""

    def __init__(
        self,
        market: BinanceMarket,
        symbols: Sequence[str],
        clock: GuardedClock,
        *,
        timings: FeedTimings | None = None,
        seed: int = 0,
    ) -> None:
        if not symbols:
            raise InputError(f"{market.venue}: no symbols to record; name at least one, such as BTCUSDT")
        self.instruments: list[Instrument] = []
        self.reconnects = 0
        self._market = market
        self._symbols = list(dict.fromkeys(symbol.upper() for symbol in symbols))
        self._clock = clock
        self._timings = timings or FeedTimings()
        self._random = random.Random(seed)
        self._requests: asyncio.Queue[Request] = asyncio.Queue()
        self._done_at: dict[str, float] = {}
        self._rest = RestClient(
            market.rest_url,
            budget=WeightBudget(market.weight_per_minute),
            timeout_s=self._timings.request,
            backoff_s=self._timings.backoff,
            seed=seed,
        )

    def request(self, request: Request) -> None:
        """See `MarketFeed.request`."""
        self._requests.put_nowait(request)

    async def load_instruments(self) -> list[Instrument]:
        """Ask the venue for its rules, and do no more. Raises as `run` does at its start."""
        async with self._rest:
            await self._meet()
        return self.instruments

    async def run(self, inbox: Inbox) -> None:
        """See `MarketFeed.run`."""
        names = [f"{symbol.lower()}@{stream}" for symbol in self._symbols for stream in self._market.streams]
        chunks = [names[at : at + STREAMS_A_CONNECTION] for at in range(0, len(names), STREAMS_A_CONNECTION)]
        async with self._rest:
            await self._meet()
            sockets = [await self._first_socket()]
            async with asyncio.TaskGroup() as tasks:
                for index, chunk in enumerate(chunks):
                    first = sockets.pop() if sockets else None
                    tasks.create_task(self._stream(f"ws-{index}", chunk, inbox, first))
                for _ in range(REQUESTS_AT_ONCE):
                    tasks.create_task(self._answer(inbox))

    async def _meet(self) -> None:
        """The first call: is the venue there, and does it know the symbols?"""
        market = self._market
        names = quote(msgspec.json.encode(self._symbols).decode())
        path = f"{market.api}/exchangeInfo" + (f"?symbols={names}" if market.api == "/api/v3" else "")
        try:
            async with asyncio.timeout(self._timings.start):
                payload = await self._rest.get(path, 20)
        except Refused as error:
            if error.code == INVALID_SYMBOL:
                raise InputError(f"{market.venue} does not list one of {', '.join(self._symbols)}") from None
            raise
        except TimeoutError:
            raise self._unreachable(market.rest_url, f"no answer within {self._timings.start:g} s") from None
        except VenueError as error:
            raise self._unreachable(market.rest_url, str(error)) from None
        known = {one.symbol: one for one in wire.instruments(market.venue, payload)}
        unknown = [symbol for symbol in self._symbols if symbol not in known]
        if unknown:
            raise InputError(f"{market.venue} does not list {', '.join(unknown)}")
        if closed := sorted(wire.closed_symbols(market.venue, payload) & set(self._symbols)):
            raise InputError(f"{market.venue} does not trade {', '.join(closed)} any more: leave it out")
        self.instruments = [known[symbol] for symbol in self._symbols]

    async def _first_socket(self) -> ClientConnection:
        try:
            return await self._connect()
        except (OSError, WebSocketException, TimeoutError) as error:
            raise self._unreachable(self._market.stream_url, str(error) or type(error).__name__) from None

    def _unreachable(self, url: str, reason: str) -> VenueError:
        advice = "check the network and the address"
        return VenueError(f"{self._market.venue} cannot be reached at {url} ({reason}); {advice}")

    async def _connect(self) -> ClientConnection:
        return await connect(
            self._market.stream_url,
            open_timeout=self._timings.start,
            close_timeout=1,
            max_size=MAX_FRAME_BYTES,
            compression=None,
        )

    async def _stream(self, name: str, streams: list[str], inbox: Inbox, socket: ClientConnection | None) -> None:
        """Keep one connection, for ever."""
        failures = 0
        while True:
            try:
                socket = socket or await self._connect()
                async with socket:
                    await inbox.put(RawFrame(name, self._clock.now(), CONNECTED, msgspec.json.encode(streams)))
                    failures = 0
                    await self._listen(name, streams, socket, inbox)
            except (OSError, WebSocketException, TimeoutError) as error:
                reason = str(error) or type(error).__name__
            socket = None
            self.reconnects += 1
            await inbox.put(RawFrame(name, self._clock.now(), LOST, reason.encode()))
            failures += 1
            wait = min(self._timings.backoff_max, self._timings.backoff * 2 ** min(failures - 1, 16))
            await asyncio.sleep(wait * (0.5 + self._random.random()))

    async def _listen(self, name: str, streams: list[str], socket: ClientConnection, inbox: Inbox) -> None:
        await socket.send(msgspec.json.encode({"method": "SUBSCRIBE", "params": streams, "id": 1}), text=True)
        count = 0
        stale = False

        async def watch() -> None:
            nonlocal stale
            seen = -1
            while seen != count:
                seen = count
                await asyncio.sleep(self._timings.stale)
            stale = True
            socket.transport.abort()

        watchdog = asyncio.create_task(watch())
        try:
            while True:
                payload = await socket.recv(decode=False)
                count += 1
                await inbox.put(RawFrame(name, self._clock.now(), "", payload))
        except WebSocketException as error:
            if stale:
                raise TimeoutError(f"no frame for {self._timings.stale:g} s") from error
            raise
        finally:
            watchdog.cancel()
            with suppress(asyncio.CancelledError):
                await watchdog

    async def _answer(self, inbox: Inbox) -> None:
        """Work off the requests."""
        loop = asyncio.get_running_loop()
        while True:
            request = await self._requests.get()
            since = loop.time() - self._done_at.get(request.path, float("-inf"))
            if since < self._timings.spacing:
                await asyncio.sleep(self._timings.spacing - since)
            try:
                channel, payload = request.path, await self._rest.get(request.path, request.weight)
            except VenueError as error:
                channel, payload = FAILED + request.path, str(error).encode()
            self._done_at = {path: at for path, at in self._done_at.items() if loop.time() - at < self._timings.spacing}
            self._done_at[request.path] = loop.time()
            await inbox.put(RawFrame("rest", self._clock.now(), channel, payload))
