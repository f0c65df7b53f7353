"""ccxt's unified messages to market events."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import msgspec

from quantlytic.model.book import BookDelta
from quantlytic.model.event import Event
from quantlytic.model.frame import RawFrame
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.model.quote import Quote
from quantlytic.model.side import Side
from quantlytic.model.time import NS_PER_MS
from quantlytic.model.trade import Trade
from quantlytic.venues.aggressor import SideRule
from quantlytic.venues.ccxt.unified import UnifiedBook, UnifiedTicker, UnifiedTrade, trade_number
from quantlytic.venues.port import CONNECTED, FAILED, LOST, STARTED, Request

RECENT_TRADES = 2000
_TRADES = msgspec.json.Decoder(list[UnifiedTrade], strict=False)
_BOOK = msgspec.json.Decoder(UnifiedBook, strict=False)
_TICKER = msgspec.json.Decoder(UnifiedTicker, strict=False)


class CcxtNormaliser:
    """The `Normaliser` of ccxt's unified messages. A trade id that is no number becomes 62 bits of its hash; the side of a
    trade that names none is estimated (see `SideRule`)."""

    def __init__(self, venue: str) -> None:
        self._venue = venue
        self._recent: dict[str, deque[int]] = {}
        self._lost: dict[str, str] = {}
        self._sides: dict[str, SideRule] = {}

    def feed(self, frame: RawFrame) -> Sequence[Event]:
        """See `Normaliser.feed`."""
        if not frame.channel.startswith("ccxt:"):
            return self._marker(frame)
        kind, _, symbol = frame.channel[5:].partition(" ")
        try:
            if kind == "trades":
                return self._trades(symbol, frame)
            if kind == "book":
                return self._book(symbol, frame)
            return self._quote(symbol, frame)
        except (msgspec.MsgspecError, UnicodeDecodeError, OverflowError) as error:
            return (self._entry("*", "raw", LedgerKind.INVALID, frame, f"{frame.channel}: {error}"),)

    def requests(self) -> list[Request]:
        """None, ever."""
        return []

    def save(self) -> bytes:
        """The last trade ids, so that what a venue repeats after a restart is not taken twice."""
        return msgspec.msgpack.encode({symbol: list(recent) for symbol, recent in self._recent.items()})

    def restore(self, state: bytes) -> None:
        """See `Normaliser.restore`."""
        saved = msgspec.msgpack.decode(state, type=dict[str, list[int]])
        self._recent = {symbol: deque(recent, RECENT_TRADES) for symbol, recent in saved.items()}

    def _trades(self, symbol: str, frame: RawFrame) -> Sequence[Event]:
        instrument = f"{self._venue}:{symbol}"
        events: list[Event] = []
        repeats = 0
        for item in _TRADES.decode(frame.payload):
            number = trade_number(item)
            recent = self._recent.setdefault(symbol, deque(maxlen=RECENT_TRADES))
            if number in recent:
                repeats += 1
                continue
            recent.append(number)
            event_time = item.timestamp * NS_PER_MS if item.timestamp else frame.receive_time
            estimate = self._sides.setdefault(symbol, SideRule()).side(item.price)
            side = {"buy": Side.BUY, "sell": Side.SELL}.get(item.side or "", estimate)
            events.append(Trade(instrument, event_time, frame.receive_time, number, item.price, item.amount, side))
        if repeats:
            events.append(self._entry(symbol, "trades", LedgerKind.DUPLICATE, frame, "", repeats))
        return events

    def _book(self, symbol: str, frame: RawFrame) -> Sequence[Event]:
        book = _BOOK.decode(frame.payload)
        event_time = book.timestamp * NS_PER_MS if book.timestamp else frame.receive_time
        ids = (book.nonce or 0, book.nonce or 0)
        bids = (tuple(price for price, _ in book.bids), tuple(quantity for _, quantity in book.bids))
        asks = (tuple(price for price, _ in book.asks), tuple(quantity for _, quantity in book.asks))
        delta = BookDelta(f"{self._venue}:{symbol}", event_time, frame.receive_time, *ids, *bids, *asks, snapshot=True)
        if book.bids and book.asks and book.bids[0][0] >= book.asks[0][0]:
            return (delta, self._entry(symbol, "book", LedgerKind.CROSSED, frame, ""))
        return (delta,)

    def _quote(self, symbol: str, frame: RawFrame) -> Sequence[Event]:
        ticker = _TICKER.decode(frame.payload)
        if ticker.bid is None or ticker.ask is None:
            return ()
        event_time = ticker.timestamp * NS_PER_MS if ticker.timestamp else frame.receive_time
        self._sides.setdefault(symbol, SideRule()).on_quote(ticker.bid, ticker.ask)
        sides = (ticker.bid, ticker.bid_volume or 0.0, ticker.ask, ticker.ask_volume or 0.0)
        return (Quote(f"{self._venue}:{symbol}", event_time, frame.receive_time, 0, *sides),)

    def _marker(self, frame: RawFrame) -> Sequence[Event]:
        if frame.channel == LOST:
            self._lost[frame.connection] = frame.payload.decode(errors="replace")[:120]
        elif frame.channel == STARTED:
            self._lost.clear()
            self._sides.clear()
            if self._recent:
                return (self._entry("*", "raw", LedgerKind.RECONNECT, frame, "the recorder was started again"),)
        elif frame.channel == CONNECTED and frame.connection in self._lost:
            detail = f"{frame.connection}: {self._lost.pop(frame.connection)}"
            return (self._entry("*", "raw", LedgerKind.RECONNECT, frame, detail),)
        elif frame.channel.startswith(FAILED):
            detail = f"{frame.channel[len(FAILED) :]}: {frame.payload.decode(errors='replace')[:120]}"
            return (self._entry("*", "raw", LedgerKind.INVALID, frame, detail),)
        return ()

    def _entry(
        self, symbol: str, stream: str, kind: LedgerKind, frame: RawFrame, detail: str, count: int = 1
    ) -> LedgerEntry:
        instrument = f"{self._venue}:{symbol}"
        return LedgerEntry(instrument, stream, kind, frame.receive_time, count=count, detail=detail[:200])
