"""Finnhub's frames to market events: pure, so that the recorder and `data rebuild` run the same code."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Sequence

import msgspec

from quantlytic.model.errors import InputError
from quantlytic.model.event import Event
from quantlytic.model.frame import RawFrame
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.model.news import News
from quantlytic.model.time import NS_PER_MS, NS_PER_S
from quantlytic.model.trade import Trade
from quantlytic.venues.aggressor import SavedSide, SideRule
from quantlytic.venues.finnhub import wire
from quantlytic.venues.port import CONNECTED, FAILED, LOST, STARTED, Request

NEWS = "news "
"""Channel of a list of articles, followed by the symbol, or by `*` for news about no single one."""
KNOWN_NEWS = 500
_SYMBOL = re.compile(r"[\w.\-:/]{1,40}")

SavedPrints = tuple[int, int, SavedSide]


class _Saved(msgspec.Struct, array_like=True):
    symbols: list[tuple[str, SavedPrints]]
    news: list[tuple[str, list[int]]]
    lost: list[str]


_SAVED = msgspec.msgpack.Decoder(_Saved)


class _Prints:
    """The trades of one symbol: the venue neither numbers them nor says who took."""

    def __init__(self) -> None:
        self.time_ms = -1
        self.ordinal = 0
        self.sides = SideRule()

    def number(self, time_ms: int) -> int:
        """How many trades of this millisecond had come before: it keeps their order, and is no id of the venue's."""
        self.ordinal = self.ordinal + 1 if time_ms == self.time_ms else 0
        self.time_ms = time_ms
        return self.ordinal


class FinnhubNormaliser:
    """The `Normaliser` of Finnhub.

    Trades have no ids, so that neither a hole nor a repeat can be seen, and there is no free history to fetch from: each
    interruption is a RECONNECT entry that says so. `trade_id` counts the trades of one millisecond as they came.
    """

    def __init__(self, venue: str = "finnhub") -> None:
        self._venue = venue
        self._prints: dict[str, _Prints] = {}
        self._news: dict[str, deque[int]] = {}
        self._lost: dict[str, str] = {}

    def feed(self, frame: RawFrame) -> Sequence[Event]:
        """See `Normaliser.feed`. What cannot be read gives an INVALID entry."""
        try:
            if frame.channel.startswith(NEWS):
                articles = wire.articles.decode(frame.payload)
                return self._articles(frame.channel[len(NEWS) :], articles, frame)
            return self._marker(frame) if frame.channel else self._message(frame)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError) as error:
            return (self._invalid(frame, str(error)),)

    def requests(self) -> list[Request]:
        """None, ever: there is no history to ask for."""
        return []

    def save(self) -> bytes:
        """See `Normaliser.save`."""
        symbols = [(name, (one.time_ms, one.ordinal, one.sides.save())) for name, one in self._prints.items()]
        news = [(name, list(known)) for name, known in self._news.items()]
        return msgspec.msgpack.encode(_Saved(symbols, news, list(self._lost)))

    def restore(self, state: bytes) -> None:
        """See `Normaliser.restore`. Raises InputError when the bytes are not a state of this normaliser."""
        try:
            saved = _SAVED.decode(state)
        except msgspec.MsgspecError as error:
            raise InputError(f"{self._venue}: the recorder's saved state cannot be read: {error}") from None
        for name, (time_ms, ordinal, sides) in saved.symbols:
            one = self._prints[name] = _Prints()
            one.time_ms, one.ordinal = time_ms, ordinal
            one.sides.restore(sides)
        self._news = {name: deque(known, KNOWN_NEWS) for name, known in saved.news}

    def _message(self, frame: RawFrame) -> Sequence[Event]:
        envelope = wire.envelope.decode(frame.payload)
        if envelope.type == "trade":
            return self._trades(wire.prints.decode(envelope.data), frame)
        if envelope.type == "ping":
            return ()
        if envelope.type == "news":
            return [
                event
                for article in wire.articles.decode(envelope.data)
                for event in self._articles(article.related or "*", [article], frame)
            ]
        if envelope.type == "error":
            return (self._invalid(frame, f"the venue says {envelope.msg!r}"),)
        return (self._invalid(frame, f"an unknown message {envelope.type[:20]!r}"),)

    def _trades(self, prints: list[wire.Print], frame: RawFrame) -> Sequence[Event]:
        events: list[Event] = []
        quotes: Counter[str] = Counter()
        for one in prints:
            instrument = self._id(one.symbol)
            if not one.volume or not one.price:
                quotes[instrument] += 1
                continue
            own = self._prints.setdefault(one.symbol, _Prints())
            number, side = own.number(one.time_ms), own.sides.side(one.price)
            times = (one.time_ms * NS_PER_MS, frame.receive_time)
            events.append(Trade(instrument, *times, number, one.price, one.volume, side))
        for instrument, count in quotes.items():
            detail = "price updates without a volume are no trades"
            kind, time = LedgerKind.INVALID, frame.receive_time
            events.append(LedgerEntry(instrument, "trades", kind, time, count=count, detail=detail))
        return events

    def _articles(self, symbol: str, articles: list[wire.Article], frame: RawFrame) -> Sequence[Event]:
        """The articles not seen before, oldest first."""
        instrument = f"{self._venue}:*" if symbol == "*" else self._id(symbol)
        known = self._news.setdefault(symbol, deque(maxlen=KNOWN_NEWS))
        events: list[Event] = []
        for one in sorted(articles, key=lambda article: (article.published_s, article.id)):
            if one.id not in known:
                known.append(one.id)
                time = one.published_s * NS_PER_S or frame.receive_time
                texts = (one.headline, one.summary, one.source, one.url)
                events.append(News(instrument, time, frame.receive_time, *texts, one.id))
        return events

    def _marker(self, frame: RawFrame) -> Sequence[Event]:
        channel, reason = frame.channel, frame.payload.decode(errors="replace")[:120]
        if channel == STARTED:
            self._lost.clear()
            if self._prints or self._news:
                return (self._reconnect(frame, "the recorder was started again"),)
        elif channel == LOST:
            self._lost[frame.connection] = reason
        elif channel == CONNECTED:
            if frame.connection in self._lost:
                return (self._reconnect(frame, f"{frame.connection}: {self._lost.pop(frame.connection)}"),)
        elif channel.startswith(FAILED):
            return (self._invalid(frame, f"{channel[len(FAILED) :]}: {reason}"),)
        else:
            return (self._invalid(frame, f"an unknown channel {channel[:80]!r}"),)
        return ()

    def _id(self, symbol: str) -> str:
        if not _SYMBOL.fullmatch(symbol):
            raise msgspec.ValidationError(f"{symbol[:40]!r} is not a symbol")
        return f"{self._venue}:{symbol}"

    def _reconnect(self, frame: RawFrame, reason: str) -> LedgerEntry:
        detail = f"{reason}; the venue numbers no trades: what was missed cannot be known"
        return self._entry(LedgerKind.RECONNECT, frame, detail)

    def _invalid(self, frame: RawFrame, reason: str) -> LedgerEntry:
        return self._entry(LedgerKind.INVALID, frame, f"{frame.connection}: {reason[:160]}")

    def _entry(self, kind: LedgerKind, frame: RawFrame, detail: str) -> LedgerEntry:
        return LedgerEntry(f"{self._venue}:*", "raw", kind, frame.receive_time, detail=detail)
