"""Equities in the formats of LEAN (tickers of a company, splits and dividends, raw bars) and of Yahoo."""
