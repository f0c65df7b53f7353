"""US equities in the formats of LEAN: what a company's tickers were, its splits and dividends, its raw daily bars."""
