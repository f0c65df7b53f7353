"""Daily history as Yahoo gives it: prices adjusted for splits, `Adj Close` for dividends too, and both as columns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from quantlytic.model.action import ACTION, ActionKind
from quantlytic.model.bar import blank_bars
from quantlytic.model.errors import DataError, InputError

_PRICES = ("Open", "High", "Low", "Close")
_NEEDED = (*_PRICES, "Adj Close", "Volume", "Dividends", "Stock Splits")
_SIZES = (("1wk", 7 * 86_400), ("1d", 86_400), ("1h", 3_600), ("15m", 900))


@dataclass(frozen=True)
class YahooHistory:
    """`bars` (dtype BAR) as the file has them, not checked; `actions` (dtype ACTION), each just before the bar of its row;
    `adjusted_close` f8, as many as bars; `empty_rows` had no price and are left out."""

    bars: NDArray[Any]
    actions: NDArray[Any]
    adjusted_close: NDArray[np.float64]
    empty_rows: int


def read_yahoo(path: Path) -> YahooHistory:
    """A CSV of Yahoo's history, rows in either order of time; the first column is the bar's open.

    Raises InputError for a path that does not exist, DataError for a file that is none of that.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist")
    try:
        frame = pl.read_csv(path, infer_schema=False)
        missing = [name for name in _NEEDED if name not in frame.columns]
        if missing:
            raise DataError(f"{path} has no column {missing[0]!r} (needed: a time, {', '.join(_NEEDED)})")
        times = pl.col(frame.columns[0]).str.to_datetime(time_unit="ns", time_zone="UTC").alias("ts")
        frame = frame.select(times, pl.col(_NEEDED).cast(pl.Float64, strict=False)).sort("ts")
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{path} is no history of Yahoo's: {str(error).splitlines()[0]}") from None
    traded = frame.drop_nulls(_PRICES)
    bars = blank_bars(traded.height)
    bars["open_time"] = traded["ts"].to_physical().to_numpy()
    steps = np.diff(bars["open_time"], append=bars["open_time"][-1:])
    size = next((s for name, s in _SIZES if f"-{name}" in path.name), 86_400) * 10**9
    bars["close_time"] = bars["open_time"] + np.where(steps > 0, np.minimum(steps, size), size)
    for name in (*_PRICES, "Volume"):
        bars[name.lower()] = traded[name].fill_null(0.0).to_numpy()
    return YahooHistory(
        bars, _actions(frame), traded["Adj Close"].fill_null(np.nan).to_numpy(), frame.height - traded.height
    )


def _actions(frame: pl.DataFrame) -> NDArray[Any]:
    found = []
    for name, kind in (("Dividends", ActionKind.DIVIDEND), ("Stock Splits", ActionKind.SPLIT)):
        rows = frame.filter(pl.col(name) > 0)
        actions = np.zeros(rows.height, ACTION)
        # One nanosecond in: the bar before ends when this one opens, and an action comes before bars of its own time.
        actions["event_time"], actions["kind"] = rows["ts"].to_physical().to_numpy() + 1, kind
        actions["value"] = rows[name].to_numpy()
        found.append(actions)
    every = np.concatenate(found)
    return every[np.argsort(every["event_time"], kind="stable")]
