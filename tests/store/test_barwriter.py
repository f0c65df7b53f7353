"""Bars written and read again are the same, also those whose length varies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.engine.market import same_rows

from quantlytic.model.bar import blank_bars
from quantlytic.model.errors import DataError
from quantlytic.model.instrument import Instrument
from quantlytic.store.barfile import read_bars
from quantlytic.store.barwriter import write_bars

T0 = 1_700_000_000_000_000_000
TWO = [Instrument("file:A"), Instrument("file:B")]


@pytest.mark.parametrize("name", ["b.csv", "b.parquet"])
def test_there_and_back(tmp_path: Path, name: str) -> None:
    bars = blank_bars(6)
    bars["instrument"] = [0, 1, 0, 1, 0, 1]
    bars["open_time"] = T0 + np.array([0, 1, 5, 7, 9, 9])
    bars["close_time"] = T0 + np.array([5, 6, 8, 9, 10, 11])
    for k, field in enumerate(("low", "open", "close", "high", "volume", "quote_volume", "trades")):
        bars[field] = k + 1 + np.arange(6)
    write_bars(tmp_path / name, bars, TWO)
    back, instruments = read_bars(tmp_path / name)
    assert same_rows(back, bars)
    assert list(instruments) == TWO
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        (["0,0", "5,6"], r"row 1 .*: close_ts is .*, not after ts"),
        (["0,6", "5,8"], r"row 1 .*: close_ts is .*, after the next bar's ts"),
        (["0,", "5,8"], r"row 1 .*: close_ts is empty"),
    ],
)
def test_a_close_that_cannot_be_is_named(tmp_path: Path, rows: list[str], what: str) -> None:
    lines = [",".join(str(T0 + int(x)) if x else "" for x in row.split(",")) + ",1,1,1,1,1" for row in rows]
    (tmp_path / "b.csv").write_text("ts,close_ts,open,high,low,close,volume\n" + "\n".join(lines) + "\n")
    with pytest.raises(DataError, match=what):
        read_bars(tmp_path / "b.csv")
