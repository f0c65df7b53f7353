"""Bars from CSV and Parquet files, checked: what is wrong is named with its row, nothing is mended silently.

Columns: `ts` (the bar's open: integer ns since 1970 UTC, a timestamp of any unit and zone, or ISO 8601 text; without a
zone it is taken as UTC), `open`, `high`, `low`, `close`, `volume`; optional `symbol`, `quote_volume`, `trades`, `close_ts`,
`forecast` (a model's, made after the bar; empty: none).
Others are ignored. A bar closes at `close_ts` where there is one (bars by activity need it); else one bar size after it opens,
or at its successor's open where that comes earlier.
"""

from __future__ import annotations

import gzip
import os
import zlib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from quantlytic.model.bar import blank_bars
from quantlytic.model.errors import DataError, InputError
from quantlytic.model.instrument import Instrument
from quantlytic.store.barcheck import AMOUNTS, PRICES, Rows, check_times, check_values

_REQUIRED = ("ts", *PRICES, "volume")
_OPTIONAL = ("symbol", "quote_volume", "trades", "close_ts", "forecast")
_ISO = r"^\s*\d{4}-\d\d-\d\d"  # polars alone would also guess at 01/02/2024: only the unambiguous order is taken
_SMALLEST_NS = 10**16  # an integer `ts` in s, ms or us stays below this until the year 2286
_LARGEST_NS = 9_214_646_400_000_000_000  # the year 2262: room for one bar size before int64 ends
_UNIT_STEP = 500  # s, ms, us and ns lie 1000 apart; no market's next bar is at 500 times the time since 1970
_CHUNK_ROWS = 4096  # a chunk of records stays in the processor's cache while its columns are written


def read_bars(
    path: str | os.PathLike[str], symbol: str | None = None, size_ns: int | None = None
) -> tuple[NDArray[Any], tuple[Instrument, ...]]:
    """The bars of a file as a structured array of dtype BAR in (close_time, instrument) order, and their instruments.

    `symbol` picks one; None takes all. A file without the column `symbol` holds one instrument, named by `symbol` or
    else by the file. Instruments are sorted by name and get the id `file:SYMBOL`, unless the file states the venue.
    The bar size is the most frequent step between the opens of a symbol, unless `size_ns` states it.

    Raises InputError for a path or a symbol that does not exist, DataError for contents that are not valid bars.
    """
    path = Path(path)
    rows, names, codes = _pick(path, _read(path), symbol)
    times = _ns(rows)
    rows = replace(rows, times=times)
    numbers = {name: _numbers(rows, name) for name in (*PRICES, *AMOUNTS) if name in rows.frame.columns}
    check_values(rows, numbers)
    order = None if len(names) == 1 else np.argsort(codes, kind="stable")
    check_times(rows, names, codes, order)
    if "close_ts" in rows.frame.columns and size_ns is None:
        close_times = _stated_closes(rows, codes, order)
    else:
        close_times = _close_times(path, times, codes, order, size_ns)
    if "forecast" in rows.frame.columns:
        numbers["forecast"] = _forecasts(rows)
    columns: dict[str, NDArray[Any]] = {**numbers, "instrument": codes, "open_time": times, "close_time": close_times}
    merged = None if order is None else np.lexsort((codes, close_times))
    return _records(columns, merged), tuple(_instrument(name) for name in names)


