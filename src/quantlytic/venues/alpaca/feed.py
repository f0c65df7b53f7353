"""Alpaca's public data: a stream for shares, one for crypto, and REST for the trades that were missed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from urllib.parse import parse_qs

import msgspec

from quantlytic.model.errors import InputError, VenueError
from quantlytic.model.frame import RawFrame
from quantlytic.model.instrument import Instrument
from quantlytic.venues.alpaca import wire
from quantlytic.venues.alpaca.instruments import load_instruments
from quantlytic.venues.alpaca.keys import AlpacaKeys
from quantlytic.venues.alpaca.library import AlpacaRest, load, repeated
from quantlytic.venues.alpaca.market import AlpacaMarket, is_crypto
from quantlytic.venues.alpaca.stream import DataSocket, data_socket
from quantlytic.venues.answers import Refused, Unheard
from quantlytic.venues.clock import GuardedClock
from quantlytic.venues.port import CONNECTED, FAILED, LOST, Inbox, Request

KINDS = ("trades", "quotes", "bars")


class AlpacaFeedTimings(msgspec.Struct, frozen=True, kw_only=True):
    """In seconds. `start`: for the venue's first answers, and for each connection. `backoff`: after a loss, doubling up to
    `backoff_max`, with jitter: the venue needs a while to forget the old connection, and allows one. `request`: REST."""

    start: float = 15.0
    backoff: float = 0.5
    backoff_max: float = 30.0
    request: float = 15.0


class AlpacaFeed:
    """The `MarketFeed` of Alpaca. `kinds`: of "trades", "quotes", "bars" (the venue's minutes). `reconnects`: losses."""

    def __init__(
        self,
        market: AlpacaMarket,
        symbols: Sequence[str],
        keys: AlpacaKeys,
        clock: GuardedClock,
        *,
        kinds: Sequence[str] = ("trades", "quotes"),
        fractional: bool = False,
        timings: AlpacaFeedTimings | None = None,
        seed: int = 0,
    ) -> None:
        if not symbols:
            raise InputError(f"{market.venue}: no symbols to record; name at least one, such as AAPL or BTC/USD")
        if not kinds or not set(kinds) <= set(KINDS):
            raise InputError(f"{market.venue} records {', '.join(KINDS)}; not {', '.join(kinds) or 'nothing'}")
        self.instruments: list[Instrument] = []
        self.reconnects = 0
        self._market = market
        self._symbols = list(dict.fromkeys(symbol.upper() for symbol in symbols))
        self._keys = keys
        self._clock = clock
        self._kinds = tuple(kinds)
        self._fractional = fractional
        self._timings = timings or AlpacaFeedTimings()
        self._random = random.Random(seed)
        self._requests: asyncio.Queue[Request] = asyncio.Queue()

    def request(self, request: Request) -> None:
        """See `MarketFeed.request`."""
        self._requests.put_nowait(request)

    async def load_instruments(self) -> list[Instrument]:
        """Ask the venue for its rules, and do no more. Raises as `run` does at its start."""
        rest = AlpacaRest(self._market, self._keys, self._timings.request)
        try:
            await self._meet(rest)
        finally:
            rest.close()
        return self.instruments

    async def run(self, inbox: Inbox) -> None:
        """See `MarketFeed.run`."""
        groups = {
            "stocks": [symbol for symbol in self._symbols if not is_crypto(symbol)],
            "crypto": [symbol for symbol in self._symbols if is_crypto(symbol)],
        }
        rest = AlpacaRest(self._market, self._keys, self._timings.request)
        sockets: dict[str, DataSocket] = {}
        try:
            await self._meet(rest)
            for group, symbols in groups.items():
                if symbols:
                    timings = (self._kinds, self._timings.start)
                    sockets[group] = data_socket(self._market, self._keys, group, symbols, *timings)
                    await self._first(sockets[group])
            async with asyncio.TaskGroup() as tasks:
                for group, socket in sockets.items():
                    tasks.create_task(self._stream(group, groups[group], socket, inbox))
                tasks.create_task(self._answer(rest, inbox))
        finally:
            for socket in sockets.values():
                await socket.close()
            rest.close()

    async def _meet(self, rest: AlpacaRest) -> None:
        """The first calls: is the venue there, is the key accepted, does it know the symbols?"""
        url = self._market.trading_url
        try:
            async with asyncio.timeout(self._timings.start):
                self.instruments = await load_instruments(
                    self._market, rest, self._symbols, fractional=self._fractional
                )
        except TimeoutError:
            raise self._unreachable(url, f"no answer within {self._timings.start:g} s") from None
        except Refused as error:
            if error.status in (401, 403):
                advice = "paper and live accounts have keys of their own"
                raise VenueError(f"{self._market.venue} does not accept the key: {advice} ({error})") from None
            raise
        except Unheard as error:
            raise self._unreachable(url, str(error)) from None

    def _unreachable(self, url: str, reason: str) -> VenueError:
        advice = "check the network and the address"
        return VenueError(f"{self._market.venue} cannot be reached at {url} ({reason}); {advice}")

    async def _first(self, socket: DataSocket) -> None:
        """The first connection: tried again, as after a loss, until `start` is over: an old one may have to lapse."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._timings.start
        failures = 0
        while True:
            try:
                return await socket.open()
            except Unheard as error:
                failures += 1
                wait = self._pause(failures)
                if loop.time() + wait > until:
                    raise self._unreachable("its data stream", str(error)) from None
                await asyncio.sleep(wait)

    async def _stream(self, group: str, symbols: list[str], socket: DataSocket, inbox: Inbox) -> None:
        """Keep one connection, for ever; the first is open."""
        failures = 0
        is_open = True
        wanted = msgspec.json.encode([f"{kind}:{symbol}" for kind in self._kinds for symbol in symbols])
        while True:
            try:
                if not is_open:
                    await socket.open()
                await inbox.put(RawFrame(group, self._clock.now(), CONNECTED, wanted))
                await inbox.put(RawFrame(group, self._clock.now(), "", socket.subscribed))
                while True:
                    payload = await socket.receive()
                    failures = 0
                    await inbox.put(RawFrame(group, self._clock.now(), "", payload))
            except (Unheard, Refused) as error:
                await inbox.put(RawFrame(group, self._clock.now(), LOST, str(error).encode()))
            is_open = False
            self.reconnects += 1
            failures += 1
            await asyncio.sleep(self._pause(failures))

    def _pause(self, failures: int) -> float:
        wait = min(self._timings.backoff_max, self._timings.backoff * 2 ** min(failures - 1, 16))
        return float(wait * (0.5 + self._random.random()))

    async def _answer(self, rest: AlpacaRest, inbox: Inbox) -> None:
        """Work off the requests, one after the other."""
        while True:
            request = await self._requests.get()
            try:
                channel, payload = request.path, await self._history(rest, request.path)
            except VenueError as error:
                channel, payload = FAILED + request.path, str(error).encode()
            await inbox.put(RawFrame("rest", self._clock.now(), channel, payload))

    async def _history(self, rest: AlpacaRest, path: str) -> bytes:
        """`trades?symbol=AAPL&start=NS&limit=N` by alpaca-py: the trades from that time on, oldest first, as JSON."""
        asked = {name: values[0] for name, values in parse_qs(path.partition("?")[2]).items()}
        symbol, requests = asked["symbol"], load("data.requests")
        span = {"start": wire.time_text(int(asked["start"])), "limit": int(asked["limit"])}
        if is_crypto(symbol):
            request = requests.CryptoTradesRequest(symbol_or_symbols=symbol, **span)
            reply = await repeated(rest, rest.crypto.get_crypto_trades, request)
        else:
            request = requests.StockTradesRequest(symbol_or_symbols=symbol, feed=self._market.stock_feed, **span)
            reply = await repeated(rest, rest.stocks.get_stock_trades, request)
        return msgspec.json.encode(reply.get(symbol) or [])
