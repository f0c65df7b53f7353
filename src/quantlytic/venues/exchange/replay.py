"""A recorded tape served again: its messages as they were recorded, byte for byte, at any pace."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from typing import Any

from quantlytic.model.time import NS_PER_MS, NS_PER_S
from quantlytic.venues.exchange.accounts import Accounts
from quantlytic.venues.exchange.events import Happened, Print
from quantlytic.venues.exchange.hub import Hub
from quantlytic.venues.exchange.journal import Journal, Saved
from quantlytic.venues.exchange.market import Levels, Market
from quantlytic.venues.exchange.tape import Data, Frame, Line, Rows, Tape
from quantlytic.venues.exchange.units import e8

QUIET_S = 0.3  # playback begins when somebody listens and nobody has newly subscribed for so long
CHUNK = 64  # messages between looks at the clients when playing as fast as they take it


class ReplayBook:
    """A book as the tape tells it. Before the tape's snapshot, or after a break in its sequence, it is `partial`: it
    holds the levels that the diffs have named, and no others.
    """

    def __init__(self, awaits_snapshot: bool) -> None:
        self._awaits_snapshot = awaits_snapshot
        self.update_id = 0
        self.partial = True
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self._ahead: list[Data] = []

    def load(self, frame: Frame) -> None:
        """Take the tape's snapshot in, and again the diffs that were ahead of it."""
        ahead, self._ahead = self._ahead, []
        self.bids, self.asks = dict(_levels(frame.bids)), dict(_levels(frame.asks))
        self.update_id, self.partial, self._awaits_snapshot = frame.last_update_id, False, False
        for diff in ahead:
            if diff.u > self.update_id:
                self._change(diff)

    def apply(self, diff: Data, previous: int | None) -> None:
        """Take a diff in; `previous` is the last id before it, where the venue says so (futures)."""
        after = diff.U - 1 if previous is None else previous
        broken = after > self.update_id
        if self.update_id and broken:
            self.bids, self.asks, self.partial = {}, {}, True
        if self._awaits_snapshot:
            self._ahead.append(diff)
        if diff.u > self.update_id:
            self._change(diff)

    def top(self, limit: int) -> tuple[int, Levels, Levels]:
        """(update id, bids, asks), best first."""
        bids = sorted(self.bids.items(), reverse=True)[:limit]
        return self.update_id, bids, sorted(self.asks.items())[:limit]

    def _change(self, diff: Data) -> None:
        for side, rows in ((self.bids, diff.b), (self.asks, diff.a)):
            for price, quantity in _levels(rows):
                if quantity:
                    side[price] = quantity
                else:
                    side.pop(price, None)
        self.update_id = diff.u


