"""Alpaca, by alpaca-py (`pip install 'quantlytic[alpaca]'`): US equities and crypto; market data, orders; paper and live."""
