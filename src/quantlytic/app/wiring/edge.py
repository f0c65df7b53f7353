"""Where the world begins: the venue of these settings, its data and its rules."""

from __future__ import annotations

import asyncio
import os
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from quantlytic.app.config import Settings
from quantlytic.app.wiring.stores import Stores
from quantlytic.model.errors import InputError
from quantlytic.model.instrument import Instrument

if TYPE_CHECKING:
    from quantlytic.store.control.control import Control
    from quantlytic.venues.clock import GuardedClock
    from quantlytic.venues.exchange.server import ExchangeServer
    from quantlytic.venues.openers import Feed, VenueOptions
    from quantlytic.venues.port import OrderEntry

BOX_KEYS = ("QUANTLYTIC_BOX_KEY", "QUANTLYTIC_BOX_SECRET")


class Edge:
    """Makes what talks to the venue, not connected."""

    def __init__(self, settings: Settings, stores: Stores) -> None:
        self._settings, self._stores = settings, stores

    def exchange(self) -> ExchangeServer:
        """The exchange in a box, not started. Its demo account has the keys that `use_box_keys` leaves in the environment."""
        from quantlytic.venues.exchange.config import AccountConfig, ExchangeConfig
        from quantlytic.venues.exchange.server import ExchangeServer

        venue, folder = self._settings.venue, self._stores.home / "exchange"
        self.use_box_keys()
        account = AccountConfig(api_key=os.environ[BOX_KEYS[0]], api_secret=os.environ[BOX_KEYS[1]])
        return ExchangeServer(
            ExchangeConfig(
                symbols=tuple(venue.symbols),
                seed=venue.box_seed,
                port=venue.box_port,
                folder=folder,
                accounts=(account,),
            )
        )

    def use_box_keys(self) -> None:
        """The box is ours alone: keys that nobody has given are made once, and kept with what is recorded."""
        for name in BOX_KEYS:
            if not os.environ.get(name):
                os.environ[name] = self._stores.secret(name.removeprefix("QUANTLYTIC_").lower(), "a key of the box")

    @property
    def venue(self) -> str:
        """The venue's id: the word before the colon in instrument ids, and the end of its streams' names."""
        venue = self._settings.venue
        if venue.name != "ccxt":
            return venue.name
        if not venue.ccxt_exchange:
            raise InputError("venue ccxt needs an exchange: set QUANTLYTIC_VENUE__CCXT_EXCHANGE, such as kraken")
        return venue.ccxt_exchange

    def feed(self, clock: GuardedClock) -> Feed:
        """The venue's public data, not connected."""
        from quantlytic.venues.openers import open_feed

        return open_feed(self.venue, self._settings.venue.symbols, clock, self._options())

    def open_orders(self, patience_s: float | None = None) -> AbstractAsyncContextManager[OrderEntry]:
        """Orders to the venue, with the keys of the environment; `patience_s`: see `venues.openers.open_orders`."""
        from quantlytic.venues.openers import open_orders

        if self.venue == "box":
            self.use_box_keys()
        return open_orders(self.venue, self._options(), patience_s=patience_s)

    def instruments(self, control: Control) -> tuple[Instrument, ...]:
        """The venue's rules for the symbols: as stored, else asked for and stored."""
        from quantlytic.venues.clock import GuardedClock

        stored = [control.instruments.get(f"{self.venue}:{symbol}") for symbol in self._settings.venue.symbols]
        if any(instrument is None for instrument in stored):
            stored = [*asyncio.run(self._ask_instruments(GuardedClock()))]
            control.instruments.put([instrument for instrument in stored if instrument is not None])
        return tuple(instrument for instrument in stored if instrument is not None)

    def knows_instruments(self, control: Control) -> bool:
        """Whether the venue's rules for all symbols are stored."""
        return all(control.instruments.get(f"{self.venue}:{symbol}") for symbol in self._settings.venue.symbols)

    async def _ask_instruments(self, clock: GuardedClock) -> list[Instrument]:
        return await self.feed(clock).load_instruments()

    def _options(self) -> VenueOptions:
        """How the venue is reached."""
        from quantlytic.venues.openers import VenueOptions

        venue = self._settings.venue
        given = {name: getattr(venue, name) for name in VenueOptions.__struct_fields__ if hasattr(venue, name)}
        given = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
        if venue.name == "box":
            where = f"127.0.0.1:{venue.box_port}"
            own = {
                "rest_url": f"http://{where}",
                "stream_url": f"ws://{where}/stream",
                "trading_url": f"ws://{where}/ws-api/v3",
            }
            given |= {name: given[name] or url for name, url in own.items()}
        return VenueOptions(**given)
