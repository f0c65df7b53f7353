"""Where Alpaca is: its paper and its live account, and the market data that both share."""

from __future__ import annotations

import msgspec

from quantlytic.model.errors import InputError

STOCK_FEEDS = ("iex", "sip")


class AlpacaMarket(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses without a trailing slash. `stock_feed`: "iex" (free: one exchange's trades) or "sip" (all of them, paid).

    `calls_per_minute` is our share of the 200 calls a minute that an account has.
    """

    venue: str = "alpaca"
    trading_url: str = "https://paper-api.alpaca.markets"
    trading_stream_url: str = "wss://paper-api.alpaca.markets/stream"
    data_url: str = "https://data.alpaca.markets"
    stock_stream_url: str = "wss://stream.data.alpaca.markets/v2/iex"
    crypto_stream_url: str = "wss://stream.data.alpaca.markets/v1beta3/crypto/us"
    stock_feed: str = "iex"
    calls_per_minute: int = 160


def paper(stock_feed: str = "iex") -> AlpacaMarket:
    """The paper account: play money, the real market's prices."""
    return AlpacaMarket(stock_feed=_known(stock_feed), stock_stream_url=_stock_stream(stock_feed))


def live(stock_feed: str = "iex") -> AlpacaMarket:
    """The live account: real money."""
    return AlpacaMarket(
        trading_url="https://api.alpaca.markets",
        trading_stream_url="wss://api.alpaca.markets/stream",
        stock_feed=_known(stock_feed),
        stock_stream_url=_stock_stream(stock_feed),
    )


def is_crypto(symbol: str) -> bool:
    """Crypto pairs are written with a slash: BTC/USD."""
    return "/" in symbol


def _known(stock_feed: str) -> str:
    if stock_feed not in STOCK_FEEDS:
        raise InputError(f"alpaca has no stock feed {stock_feed!r}; there are {', '.join(STOCK_FEEDS)}")
    return stock_feed


def _stock_stream(stock_feed: str) -> str:
    return f"wss://stream.data.alpaca.markets/v2/{stock_feed}"
