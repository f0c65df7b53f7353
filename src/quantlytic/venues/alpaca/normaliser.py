"""Alpaca's frames to market events: pure, so that the recorder and `data rebuild` run the same code."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import parse_qs, urlsplit

import msgspec

from quantlytic.model.bar import Bar
from quantlytic.model.errors import InputError
from quantlytic.model.event import Event
from quantlytic.model.frame import RawFrame
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.model.quote import Quote
from quantlytic.model.time import NS_PER_S
from quantlytic.venues.alpaca import wire
from quantlytic.venues.alpaca.market import is_crypto
from quantlytic.venues.alpaca.trades import SavedPrints, TradePrints
from quantlytic.venues.port import CONNECTED, FAILED, LOST, STARTED, Request

MINUTE_NS = 60 * NS_PER_S
GROUPS = ("stocks", "crypto")
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError)
_SYMBOL = re.compile(r"[\w.\-]{1,20}(/[\w.\-]{1,20})?")
_history = msgspec.json.Decoder(list[wire.HistoricalTrade], strict=False)


class _Saved(msgspec.Struct, array_like=True):
    symbols: list[tuple[str, SavedPrints]]
    lost: list[str]


_SAVED = msgspec.msgpack.Decoder(_Saved)


class AlpacaNormaliser:
    """The `Normaliser` of Alpaca. Symbols make themselves known by their frames. Sizes are as the venue states them."""

    def __init__(self, venue: str = "alpaca") -> None:
        self._venue = venue
        self._trades: dict[str, TradePrints] = {}
        self._lost: dict[str, str] = {}
        self._resumes: set[str] = set()

    def feed(self, frame: RawFrame) -> Sequence[Event]:
        """See `Normaliser.feed`. What cannot be read gives an INVALID entry, and costs no neighbour in its frame."""
        try:
            if frame.channel:
                return self._reply(frame)
            try:
                messages = wire.messages.decode(frame.payload)
            except msgspec.ValidationError:
                return self._one_by_one(frame)
        except UNREADABLE as error:
            return (self._invalid(frame, str(error)),)
        events: list[Event] = []
        for message in messages:
            try:
                events += self._message(message, frame)
            except UNREADABLE as error:
                events.append(self._invalid(frame, str(error)))
        return events

    def requests(self) -> list[Request]:
        """See `Normaliser.requests`."""
        found = []
        for trades in self._trades.values():
            if trades.wanted is not None:
                found.append(trades.wanted)
                trades.wanted = None
        return found

    def save(self) -> bytes:
        """See `Normaliser.save`."""
        symbols = [(symbol, trades.save()) for symbol, trades in self._trades.items()]
        return msgspec.msgpack.encode(_Saved(symbols, list(self._lost)))

    def restore(self, state: bytes) -> None:
        """See `Normaliser.restore`. Raises InputError when the bytes are not a state of this normaliser."""
        try:
            saved = _SAVED.decode(state)
        except msgspec.MsgspecError as error:
            raise InputError(f"{self._venue}: the recorder's saved state cannot be read: {error}") from None
        for symbol, trades in saved.symbols:
            self._of(symbol).restore(trades)

    def _one_by_one(self, frame: RawFrame) -> Sequence[Event]:
        events: list[Event] = []
        for raw in wire.raw_messages.decode(frame.payload):
            try:
                events += self._message(wire.message.decode(raw), frame)
            except UNREADABLE as error:
                events.append(self._invalid(frame, str(error)))
        return events

    def _message(self, message: wire.StreamMessage, frame: RawFrame) -> Sequence[Event]:
        kind, receive_time = message.kind, frame.receive_time
        if kind == "t":
            odd = wire.without_price(message.close, message.tape)
            one = (message.exchange, message.id, message.price, message.size, message.taker, odd)
            return self._of(message.symbol).on_print((wire.stamp_ns(message.time), receive_time, *one))
        if kind == "q":
            self._of(message.symbol).sides.on_quote(message.bid, message.ask)
            sides = (message.bid, message.bid_size, message.ask, message.ask_size)
            return (Quote(self._id(message.symbol), wire.stamp_ns(message.time), receive_time, 0, *sides),)
        if kind == "b":
            return (self._bar(message),)
        if kind in ("c", "x"):
            return (self._correction(message),)
        return self._control(message, frame)

    def _control(self, message: wire.StreamMessage, frame: RawFrame) -> Sequence[Event]:
        kind = message.kind
        if kind == "error":
            return (self._invalid(frame, f"the venue says {message.msg!r} ({message.code})"),)
        if kind not in ("subscription", "success"):
            return (self._invalid(frame, f"an unknown message {kind[:20]!r}"),)
        if kind == "subscription":
            self._resume(frame.connection)
        return ()

    def _bar(self, message: wire.StreamMessage) -> Event:
        if not isinstance(message.close, float):
            raise msgspec.ValidationError("a bar without a close")
        opens = wire.stamp_ns(message.time)
        prices = (message.open, message.high, message.low, message.close)
        value = message.volume * message.vwap
        return Bar(self._id(message.symbol), opens, opens + MINUTE_NS, *prices, message.volume, value, message.count)

    def _correction(self, message: wire.StreamMessage) -> Event:
        number = message.original_id or message.id
        text = "taken back" if message.kind == "x" else "changed"
        time, instrument = wire.stamp_ns(message.time), self._id(message.symbol)
        return LedgerEntry(instrument, "trades", LedgerKind.CORRECTED, time, number, number, detail=text)

    def _resume(self, connection: str) -> None:
        """The stream of a connection goes on: fetch what was printed in between."""
        if connection in self._resumes:
            self._resumes.discard(connection)
            for symbol, trades in self._trades.items():
                if is_crypto(symbol) == (connection == "crypto"):
                    trades.on_resumed()

    def _reply(self, frame: RawFrame) -> Sequence[Event]:
        """A REST reply or a marker of the recorder."""
        channel, reason = frame.channel, ""
        if channel.startswith("recorder:"):
            if not channel.startswith(FAILED):
                return self._marker(frame)
            channel, reason = channel[len(FAILED) :], frame.payload.decode(errors="replace")[:120] or "given up"
        parts = urlsplit(channel)
        if parts.path != "trades":
            return (self._invalid(frame, f"an unknown channel {channel[:80]!r}"),)
        trades = self._of(parse_qs(parts.query).get("symbol", [""])[0])
        if reason:
            return trades.on_failed(reason)
        try:
            return trades.on_history(_history.decode(frame.payload), frame.receive_time)
        except (msgspec.MsgspecError, UnicodeDecodeError, OverflowError) as error:
            return (self._invalid(frame, str(error)), *trades.on_failed("unreadable"))

    def _marker(self, frame: RawFrame) -> Sequence[Event]:
        if frame.channel == STARTED:
            self._lost.clear()
            self._resumes = set(GROUPS)
            for trades in self._trades.values():
                trades.on_started()
            if self._trades:
                return (self._entry(LedgerKind.RECONNECT, frame, "the recorder was started again"),)
        elif frame.channel == LOST:
            self._lost[frame.connection] = frame.payload.decode(errors="replace")[:120]
        elif frame.channel == CONNECTED and frame.connection in self._lost:
            detail = f"{frame.connection}: {self._lost.pop(frame.connection)}; quotes in between are not repeated"
            self._resumes.add(frame.connection)
            return (self._entry(LedgerKind.RECONNECT, frame, detail),)
        return ()

    def _of(self, symbol: str) -> TradePrints:
        trades = self._trades.get(symbol)
        if trades is None:
            trades = self._trades[symbol] = TradePrints(self._id(symbol), symbol)
        return trades

    def _id(self, symbol: str) -> str:
        if not _SYMBOL.fullmatch(symbol):
            raise msgspec.ValidationError(f"{symbol[:40]!r} is not a symbol")
        return f"{self._venue}:{symbol}"

    def _invalid(self, frame: RawFrame, reason: str) -> LedgerEntry:
        return self._entry(LedgerKind.INVALID, frame, f"{frame.connection}: {reason[:160]}")

    def _entry(self, kind: LedgerKind, frame: RawFrame, detail: str) -> LedgerEntry:
        return LedgerEntry(f"{self._venue}:*", "raw", kind, frame.receive_time, detail=detail)
