"""What both kinds of market share, synthetic and replayed: trades on record, candles, frames for listeners."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from quantlytic.venues.exchange import candles, rejects
from quantlytic.venues.exchange.candles import DAY_MS, INTERVALS_MS, MINUTE_MS, Candle
from quantlytic.venues.exchange.events import Print
from quantlytic.venues.exchange.instruments import Listing
from quantlytic.venues.exchange.journal import Journal
from quantlytic.venues.exchange.live import LiveCandles

Levels = list[tuple[int, int]]


class Market:
    """Symbols and their public data. `frames` holds (stream, JSON) for streams that `wanted` says somebody listens to;
    `emitted` counts every message that came into being, heard or not."""

    def __init__(self, listings: list[Listing], journal: Journal, now_ms: int) -> None:
        self.listings = {listing.symbol: listing for listing in listings}
        self.journal = journal
        self.frames: deque[tuple[str, str]] = deque()
        self.wanted: Callable[[str], bool] = lambda _: True
        self.emitted: Counter[str] = Counter()
        self.time_ms = now_ms
        self.live = {symbol: LiveCandles(journal.minutes(symbol, now_ms - DAY_MS, now_ms)) for symbol in self.listings}
        self.last_trade: dict[str, Print] = {}
        for symbol in self.listings:
            self.last_trade.update((symbol, trade) for trade in journal.trades(symbol, None, 1))

    def listing(self, symbol: str) -> Listing:
        """Raises Reject for a symbol that is not listed."""
        found = self.listings.get(symbol)
        if found is None:
            raise rejects.bad_symbol()
        return found

    def depth(self, symbol: str, limit: int) -> tuple[int, Levels, Levels]:
        """(update id, bids, asks), best first, in e8 units."""
        raise NotImplementedError

    def emit(self, stream: str, text: str) -> None:
        """Count a message and keep it for its listeners."""
        self.emitted[stream] += 1
        if self.wanted(stream):
            self.frames.append((stream, text))

    def best(self, symbol: str) -> tuple[int, int, int, int]:
        """Bid price, bid quantity, ask price, ask quantity in e8 units; zeros for an empty side."""
        _, bids, asks = self.depth(symbol, 1)
        return (*(bids[0] if bids else (0, 0)), *(asks[0] if asks else (0, 0)))

    def day(self, symbol: str) -> dict[str, Any]:
        """The rolling day's ticker."""
        day = self.live[symbol].day(self.time_ms)
        return candles.ticker(symbol, day, self.last_trade.get(symbol), self.best(symbol), self.time_ms)

    def klines(self, symbol: str, interval: str, start_ms: int | None, end_ms: int | None, limit: int) -> list[Candle]:
        """Candles by open time: the last ones, or from `start_ms` on. What is not committed is not in them."""
        size = INTERVALS_MS[interval]
        end_ms = self.time_ms if end_ms is None else min(end_ms, self.time_ms)
        first = end_ms - limit * size if start_ms is None else start_ms
        first = -(-first // size) * size if start_ms is not None else candles.open_of(max(0, first), size)
        if start_ms is not None:
            end_ms = min(end_ms, first + limit * size - 1)
        if size < MINUTE_MS:
            trades = self.journal.trades_between(symbol, first, end_ms, 1_000_000)
            found = candles.from_trades(trades, size)
        else:
            found = candles.group(self.journal.minutes(symbol, first, end_ms), size)
        return found[:limit] if start_ms is not None else found[-limit:]
