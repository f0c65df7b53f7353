"""Daily history from Yahoo by yfinance, unmodified and without its repairs: what Yahoo has wrong is judged elsewhere."""

from __future__ import annotations

import importlib
import logging
import warnings
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.model.errors import InputError, VenueError
from quantlytic.venues.answers import Throttled
from quantlytic.venues.daily import DAILY, DailyHistory

_COLUMNS = {
    "open": "Open", "high": "High", "low": "Low", "close": "Close", "adj_close": "Adj Close", "volume": "Volume",
    "dividend": "Dividends", "split": "Stock Splits", "capital_gain": "Capital Gains",
}  # fmt: skip
_NOT_FOUND = 404
_PATIENCE_S = 60.0


class YahooDaily:
    """`venue:SYMBOL` is asked for as Yahoo's ticker SYMBOL (`yahoo:BRK-B`, `usa:AAPL`, `yahoo:VOD.L`).

    `cache` is the folder in which yfinance keeps time zones and cookies. `session` is what it makes its requests with (of
    curl_cffi or requests); None: its own. Raises InputError when yfinance is not installed.
    """

    name = "Yahoo"

    def __init__(self, cache: Path, session: Any = None, timeout_s: float = 30.0) -> None:
        try:
            self._yfinance: Any = importlib.import_module("yfinance")
        except ImportError:
            raise InputError("Yahoo needs yfinance: pip install yfinance") from None
        logging.getLogger("yfinance").setLevel(logging.CRITICAL)  # what it would log is in the errors raised here
        cache.mkdir(parents=True, exist_ok=True)
        self._yfinance.set_tz_cache_location(str(cache))
        self._session, self._timeout_s = session, timeout_s

    def history(self, instrument: str, start: date, end: date) -> DailyHistory:
        """Rows in today's units: Yahoo adjusts for splits after `end`, too, so it is asked for all until today."""
        symbol = instrument.partition(":")[2]
        frame, currency = self._ask(symbol, start)
        rows = _rows(frame)
        last = np.datetime64(end, "ns").astype(np.int64)
        later = rows["split"][(rows["time"] > last) & (rows["split"] > 0.0)]
        return DailyHistory(
            instrument,
            rows[rows["time"] <= last],
            "split-adjusted",
            currency,
            float(np.prod(later)) if len(later) else 1.0,
        )

    def _ask(self, symbol: str, start: date) -> tuple[Any, str]:
        """(yfinance's table, currency). Its many kinds of error become an unknown symbol, or a venue that is in trouble."""
        errors = self._yfinance.exceptions
        hidden = self._yfinance.config.debug.hide_exceptions
        self._yfinance.config.debug.hide_exceptions = False  # hidden, a dead network looks like a delisted symbol
        try:
            with (
                warnings.catch_warnings()
            ):  # of what newer versions of pandas will do differently, which is not ours to mend
                warnings.simplefilter("ignore")
                return self._history(symbol, start)
        except errors.YFTickerMissingError as error:
            raise InputError(f"Yahoo has no daily history of {symbol!r}: {_line(error)}") from None
        except errors.YFRateLimitError:
            raise Throttled("Yahoo answers that there are too many requests", _PATIENCE_S) from None
        except Exception as error:  # whatever a parser of undocumented answers may stumble over
            if getattr(getattr(error, "response", None), "status_code", None) == _NOT_FOUND:
                raise InputError(f"Yahoo has no daily history of {symbol!r}: it does not know it") from None
            raise VenueError(f"Yahoo cannot be asked for {symbol!r}: {_line(error)}") from None
        finally:
            self._yfinance.config.debug.hide_exceptions = hidden

    def _history(self, symbol: str, start: date) -> tuple[Any, str]:
        ticker = self._yfinance.Ticker(symbol, session=self._session)
        frame = ticker.history(
            start=start.isoformat(), end=(date.today() + timedelta(days=1)).isoformat(), interval="1d",
            auto_adjust=False, actions=True, repair=False, keepna=True, timeout=self._timeout_s, raise_errors=True,
        )  # fmt: skip
        return frame, str(ticker.history_metadata.get("currency") or "")


def _rows(frame: Any) -> NDArray[Any]:
    """The table as rows; their times are the exchange's own dates."""
    rows = np.zeros(len(frame), DAILY)
    days = frame.index.tz_localize(None).normalize().to_numpy()
    rows["time"] = days.astype("datetime64[ns]").astype(np.int64)
    for name, column in _COLUMNS.items():
        if column in frame.columns:
            rows[name] = frame[column].to_numpy(np.float64)
    for name in ("dividend", "split", "capital_gain"):
        rows[name] = np.nan_to_num(rows[name])
    return rows[np.argsort(rows["time"], kind="stable")]


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
