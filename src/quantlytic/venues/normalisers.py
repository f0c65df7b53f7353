"""Which normaliser reads a venue's raw messages: the recorder's and the rebuild's must be the same."""

from __future__ import annotations

from quantlytic.venues.port import Normaliser


def normaliser_of(venue: str) -> Normaliser:
    """A fresh one for the venue of that id: Binance's own markets and the exchange in a box, else ccxt's unified form."""
    from quantlytic.venues.binance.market import spot, usdm
    from quantlytic.venues.binance.normaliser import BinanceNormaliser
    from quantlytic.venues.ccxt.normaliser import CcxtNormaliser

    markets = {"box": spot("box"), "binance": spot(), "binance-usdm": usdm()}
    return BinanceNormaliser(markets[venue]) if venue in markets else CcxtNormaliser(venue)
