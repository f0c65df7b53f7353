"""Which normaliser reads a venue's raw messages: the recorder's and the rebuild's must be the same."""

from __future__ import annotations

from quantlytic.venues.openers import BINANCE_NAMES, binance_market
from quantlytic.venues.port import Normaliser


def normaliser_of(venue: str) -> Normaliser:
    """A fresh one for the venue of that id: a venue's own, else that of ccxt's unified form."""
    if venue in BINANCE_NAMES:
        from quantlytic.venues.binance.normaliser import BinanceNormaliser

        return BinanceNormaliser(binance_market(venue))
    if venue == "alpaca":
        from quantlytic.venues.alpaca.normaliser import AlpacaNormaliser

        return AlpacaNormaliser(venue)
    if venue == "finnhub":
        from quantlytic.venues.finnhub.normaliser import FinnhubNormaliser

        return FinnhubNormaliser(venue)
    from quantlytic.venues.ccxt.normaliser import CcxtNormaliser

    return CcxtNormaliser(venue)
