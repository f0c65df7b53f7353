"""Finnhub, by its own client (`pip install 'quantlytic[finnhub]'`): prints of US equities and crypto, and news. No orders."""
