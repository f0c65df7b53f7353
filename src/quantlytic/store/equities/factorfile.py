"""LEAN's factor files: a company's splits and dividends, written as what turns raw prices into adjusted ones.

`adjusted = raw * price_factor * split_factor`; a row applies after the row before it, up to and including its own date. So
where two rows meet, the next trading day is an ex-date, and

    split     = split_factor of the later row / of the earlier row              (new shares for one old)
    dividend  = reference_price * (1 - price_factor of the earlier / of the later row)   (cash for one old share)

with `reference_price` the raw close on the earlier row's date. Source: QuantConnect/Lean, `Common/Data/Auxiliary/`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from quantlytic.model.errors import DataError
from quantlytic.store.equities.leanfile import read_rows

_COLUMNS = ("date", "price_factor", "split_factor", "reference_price")
_LARGEST_PART = 10  # of the smaller side of a split: 3 for 2 is common, 11 for 10 is a 10 % stock dividend
_SPLIT_ROUNDING = 2e-4  # factors are written with 6 or 7 digits, some quoted splits (0.3333 for one in three) with 4
_DIVIDEND_ROUNDING = 1e-7  # of the price: less than that is the factors' rounding, no dividend


@dataclass(frozen=True)
class Factors:
    """A factor file's rows by date: `dates` datetime64[D], the others f8; `reference_prices` is 0 where it is not known."""

    company: str
    dates: NDArray[np.datetime64]
    price_factors: NDArray[np.float64]
    split_factors: NDArray[np.float64]
    reference_prices: NDArray[np.float64]

    def on(self, dates: NDArray[np.datetime64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The price and the split factor of each date; 1 after the last row."""
        rows = np.searchsorted(self.dates, dates, "left")
        return np.append(self.price_factors, 1.0)[rows], np.append(self.split_factors, 1.0)[rows]

    def events(self) -> list[FactorEvent]:
        """What lies between the rows: one entry for each pair of neighbours that differ."""
        found = []
        for k in range(len(self.dates) - 1):
            shrink = float(self.price_factors[k] / self.price_factors[k + 1])
            ratio = float(self.split_factors[k + 1] / self.split_factors[k])
            paid = 1.0 - shrink if abs(1.0 - shrink) > _DIVIDEND_ROUNDING else 0.0
            if paid or ratio != 1.0:
                found.append(FactorEvent(self.dates[k], float(self.reference_prices[k]), paid, simple_ratio(ratio)))
        return found


@dataclass(frozen=True)
class FactorEvent:
    """What takes effect on the first trading day after `last_date`: `dividend_share` of the close on `last_date` is paid
    for each old share, and `split` new shares come for each old one (1: none)."""

    last_date: np.datetime64
    reference_price: float
    dividend_share: float
    split: float


def read_factors(folder: Path, company: str) -> Factors | None:
    """The factors of a company (named as its map file is: `AAPL`, `AAA.1`); None when there is no such file.

    `folder` holds `lean_factor_files.parquet`, or `factor_files/aapl.csv` as LEAN has them.
    Raises DataError for rows that are no dates and positive numbers, or not by date.
    """
    frame = read_rows(folder, "factor_files", "symbol", company, _COLUMNS)
    if frame is None:
        return None
    numbers = frame.select(pl.col(name).cast(pl.Float64, strict=False).fill_null(0.0) for name in _COLUMNS[1:])
    factors = Factors(company, frame["date"].to_numpy().astype("datetime64[D]"), *(one.to_numpy() for one in numbers))
    for name, values in (("price_factor", factors.price_factors), ("split_factor", factors.split_factors)):
        bad = ~((values > 0) & np.isfinite(values))
        if bad.any():
            row = int(np.argmax(bad))
            raise DataError(f"factor file of {company}: {name} on {factors.dates[row]} is not a number above 0")
    return factors


def simple_ratio(ratio: float) -> float:
    """The whole fraction that a rounded split ratio stands for (6.999997 is 7, 0.3333 is 1/3), else the ratio itself."""
    larger = max(ratio, 1.0 / ratio)
    whole = float(Fraction(larger).limit_denominator(_LARGEST_PART))
    if abs(whole / larger - 1.0) > _SPLIT_ROUNDING or whole == 1.0:
        return ratio
    return whole if ratio > 1.0 else 1.0 / whole
