"""Data whose numbers can be changed, in whichever form a rule wants it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.data.bars import Bars
from quantlytic.model.errors import InputError

_FIELDS = ("open", "high", "low", "close", "volume", "quote_volume", "trades")


@dataclass(frozen=True)
class Frame:
    """`numbers`: the columns that may be changed, f8[rows] each, NaN where missing. `with_numbers(changed, rows)` gives the
    data with some of them changed, or its first `rows`."""

    rows: int
    numbers: Mapping[str, NDArray[np.float64]]
    with_numbers: Callable[[Mapping[str, NDArray[np.float64]], int | None], Any]


def frame_of(data: Any) -> Frame:
    """Bars, a Polars or pandas DataFrame, or a mapping of columns. InputError for anything else."""
    if isinstance(data, Bars):
        return _of_bars(data)
    if isinstance(data, Mapping):
        columns = {name: np.asarray(column) for name, column in data.items()}
        return Frame(len(next(iter(columns.values()), ())), _numeric(columns), lambda new, rows: {
            name: _like(new.get(name), column)[:rows] for name, column in columns.items()
        })  # fmt: skip
    if hasattr(data, "with_columns"):
        return _of_polars(data)
    if hasattr(data, "iloc"):
        columns = {str(name): data[name].to_numpy() for name in data.columns}
        return Frame(
            len(data), _numeric(columns), lambda new, rows: data.assign(**{k: new[k] for k in new}).iloc[:rows]
        )
    raise InputError(
        f"leaks are looked for in bars, a DataFrame or a mapping of columns, not in a {type(data).__name__}"
    )


def numbers_of(found: Any) -> NDArray[np.float64]:
    """What a rule returned as f8[rows, columns], NaN where missing."""
    if isinstance(found, Mapping):
        return np.column_stack([_floats(np.asarray(column)) for column in found.values()])
    if hasattr(found, "get_columns"):
        return np.column_stack([_floats(column.to_numpy()) for column in found.get_columns()])
    array = np.asarray(found.to_numpy() if hasattr(found, "to_numpy") else found)
    return _floats(array).reshape(len(array), -1)


def _of_bars(bars: Bars) -> Frame:
    def changed(new: Mapping[str, NDArray[np.float64]], rows: int | None) -> Bars:
        array = bars.array.copy()
        for name, column in new.items():
            array[name] = column
        return Bars(array[:rows], bars.instruments, bars.label)

    return Frame(len(bars), {name: bars.array[name].astype(np.float64) for name in _FIELDS}, changed)


def _of_polars(data: Any) -> Frame:
    import polars as pl

    columns = {name: data[name].to_numpy() for name in data.columns if data[name].dtype.is_numeric()}

    def changed(new: Mapping[str, NDArray[np.float64]], rows: int | None) -> Any:
        series = [pl.Series(name, column, nan_to_null=True) for name, column in new.items()]
        whole = data.with_columns(series)
        return whole if rows is None else whole.head(rows)

    return Frame(len(data), _numeric(columns), changed)


def _numeric(columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float64]]:
    return {name: column.astype(np.float64) for name, column in columns.items() if column.dtype.kind in "fiu"}


def _like(new: NDArray[np.float64] | None, column: NDArray[Any]) -> NDArray[Any]:
    return column if new is None else new


def _floats(array: NDArray[Any]) -> NDArray[np.float64]:
    if array.dtype.kind == "O":
        array = np.array([np.nan if one is None else float(one) for one in array.ravel()]).reshape(array.shape)
    if array.dtype.kind not in "fiub":
        raise InputError("the rule returns one row of numbers a row")
    return array.astype(np.float64)
