"""Finnhub's public data: prints over a WebSocket, news by asking for them now and then."""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from quantlytic.model.errors import InputError, VenueError
from quantlytic.model.frame import RawFrame
from quantlytic.model.instrument import Instrument
from quantlytic.model.time import NS_PER_S
from quantlytic.venues.answers import Refused
from quantlytic.venues.clock import GuardedClock
from quantlytic.venues.finnhub.keys import FinnhubKeys
from quantlytic.venues.finnhub.library import FinnhubRest
from quantlytic.venues.finnhub.normaliser import NEWS
from quantlytic.venues.port import CONNECTED, FAILED, LOST, Inbox, Request
from quantlytic.venues.quiet import SILENT

VENUE = "finnhub"
TICK = 0.01
MANY = 10
"""More shares than these are looked up in one list, not one by one."""


class FinnhubTimings(msgspec.Struct, frozen=True, kw_only=True):
    """In seconds. `start`: for the venue's first answer. `stale`: without any frame (it pings) before a connection is made
    anew. `backoff`: after a loss, doubling up to `backoff_max`, with jitter. `request`: REST. `news`: between two looks."""

    start: float = 15.0
    stale: float = 180.0
    backoff: float = 1.0
    backoff_max: float = 60.0
    request: float = 10.0
    news: float = 300.0


