"""The one place that knows which adapter a venue's name means."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from quantlytic.model.errors import InputError
from quantlytic.model.instrument import Instrument
from quantlytic.venues.capabilities import capabilities_of
from quantlytic.venues.clock import GuardedClock
from quantlytic.venues.port import MarketFeed, OrderEntry

if TYPE_CHECKING:  # each adapter is loaded by the call that needs it
    from quantlytic.venues.alpaca.market import AlpacaMarket
    from quantlytic.venues.binance.market import BinanceMarket

BINANCE_NAMES = ("box", "binance", "binance-testnet", "binance-demo", "binance-usdm")


class Feed(MarketFeed, Protocol):
    """A market feed that can also tell the venue's rules for its symbols."""

    async def load_instruments(self) -> list[Instrument]:
        """Ask the venue, and do no more."""


class VenueOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a venue is reached; what a venue does not have is ignored by it.

    `environment`: "paper" (the default) or "live" at Alpaca, "sandbox" or "live" at ccxt's exchanges; Binance's are venues of
    their own (binance, binance-testnet, binance-demo). Addresses replace the venue's own; empty ones leave it: `rest_url`
    orders and rules, `stream_url` market data, `trading_url` the account's stream, `data_url` (Alpaca) market data by REST,
    `crypto_stream_url` (Alpaca). `stock_feed` (Alpaca): "iex" or "sip". `kinds` (Alpaca): of trades, quotes, bars.
    `fractional` (Alpaca): lots of 1e-9 shares. `news`, `news_categories` (Finnhub): what to read besides prints.
    """

    environment: str = ""
    rest_url: str = ""
    stream_url: str = ""
    trading_url: str = ""
    data_url: str = ""
    crypto_stream_url: str = ""
    stock_feed: str = "iex"
    kinds: tuple[str, ...] = ("trades", "quotes")
    fractional: bool = False
    news: bool = False
    news_categories: tuple[str, ...] = ()


def open_feed(name: str, symbols: Sequence[str], clock: GuardedClock, options: VenueOptions | None = None) -> Feed:
    """The public data of that venue, not connected. Raises InputError for what is missing: an extra, a key, a symbol."""
    options = options or VenueOptions()
    if name in BINANCE_NAMES:
        from quantlytic.venues.binance.feed import BinanceFeed

        return BinanceFeed(binance_market(name, options), symbols, clock)
    if name == "alpaca":
        from quantlytic.venues.alpaca.feed import AlpacaFeed
        from quantlytic.venues.alpaca.keys import AlpacaKeys

        keys = AlpacaKeys.from_environment()
        more: dict[str, Any] = {"kinds": options.kinds, "fractional": options.fractional}
        return AlpacaFeed(alpaca_market(options), symbols, keys, clock, **more)
    if name == "finnhub":
        from quantlytic.venues.finnhub.feed import FinnhubFeed
        from quantlytic.venues.finnhub.keys import FinnhubKeys

        urls = {key: url for key in ("rest_url", "stream_url") if (url := getattr(options, key))}
        more = {"news": options.news, "categories": options.news_categories, **urls}
        return FinnhubFeed(symbols, FinnhubKeys.from_environment(), clock, **more)
    from quantlytic.venues.ccxt.feed import CcxtFeed

    return CcxtFeed(_ccxt_exchange(name, options, {}), symbols, clock)


@asynccontextmanager
async def open_orders(
    name: str, options: VenueOptions | None = None, *, patience_s: float | None = None
) -> AsyncIterator[OrderEntry]:
    """Orders to that venue, with the key from the environment (`capabilities_of(name).key_names`); closed at the end.

    With `patience_s` a submit gives up after so long, and soon afterwards nothing of it can come any more (where the venue
    promises that): for whoever is in a hurry. Raises InputError for a venue that takes none, a missing key or a missing extra.
    """
    options = options or VenueOptions()
    can = capabilities_of(name)
    if not can.orders:
        raise InputError(f"{name} takes no orders here: it is a venue for market data alone")
    if name in BINANCE_NAMES:
        from quantlytic.venues.binance.keys import Keys
        from quantlytic.venues.binance.orders import BinanceOrders, OrderTimings

        quick = None if patience_s is None else OrderTimings(
            request=patience_s / 2, window=patience_s / 2, patience=patience_s
        )  # fmt: skip
        binance = binance_market(name, options), Keys(*Keys.values(*can.key_names))
        async with BinanceOrders(*binance, timings=quick) as orders:
            yield orders
    elif name == "alpaca":
        from quantlytic.venues.alpaca.keys import AlpacaKeys
        from quantlytic.venues.alpaca.orders import AlpacaOrders, AlpacaTimings

        hurried = None if patience_s is None else AlpacaTimings(request=patience_s, patience=patience_s)
        async with AlpacaOrders(alpaca_market(options), AlpacaKeys.from_environment(), timings=hurried) as entry:
            yield entry
    else:
        from quantlytic.venues.ccxt.orders import CcxtOrders

        exchange = _ccxt_exchange(name, options, _ccxt_keys(can.key_names))
        try:
            yield CcxtOrders(name, exchange) if patience_s is None else CcxtOrders(
                name, exchange, patience_s=patience_s
            )  # fmt: skip
        finally:
            await exchange.close()


def binance_market(name: str, options: VenueOptions | None = None) -> BinanceMarket:
    """Where that Binance, or the exchange in a box, is."""
    from quantlytic.venues.binance.market import demo, spot, testnet, usdm

    options = options or VenueOptions()
    market = {
        "box": lambda: spot("box"),
        "binance": spot,
        "binance-testnet": testnet,
        "binance-demo": demo,
        "binance-usdm": usdm,
    }[name]()
    return _moved(market, options, "rest_url", "stream_url", "trading_url")


def alpaca_market(options: VenueOptions | None = None) -> AlpacaMarket:
    """Where Alpaca's account and its data are."""
    from quantlytic.venues.alpaca.market import live, paper

    options = options or VenueOptions()
    accounts = {"": paper, "paper": paper, "live": live}
    if options.environment not in accounts:
        raise InputError(f"alpaca has no environment {options.environment!r}; there are paper and live")
    market = accounts[options.environment](options.stock_feed)
    renamed = {
        "trading_url": options.rest_url,
        "trading_stream_url": options.trading_url,
        "data_url": options.data_url,
        "stock_stream_url": options.stream_url,
        "crypto_stream_url": options.crypto_stream_url,
    }
    return msgspec.structs.replace(market, **{name: url for name, url in renamed.items() if url})


def _moved(market: BinanceMarket, options: VenueOptions, *names: str) -> BinanceMarket:
    return msgspec.structs.replace(market, **{name: url for name in names if (url := getattr(options, name))})


def _ccxt_exchange(name: str, options: VenueOptions, config: dict[str, Any]) -> Any:
    from quantlytic.venues.ccxt.library import open_exchange

    if options.environment not in ("", "live", "sandbox"):
        raise InputError(f"{name} has no environment {options.environment!r}; there are live and sandbox")
    exchange = open_exchange(name, config)
    if options.environment == "sandbox":
        if not exchange.urls.get("test"):
            raise InputError(f"ccxt knows no sandbox of {name}")
        exchange.set_sandbox_mode(True)
    return exchange


def _ccxt_keys(names: Sequence[str]) -> dict[str, Any]:
    """Some exchanges want a passphrase besides: NAME_API_PASSWORD."""
    from quantlytic.venues.keys import Keys

    key, secret = Keys.values(*names)
    password = os.environ.get(names[0].replace("_API_KEY", "_API_PASSWORD"), "").strip()
    return {"apiKey": key, "secret": secret} | ({"password": password} if password else {})
