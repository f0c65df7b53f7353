"""Bars are checked before anybody trusts them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.engine.market import BTC, MINUTE_NS, instruments_of, rows

from quantlytic import Bars, Instrument, demo_bars
from quantlytic.model.bar import BAR
from quantlytic.model.errors import DataError, InputError

GOOD = [(10.0, 11.0, 9.0, 10.5)] * 5


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [
        ("open", np.nan, "has open NaN or infinite"),
        ("close", np.inf, "has close NaN or infinite"),
        ("low", -1.0, "has low zero or negative"),
        ("high", 0.0, "has high zero or negative"),
        ("high", 8.0, "has high below low"),
        ("open", 11.5, "has open or close outside of low and high"),
        ("close", 8.5, "has open or close outside of low and high"),
        ("volume", np.nan, "has a volume that is NaN or negative"),
        ("volume", -1.0, "has a volume that is NaN or negative"),
        ("close_time", 3 * MINUTE_NS, "closes before it opens"),
        ("instrument", 1, "names an instrument that is not there"),
        ("instrument", -1, "names an instrument that is not there"),
    ],
)
def test_a_bad_row_is_named_with_its_time(field: str, value: Any, what: str) -> None:
    array = rows(*GOOD)
    array[field][3] = value
    with pytest.raises(DataError) as caught:
        Bars(array, (BTC,), "file.csv").check()
    assert str(caught.value) == f"file.csv: row 3 at 1970-01-01T00:03:00.000000Z {what}"


def test_order_and_duplicates() -> None:
    array = rows(*GOOD)
    with pytest.raises(DataError, match=r"row 2 at .* is earlier than the row before it"):
        Bars(array[[0, 2, 1, 3]], (BTC,)).check()
    with pytest.raises(DataError, match=r"row 2 at .* is a duplicate: test:BTCUSDT has two bars of one time"):
        Bars(array[[0, 1, 1, 2]], (BTC,)).check()
    many = rows(*GOOD)
    many["close"] = np.nan
    with pytest.raises(DataError, match=r"row 0 .* \(and 4 more like it\)"):
        Bars(many, (BTC,)).check()
    Bars(array, (BTC,)).check()
    Bars(array[:0], (BTC,)).check()
    with pytest.raises(DataError, match="not an array of bars"):
        Bars(np.zeros(3), (BTC,)).check()


def test_merge_sorts_by_time_then_instrument() -> None:
    one, two = instruments_of(2)
    merged = Bars.merge([Bars(rows(*GOOD[:3]), (one,), "a"), Bars(rows(*GOOD[:3], start=1), (two,), "b")])
    merged.check()
    assert merged.instruments == (one, two)
    assert merged.label == "a, b"
    order = list(zip(merged.array["close_time"] // MINUTE_NS, merged.array["instrument"], strict=True))
    assert order == [(1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (4, 1)]
    with pytest.raises(InputError, match="an instrument is there twice"):
        Bars.merge([merged, Bars(rows(*GOOD), (two,))])
    assert len(Bars.merge([])) == 0


def test_between_is_half_open() -> None:
    bars = Bars(rows(*GOOD), (BTC,))
    assert len(bars.between(2 * MINUTE_NS, 4 * MINUTE_NS)) == 2
    assert len(bars.between()) == len(bars) == 5
    assert bars.between(start=5 * MINUTE_NS).array["close_time"].tolist() == [5 * MINUTE_NS]


def test_of_columns() -> None:
    t = np.arange(3) * MINUTE_NS
    columns = {"open": [1, 2, 3], "high": [1, 2, 3], "low": [1, 2, 3], "close": [1, 2, 3], "volume": [0, 0, 1]}
    bars = Bars.of(Instrument("v:X"), open_time=t, close_time=t + MINUTE_NS, **columns)
    assert bars.array.dtype == BAR
    assert bars.array["close"].tolist() == [1, 2, 3]
    with pytest.raises(DataError, match=r"row 1 at .* zero or negative"):
        Bars.of(Instrument("v:X"), open_time=t, close_time=t + MINUTE_NS, **columns | {"low": [1, 0, 3]})


def test_repr_is_one_short_line() -> None:
    demo = demo_bars(2_000)
    assert repr(demo) == "Bars(demo:ALPHA: 2,000 from 2024-01-01T00:00Z to 2024-03-24T08:00Z)"
    assert repr(demo.between(0, 0)) == "Bars(demo:ALPHA: none)"