class FinnhubFeed:
    """The `MarketFeed` of Finnhub. `symbols`: AAPL, or BINANCE:BTCUSDT for crypto. `news` adds articles about each share,
    `categories` (such as "general", "crypto") those about none. `reconnects` counts losses."""

    def __init__(
        self,
        symbols: Sequence[str],
        keys: FinnhubKeys,
        clock: GuardedClock,
        *,
        rest_url: str = "https://api.finnhub.io",
        stream_url: str = "wss://ws.finnhub.io",
        news: bool = False,
        categories: Sequence[str] = (),
        timings: FinnhubTimings | None = None,
        seed: int = 0,
    ) -> None:
        if not symbols:
            raise InputError(f"{VENUE}: no symbols to record; name at least one, such as AAPL")
        self.instruments: list[Instrument] = []
        self.reconnects = 0
        self._symbols = list(dict.fromkeys(symbol.upper() for symbol in symbols))
        self._keys = keys
        self._clock = clock
        self._rest_url, self._stream_url = rest_url, stream_url
        self._news = [symbol for symbol in self._symbols if ":" not in symbol] if news else []
        self._categories = list(categories)
        self._timings = timings or FinnhubTimings()
        self._random = random.Random(seed)
        self._pairs: dict[str, dict[str, str]] = {}

    def request(self, request: Request) -> None:
        """Nothing is ever requested here: the normaliser asks for none."""

    async def load_instruments(self) -> list[Instrument]:
        """Ask the venue for its rules, and do no more. Raises as `run` does at its start."""
        rest = FinnhubRest(self._rest_url, self._keys, self._timings.request)
        try:
            await self._meet(rest)
        finally:
            rest.close()
        return self.instruments

    async def run(self, inbox: Inbox) -> None:
        """See `MarketFeed.run`."""
        rest = FinnhubRest(self._rest_url, self._keys, self._timings.request)
        try:
            await self._meet(rest)
            first = await self._first_socket()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._stream(inbox, first))
                if self._news or self._categories:
                    tasks.create_task(self._read_news(rest, inbox))
        finally:
            rest.close()

    async def _meet(self, rest: FinnhubRest) -> None:
        """The first calls: is the venue there, is the key accepted, does it know the symbols?"""
        try:
            async with asyncio.timeout(self._timings.start):
                shares = await self._shares(rest)
                self.instruments = [await self._instrument(rest, symbol, shares) for symbol in self._symbols]
        except TimeoutError:
            raise self._unreachable(f"no answer within {self._timings.start:g} s") from None
        except Refused as error:
            if error.status in (401, 403):
                raise VenueError(f"{VENUE} does not accept the key for this: {error}") from None
            raise
        except VenueError as error:
            raise self._unreachable(str(error)) from None

    async def _shares(self, rest: FinnhubRest) -> dict[str, str] | None:
        """The currencies of all US shares, when many are asked about: large, but one call. None: ask for each."""
        if sum(":" not in symbol for symbol in self._symbols) <= MANY:
            return None
        rows = await rest.repeated(rest.client.stock_symbols, "US")
        return {row["symbol"]: row.get("currency") or "USD" for row in rows or [] if "symbol" in row}

    async def _instrument(self, rest: FinnhubRest, symbol: str, shares: dict[str, str] | None) -> Instrument:
        """A share by that list or by its profile, a crypto pair by its exchange's list; Finnhub states no tick and no lot."""
        exchange, colon, _ = symbol.partition(":")
        if colon:
            if exchange not in self._pairs:
                rows = await rest.repeated(rest.client.crypto_symbols, exchange)
                self._pairs[exchange] = {row.get("symbol"): row.get("displaySymbol", "") for row in rows or []}
            if symbol not in self._pairs[exchange]:
                raise InputError(f"{VENUE} does not list {symbol}")
            base, _, quoted = self._pairs[exchange][symbol].partition("/")
            return Instrument(id=f"{VENUE}:{symbol}", base=base, quote=quoted)
        if shares is None:
            profile = await rest.repeated(functools.partial(rest.client.company_profile2, symbol=symbol))
            shares = {symbol: profile.get("currency") or "USD"} if profile and profile.get("ticker") else {}
        if symbol not in shares:
            raise InputError(f"{VENUE} does not list {symbol}")
        return Instrument(id=f"{VENUE}:{symbol}", base=symbol, quote=shares[symbol], tick_size=TICK, lot_size=1.0)

    def _unreachable(self, reason: str) -> VenueError:
        text = f"{VENUE} cannot be reached ({reason}); check the network and the address"
        return VenueError(self._keys.redacted(text))

    async def _connect(self) -> ClientConnection:
        """The key is part of the address: Finnhub knows no other way. So the address is in no message."""
        return await connect(
            f"{self._stream_url}?token={quote(self._keys.api_key)}",
            open_timeout=self._timings.start,
            close_timeout=1,
            compression=None,
            logger=SILENT,
        )

    async def _first_socket(self) -> ClientConnection:
        try:
            return await self._connect()
        except (OSError, WebSocketException, TimeoutError) as error:
            raise self._unreachable(str(error) or type(error).__name__) from None

    async def _stream(self, inbox: Inbox, socket: ClientConnection | None) -> None:
        """Keep the connection, for ever."""
        failures = 0
        wanted = msgspec.json.encode(self._symbols)
        while True:
            try:
                socket = socket or await self._connect()
                async with socket:
                    await inbox.put(RawFrame("ws", self._clock.now(), CONNECTED, wanted))
                    for symbol in self._symbols:
                        call = {"type": "subscribe", "symbol": symbol}
                        await socket.send(msgspec.json.encode(call), text=True)
                    while True:
                        async with asyncio.timeout(self._timings.stale):
                            payload = await socket.recv(decode=False)
                        failures = 0
                        await inbox.put(RawFrame("ws", self._clock.now(), "", payload))
            except (OSError, WebSocketException, TimeoutError) as error:
                reason = self._keys.redacted(str(error) or f"no frame for {self._timings.stale:g} s")
            socket = None
            self.reconnects += 1
            await inbox.put(RawFrame("ws", self._clock.now(), LOST, reason.encode()))
            failures += 1
            wait = min(self._timings.backoff_max, self._timings.backoff * 2 ** min(failures - 1, 16))
            await asyncio.sleep(wait * (0.5 + self._random.random()))

    async def _read_news(self, rest: FinnhubRest, inbox: Inbox) -> None:
        """Ask for all news, again and again: the normaliser knows which are new."""
        while True:
            today = datetime.fromtimestamp(self._clock.now() // NS_PER_S, UTC).date()
            span = (str(today - timedelta(days=1)), str(today))
            for symbol in self._news:
                await self._news_of(rest, inbox, NEWS + symbol, "company_news", symbol, *span)
            for category in self._categories:
                await self._news_of(rest, inbox, NEWS + "*", "general_news", category)
            await asyncio.sleep(self._timings.news)

    async def _news_of(self, rest: FinnhubRest, inbox: Inbox, channel: str, name: str, *arguments: str) -> None:
        try:
            payload = msgspec.json.encode(await rest.repeated(getattr(rest.client, name), *arguments))
        except VenueError as error:
            channel, payload = FAILED + channel, str(error).encode()
        await inbox.put(RawFrame("rest", self._clock.now(), channel, payload))
