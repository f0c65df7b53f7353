"""Bars to a CSV or Parquet file that `read_bars` gives back as they were."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from quantlytic.model.errors import InputError, StoreError
from quantlytic.model.instrument import Instrument

_FIELDS = ("open", "high", "low", "close", "volume", "quote_volume", "trades")


def write_bars(path: Path, bars: NDArray[Any], instruments: Sequence[Instrument]) -> None:
    """Write rows of dtype BAR to `path` (.parquet or .csv), whole or not at all: `ts`, `close_ts` (UTC), `symbol`, the numbers,
    and `forecast` where any bar has one.

    Raises InputError for another ending, StoreError when the file cannot be written.
    """
    if path.suffix not in (".csv", ".parquet"):
        raise InputError(f"{path}: the file's ending must be .csv or .parquet")
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is not a regular file: name another")
    names = pl.Series([one.symbol for one in instruments], dtype=pl.String)
    times = {"ts": bars["open_time"], "close_ts": bars["close_time"]}
    frame = pl.DataFrame(
        {name: pl.Series(values).cast(pl.Datetime("ns", "UTC")) for name, values in times.items()}
        | {"symbol": names.gather(bars["instrument"])}
        | {name: bars[name] for name in _FIELDS}
        | ({} if np.isnan(bars["forecast"]).all() else {"forecast": bars["forecast"]})
    )
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        if path.suffix == ".csv":
            frame.write_csv(part, datetime_format="%Y-%m-%dT%H:%M:%S%.9fZ")
        else:
            frame.write_parquet(part)
        part.replace(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise StoreError(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}") from None
    finally:
        part.unlink(missing_ok=True)
