"""Raw bars by ticker, as LEAN has them: whoever was called so on that day."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import polars as pl

from quantlytic.model.errors import DataError, InputError

ZONE = "America/New_York"
_PARQUET = {"1d": "equity_daily_lean", "1h": "equity_hour_lean", "1m": "equity_minute_trade_lean"}
_ZIPPED = {"1d": "daily", "1h": "hour"}
_PRICES = ("open", "high", "low", "close")
_SCALE = 10_000.0  # LEAN writes prices as whole ten-thousandths


def read_ticker(folder: Path, ticker: str, size: str = "1d") -> pl.DataFrame:
    """The rows under one ticker by time: `date` (of the exchange), `ts` (the open, ns UTC; of daily bars: midnight of the
    date, no time), open, high, low, close, volume. Empty when there are none.

    They are in `folder/equity_daily_lean.parquet` (or hour, minute_trade), or in LEAN's `daily/aapl.zip` (or hour).
    Raises InputError when the folder has no bars of that size, DataError for a damaged file.
    """
    if size not in _PARQUET:
        raise InputError(f"no equity bars of size {size!r}: there are {', '.join(_PARQUET)}")
    parquet, zipped = folder / f"{_PARQUET[size]}.parquet", folder / _ZIPPED.get(size, "minute")
    try:
        if parquet.is_file():
            frame = pl.read_parquet(parquet, glob=False).filter(pl.col("symbol") == ticker)
        elif zipped.is_dir() and size in _ZIPPED:
            frame = _read_zip(zipped / f"{ticker.lower()}.zip")
        else:
            raise InputError(f"{folder} has no equity bars of {size}: neither {parquet.name} nor {zipped.name}/")
        columns = pl.col(*_PRICES, "volume").cast(pl.Float64)
        frame = frame.select(pl.col("ts").cast(pl.Datetime("ns", _zone(frame))), columns)
    except (pl.exceptions.PolarsError, OSError, zipfile.BadZipFile) as error:
        raise DataError(f"bars of {ticker} in {folder} cannot be read: {str(error).splitlines()[0]}") from None
    local = pl.col("ts") if _zone(frame) is None else pl.col("ts").dt.convert_time_zone(ZONE)
    return frame.select(local.dt.date().alias("date"), pl.col("ts").to_physical(), pl.exclude("ts"))


def _zone(frame: pl.DataFrame) -> str | None:
    kind = frame.schema["ts"]
    return kind.time_zone if isinstance(kind, pl.Datetime) else None


def _read_zip(path: Path) -> pl.DataFrame:
    """`20130801 09:30,4520000,...`: the open in New York's time, prices times 10,000. Daily bars are at 00:00."""
    names = ["ts", *_PRICES, "volume"]
    if not path.is_file():
        return pl.DataFrame(schema=dict.fromkeys(names, pl.Float64) | {"ts": pl.Datetime("ns")})
    with zipfile.ZipFile(path) as archive:
        content = archive.read(archive.namelist()[0])
    frame = pl.read_csv(
        io.BytesIO(content), has_header=False, new_columns=names, schema_overrides={"column_1": pl.String}
    )
    time = pl.col("ts").str.to_datetime("%Y%m%d %H:%M", time_unit="ns")
    if path.parent.name != "daily":
        time = time.dt.replace_time_zone(ZONE).dt.convert_time_zone("UTC")
    return frame.with_columns(time, *(pl.col(name) / _SCALE for name in _PRICES))