class ReplayMarket(Market):
    """The tape as a market: REST knows what has been played so far, and the tape's depth snapshot from the start."""

    def __init__(self, tape: Tape, journal: Journal) -> None:
        super().__init__(tape.listings, journal, tape.start_ns // NS_PER_MS)
        self.tape = tape
        self.books = {symbol: ReplayBook(symbol in tape.snapshots) for symbol in self.listings}
        self._waiting_snapshots = dict(tape.snapshots)
        self._best: dict[str, tuple[int, int, int, int]] = {}
        self._happened = Happened()
        self._agg_ids: Counter[str] = Counter()
        self._begin = asyncio.Event()
        self._ended = False

    def begin(self) -> None:
        """Start playing now, whoever listens."""
        self._begin.set()

    def progress(self) -> dict[str, Any]:
        """How far it is: messages played and on the tape, per stream."""
        return {
            "started": self._begin.is_set(),
            "ended": self._ended,
            "played": dict(sorted(self.emitted.items())),
            "on_tape": dict(sorted(self.tape.counts.items())),
            "partial_books": sorted(symbol for symbol, book in self.books.items() if book.partial),
        }

    def depth(self, symbol: str, limit: int) -> tuple[int, Levels, Levels]:
        ahead = self._waiting_snapshots.get(symbol)
        if ahead is not None and ahead.last_update_id >= self.books[symbol].update_id:
            return ahead.last_update_id, _levels(ahead.bids)[:limit], _levels(ahead.asks)[:limit]
        return self.books[symbol].top(limit)

    def best(self, symbol: str) -> tuple[int, int, int, int]:
        return self._best.get(symbol) or super().best(symbol)

    async def play(self, hub: Hub, speed: float, wait: bool) -> None:
        """Play the tape once, at `speed` times its pace (infinite: as fast as clients take it; nothing is dropped).

        It begins when somebody has subscribed and then nobody more for a moment; with `wait`, only at `begin()`.
        """
        await self._wait_for_listeners(hub, wait)
        loop = asyncio.get_running_loop()
        start_s, start_ns = loop.time(), None
        for number, line in enumerate(self.tape.lines(), 1):
            start_ns = line.receive_ns if start_ns is None else start_ns
            if math.isfinite(speed):
                ahead_s = start_s + (line.receive_ns - start_ns) / NS_PER_S / speed - loop.time()
                if ahead_s > 0.001:
                    await self._pause(hub, ahead_s)
            if number % CHUNK == 0:
                await self._pause(hub, 0)
            while hub.faults.stale:
                before = loop.time()
                await asyncio.sleep(0.02)
                start_s += loop.time() - before
            self._take(line)
            while self.frames:
                hub.publish(*self.frames.popleft())
        await self._pause(hub, 0)
        self._ended = True

    async def _wait_for_listeners(self, hub: Hub, wait: bool) -> None:
        if not wait:
            await hub.subscribed.wait()
            while hub.subscribed.is_set():
                hub.subscribed.clear()
                await asyncio.sleep(QUIET_S)
            self._begin.set()
        await self._begin.wait()

    async def _pause(self, hub: Hub, seconds: float) -> None:
        """Let others run. What was played is committed first, so that REST never knows less than the streams."""
        if self._happened.prints:
            minutes = [candle for live in self.live.values() for candle in live.take_minutes()]
            happened, self._happened = self._happened, Happened()
            self.journal.commit(happened, Saved(0), Accounts(), minutes)
        await asyncio.sleep(seconds)
        await hub.make_room()

    def _take(self, line: Line) -> None:
        """Learn from a message and put it in line for its listeners."""
        frame, symbol, data = line.frame, line.symbol, line.data
        self.time_ms = line.receive_ns // NS_PER_MS
        if not line.kind:
            self._waiting_snapshots.pop(symbol, None)
            if self.books[symbol].partial:
                self.books[symbol].load(frame)
            return
        if line.kind == "trade":
            self._trade(symbol, data)
        elif line.kind == "depth":
            self.books[symbol].apply(data, data.pu)
        elif line.kind == "bookTicker" and isinstance(data.b, str) and isinstance(data.a, str):
            self._best[symbol] = (e8(data.b) or 0, e8(data.B) or 0, e8(data.a) or 0, e8(data.A) or 0)
        self.emit(frame.stream, bytes(frame.data).decode())

    def _trade(self, symbol: str, data: Data) -> None:
        last = self.last_trade.get(symbol)
        price, quantity = e8(data.p), e8(data.q)
        if price is None or quantity is None or (last is not None and data.t <= last.trade_id):
            return
        if last is None or (last.price_e8, last.time_ms, last.buyer_is_maker) != (price, data.T, data.m):
            self._agg_ids[symbol] += 1
        trade = Print(symbol, data.t, self._agg_ids[symbol], price, quantity, data.T, data.m)
        self.last_trade[symbol] = trade
        self.live[symbol].add(trade)
        self._happened.prints.append(trade)


def _levels(rows: str | Rows) -> Levels:
    return [(e8(price) or 0, e8(quantity) or 0) for price, quantity in rows] if not isinstance(rows, str) else []
