"""Trades from CSV and Parquet files, checked: what is wrong is named with its row, nothing is mended silently.

Columns: `ts` (integer ns since 1970 UTC, a timestamp, or ISO 8601 text; without a zone it is taken as UTC), `price`,
`quantity`, `side` (the aggressor's: buy or sell, or 1 or -1); optional `symbol`, `trade_id`. Others are ignored.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from quantlytic.model.errors import DataError, InputError
from quantlytic.store.barcheck import Rows

_OPTIONAL = ("side", "symbol", "trade_id")
_SIDES = {"buy": 1, "sell": -1, "1": 1, "-1": -1, "+1": 1}


def read_trades(
    path: Path, symbol: str | None = None, *, side_needed: bool = True, quantity: str = "quantity"
) -> pl.DataFrame:
    """The file's trades in file order, as columns `symbol`, `event_time` (ns), `trade_id`, `price`, `quantity`, `side`.

    `trade_id` is 0 where the file has none. `symbol` picks one; a file without that column holds one instrument, named
    by `symbol` or else by the file. Unless `side_needed`, a file may lack the sides: they are 0 then. `quantity` names
    the column of quantities where it is another.

    Raises InputError for a path or symbol that does not exist, DataError naming the row and column that is wrong.
    """
    frame = _read(path, ("ts", "price", quantity, "side") if side_needed else ("ts", "price", quantity))
    if quantity != "quantity":
        frame = frame.drop("quantity", strict=False).rename({quantity: "quantity"})
    if "symbol" not in frame.columns:
        frame = frame.with_columns(symbol=pl.lit(symbol or path.name.partition(".")[0]))
    frame = frame.with_row_index("row")
    if symbol is not None:
        frame = frame.filter(pl.col("symbol") == symbol)
        if frame.height == 0:
            raise InputError(f"{path} has no symbol {symbol!r}")
    return _checked(path, frame)


def stream_trades(
    path: Path, symbol: str | None = None, chunk: int = 1_000_000, quantity: str = "quantity"
) -> Iterator[pl.DataFrame]:
    """The trades of a Parquet file as `read_trades` gives them, `chunk` rows of the file at a time: no more is in memory.

    A file may lack the sides, which are 0 then. Raises what `read_trades` raises, at the chunk where it is met.
    """
    if path.suffix not in (".parquet", ".pq"):
        raise InputError(f"{path} cannot be streamed: write it as Parquet, or read it whole")
    if chunk < 1:
        raise InputError(f"chunk is 1 or more rows, not {chunk}")
    if not path.is_file():
        raise InputError(f"{path} does not exist")
    needed, last_time = ("ts", "price", quantity), None
    try:
        lazy = pl.scan_parquet(path, glob=False)
        columns, count = lazy.collect_schema().names(), lazy.select(pl.len()).collect().item()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path} is not a whole Parquet file: {str(error).splitlines()[0]}") from None
    if missing := [name for name in needed if name not in columns]:
        raise DataError(f"{path} has no column {missing[0]!r} (needed: {', '.join(needed)})")
    names = [name for name in (*needed, *_OPTIONAL) if name in columns]
    for first in range(0, count, chunk):
        frame = lazy.select(names).slice(first, chunk).collect().with_row_index("row", offset=first)
        frame = frame.rename({quantity: "quantity"})
        if "symbol" not in columns:
            frame = frame.with_columns(symbol=pl.lit(symbol or path.name.partition(".")[0]))
        elif symbol is not None:
            frame = frame.filter(pl.col("symbol") == symbol)
        if frame.height:
            checked = _checked(path, frame)
            if last_time is not None and checked["event_time"][0] < last_time:
                raise DataError(f"{path}: row {frame['row'][0] + 1}: ts is earlier than the row before it")
            last_time = checked["event_time"][-1]
            yield checked
    if last_time is None:
        raise InputError(f"{path} has no trades" if symbol is None else f"{path} has no symbol {symbol!r}")


def symbols_of(path: Path) -> list[str]:
    """The symbols in a Parquet file of trades, in alphabetical order; the file's name where it has no such column."""
    lazy = pl.scan_parquet(path, glob=False)
    if "symbol" not in lazy.collect_schema().names():
        return [path.name.partition(".")[0]]
    return sorted(lazy.select(pl.col("symbol").unique()).collect()["symbol"].to_list())


