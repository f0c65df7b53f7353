"""History to run over: from files, and from the lake that was recorded."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from quantlytic.engine.data.bars import Bars
from quantlytic.engine.data.tape import Ticks
from quantlytic.model.errors import InputError
from quantlytic.model.instrument import Instrument
from quantlytic.model.time import duration_ns, iso
from quantlytic.model.trade import TRADE
from quantlytic.store.barfile import read_bars

if TYPE_CHECKING:
    from quantlytic.store.lake import Lake

Time = int | str | date | np.datetime64 | None


def load_bars(
    path: str | os.PathLike[str],
    symbol: str | None = None,
    size: str | None = None,
    start: Time = None,
    end: Time = None,
) -> Bars:
    """Bars from a CSV or Parquet file: `ts` (the open: integer ns, timestamps or ISO 8601 text), `open`, `high`, `low`,
    `close`, `volume`, and optionally `symbol`; gzip is read too.

    `symbol` picks one instrument, None takes all that the file holds. `size` ("1m", "1d") states the bar size, which is
    otherwise the most frequent step between opens. `start` and `end` keep the bars that open in [start, end): ISO 8601
    text, a datetime (UTC without a zone) or ns. Holes are left as they are; a backtest refuses them unless told otherwise.

    Raises InputError when there is no such file, symbol or range, DataError, naming row and time, for what cannot be a bar.
    """
    array, instruments = read_bars(path, symbol, None if size is None else duration_ns(size))
    first, last = time_ns(start), time_ns(end)
    if first is not None or last is not None:
        opens, within = array["open_time"], np.ones(len(array), np.bool_)
        if first is not None:
            within &= opens >= first
        if last is not None:
            within &= opens < last
        kept = np.zeros(int(within.sum()), array.dtype)  # also the padding between fields: equal bars are equal bytes
        for name in array.dtype.names or ():
            kept[name] = array[name][within]
        array = kept
        if not len(array):
            raise InputError(
                f"{os.fspath(path)} has no bars that open in that range: it goes from {iso(int(opens.min()))[:19]} to "
                f"{iso(int(opens.max()))[:19]}"
            )
    source: dict[str, Any] = {
        "kind": "file", "path": os.fspath(path), "sha256": file_hash(path), "symbol": symbol, "size": size,
        "start": _text(first), "end": _text(last),
    }  # fmt: skip
    return Bars(array, instruments, os.path.basename(os.fspath(path)), source)


def stream_trades(
    path: str | os.PathLike[str], symbol: str | None = None, chunk: int = 1_000_000, quantity: str = "quantity"
) -> Iterator[Ticks]:
    """Trades from a Parquet file, `chunk` rows at a time, for `session.run_chunks`: a file of any length in bounded memory.

    Columns `ts`, `price`, `quantity` (or as `quantity` names it); optionally `side`, `symbol`, `trade_id`. `symbol` picks one
    instrument, None takes all that the file holds.

    Raises InputError when there is no such file or symbol, DataError, naming the row, for what cannot be a trade.
    """
    from quantlytic.store import tradefile

    file = Path(path)
    frames = tradefile.stream_trades(file, symbol, chunk, quantity)
    head = next(frames)
    names = [symbol] if symbol is not None else tradefile.symbols_of(file)
    instruments = tuple(Instrument(name if ":" in name else f"file:{name}") for name in names)
    for frame in itertools.chain([head], frames):
        rows = np.zeros(frame.height, TRADE)
        for name in ("event_time", "trade_id", "price", "quantity", "side"):
            rows[name] = frame[name].to_numpy()
        rows["receive_time"] = rows["event_time"]
        if len(names) > 1:
            rows["instrument"] = np.searchsorted(names, frame["symbol"].to_numpy())
        yield Ticks(rows, instruments, file.name)


def lake(address: str | os.PathLike[str]) -> LakeHistory:
    """What was recorded: `ql.lake("quantlytic-data/lake").bars("binance:BTCUSDT", "1m")`.

    `address` is the lake's folder, or a URL such as `s3://bucket/prefix`. Raises InputError when there is no such folder.
    """
    return LakeHistory(address)


class LakeHistory:
    """A lake to run over. Nothing is read before `bars`, and nothing is ever written."""

    def __init__(self, address: str | os.PathLike[str]) -> None:
        from quantlytic.store.lake import Lake

        self.address = os.fspath(address)
        if "://" not in self.address and not Path(self.address).is_dir():
            raise InputError(f"there is no lake in {self.address}: record something, or name the folder that holds one")
        self._lake: Lake = Lake(self.address)

    def bars(self, instruments: str | Sequence[str], size: str, start: Time = None, end: Time = None) -> Bars:
        """Bars of one size ("1m") that open in [start, end), of one or several instruments (`venue:SYMBOL`).

        Raises InputError when there are none, DataError when an instrument has two bars for one time.
        """
        names = [instruments] if isinstance(instruments, str) else list(instruments)
        first, last = time_ns(start), time_ns(end)
        array, found = self._lake.bars(names, size, first, last)
        source: dict[str, Any] = {
            "kind": "lake", "address": self.address, "instruments": names, "size": size,
            "start": _text(first), "end": _text(last), "version": self._lake.table("bars").revision(),
        }  # fmt: skip
        return Bars(array, found, f"lake, {size}", source)


def time_ns(value: Time) -> int | None:
    """A time as ns since 1970: ISO 8601 text, a date or a datetime (NumPy's too, to the microsecond), UTC where no zone is
    given; whole numbers are ns already.

    Raises InputError for what is no time.
    """
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise InputError(f"{value!r} is no time: write 2026-11-21 or 2026-11-21T12:00:00") from None
    if isinstance(value, np.datetime64) and not np.isnat(value):
        value = value.astype("datetime64[us]").item()
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if not isinstance(value, datetime):
        raise InputError(f"{value!r} is no time: write 2026-11-21 or 2026-11-21T12:00:00")
    since = (value if value.tzinfo else value.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000


def file_hash(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _text(time: int | None) -> str | None:
    return None if time is None else iso(time)
