"""Where LEAN's map and factor files are: one Parquet file for all companies, or LEAN's own folder of CSV files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from quantlytic.model.errors import DataError, InputError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.\-]{0,19}")


def read_rows(folder: Path, kind: str, key: str, company: str, columns: Sequence[str]) -> pl.DataFrame | None:
    """One company's rows by date, `date` as pl.Date and the other columns as they are; None when there are none.

    They are in `folder/lean_KIND.parquet` (the column `key` names the company) or in `folder/KIND/COMPANY.csv`.
    """
    if _NAME.fullmatch(company) is None:
        raise InputError(f"{company!r} is not the name of a company's file: write a ticker, such as AAPL or AAA.1")
    parquet, csv = folder / f"lean_{kind}.parquet", folder / kind / f"{company.lower()}.csv"
    where = f"{csv if csv.is_file() else parquet}, {company}"
    try:
        if csv.is_file():
            frame = _read_csv(csv, columns)
        elif parquet.is_file():
            frame = pl.read_parquet(parquet, glob=False).filter(pl.col(key).str.to_uppercase() == company.upper())
        else:
            return None
        frame = frame.select(columns)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{where} cannot be read: {str(error).splitlines()[0]}") from None
    if frame.height == 0:
        return None
    frame = frame.with_columns(pl.col("date").cast(pl.String).str.to_date("%Y%m%d", strict=False))
    if frame["date"].null_count():
        raise DataError(
            f"{where}: row {int(frame['date'].is_null().arg_max() or 0)} does not begin with a date such as 20140402"
        )
    if not frame["date"].is_sorted() or frame["date"].n_unique() < frame.height:
        raise DataError(f"{where}: rows are not in the order of their dates, each once")
    return frame


def names_in(folder: Path, kind: str, key: str) -> list[str]:
    """The companies that have such a file, sorted."""
    parquet = folder / f"lean_{kind}.parquet"
    found = {path.stem.upper() for path in (folder / kind).glob("*.csv")} if (folder / kind).is_dir() else set()
    if parquet.is_file():
        found |= set(pl.read_parquet(parquet, columns=[key], glob=False)[key].to_list())
    return sorted(found)


def _read_csv(path: Path, columns: Sequence[str]) -> pl.DataFrame:
    """A CSV without a header, whose last columns older files lack; they come out as null."""
    rows = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    width = len(columns)
    padded = [[*row[:width], *[None] * (width - len(row))] for row in rows]
    return pl.DataFrame(padded, schema=dict.fromkeys(columns, pl.String), orient="row")
