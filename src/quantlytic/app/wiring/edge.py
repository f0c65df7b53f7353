"""Where the world begins: the venue of these settings, its data and its rules."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from quantlytic.app.config import Settings
from quantlytic.app.wiring.stores import Stores
from quantlytic.model.errors import InputError
from quantlytic.model.instrument import Instrument

if TYPE_CHECKING:
    from quantlytic.store.control.control import Control
    from quantlytic.venues.binance.feed import BinanceFeed
    from quantlytic.venues.binance.market import BinanceMarket
    from quantlytic.venues.ccxt.feed import CcxtFeed
    from quantlytic.venues.clock import GuardedClock
    from quantlytic.venues.exchange.server import ExchangeServer


class Edge:
    """Makes what talks to the venue, not connected."""

    def __init__(self, settings: Settings, stores: Stores) -> None:
        self._settings, self._stores = settings, stores

    def exchange(self) -> ExchangeServer:
        """The exchange in a box, not started."""
        from quantlytic.venues.exchange.config import ExchangeConfig
        from quantlytic.venues.exchange.server import ExchangeServer

        venue, folder = self._settings.venue, self._stores.home / "exchange"
        return ExchangeServer(
            ExchangeConfig(symbols=tuple(venue.symbols), seed=venue.box_seed, port=venue.box_port, folder=folder)
        )

    @property
    def venue(self) -> str:
        """The venue's id: the word before the colon in instrument ids, and the end of its streams' names."""
        venue = self._settings.venue
        if venue.name != "ccxt":
            return venue.name
        if not venue.ccxt_exchange:
            raise InputError("venue ccxt needs an exchange: set QUANTLYTIC_VENUE__CCXT_EXCHANGE, such as kraken")
        return venue.ccxt_exchange

    def feed(self, clock: GuardedClock) -> BinanceFeed | CcxtFeed:
        """The venue's public data, not connected."""
        symbols = self._settings.venue.symbols
        if self._settings.venue.name == "ccxt":
            from quantlytic.venues.ccxt.feed import CcxtFeed
            from quantlytic.venues.ccxt.library import open_exchange

            return CcxtFeed(open_exchange(self.venue), symbols, clock)
        from quantlytic.venues.binance.feed import BinanceFeed

        return BinanceFeed(self._market(), symbols, clock)

    def instruments(self, control: Control) -> tuple[Instrument, ...]:
        """The venue's rules for the symbols: as stored, else asked for and stored."""
        from quantlytic.venues.clock import GuardedClock

        stored = [control.instruments.get(f"{self.venue}:{symbol}") for symbol in self._settings.venue.symbols]
        if any(instrument is None for instrument in stored):
            stored = [*asyncio.run(self._ask_instruments(GuardedClock()))]
            control.instruments.put([instrument for instrument in stored if instrument is not None])
        return tuple(instrument for instrument in stored if instrument is not None)

    async def _ask_instruments(self, clock: GuardedClock) -> list[Instrument]:
        return await self.feed(clock).load_instruments()

    def _market(self) -> BinanceMarket:
        """Where Binance, or the exchange in a box, is."""
        from quantlytic.venues.binance.market import spot

        venue = self._settings.venue
        if venue.name == "box":
            rest_url = venue.rest_url or f"http://127.0.0.1:{venue.box_port}"
            stream_url = venue.stream_url or f"ws://127.0.0.1:{venue.box_port}/stream"
            return spot("box", rest_url, stream_url)
        urls = {name: url for name, url in (("rest_url", venue.rest_url), ("stream_url", venue.stream_url)) if url}
        return spot("binance", **urls)
