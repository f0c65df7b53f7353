"""Bars made of a seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.engine.market import same_rows

import quantlytic as ql
from quantlytic.model.errors import InputError
from quantlytic.research.data.demo import START_NS, demo_bars, name_of
from quantlytic.research.data.holes import find_holes


def test_the_same_seed_is_the_same_bars() -> None:
    bars = ql.demo_bars()
    assert (len(bars), bars.instruments[0].id) == (2000, "demo:ALPHA")
    assert same_rows(bars.array, demo_bars(2000, 1, 1, "1h").array)
    assert not np.array_equal(bars.array["close"], demo_bars(seed=2).array["close"])
    assert bars.array["close"][[0, 999, 1999]].tolist() == [99.48, 75.37, 96.76]


@pytest.mark.parametrize("size", ["1m", "1h", "1d"])
def test_a_million_in_cash_is_a_small_part_of_a_bar(size: str) -> None:
    bars = demo_bars(3000, instruments=3, size=size).array
    share = 1e6 / (bars["close"] * bars["volume"])
    assert 0.0003 < np.median(share) < 0.01
    assert np.percentile(share, 95) < 0.03


def test_longer_and_wider_series_begin_alike() -> None:
    one, more = demo_bars(300), demo_bars(500, instruments=15)
    assert len({one.id for one in more.instruments}) == 15
    first = more.array[more.array["instrument"] == 0]
    assert same_rows(first[:300], one.array)
    more.check()


@pytest.mark.parametrize("size", ["1m", "4h", "1d"])
def test_bars_of_any_size(size: str) -> None:
    bars = demo_bars(3000, seed=5, instruments=2, size=size)
    bars.check()
    assert not len(find_holes(bars))
    assert bars.array["open_time"][0] == START_NS
    returns = np.diff(np.log(bars.array["close"][bars.array["instrument"] == 1]))
    year = returns.std() * np.sqrt(31_557_600e9 / (bars.array["close_time"][0] - START_NS))
    assert 0.5 < year < 1.1


def test_instruments_move_together_in_part() -> None:
    bars = demo_bars(5000, instruments=3)
    closes = bars.array["close"].reshape(-1, 3)
    found = np.corrcoef(np.diff(np.log(closes), axis=0).T)[np.triu_indices(3, 1)]
    assert ((found > 0.1) & (found < 0.6)).all()


def test_names() -> None:
    assert [name_of(k) for k in (0, 11, 12)] == ["ALPHA", "OMEGA", "ALPHA2"]


@pytest.mark.parametrize(
    "options", [{"n": 0}, {"n": True}, {"n": 1.5}, {"seed": -1}, {"instruments": 0}, {"size": "1w"}]
)
def test_what_cannot_be_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        demo_bars(**options)
