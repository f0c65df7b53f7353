"""What must hold for the bars of a file. The first row that breaks a rule is named, with its time, column and value."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
import polars as pl
from numpy.typing import NDArray

from quantlytic.model.errors import DataError
from quantlytic.model.time import iso

PRICES = ("open", "high", "low", "close")
AMOUNTS = ("volume", "quote_volume", "trades")
_SHOWN = 40  # characters of a cell in a message
_ENCLOSED = (
    ("high", "below", "low"),
    ("open", "below", "low"),
    ("close", "below", "low"),
    ("open", "above", "high"),
    ("close", "above", "high"),
)


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a file that are looked at, their `ts` in ns and their numbers in the file (None: all, in order)."""

    path: Path
    frame: pl.DataFrame
    numbers: NDArray[np.int64] | None = None
    times: NDArray[np.int64] | None = None

    def number(self, index: int) -> int:
        """The 1-based number of the data row (the header is not counted)."""
        return 1 + int(index if self.numbers is None else self.numbers[index])

    def shown(self, name: str, index: int) -> str:
        """The value as the file has it."""
        value = self.frame[name][index]
        text = str(value)
        return "empty" if value is None or value == "" else text if len(text) <= _SHOWN else text[:_SHOWN] + "..."

    def refuse(self, index: int, problem: str) -> NoReturn:
        """Raise DataError naming the file, the row, its time where it is known, and the problem."""
        at = "" if self.times is None else f" ({iso(int(self.times[index]))})"
        raise DataError(f"{self.path} row {self.number(index)}{at}: {problem}")


def check_values(rows: Rows, columns: dict[str, NDArray[np.float64]]) -> None:
    """Prices are finite and positive, amounts finite and not negative, and low <= open, close <= high."""
    for name, values in columns.items():
        # NaN fails every comparison
        good = (values > 0 if name in PRICES else values >= 0) & (values < np.inf)
        if not good.all():
            index, needed = int(np.argmin(good)), "a price above 0" if name in PRICES else "a number of at least 0"
            rows.refuse(index, f"{name} is {rows.shown(name, index)}, but must be {needed}")
    for name, relation, other in _ENCLOSED:
        good = columns[name] >= columns[other] if relation == "below" else columns[name] <= columns[other]
        if not good.all():
            index = int(np.argmin(good))
            rows.refuse(index, f"{name} {rows.shown(name, index)} is {relation} {other} {rows.shown(other, index)}")


def check_times(rows: Rows, names: tuple[str, ...], codes: NDArray[np.int32], order: NDArray[np.int64] | None) -> None:
    """Within a symbol, `ts` strictly increases. `order` groups the rows by symbol, None when there is one."""
    assert rows.times is not None
    grouped = rows.times if order is None else rows.times[order]
    good = grouped[1:] > grouped[:-1]
    if order is not None:
        good |= np.diff(codes[order]) != 0
    if good.all():
        return
    at = int(np.argmin(good)) + 1
    index, before = (at, at - 1) if order is None else (int(order[at]), int(order[at - 1]))
    earlier, symbol = int(rows.times[before]), names[int(codes[index])]
    if rows.times[index] == earlier:
        rows.refuse(index, f"ts repeats that of row {rows.number(before)}; within {symbol} it must increase")
    rows.refuse(
        index, f"ts goes back from {iso(earlier)} in row {rows.number(before)}; within {symbol} it must increase"
    )
