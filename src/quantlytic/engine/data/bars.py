"""An array of bars with the instruments it speaks of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantlytic.model.bar import BAR, EVENT_FIELDS, blank_bars
from quantlytic.model.errors import DataError, InputError
from quantlytic.model.instrument import Instrument
from quantlytic.model.time import iso


@dataclass(frozen=True)
class Bars:
    """`array`: rows of dtype BAR in (close_time, instrument) order; `instruments[row["instrument"]]` is a row's instrument.

    `label` says where they came from, for reports; `source` how to get the same bars again, for manifests (empty: unknown).
    """

    array: NDArray[Any]
    instruments: tuple[Instrument, ...]
    label: str = ""
    source: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(
        cls,
        instrument: Instrument,
        *,
        open_time: ArrayLike,
        close_time: ArrayLike,
        open: ArrayLike,
        high: ArrayLike,
        low: ArrayLike,
        close: ArrayLike,
        volume: ArrayLike,
        label: str = "",
    ) -> Bars:
        """Bars of one instrument from columns, checked. Times are int64 ns UTC."""
        columns = {
            "open_time": open_time, "close_time": close_time,
            "open": open, "high": high, "low": low, "close": close, "volume": volume,
        }  # fmt: skip
        array = blank_bars(len(np.asarray(open_time)))
        for name, values in columns.items():
            array[name] = values
        bars = cls(array, (instrument,), label)
        bars.check()
        return bars

    @classmethod
    def merge(cls, parts: Iterable[Bars], label: str = "") -> Bars:
        """Bars of several instruments as one stream, in (close_time, instrument) order. An instrument may come once only."""
        pieces = list(parts)
        instruments = tuple(one for part in pieces for one in part.instruments)
        if len({one.id for one in instruments}) < len(instruments):
            raise InputError(f"an instrument is there twice: {', '.join(sorted(one.id for one in instruments))}")
        arrays, shift = [], 0
        for part in pieces:
            arrays.append(part.array.copy())
            arrays[-1]["instrument"] += shift
            shift += len(part.instruments)
        array = np.concatenate(arrays) if arrays else blank_bars(0)
        order = np.lexsort((array["instrument"], array["close_time"]))
        return cls(array[order], instruments, label or ", ".join(part.label for part in pieces if part.label))

    def __len__(self) -> int:
        return len(self.array)

    def __repr__(self) -> str:
        ids = [one.id for one in self.instruments]
        names = ", ".join(ids[:3]) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")
        if not len(self.array):
            return f"Bars({names}: none)"
        first, last = iso(int(self.array["open_time"].min())), iso(int(self.array["close_time"][-1]))
        return f"Bars({names}: {len(self):,} from {first[:16]}Z to {last[:16]}Z)"

    def between(self, start: int | None = None, end: int | None = None) -> Bars:
        """The bars whose close_time is in [start, end), ns UTC."""
        times = self.array["close_time"]
        first = 0 if start is None else int(np.searchsorted(times, start, "left"))
        last = len(times) if end is None else int(np.searchsorted(times, end, "left"))
        return Bars(self.array[first:last], self.instruments, self.label)

    @property
    def has_forecasts(self) -> bool:
        """Whether any bar has a forecast."""
        return not bool(np.isnan(self.array["forecast"]).all())

    def with_forecasts(self, values: ArrayLike, label: str = "") -> Bars:
        """The same bars, each with what a model expected after it (f8, a number a row, NaN for none): `bar.forecast` in a
        strategy. Raises InputError for another number of values, or an infinite one."""
        given = np.asarray(values, np.float64)
        if given.shape != (len(self),):
            raise InputError(f"forecasts are one a bar: {given.size:,} were given for {len(self):,} bars")
        if np.isinf(given).any():
            row = int(np.argmax(np.isinf(given)))
            raise InputError(f"the forecast of row {row} is infinite: it is a number, or NaN for none")
        array = blank_bars(len(self))  # also the padding between fields, and one NaN: equal bars are equal bytes
        for name in EVENT_FIELDS:
            array[name] = self.array[name]
        known = ~np.isnan(given)
        array["forecast"][known] = given[known]
        return Bars(array, self.instruments, label or self.label)

    def check(self) -> None:
        """Raise DataError, naming row and time, at the first bar that cannot be: see `check_bars`."""
        check_bars(self.array, self.instruments, self.label)


def check_bars(array: NDArray[Any], instruments: Sequence[Instrument], label: str = "") -> None:
    """Raise DataError for the first row with a price that is NaN, infinite or not positive, a high below or a low above
    the others, a volume that is NaN or negative, an infinite forecast, a close_time not after its open_time or not after the
    instrument's previous one (a duplicate or a step back), or rows out of order."""
    where = label or "bars"
    if array.dtype != BAR:
        raise DataError(f"{where}: not an array of bars")
    if not len(array):
        return
    index = array["instrument"]
    low, high = array["low"], array["high"]
    _refuse((index < 0) | (index >= len(instruments)), "names an instrument that is not there", array, where)
    for name in ("open", "high", "low", "close"):
        prices = array[name]
        _refuse(~np.isfinite(prices), f"has {name} NaN or infinite", array, where)
        _refuse(prices <= 0, f"has {name} zero or negative", array, where)
    _refuse(~(array["volume"] >= 0) | np.isinf(array["volume"]), "has a volume that is NaN or negative", array, where)
    _refuse(np.isinf(array["forecast"]), "has an infinite forecast", array, where)
    _refuse(high < low, "has high below low", array, where)
    inside = (array["open"] <= high) & (array["open"] >= low) & (array["close"] <= high) & (array["close"] >= low)
    _refuse(~inside, "has open or close outside of low and high", array, where)
    _refuse(array["close_time"] <= array["open_time"], "closes before it opens", array, where)
    steps = np.diff(array["close_time"])
    _refuse(np.concatenate(([False], steps < 0)), "is earlier than the row before it", array, where)
    for k in range(len(instruments)):
        rows = np.flatnonzero(index == k)
        again = np.concatenate(([False], np.diff(array["close_time"][rows]) == 0))
        if again.any():
            mask = np.zeros(len(array), bool)
            mask[rows[again]] = True
            _refuse(mask, f"is a duplicate: {instruments[k].id} has two bars of one time", array, where)


def _refuse(bad: NDArray[np.bool_], what: str, array: NDArray[Any], where: str) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        more = int(bad.sum()) - 1
        rest = f" (and {more} more like it)" if more else ""
        raise DataError(f"{where}: row {row} at {iso(int(array['open_time'][row]))} {what}{rest}")
