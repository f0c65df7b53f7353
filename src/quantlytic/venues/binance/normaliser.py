"""Binance's frames to market events: pure, so that the recorder and `data rebuild` run the same code."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from urllib.parse import parse_qs, urlsplit

import msgspec

from quantlytic.model.errors import InputError
from quantlytic.model.event import Event
from quantlytic.model.frame import RawFrame
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.venues.binance import wire
from quantlytic.venues.binance.depth import DepthSequence, SavedDepth
from quantlytic.venues.binance.market import BinanceMarket
from quantlytic.venues.binance.quotes import QuoteSequence
from quantlytic.venues.binance.trades import SavedTrades, TradeSequence
from quantlytic.venues.port import CONNECTED, FAILED, LOST, STARTED, Request

MAX_BACKFILL = 100_000
_SYMBOL = re.compile(r"[\w.\-]{1,40}")
_STREAM_START = b'{"stream":"'

Route = Callable[[RawFrame], Sequence[Event]]


class _Saved(msgspec.Struct, array_like=True):
    symbols: list[tuple[str, SavedTrades, SavedDepth]]
    lost: list[str]


_SAVED = msgspec.msgpack.Decoder(_Saved)


class _Instrument:
    """The three sequences of one symbol, and its routes: one per stream, decoder and sequence in one call."""

    def __init__(self, symbol: str, market: BinanceMarket, max_backfill: int) -> None:
        self.symbol = symbol
        self.id = f"{market.venue}:{symbol}"
        self.trades = TradeSequence(self.id, market.history_path(symbol), market.history_weight, max_backfill)
        self.quotes = QuoteSequence(self.id)
        self.depth = DepthSequence(self.id, market.depth_request(symbol))
        self.routes: dict[str, Route] = {
            "trade": self.trade_route,
            "bookTicker": self.quote_route,
            "depth": self.depth_route,
        }

    def trade_route(self, frame: RawFrame) -> Sequence[Event]:
        message = wire.trade_frame.decode(frame.payload).data
        if message.symbol != self.symbol:
            raise msgspec.ValidationError(f"{message.symbol} in a stream of {self.symbol}")
        return self.trades.on_message(message, frame.receive_time)

    def quote_route(self, frame: RawFrame) -> Sequence[Event]:
        message = wire.quote_frame.decode(frame.payload).data
        if message.symbol != self.symbol:
            raise msgspec.ValidationError(f"{message.symbol} in a stream of {self.symbol}")
        return self.quotes.on_message(message, frame.receive_time)

    def depth_route(self, frame: RawFrame) -> Sequence[Event]:
        message = wire.depth_frame.decode(frame.payload).data
        if message.symbol != self.symbol:
            raise msgspec.ValidationError(f"{message.symbol} in a stream of {self.symbol}")
        return self.depth.on_message(message, frame.receive_time)


class BinanceNormaliser:
    """The `Normaliser` of Binance. Symbols make themselves known by their frames."""

    def __init__(self, market: BinanceMarket, max_backfill: int = MAX_BACKFILL) -> None:
        self._market = market
        self._max_backfill = max_backfill
        self._instruments: dict[str, _Instrument] = {}
        # A combined frame's bytes up to the end of the stream's name -> what takes it: no JSON is parsed to find out.
        self._routes: dict[bytes, Route] = {}
        self._lost: dict[str, str] = {}

    def feed(self, frame: RawFrame) -> Sequence[Event]:
        """See `Normaliser.feed`. What cannot be read gives an INVALID entry."""
        payload = frame.payload
        try:
            if frame.channel:
                return self._reply(frame)
            route = self._routes.get(payload[: payload.find(b'"', 11)])
            return route(frame) if route is not None else self._unrouted(frame)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return (self._invalid(frame, str(error)),)

    def requests(self) -> list[Request]:
        """See `Normaliser.requests`."""
        found = []
        for instrument in self._instruments.values():
            for sequence in (instrument.depth, instrument.trades):
                if sequence.wanted is not None:
                    found.append(sequence.wanted)
                    sequence.wanted = None
        return found

    def save(self) -> bytes:
        """See `Normaliser.save`."""
        symbols = [(one.symbol, one.trades.save(), one.depth.save()) for one in self._instruments.values()]
        return msgspec.msgpack.encode(_Saved(symbols, list(self._lost)))

    def restore(self, state: bytes) -> None:
        """See `Normaliser.restore`. Raises InputError when the bytes are not a state of this normaliser."""
        try:
            saved = _SAVED.decode(state)
        except msgspec.MsgspecError as error:
            raise InputError(f"{self._market.venue}: the recorder's saved state cannot be read: {error}") from None
        for symbol, trades, depth in saved.symbols:
            instrument = self._instrument(symbol)
            instrument.trades.restore(trades)
            instrument.depth.restore(depth)

    def is_in_sync(self, symbol: str) -> bool:
        """Whether the symbol's book is known to be complete as of its last message."""
        return symbol in self._instruments and self._instruments[symbol].depth.in_sync

    def is_waiting(self, symbol: str) -> bool:
        """Whether trades of the symbol are held back until missing ones are fetched."""
        return symbol in self._instruments and self._instruments[symbol].trades.is_waiting

    def _instrument(self, symbol: str) -> _Instrument:
        instrument = self._instruments.get(symbol)
        if instrument is None:
            if not _SYMBOL.fullmatch(symbol):
                raise msgspec.ValidationError(f"{symbol[:40]!r} is not a symbol")
            instrument = self._instruments[symbol] = _Instrument(symbol, self._market, self._max_backfill)
        return instrument

    def _unrouted(self, frame: RawFrame) -> Sequence[Event]:
        """The first frame of a stream, a single stream's frame, an answer to SUBSCRIBE, or junk."""
        probe = wire.probe.decode(frame.payload)
        if probe.stream:
            return self._combined(frame, probe)
        if bytes(probe.error):
            return (self._invalid(frame, f"the venue says {bytes(probe.error).decode()}"),)
        if probe.symbol:
            return self._single(frame, probe)
        if probe.request_id is not None:
            return ()
        return (self._invalid(frame, f"an unknown message {probe.event!r}"),)

    def _single(self, frame: RawFrame, probe: wire.Probe) -> Sequence[Event]:
        payload, time = frame.payload, frame.receive_time
        if probe.event == "trade":
            trade = wire.trade.decode(payload)
            return self._instrument(probe.symbol).trades.on_message(trade, time)
        if probe.event == "depthUpdate":
            change = wire.depth.decode(payload)
            return self._instrument(probe.symbol).depth.on_message(change, time)
        if probe.event in ("bookTicker", ""):  # spot's has no event name
            best = wire.quote.decode(payload)
            return self._instrument(probe.symbol).quotes.on_message(best, time)
        return (self._invalid(frame, f"an unknown message {probe.event!r}"),)

    def _combined(self, frame: RawFrame, probe: wire.Probe) -> Sequence[Event]:
        inner = wire.probe.decode(probe.data)
        kind = probe.stream.partition("@")[2].partition("@")[0]
        instrument = self._instrument(inner.symbol)
        if kind not in instrument.routes:
            return (self._invalid(frame, f"an unknown stream {probe.stream!r}"),)
        route = instrument.routes[kind]
        events = route(frame)
        start = _STREAM_START + probe.stream.encode()
        if frame.payload.startswith(start + b'"') and probe.stream.partition("@")[0] == inner.symbol.lower():
            self._routes[start] = route
        return events

    def _reply(self, frame: RawFrame) -> Sequence[Event]:
        """A REST reply or a marker of the recorder."""
        channel, reason = frame.channel, ""
        if channel.startswith("recorder:"):
            if not channel.startswith(FAILED):
                return self._marker(frame)
            channel, reason = channel[len(FAILED) :], frame.payload.decode(errors="replace")[:120] or "given up"
        parts = urlsplit(channel)
        symbol = parse_qs(parts.query).get("symbol", [""])[0]
        if parts.path == f"{self._market.api}/depth":
            depth = self._instrument(symbol).depth
            return depth.on_failed(reason) if reason else self._snapshot(depth, frame)
        if parts.path == f"{self._market.api}/historicalTrades":
            trades = self._instrument(symbol).trades
            return trades.on_failed(reason) if reason else self._history(trades, frame)
        return (self._invalid(frame, f"an unknown channel {channel[:80]!r}"),)

    def _snapshot(self, depth: DepthSequence, frame: RawFrame) -> Sequence[Event]:
        try:
            message = wire.snapshot.decode(frame.payload)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return (self._invalid(frame, str(error)), *depth.on_failed("unreadable"))
        return depth.on_snapshot(message, frame.receive_time)

    def _history(self, trades: TradeSequence, frame: RawFrame) -> Sequence[Event]:
        try:
            reply = wire.historical.decode(frame.payload)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return (self._invalid(frame, str(error)), *trades.on_failed("unreadable"))
        return trades.on_history(reply, frame.receive_time)

    def _marker(self, frame: RawFrame) -> Sequence[Event]:
        if frame.channel == STARTED:
            return self._started(frame)
        if frame.channel == LOST:
            self._lost[frame.connection] = frame.payload.decode(errors="replace")[:120]
        elif frame.channel == CONNECTED:
            for instrument in self._instruments.values():
                instrument.quotes.reset()
            if frame.connection in self._lost:
                detail = f"{frame.connection}: {self._lost.pop(frame.connection)}"
                return (self._entry(LedgerKind.RECONNECT, frame, detail),)
        return ()

    def _started(self, frame: RawFrame) -> Sequence[Event]:
        events: list[Event] = []
        if self._instruments:
            events.append(self._entry(LedgerKind.RECONNECT, frame, "the recorder was started again"))
        self._lost.clear()
        for instrument in self._instruments.values():
            instrument.quotes.reset()
            instrument.trades.on_started()
            events += instrument.depth.on_started()
        return events

    def _invalid(self, frame: RawFrame, reason: str) -> LedgerEntry:
        start = frame.payload[:40].decode(errors="replace")
        return self._entry(LedgerKind.INVALID, frame, f"{frame.connection}: {reason[:120]}: {start!r}")

    def _entry(self, kind: LedgerKind, frame: RawFrame, detail: str) -> LedgerEntry:
        return LedgerEntry(f"{self._market.venue}:*", "raw", kind, frame.receive_time, detail=detail)