def _checked(path: Path, frame: pl.DataFrame) -> pl.DataFrame:
    rows = Rows(path, frame, frame["row"].to_numpy().astype(np.int64))
    times = _times(rows)
    if "trade_id" not in frame.columns:
        frame = frame.with_columns(trade_id=pl.lit(0, pl.Int64))
    checked = pl.DataFrame(
        {
            "symbol": frame["symbol"].cast(pl.String),
            "event_time": times,
            "trade_id": _column(rows, frame, "trade_id", pl.Int64(), "a whole number"),
            "price": _column(rows, frame, "price", pl.Float64(), "a price above 0"),
            "quantity": _column(rows, frame, "quantity", pl.Float64(), "a number above 0"),
            "side": _sides(rows) if "side" in frame.columns else pl.repeat(0, frame.height, dtype=pl.Int8, eager=True),
        }
    )
    _check_order(rows, checked)
    return checked


def _read(path: Path, needed: tuple[str, ...]) -> pl.DataFrame:
    if not path.is_file():
        raise InputError(f"{path} does not exist")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty")
    try:
        if path.suffix in (".parquet", ".pq"):
            frame = pl.read_parquet(path, glob=False)
        else:
            frame = pl.read_csv(path, infer_schema=False, glob=False)
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        line = next((text for text in str(error).splitlines() if text.strip()), type(error).__name__)
        raise DataError(f"{path} is not a whole CSV or Parquet file: {line}") from None
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise DataError(f"{path} has no column {missing[0]!r} (needed: {', '.join(needed)})")
    if frame.height == 0:
        raise DataError(f"{path} holds no trades, only a header")
    return frame.select(name for name in dict.fromkeys((*needed, *_OPTIONAL)) if name in frame.columns)


def _times(rows: Rows) -> pl.Series:
    times = rows.frame["ts"]
    if times.dtype == pl.String:
        text = times.str.strip_chars()
        whole = text.cast(pl.Int64, strict=False)
        times = whole if whole[0] is not None else text.str.to_datetime(time_unit="ns", time_zone="UTC", strict=False)
    if isinstance(times.dtype, pl.Datetime):
        times = times.cast(pl.Datetime("ns")).to_physical()
    if not times.dtype.is_integer():
        raise DataError(f"{rows.path}: ts must hold integer ns, timestamps or ISO 8601 text, not {times.dtype}")
    times = times.cast(pl.Int64)
    if times.null_count():
        index = int(times.is_null().arg_max() or 0)
        rows.refuse(index, f"ts is {rows.shown('ts', index)}, but must be integer ns since 1970 or an ISO 8601 time")
    return times


def _column(rows: Rows, frame: pl.DataFrame, name: str, dtype: pl.DataType, needed: str) -> pl.Series:
    values = frame[name].cast(dtype, strict=False)
    good = values.is_not_null()
    if dtype == pl.Float64():
        good &= (values > 0) & values.is_finite()
    if not good.fill_null(value=False).all():
        index = int((~good.fill_null(value=False)).arg_max() or 0)
        rows.refuse(index, f"{name} is {rows.shown(name, index)}, but must be {needed}")
    return values


def _sides(rows: Rows) -> pl.Series:
    text = rows.frame["side"].cast(pl.String).str.strip_chars().str.to_lowercase()
    sides = text.replace_strict(_SIDES, default=None, return_dtype=pl.Int8)
    if sides.null_count():
        index = int(sides.is_null().arg_max() or 0)
        rows.refuse(index, f"side is {rows.shown('side', index)}, but must be buy or sell")
    return sides


def _check_order(rows: Rows, trades: pl.DataFrame) -> None:
    """Within a symbol times never go back, and trade ids, where there are any, increase."""
    step = trades.select(
        ts=pl.col("event_time").diff().over("symbol"),
        trade_id=pl.when(pl.col("trade_id") != 0).then(pl.col("trade_id").diff().over("symbol")),
    )
    for name, bad in (("ts", step["ts"] < 0), ("trade_id", step["trade_id"] <= 0)):
        wrong = bad.fill_null(value=False)
        if wrong.any():
            index = int(wrong.arg_max() or 0)
            rows.refuse(index, f"{name} {rows.shown(name, index)} does not follow on the one before it")
