"""Files of bars and trades into the lake, once: the same file again, or one that overlaps, adds only what is new."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from quantlytic.model.bar import EVENT_FIELDS
from quantlytic.model.errors import DataError, StoreError
from quantlytic.model.time import iso
from quantlytic.store.barfile import read_bars
from quantlytic.store.lake.columns import TABLES, TableSpec, partition_columns, sorted_rows
from quantlytic.store.lake.lake import Lake
from quantlytic.store.lake.reason import collected
from quantlytic.store.tradefile import read_trades

_KEYS = {"bars": ("instrument", "open_time", "close_time"), "trades": ("instrument", "trade_id")}


class Imported(msgspec.Struct, frozen=True):
    """What an import did: `rows` in the file, `added` to the lake, `skipped` because they were there already."""

    file: str
    table: str
    instruments: list[str]
    rows: int
    added: int
    skipped: int


def import_bars(lake: Lake, path: Path, venue: str, symbol: str | None = None, size_ns: int | None = None) -> Imported:
    """Bars of a CSV or Parquet file (`store/barfile.py`) as bars of `venue`. All of them or none.

    Raises InputError and DataError as `read_bars` does, and DataError where the lake has another bar for the same time.
    """
    bars, instruments = read_bars(path, symbol, size_ns)
    if not np.isnan(bars["forecast"]).all():
        raise DataError(f"{path} has forecasts, which the lake's bars do not hold: leave out the column `forecast`")
    names = pl.Series([f"{venue}:{instrument.symbol}" for instrument in instruments], dtype=pl.String)
    columns = {name: pl.Series(name, np.ascontiguousarray(bars[name])) for name in EVENT_FIELDS}
    columns["instrument"] = names.gather(columns["instrument"].cast(pl.UInt32))
    return _add(lake, "bars", pl.DataFrame(columns), path, f"{venue} {symbol} {size_ns}")


def import_trades(lake: Lake, path: Path, venue: str, symbol: str | None = None) -> Imported:
    """Trades of a CSV or Parquet file (`store/tradefile.py`) as trades of `venue`. All of them or none.

    They were received when they happened, as far as anybody knows: `receive_time` is the event time. Trades without ids
    cannot be told from others, so that a file that overlaps an earlier one adds its trades again.
    """
    trades = read_trades(path, symbol)
    instrument = pl.concat_str(pl.lit(f"{venue}:"), pl.col("symbol"))
    rows = trades.with_columns(instrument=instrument, receive_time=pl.col("event_time"))
    return _add(lake, "trades", rows, path, f"{venue} {symbol}")


def _add(lake: Lake, table: str, rows: pl.DataFrame, path: Path, how: str) -> Imported:
    """The file's content and how it is taken name the source: the lake knows by it what it has."""
    spec = TABLES[table]
    source = f"import.{_digest(path, how)[:20]}"
    rows = rows.with_columns(source=pl.lit(source), offset=pl.int_range(rows.height, dtype=pl.Int64))
    rows = sorted_rows(spec, rows.with_columns(**partition_columns(spec, source)).cast(pl.Schema(spec.schema)))
    names = rows["instrument"].unique().sort().to_list()
    added = 0
    if lake.table(table).version(source) is None:
        new = _unknown(lake, spec, rows)
        added = lake.table(table).append(new, source, rows.height - 1) if new.height else 0
    return Imported(str(path), table, names, rows.height, added, rows.height - added)


def _unknown(lake: Lake, spec: TableSpec, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows that the lake has not got. One that it has with other values is an error."""
    keys = _KEYS[spec.name]
    known = lake.scan(spec.name).filter(
        pl.col("venue").is_in(rows["venue"].unique().to_list()),
        pl.col("instrument").is_in(rows["instrument"].unique().to_list()),
        pl.col(spec.time).is_between(rows[spec.time].min(), rows[spec.time].max()),
    )
    if spec.name == "trades":
        known = known.filter(pl.col("trade_id") != 0)
    there = collected(known)
    both = rows.join(there, on=keys, how="inner", suffix="_there")
    values = [name for name in spec.fields if name not in keys and name != "receive_time"]
    differs = both.filter(pl.any_horizontal(pl.col(name) != pl.col(f"{name}_there") for name in values))
    if differs.height:
        first = differs.sort(spec.time, "instrument").row(0, named=True)
        name = next(name for name in values if first[name] != first[f"{name}_there"])
        raise DataError(
            f"{differs.height} of the file's {spec.name} differ from the lake's; first {first['instrument']} at "
            f"{iso(first[spec.time])}: {name} is {first[name]}, the lake has {first[f'{name}_there']}"
        )
    return rows.join(there, on=keys, how="anti").select(rows.columns)


def _digest(path: Path, how: str) -> str:
    try:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256")
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from None
    content.update(how.encode())
    return content.hexdigest()
