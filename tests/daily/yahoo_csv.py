"""Yahoo's history as CSV, as yfinance writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from quantlytic.model.errors import DataError
from quantlytic.venues.daily import DAILY

COLUMNS = {
    "Open": "open", "High": "high", "Low": "low", "Close": "close", "Adj Close": "adj_close", "Volume": "volume",
    "Dividends": "dividend", "Stock Splits": "split", "Capital Gains": "capital_gain",
}  # fmt: skip
_PAID = ("dividend", "split", "capital_gain")


def read_yahoo_csv(path: Path) -> NDArray[Any]:
    """Rows of dtype DAILY, sorted by time; `time` is as the file has it, in UTC. Raises DataError for another kind of file."""
    try:
        frame = pl.read_csv(path, infer_schema=False)
        missing = [name for name in ("Open", "High", "Low", "Close", "Volume") if name not in frame.columns]
        if missing:
            raise DataError(f"{path} has no column {missing[0]!r}: it is no history of Yahoo's")
        times = frame[frame.columns[0]].str.to_datetime(time_unit="ns", time_zone="UTC")
        columns = {
            new: frame[old].cast(pl.Float64, strict=False) for old, new in COLUMNS.items() if old in frame.columns
        }
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path} is no history of Yahoo's: {str(error).splitlines()[0]}") from None
    rows = np.zeros(frame.height, DAILY)
    rows["time"] = times.to_physical().to_numpy()
    rows["adj_close"] = np.nan
    for name, values in columns.items():
        rows[name] = values.fill_null(0.0 if name in _PAID else np.nan).to_numpy()
    return rows[np.argsort(rows["time"], kind="stable")]
