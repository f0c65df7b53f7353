"""Public data through ccxt: one task per symbol and kind of data."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import msgspec

from quantlytic.model.errors import InputError, VenueError
from quantlytic.model.frame import RawFrame
from quantlytic.model.instrument import Instrument
from quantlytic.venues.ccxt.library import errors, one_line
from quantlytic.venues.clock import GuardedClock
from quantlytic.venues.port import CONNECTED, FAILED, LOST, Inbox, Request

BOOK_LEVELS = 20
KINDS = ("trades", "book", "quotes")
DECIMAL_PLACES, SIGNIFICANT_DIGITS, TICK_SIZE = 2, 3, 4
"""ccxt's precision modes."""


class CcxtFeed:
    """The `MarketFeed` over ccxt. `symbols` are ccxt's, such as BTC/USDT. It owns the exchange object and closes it."""

    def __init__(
        self, exchange: Any, symbols: Sequence[str], clock: GuardedClock, *, start_s: float = 20.0, seed: int = 0
    ) -> None:
        if not symbols:
            raise InputError("no symbols to record; name at least one, such as BTC/USDT")
        self.reconnects = 0
        self._exchange = exchange
        self._symbols = list(dict.fromkeys(symbols))
        self._clock = clock
        self._start_s = start_s
        self._random = random.Random(seed)

    def request(self, request: Request) -> None:
        """Nothing is ever requested here: a general venue promises no history."""

    async def load_instruments(self) -> list[Instrument]:
        """Ask the exchange for its rules, and do no more. Raises as `run` does at its start."""
        try:
            await self._meet()
            return [self._instrument(symbol) for symbol in self._symbols]
        finally:
            await self._exchange.close()

    def _instrument(self, symbol: str) -> Instrument:
        market = self._exchange.market(symbol)
        precision, least = market.get("precision") or {}, (market.get("limits") or {}).get("cost") or {}
        return Instrument(
            id=f"{self._exchange.id}:{symbol}",
            base=market["base"],
            quote=market["quote"],
            tick_size=self._step(precision.get("price")),
            lot_size=self._step(precision.get("amount")),
            min_notional=float(least.get("min") or 0.0),
        )

    def _step(self, precision: float | None) -> float:
        """ccxt states a precision as a step, as a number of decimals, or as one of digits (which is no step: 0)."""
        mode = getattr(self._exchange, "precisionMode", TICK_SIZE)
        if precision is None or mode == SIGNIFICANT_DIGITS:
            return 0.0
        return 10.0 ** -int(precision) if mode == DECIMAL_PLACES else float(precision)

    async def run(self, inbox: Inbox) -> None:
        """See `MarketFeed.run`."""
        try:
            await self._meet()
            async with asyncio.TaskGroup() as tasks:
                for symbol in self._symbols:
                    for kind in KINDS:
                        if self._streams(kind):
                            tasks.create_task(self._watch(kind, symbol, inbox))
                        else:
                            marker = f"{FAILED}{kind} {symbol}"
                            reason = f"{self._exchange.id} streams no {kind}".encode()
                            await inbox.put(RawFrame("ccxt", self._clock.now(), marker, reason))
        finally:
            await self._exchange.close()

    async def _meet(self) -> None:
        name = self._exchange.id
        try:
            async with asyncio.timeout(self._start_s):
                markets = await self._exchange.load_markets()
        except TimeoutError:
            raise VenueError(f"{name} did not answer within {self._start_s:g} s; check the network") from None
        except errors().BaseError as error:
            raise VenueError(f"{name} cannot be reached: {one_line(error)}; check the network") from None
        unknown = [symbol for symbol in self._symbols if symbol not in markets]
        if unknown:
            raise InputError(f"{name} does not list {', '.join(unknown)}; ccxt's symbols look like BTC/USDT")
        if closed := [symbol for symbol in self._symbols if markets[symbol].get("active") is False]:
            raise InputError(f"{name} does not trade {', '.join(closed)} any more, or not now: leave it out")
        sized = [symbol for symbol in self._symbols if (markets[symbol].get("contractSize") or 1) != 1]
        if sized:
            raise InputError(
                f"{name} counts {', '.join(sized)} in contracts of another size than 1: quantities would not be in base units"
            )
        if not self._exchange.has.get("watchTrades"):
            raise InputError(f"{name} streams no trades to ccxt: it cannot be recorded")

    def _streams(self, kind: str) -> bool:
        can = self._exchange.has
        methods = {"trades": ("watchTrades",), "book": ("watchOrderBook",), "quotes": ("watchBidsAsks", "watchTicker")}
        return any(can.get(method) for method in methods[kind])

    async def _watch(self, kind: str, symbol: str, inbox: Inbox) -> None:
        connection = f"{kind} {symbol}"
        failures = 0
        while True:
            try:
                message = await self._next(kind, symbol)
            except (
                Exception
            ) as error:  # ccxt's own mistakes too: a message it did not expect must not end the recording
                failures += 1
                self.reconnects += 1
                await inbox.put(RawFrame(connection, self._clock.now(), LOST, one_line(error).encode()))
                await asyncio.sleep(min(30.0, 0.25 * 2 ** min(failures, 16)) * (0.5 + self._random.random()))
                await inbox.put(RawFrame(connection, self._clock.now(), CONNECTED, b""))
                continue
            failures = 0
            payload = msgspec.json.encode(message)
            await inbox.put(RawFrame(connection, self._clock.now(), f"ccxt:{connection}", payload))

    async def _next(self, kind: str, symbol: str) -> Any:
        exchange = self._exchange
        if kind == "trades":
            return list(await exchange.watch_trades(symbol))
        if kind == "book":
            book = await exchange.watch_order_book(symbol)
            sides = {side: [list(level[:2]) for level in book[side][:BOOK_LEVELS]] for side in ("bids", "asks")}
            return {**sides, "nonce": book.get("nonce"), "timestamp": book.get("timestamp")}
        if exchange.has.get("watchBidsAsks"):
            return dict((await exchange.watch_bids_asks([symbol]))[symbol])
        return dict(await exchange.watch_ticker(symbol))
