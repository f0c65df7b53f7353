"""What is kept of a sweep: its page, its table and its returns."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from quantlytic.model.errors import StoreError
from quantlytic.research.search.sweep import Sweep
from quantlytic.research.search.sweepledger import sweep_id


def save_sweep(sweep: Sweep, home: Path, folder: Path | None, metric: str) -> Path:
    """Write heatmap.html, cells.csv and returns.parquet into `folder`, by default sweeps/SWEEP_ID of the data folder
    `home`, or SWEEP_ID-interrupted, beside what the whole may have left there; returns the folder.

    Each file is whole or not there. The page needs two parameters, so a strategy with one has none. Raises StoreError."""
    name = sweep_id(sweep) + ("-interrupted" if sweep.interrupted else "")
    place = home / "sweeps" / name if folder is None else folder
    try:
        place.mkdir(parents=True, exist_ok=True)
        _put(place / "cells.csv", sweep.table.write_csv)
        _put(place / "returns.parquet", lambda path: _returns(sweep).write_parquet(path, compression="lz4"))
    except (OSError, pl.exceptions.PolarsError) as error:  # Polars tells a full disk in its own way
        raise StoreError(f"the sweep cannot be kept in {place}: {getattr(error, 'strerror', None) or error}") from None
    if len(sweep.cells[0]) > 1:
        sweep.heatmap(metric=metric, path=place / "heatmap.html")
    return place


def _returns(sweep: Sweep) -> pl.DataFrame:
    """`close_time`, then a column a cell."""
    columns: dict[str, Any] = {"close_time": sweep.return_times}
    return pl.DataFrame(columns | {str(cell): sweep.returns[:, cell] for cell in range(len(sweep))})


def _put(path: Path, write: Callable[[Path], Any]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
