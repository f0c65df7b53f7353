"""A venue's own messages, recorded by others, read by ccxt's handlers: without a network, and each of them accounted for."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import msgspec

from quantlytic.model.event import Event
from quantlytic.model.frame import RawFrame
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.venues.ccxt.library import one_line
from quantlytic.venues.ccxt.messages import (
    OTHER_FORMATS,
    acknowledgement,
    channel_of,
    is_control,
    is_of_books,
    is_of_candles,
)
from quantlytic.venues.ccxt.normaliser import CcxtNormaliser

BOOK_LEVELS = 20
CANDLES = "candles are not read: bars are made from trades"
HELD = "kept until the book's snapshot comes"
OLDER = "older than the book's snapshot"
ONE_SIDED = "a quote without bid or ask"
EMPTY = "ccxt reads nothing in it"
NOT_STREAMED = "ccxt does not stream this venue"
_WATCHES = ("watch_trades", "watch_order_book", "watch_ticker")
_TURNS = 8  # of the event loop: enough for ccxt's own tasks to come to their end, or to the next reply they wait for
_TRADE = ("id", "price", "amount", "side", "timestamp")
_QUOTE = ("bid", "ask", "bidVolume", "askVolume", "timestamp")
_GZIP = b"\x1f\x8b"
_SEQUENCE_NUMBERS = 65536  # Bitfinex's flag SEQ_ALL


class CcxtRecording:
    """The messages of one connection in, events out; a context manager, for it owns an event loop. `feed` never raises on data.

    Every message gives events, or it is a control message and gives none, or it gives one INVALID entry that states venue,
    channel and reason. `exchange` is ccxt.pro's object with its markets set, None for a venue that ccxt does not stream;
    `url` the connection's address, which ccxt's handlers look at. Books are whole, as far as `BOOK_LEVELS`;
    quantities are the venue's own numbers: contracts where it counts in contracts.
    """

    def __init__(self, venue: str, exchange: Any, url: str) -> None:
        self._venue = venue
        self._exchange = exchange
        self._url = url
        self._normaliser = CcxtNormaliser(venue)
        self._loop = asyncio.new_event_loop()  # no Runner: it minds signals, at each message anew
        self._replies: dict[str, Any] = {}
        self._arrivals: dict[str, asyncio.Event] = {}
        self._tasks: list[asyncio.Task[Any]] = []
        self._given: list[Any] = []
        self._refused: list[str] = []
        self._client: Any = None
        self.channels: dict[int, str] = {}
        """Bitfinex's, by the numbers that its messages have instead."""
        self._has_sequence = False

    def __enter__(self) -> Self:
        self._loop.set_exception_handler(_ignore)
        if self._exchange is not None:
            self._exchange.enableRateLimit = False
            self._exchange.fetch = self._reply_to
            if limits := self._exchange.options.get("streamLimits"):
                self._exchange.options["streamLimits"] = dict.fromkeys(limits, 1)  # Binance's: one connection, as here
            self._exchange.client = self._the_client
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.run_until_complete(self._close())
        self._loop.close()

    def subscribe(self, symbols: Iterable[str]) -> None:
        """What the connection was subscribed to, by ccxt's symbols; asked for trades, books and quotes of each."""
        if self._exchange is not None:
            self._loop.run_until_complete(self._subscribe(tuple(symbols)))

    def answer(self, frame: RawFrame) -> Sequence[Event]:
        """A REST reply of the recording, its address as the frame's channel. ccxt gets it when it asks for it, not before;
        the book that waited for it comes out here."""
        key = _key(frame.channel)
        try:
            self._replies[key] = msgspec.json.decode(frame.payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return (self._invalid(frame, frame.channel, one_line(error)),)
        if (arrival := self._arrivals.get(key)) is None:
            return ()
        arrival.set()
        self._loop.run_until_complete(_settle())
        return (*self._events(frame.receive_time), *self._refusals(frame, frame.channel))

    def feed(self, frame: RawFrame) -> Sequence[Event]:
        """What the message gives."""
        channel = "?"
        try:
            payload = gzip.decompress(frame.payload) if frame.payload.startswith(_GZIP) else frame.payload
            message = self._as_subscribed(msgspec.json.decode(payload))
            channel = channel_of(message, self.channels)
            if self._exchange is None:
                return () if is_control(message) else (self._invalid(frame, channel, NOT_STREAMED),)
            return self._loop.run_until_complete(self._feed(frame, message, channel))
        except Exception as error:  # the bytes are the venue's, the handlers are ccxt's: neither may end a reading
            self._given.clear()
            self._refused.clear()
            return (self._invalid(frame, channel, one_line(error)),)

    async def _feed(self, frame: RawFrame, message: Any, channel: str) -> Sequence[Event]:
        held = self._held()
        self._exchange.handle_message(self._client, _unwrapped(message))
        await _settle()
        is_given = bool(self._given)
        events = self._events(frame.receive_time)
        refusals = self._refusals(frame, channel)
        if events or refusals or is_control(message):
            return (*events, *refusals)
        return (self._invalid(frame, channel, self._reason(channel, is_given, self._held() > held)),)

    def _reason(self, channel: str, is_given: bool, is_held: bool) -> str:
        """Why a message that ccxt took gave nothing."""
        if reason := OTHER_FORMATS.get((self._exchange.id, channel)):
            return reason
        if is_of_candles(channel):
            return CANDLES
        if is_held:
            return HELD
        if is_given:
            return ONE_SIDED
        return OLDER if is_of_books(channel) and self._exchange.orderbooks else EMPTY

    def _as_subscribed(self, message: Any) -> Any:
        """The message as ccxt would have got it: it asks Bitfinex for no sequence numbers, which stand last in a message."""
        if isinstance(message, dict):
            if message.get("event") == "subscribed" and isinstance(message.get("chanId"), int):
                self.channels[message["chanId"]] = str(message.get("channel"))
            elif message.get("event") == "conf":
                self._has_sequence = bool(message.get("flags", 0) & _SEQUENCE_NUMBERS)
        elif isinstance(message, list) and self._has_sequence:
            return message[:-1]
        return message

    def _held(self) -> int:
        return sum(len(book.cache) for book in self._exchange.orderbooks.values())

    def _events(self, receive_time: int) -> list[Event]:
        """Of what the handlers gave; the same thing is often given to several waiters."""
        events: list[Event] = []
        seen: set[bytes] = set()
        for result in self._given:
            for kind, symbol, content in _parts(result):
                payload = msgspec.json.encode(content)
                name = f"{kind} {symbol}"
                if name.encode() + payload not in seen:
                    seen.add(name.encode() + payload)
                    events += self._normaliser.feed(RawFrame(name, receive_time, f"ccxt:{name}", payload))
        self._given.clear()
        return events

    def _refusals(self, frame: RawFrame, channel: str) -> Sequence[Event]:
        """What ccxt refused aloud, as one entry."""
        reason = "; ".join(self._refused)
        self._refused.clear()
        return (self._invalid(frame, channel, reason),) if reason else ()

    def _invalid(self, frame: RawFrame, channel: str, reason: str) -> LedgerEntry:
        detail = f"{self._venue} {channel}: {reason}"[:200]
        return LedgerEntry(f"{self._venue}:*", "raw", LedgerKind.INVALID, frame.receive_time, detail=detail)

    async def _subscribe(self, symbols: tuple[str, ...]) -> None:
        exchange = self._exchange
        self._the_client(self._url)
        for name in _WATCHES:
            for symbol in symbols:
                self._tasks.append(asyncio.create_task(getattr(exchange, name)(symbol)))
                await _settle()  # one by one: answers go by numbers, which ccxt counts for each of its addresses

    def _the_client(self, url: str) -> Any:
        """ccxt's client, connected to nothing, one for all addresses. What it is given is kept, its waiters wait for ever."""
        if self._client is None:
            client = self._client = type(self._exchange).client(self._exchange, self._url)
            client.resolve = self._resolve
            client.reject = self._reject
            client.send = self._send
            client.connected.resolve(self._url)
        return self._client

    def _resolve(self, result: Any, message_hash: str | None = None) -> Any:
        self._given.append(_drained(result))
        return result

    def _reject(self, error: Any, message_hash: str | None = None) -> Any:
        self._refused.append(one_line(error) if isinstance(error, Exception) else str(error)[:160])
        return error

    async def _send(self, message: Any) -> None:
        if (answer := acknowledgement(message)) is not None:
            self._exchange.handle_message(self._client, answer)

    async def _reply_to(self, url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
        key = _key(url)
        if key not in self._replies:
            await self._arrivals.setdefault(key, asyncio.Event()).wait()
        return self._replies[key]

    async def _close(self) -> None:
        waiting = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        if self._exchange is not None:
            await self._exchange.close()


def _unwrapped(message: Any) -> Any:
    """What a combined stream of Binance wraps: ccxt opens no such streams, and its older releases do not know the wrapping."""
    if isinstance(message, dict) and message.keys() == {"stream", "data"}:
        return message["data"]
    return message


def _key(url: str) -> str:
    """What tells one reply from another: the path, and the parameters that are no numbers and no flags."""
    parts = urlsplit(url)
    names = sorted(value for _, value in parse_qsl(parts.query) if not value.isdigit() and value != "true")
    return " ".join([parts.path.strip("/"), *names])


async def _settle() -> None:
    for _ in range(_TURNS):
        await asyncio.sleep(0)


def _ignore(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Errors of ccxt's own tasks: it tells its client of them, too."""


def _drained(result: Any) -> Any:
    """ccxt gives its cache of all trades, the old ones too: take them out."""
    if not isinstance(result, list) or not hasattr(result, "hashmap"):
        return result
    items = list(result)
    if items and isinstance(items[0], dict):
        result.clear()
    return items


def _parts(result: Any) -> Iterable[tuple[str, str, Any]]:
    """(kind, symbol, content) of what a handler gave, in the form that `CcxtNormaliser` takes; candles are left out."""
    if isinstance(result, list):
        by_symbol: dict[str, list[Any]] = {}
        for item in result:
            if isinstance(item, dict) and "amount" in item:
                by_symbol.setdefault(item["symbol"], []).append({name: item.get(name) for name in _TRADE})
        for symbol, items in by_symbol.items():
            yield "trades", symbol, items
    elif isinstance(result, dict) and "asks" in result and "bids" in result:
        sides = {side: [list(level[:2]) for level in result[side][:BOOK_LEVELS]] for side in ("bids", "asks")}
        yield "book", result["symbol"], {**sides, "nonce": result["nonce"], "timestamp": result["timestamp"]}
    elif isinstance(result, dict) and "bid" in result:
        yield "quotes", result["symbol"], {name: result.get(name) for name in _QUOTE}
    elif isinstance(result, dict):
        for inner in result.values():
            yield from _parts(inner)
