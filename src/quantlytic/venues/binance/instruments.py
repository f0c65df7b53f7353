"""What the venue lists, and its rules: asked for once, before anything runs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from quantlytic.model.instrument import Instrument
from quantlytic.venues.binance.feed import BinanceFeed
from quantlytic.venues.binance.market import BinanceMarket
from quantlytic.venues.clock import GuardedClock


def load_instruments(market: BinanceMarket, symbols: Sequence[str]) -> list[Instrument]:
    """The instruments of these symbols, in their order. Raises VenueError without an answer, InputError for an unknown one."""

    async def ask() -> list[Instrument]:
        return await BinanceFeed(market, symbols, GuardedClock()).load_instruments()

    return asyncio.run(ask())
