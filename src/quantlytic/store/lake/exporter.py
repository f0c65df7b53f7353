"""Rows of the lake into a CSV or Parquet file. Bars and trades come out as `data import` takes them in."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl

from quantlytic.model.errors import InputError, StoreError
from quantlytic.model.side import Side
from quantlytic.store.lake.columns import TABLES
from quantlytic.store.lake.lake import Lake
from quantlytic.store.lake.reason import collected


def export(
    lake: Lake,
    table: str,
    path: Path,
    *,
    instrument: str | None = None,
    size_ns: int | None = None,
    start_ns: int | None = None,
    end_ns: int | None = None,
) -> int:
    """Write a table's rows in [start_ns, end_ns) to `path` (.csv or .parquet), in order of time; returns how many.

    The file appears whole or not at all. Raises InputError for another ending, or when there are no such rows.
    """
    if path.suffix not in (".csv", ".parquet"):
        raise InputError(f"{path}: the file's ending must be .csv or .parquet")
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is not a regular file: name another")
    spec = lake.table(table).spec
    if path.suffix == ".csv" and any(isinstance(dtype, pl.List) for dtype in spec.schema.values()):
        raise InputError(f"rows of {table} hold lists, which CSV cannot: export to .parquet")
    if instrument is not None and "instrument" not in spec.fields:
        raise InputError(f"rows of {table} belong to no instrument: leave it out")
    rows = lake.scan(table)
    if instrument is not None:
        rows = rows.filter(pl.col("instrument") == instrument)
    if size_ns is not None:
        rows = rows.filter(pl.col("close_time") - pl.col("open_time") == size_ns)
    if start_ns is not None:
        rows = rows.filter(pl.col(spec.time) >= start_ns)
    if end_ns is not None:
        rows = rows.filter(pl.col(spec.time) < end_ns)
    found = collected(rows.sort(spec.time, "source", "offset"))
    if found.height == 0:
        raise InputError(f"the lake has no such {table}: see `quantlytic data list`")
    _write(_readable(table, found), path)
    return found.height


def _readable(table: str, rows: pl.DataFrame) -> pl.DataFrame:
    time = pl.col(TABLES[table].time).cast(pl.Datetime("ns", "UTC")).alias("ts")
    symbol = pl.col("instrument").str.split_exact(":", 1).struct.field("field_1").alias("symbol")
    if table == "bars":
        return rows.select(time, symbol, "open", "high", "low", "close", "volume", "quote_volume", "trades")
    if table == "trades":
        names = {int(side): side.name.lower() for side in Side}
        side = pl.col("side").replace_strict(names, return_dtype=pl.String)
        return rows.select(time, symbol, "trade_id", "price", "quantity", side)
    return rows.select(TABLES[table].fields)


def _write(rows: pl.DataFrame, path: Path) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        if path.suffix == ".csv":
            rows.write_csv(part, datetime_format="%Y-%m-%dT%H:%M:%S%.9fZ")
        else:
            rows.write_parquet(part)
        part.replace(path)
    except (OSError, pl.exceptions.PolarsError) as error:  # Polars tells a full disk in its own way
        raise StoreError(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}") from None
    finally:
        part.unlink(missing_ok=True)
