"""Yahoo's daily history, by yfinance."""