def count_holes(bars: NDArray[Any]) -> int:
    """How many bars are missing: for each step between an instrument's opens, the whole bar sizes in it less one.

    No calendar is known here: the nights and weekends of an exchange that closes count as holes too.
    """
    holes = 0
    instruments = [0] if len(bars) and not bars["instrument"].any() else np.unique(bars["instrument"])
    for index in instruments:
        opens = bars["open_time"] if len(instruments) == 1 else bars["open_time"][bars["instrument"] == index]
        steps = np.diff(opens)
        if len(steps):
            holes += int(np.maximum(steps // most_frequent(steps) - 1, 0).sum())
    return holes


def most_frequent(steps: NDArray[np.int64]) -> int:
    """The most frequent value; of several, the smallest."""
    if 2 * np.count_nonzero(steps == steps[0]) > len(steps):
        return int(steps[0])
    values, counts = np.unique(steps, return_counts=True)
    return int(values[np.argmax(counts)])


# ---- reading


def _read(path: Path) -> pl.DataFrame:
    """The known columns of the file, as it holds them."""
    if path.is_dir():
        raise InputError(f"{path} is a folder: name the file of bars in it")
    if path.exists() and not path.is_file():  # its end may never come, and it can be read only once
        raise InputError(f"{path} is a device or a pipe: name a regular file of bars")
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    if not head:
        raise DataError(f"{path} is empty")
    parquet = head == b"PAR1" or path.suffix in (".parquet", ".pq")
    frame = _read_parquet(path) if parquet else _read_csv(path)
    if frame.height == 0:
        raise DataError(f"{path} holds no bars, only a header")
    return frame


def _read_parquet(path: Path) -> pl.DataFrame:
    try:
        known = _known(path, list(pl.read_parquet_schema(path)))
        return pl.read_parquet(path, columns=known, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path} is not a whole Parquet file: {_first_line(error)}") from None


def _read_csv(path: Path) -> pl.DataFrame:
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        content = content.rstrip()  # blank lines at the end are no rows
        known = _known(path, pl.read_csv(content, n_rows=0, infer_schema=False).columns)
        return pl.read_csv(content, columns=known, infer_schema=False)
    except pl.exceptions.NoDataError:
        raise DataError(f"{path} is empty") from None
    except (pl.exceptions.PolarsError, EOFError, OSError, ValueError, zlib.error) as error:
        raise DataError(f"{path} is not a whole CSV file: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _known(path: Path, present: list[str]) -> list[str]:
    missing = [name for name in _REQUIRED if name not in present]
    if missing:
        shown = ", ".join(present[:12]) + (", ..." if len(present) > 12 else "")
        raise DataError(f"{path} has no column {missing[0]!r} (needed: {', '.join(_REQUIRED)}; it has: {shown})")
    return [name for name in (*_REQUIRED, *_OPTIONAL) if name in present]


# ---- columns


def _pick(path: Path, frame: pl.DataFrame, symbol: str | None) -> tuple[Rows, tuple[str, ...], NDArray[np.int32]]:
    """The rows asked for, the names of their instruments, and for each row the index of its instrument."""
    if "symbol" not in frame.columns:
        return Rows(path, frame), (symbol or path.name.partition(".")[0],), np.zeros(frame.height, np.int32)
    symbols = frame["symbol"].cast(pl.String)
    unnamed = symbols.is_null() | (symbols.str.strip_chars() == "")
    if unnamed.any():
        Rows(path, frame).refuse(int(unnamed.arg_max() or 0), "symbol is empty")
    if symbol is not None:
        numbers = (symbols == symbol).arg_true().to_numpy().astype(np.int64)
        if not len(numbers):
            present = symbols.unique().sort().to_list()
            shown = ", ".join(present[:12]) + (f" and {len(present) - 12} more" if len(present) > 12 else "")
            raise InputError(f"{path} has no symbol {symbol!r}; it has {shown}")
        whole = len(numbers) == frame.height
        rows = Rows(path, frame) if whole else Rows(path, frame[numbers], numbers)
        return rows, (symbol,), np.zeros(len(numbers), np.int32)
    names = symbols.unique().sort().to_list()
    codes = symbols.cast(pl.Enum(names)).to_physical().to_numpy().astype(np.int32)
    return Rows(path, frame), tuple(names), codes


def _numbers(rows: Rows, name: str) -> NDArray[np.float64]:
    """A column as floats; NaN where it holds nothing, or text that is no number."""
    series = rows.frame[name]
    if series.dtype != pl.String and not series.dtype.is_numeric():
        raise DataError(f"{rows.path}: column {name!r} must hold numbers, not {series.dtype}")
    return series.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()


def _forecasts(rows: Rows) -> NDArray[np.float64]:
    """The column `forecast`: finite, or NaN (an empty cell) for none."""
    series, values = rows.frame["forecast"], _numbers(rows, "forecast")
    empty = series.is_null()
    if series.dtype == pl.String:
        empty |= series.str.strip_chars().str.to_lowercase().is_in(["", "nan"])
    elif series.dtype.is_float():
        empty |= series.is_nan().fill_null(value=True)
    bad = ~(np.isfinite(values) | empty.to_numpy())
    if bad.any():
        index = int(np.argmax(bad))
        rows.refuse(index, f"forecast is {rows.shown('forecast', index)}, but must be a number, or empty for none")
    return values


def _ns(rows: Rows, name: str = "ts") -> NDArray[np.int64]:
    """A column of times as ns since 1970 UTC."""
    series = rows.frame[name]
    times = _times_of_text(rows, name, series) if series.dtype == pl.String else series
    if times.null_count():
        index = int(times.is_null().arg_max() or 0)
        rows.refuse(
            index, f"{name} is {rows.shown(name, index)}, but must be integer ns since 1970 or an ISO 8601 time"
        )
    if times.dtype.is_integer():
        return _whole_ns(rows, name, times)
    if times.dtype != pl.Date and not isinstance(times.dtype, pl.Datetime):
        raise DataError(f"{rows.path}: {name} must hold integer ns, timestamps or ISO 8601 text, not {times.dtype}")
    years = times.dt.year()
    for index in (times.arg_min() or 0, times.arg_max() or 0):
        if not 1678 <= years[index] <= 2261:
            rows.refuse(index, f"{name} is {rows.shown(name, index)}, outside the years 1678 to 2261 that ns can hold")
    return times.cast(pl.Datetime("ns")).to_physical().to_numpy()


def _whole_ns(rows: Rows, name: str, times: pl.Series) -> NDArray[np.int64]:
    """Integers as ns, unless they must be of another unit, or of several."""
    last = int(times.max())  # type: ignore[arg-type]
    if 0 < last < _SMALLEST_NS:
        raise DataError(f"{rows.path}: {name} goes to {last}, too small for ns since 1970: convert it to nanoseconds")
    if last > _LARGEST_NS:
        index = times.arg_max() or 0
        rows.refuse(index, f"{name} is {rows.shown(name, index)}, outside the years 1678 to 2261 that ns can hold")
    found = times.cast(pl.Int64).to_numpy()
    known = np.sort(found[found > 0])
    if last > 0 and (jumps := known[1:] // _UNIT_STEP > known[:-1]).any():
        index = int(np.argmax(found == known[int(np.argmax(jumps))]))
        rows.refuse(
            index, f"{name} is {rows.shown(name, index)}, another unit than in other rows: convert all to nanoseconds"
        )
    return found


def _times_of_text(rows: Rows, name: str, series: pl.Series) -> pl.Series:
    """Whole numbers or ISO 8601 times, as the first row has it; null where a row is neither."""
    if str(series[0]).strip().lstrip("-").isdigit():
        return series.str.strip_chars().cast(pl.Int64, strict=False)
    iso_text = series.str.strip_chars().set(~series.str.contains(_ISO).fill_null(value=False), None)
    if iso_text[0] is None:
        return iso_text
    try:
        return iso_text.str.to_datetime(time_unit="ns", time_zone="UTC", strict=False)
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{rows.path}: {name} cannot be read as ISO 8601 time: {_first_line(error)}") from None


def _stated_closes(rows: Rows, codes: NDArray[Any], order: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """The column `close_ts`: after the bar's own open, and not after its successor's."""
    closes, opens = _ns(rows, "close_ts"), rows.times
    assert opens is not None
    early = closes <= opens
    if early.any():
        index = int(np.argmax(early))
        rows.refuse(index, f"close_ts is {rows.shown('close_ts', index)}, not after ts")
    grouped = np.arange(len(opens)) if order is None else order
    own = codes[grouped[1:]] == codes[grouped[:-1]]
    over = own & (closes[grouped[:-1]] > opens[grouped[1:]])
    if over.any():
        index = int(grouped[int(np.argmax(over))])
        rows.refuse(index, f"close_ts is {rows.shown('close_ts', index)}, after the next bar's ts")
    return closes


def _close_times(
    path: Path, times: NDArray[np.int64], codes: NDArray[Any], order: NDArray[np.int64] | None, size_ns: int | None
) -> NDArray[np.int64]:
    """One bar size after the open, or the successor's open where that comes earlier (bars must not overlap)."""
    if size_ns is not None and size_ns <= 0:
        raise InputError(f"a bar size of {size_ns} ns is not positive")
    grouped = times if order is None else times[order]
    closes = np.empty_like(grouped)
    edges = [0, len(grouped)] if order is None else [0, *(np.flatnonzero(np.diff(codes[order])) + 1), len(grouped)]
    for start, end in pairwise(edges):
        opens = grouped[start:end]
        if size_ns is None and len(opens) < 2:
            raise InputError(f"{path} holds a symbol with one bar, which does not tell the bar size: state it")
        closes[start:end] = opens + (size_ns or most_frequent(np.diff(opens)))
        np.minimum(closes[start : end - 1], opens[1:], out=closes[start : end - 1])
    if order is None:
        return closes
    ungrouped = np.empty_like(closes)
    ungrouped[order] = closes
    return ungrouped


def _records(columns: dict[str, NDArray[Any]], order: NDArray[np.int64] | None) -> NDArray[Any]:
    """Columns to records of dtype BAR, by chunks of rows: column by column, each pass would go through memory anew."""
    bars = blank_bars(len(columns["open_time"]))
    for start in range(0, len(bars), _CHUNK_ROWS):
        chunk = slice(start, start + _CHUNK_ROWS)
        picked = chunk if order is None else order[chunk]
        part = bars[chunk]
        for name, column in columns.items():
            part[name] = column[picked]
    return bars


def _instrument(name: str) -> Instrument:
    return Instrument(name if ":" in name else f"file:{name}")
