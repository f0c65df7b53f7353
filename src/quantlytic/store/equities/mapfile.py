"""LEAN's map files: one company over its tickers, for a ticker may be another company's before or after.

The first row is the date of the listing; each row after it names the ticker that the company had up to and including its
date; the last row's date is the last day of trading (2050-12-31 and later: it is still listed). A file is named by the
company's last ticker; where several companies ended with one ticker, the earlier ones have a number: `TWX.1`.
Source: QuantConnect/Lean, `Common/Data/Auxiliary/MapFile.cs`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from quantlytic.model.errors import DataError, InputError
from quantlytic.store.equities.leanfile import names_in, read_rows

_NO_END = np.datetime64("2050-12-31")
_DAY = np.timedelta64(1, "D")


@dataclass(frozen=True)
class Listing:
    """The company was called `ticker` from `first` to `last`, both days included."""

    ticker: str
    first: np.datetime64
    last: np.datetime64


@dataclass(frozen=True)
class Company:
    """`name` is its map file's; `listings` are its tickers in time order, without a day between them."""

    name: str
    listings: tuple[Listing, ...]

    @property
    def delisted(self) -> np.datetime64 | None:
        """The last day of trading; None while it is listed."""
        last = self.listings[-1].last
        return None if last >= _NO_END else last


def read_company(folder: Path, name: str) -> Company | None:
    """A company by the name of its map file; None when there is no such file. Raises DataError for a damaged one."""
    frame = read_rows(folder, "map_files", "map_file", name, ("date", "mapped_ticker"))
    if frame is None:
        return None
    tickers = frame["mapped_ticker"].cast(pl.String).str.strip_chars().str.to_uppercase().to_list()
    dates = frame["date"].to_numpy().astype("datetime64[D]")
    if len(dates) < 2 or not all(tickers):
        raise DataError(f"map file of {name}: needs the listing and at least one more row, each a date and a ticker")
    listings: list[Listing] = []
    for k in range(1, len(dates)):
        first = dates[0] if k == 1 else dates[k - 1] + _DAY
        if listings and listings[-1].ticker == tickers[k]:
            listings[-1] = Listing(tickers[k], listings[-1].first, dates[k])
        else:
            listings.append(Listing(tickers[k], first, dates[k]))
    return Company(name.upper(), tuple(listings))


def find_company(folder: Path, ticker: str) -> Company:
    """The company whose map file has this name, else the one company that ever had this ticker.

    Raises InputError when there is none, or when several had it: they are named, so that one can be chosen.
    """
    company = read_company(folder, ticker)
    if company is not None:
        return company
    names = names_in(folder, "map_files", "map_file")
    if not names:
        raise InputError(f"{folder} has neither lean_map_files.parquet nor map_files/: a ticker alone names no company")
    had = [
        one
        for name in names
        if (one := read_company(folder, name)) and ticker.upper() in {x.ticker for x in one.listings}
    ]
    if len(had) > 1:
        raise InputError(
            f"{ticker} was the ticker of several companies: name one of {', '.join(one.name for one in had)}"
        )
    if not had:
        raise InputError(f"no company in {folder} is or was called {ticker} (there are: {', '.join(names[:12])}, ...)")
    return had[0]
