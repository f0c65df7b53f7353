"""Daily history from a folder of files: Parquet or CSV of bars, or CSV as yfinance writes it. No network.

Files lie in the folder itself, or in folders named by venue (`usa/prices.parquet`, `binance/spot.csv`), which then hold that
venue's instruments alone. A table has the columns `ts` (its date counts), `open`, `high`, `low`, `close`, `volume`, and may have
`symbol` (a file without it is named by its symbol), `adj_close`, `dividend` (or `ex_dividend`), `split` (or `split_ratio`),
`capital_gain`; or those of yfinance. Prices are taken as adjusted for splits, unless `raw` is a word of the file's name
(`prices_raw.csv`). Where there are adjusted closes and no dividends, the dividends are those that the adjusted closes imply.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from quantlytic.daily.calendar import label_ns
from quantlytic.model.errors import DataError, InputError
from quantlytic.venues.daily import DAILY, DailyHistory

_NEEDED = ("ts", "open", "high", "low", "close", "volume")
_OTHER_NAMES = {
    "ex_dividend": "dividend", "split_ratio": "split", "Open": "open", "High": "high", "Low": "low", "Close": "close",
    "Adj Close": "adj_close", "Volume": "volume", "Dividends": "dividend", "Stock Splits": "split",
    "Capital Gains": "capital_gain", "Date": "ts", "Datetime": "ts",
}  # fmt: skip
_PAID = ("dividend", "split", "capital_gain")
_LEAST_PAID = 5e-4  # of the price: a step of the adjusted closes below it may be rounding
_DAY_NS = 86_400_000_000_000


class FilesSource:
    """Reads each file once. `currency`: the vendor's word, for all."""

    def __init__(self, folder: Path, currency: str = "") -> None:
        if not folder.is_dir():
            raise InputError(f"{folder} is no folder of daily files")
        self.name = f"files in {folder.name}"
        self._folder, self._currency = folder, currency
        self._tables: dict[Path, dict[str, NDArray[Any]]] = {}

    def history(self, instrument: str, start: date, end: date) -> DailyHistory:
        venue, _, symbol = instrument.partition(":")
        found = [(path, held[symbol]) for path in self._files(venue) if symbol in (held := self._symbols(path))]
        if not found:
            raise InputError(f"no file in {self._folder} has {instrument}")
        if len(found) > 1:
            names = ", ".join(str(path.relative_to(self._folder)) for path, _ in found)
            raise InputError(
                f"{instrument} is in several files ({names}): keep one, or put each into a folder named by venue"
            )
        path, rows = found[0]
        basis = "raw" if "raw" in path.stem.lower().replace("-", "_").split("_") else "split-adjusted"
        chosen = (rows["time"] >= label_ns(start)) & (rows["time"] <= label_ns(end))
        later = rows["split"][(rows["time"] > label_ns(end)) & (rows["split"] > 0.0)]
        later_split = float(np.prod(later)) if basis == "split-adjusted" else 1.0
        return DailyHistory(instrument, rows[chosen], basis, self._currency, later_split)

    def symbols(self) -> list[str]:
        """All that the files hold, `venue:SYMBOL` where a folder names the venue."""
        found = []
        for path in self._all():
            venue = "" if path.parent == self._folder else f"{path.parent.name}:"
            found += [venue + symbol for symbol in self._symbols(path)]
        return sorted(found)

    def _files(self, venue: str) -> list[Path]:
        return [path for path in self._all() if path.parent == self._folder or path.parent.name == venue]

    def _all(self) -> list[Path]:
        kinds = ("*.parquet", "*.csv", "*.csv.gz", "*/*.parquet", "*/*.csv", "*/*.csv.gz")
        return sorted({path for kind in kinds for path in self._folder.glob(kind)})

    def _symbols(self, path: Path) -> dict[str, NDArray[Any]]:
        if path not in self._tables:
            self._tables[path] = _read(path)
        return self._tables[path]


def _read(path: Path) -> dict[str, NDArray[Any]]:
    """Rows by symbol."""
    try:
        frame = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, infer_schema_length=None)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None
    stem = path.name.partition(".")[0]
    frame = frame.rename({old: new for old, new in _OTHER_NAMES.items() if old in frame.columns})
    missing = [name for name in _NEEDED if name not in frame.columns]
    if missing:
        raise DataError(f"{path} has no column {missing[0]!r} (needed: {', '.join(_NEEDED)})")
    if "symbol" not in frame.columns:
        frame = frame.with_columns(symbol=pl.lit(stem))
    return {
        str(symbol): _rows(own, path) for (symbol,), own in frame.group_by("symbol", maintain_order=True)
    }  # fmt: skip


def _rows(frame: pl.DataFrame, path: Path) -> NDArray[Any]:
    rows = np.zeros(frame.height, DAILY)
    rows["time"] = _labels(frame["ts"], path)
    rows["adj_close"] = np.nan
    for name in DAILY.names or ():
        if name != "time" and name in frame.columns:
            missing = 0.0 if name in _PAID else np.nan
            rows[name] = frame[name].cast(pl.Float64, strict=False).fill_null(missing).to_numpy()
    rows["split"] = np.where(rows["split"] == 1.0, 0.0, rows["split"])
    rows = rows[np.argsort(rows["time"], kind="stable")]
    if "adj_close" in frame.columns and "dividend" not in frame.columns:
        rows["dividend"] = _implied(rows)
    return rows


def _implied(rows: NDArray[Any]) -> NDArray[np.float64]:
    """The dividends that the adjusted closes tell of, where the file states none."""
    found = np.zeros(len(rows))
    factor = rows["adj_close"] / rows["close"]
    share = 1.0 - factor[:-1] / factor[1:]
    found[1:] = np.where(share > _LEAST_PAID, rows["close"][:-1] * share, 0.0)
    return found


def _labels(times: pl.Series, path: Path) -> NDArray[np.int64]:
    """Midnight UTC of the date as it is written, whatever zone it is in: the exchange's own date."""
    try:
        if times.dtype == pl.String:
            times = times.str.slice(0, 10).str.to_date()
        elif times.dtype.is_integer():
            times = times.cast(pl.Datetime("ns"))
        days = times.dt.date().to_physical().cast(pl.Int64)
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{path}: its times cannot be read: {str(error).splitlines()[0]}") from None
    if days.null_count():
        raise DataError(f"{path}: row {1 + int(days.is_null().arg_max() or 0)} has no time")
    return np.asarray(days.to_numpy() * _DAY_NS, np.int64)
