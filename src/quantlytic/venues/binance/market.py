"""Which Binance: where it is, what its paths are called and what they cost."""

from __future__ import annotations

from urllib.parse import quote

import msgspec

from quantlytic.venues.port import Request


class BinanceMarket(msgspec.Struct, frozen=True, kw_only=True):
    """One market of Binance, or a server that speaks like it. `venue` is the word before the colon in instrument ids.

    `streams` are asked for per symbol; `stream_url` is a combined-stream address. Weights are Binance's;
    `weight_per_minute` is the share of the venue's budget (6000 spot, 2400 futures) that goes to history and snapshots.
    """

    venue: str
    rest_url: str
    stream_url: str
    trading_url: str = ""
    api: str = "/api/v3"
    streams: tuple[str, ...] = ("trade", "bookTicker", "depth@100ms")
    depth_limit: int = 1000
    depth_weight: int = 50
    has_history: bool = True
    history_weight: int = 25
    weight_per_minute: int = 3000

    def depth_request(self, symbol: str) -> Request:
        """The whole book, as deep as it is kept."""
        return Request(f"{self.api}/depth?symbol={quote(symbol)}&limit={self.depth_limit}", self.depth_weight)

    def history_path(self, symbol: str) -> str | None:
        """Where single trades of the past are; None where the venue has them not without a key."""
        return f"{self.api}/historicalTrades?symbol={quote(symbol)}" if self.has_history else None


def spot(
    venue: str = "binance",
    rest_url: str = "https://api.binance.com",
    stream_url: str = "wss://stream.binance.com:9443/stream",
    trading_url: str = "wss://ws-api.binance.com:443/ws-api/v3",
) -> BinanceMarket:
    """Binance Spot; with other addresses the exchange in a box or the test net."""
    return BinanceMarket(venue=venue, rest_url=rest_url, stream_url=stream_url, trading_url=trading_url)


def testnet() -> BinanceMarket:
    """Binance's Spot Test Network: real protocol, play money, prices of its own; emptied about once a month."""
    return spot(
        "binance-testnet",
        "https://testnet.binance.vision",
        "wss://stream.testnet.binance.vision/stream",
        "wss://ws-api.testnet.binance.vision/ws-api/v3",
    )


def demo() -> BinanceMarket:
    """Binance's Demo Mode: the real market's prices, play money. Its keys are made apart, in the demo's own settings."""
    return spot(
        "binance-demo",
        "https://demo-api.binance.com",
        "wss://demo-stream.binance.com/stream",
        "wss://demo-ws-api.binance.com/ws-api/v3",
    )


def usdm(
    venue: str = "binance-usdm",
    rest_url: str = "https://fapi.binance.com",
    stream_url: str = "wss://fstream.binance.com/stream",
) -> BinanceMarket:
    """USD-M futures: finest depth stream; single past trades need a key there, so that holes stay holes."""
    return BinanceMarket(
        venue=venue,
        rest_url=rest_url,
        stream_url=stream_url,
        api="/fapi/v1",
        streams=("trade", "bookTicker", "depth@0ms"),
        depth_weight=20,
        has_history=False,
        weight_per_minute=1200,
    )
