"""Raw bars and actions to adjusted bars, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from quantlytic.engine.data.adjust import adjust, unadjust
from quantlytic.model.action import ACTION, ActionKind
from quantlytic.model.bar import BAR
from quantlytic.model.errors import DataError

SPLIT, DIVIDEND, CLOSE = ActionKind.SPLIT, ActionKind.DIVIDEND, ActionKind.CLOSE


def bars_of(closes: list[float], instrument: int = 0) -> NDArray[Any]:
    """A bar a unit of time: bar k is over [k, k + 1)."""
    array = np.zeros(len(closes), BAR)
    array["open_time"], array["close_time"] = np.arange(len(closes)), np.arange(len(closes)) + 1
    array["open"] = array["close"] = closes
    array["high"], array["low"] = array["close"] * 1.5, array["close"] * 0.5
    array["volume"], array["instrument"] = 100.0, instrument
    return array


def actions_of(*rows: tuple[int, ActionKind, float], instrument: int = 0) -> NDArray[Any]:
    return np.array([(instrument, *row) for row in rows], ACTION)


# name, closes, actions before the bar that closes at this time, adjusted closes, adjusted volumes
CASES: list[tuple[str, list[float], list[tuple[int, ActionKind, float]], list[float], list[float]]] = [
    ("nothing", [10, 11], [], [10, 11], [100, 100]),
    ("two for one", [10, 12, 6], [(3, SPLIT, 2.0)], [5, 6, 6], [200, 200, 100]),
    ("one for ten", [1, 12], [(2, SPLIT, 0.1)], [10, 12], [10, 100]),
    ("a dividend of a tenth", [20, 10, 9], [(3, DIVIDEND, 1.0)], [18, 9, 9], [100, 100, 100]),
    ("two dividends", [16, 8, 4], [(2, DIVIDEND, 8.0), (3, DIVIDEND, 4.0)], [4, 4, 4], [100, 100, 100]),
    ("both at once: first the dividend, of an old unit", [10, 4], [(2, DIVIDEND, 2.0), (2, SPLIT, 2.0)], [4, 4], [200, 100]),
    ("both at once: first the split", [10, 4], [(2, SPLIT, 2.0), (2, DIVIDEND, 1.0)], [4, 4], [200, 100]),
    ("two dividends between two bars", [10, 7], [(2, DIVIDEND, 1.0), (2, DIVIDEND, 2.0)], [7, 7], [100, 100]),
    ("at a bar's close it is before that bar", [10, 5, 5], [(2, SPLIT, 2.0)], [5, 5, 5], [200, 100, 100]),
    ("before the first bar and after the last", [10, 11], [(1, SPLIT, 2.0), (3, SPLIT, 3.0)], [10, 11], [100, 100]),
    ("a session's close is no matter", [10, 11], [(2, CLOSE, 0.0)], [10, 11], [100, 100]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("closes", "actions", "adjusted", "volumes"), [one[1:] for one in CASES], ids=[one[0] for one in CASES]
)
def test_adjusted_by_hand(
    closes: list[float], actions: list[tuple[int, ActionKind, float]], adjusted: list[float], volumes: list[float]
) -> None:
    raw, rows = bars_of(closes), actions_of(*actions)
    found = adjust(raw, rows)
    np.testing.assert_allclose(found["close"], adjusted, rtol=1e-15)
    np.testing.assert_allclose(found["high"], np.array(adjusted) * 1.5, rtol=1e-15)
    np.testing.assert_allclose(found["volume"], volumes, rtol=1e-15)
    assert raw["close"].tolist() == closes  # the raw ones are left alone


def test_without_dividends_only_splits_count() -> None:
    rows = actions_of((2, DIVIDEND, 5.0), (3, SPLIT, 2.0))
    assert adjust(bars_of([10, 10, 5]), rows, dividends=False)["close"].tolist() == [5, 5, 5]


def test_each_instrument_by_its_own_actions() -> None:
    raw = np.concatenate([bars_of([10, 5]), bars_of([8, 8], instrument=1)])[[0, 2, 1, 3]]
    assert adjust(raw, actions_of((2, SPLIT, 2.0)))["close"].tolist() == [5, 8, 5, 8]
    assert adjust(raw, actions_of((2, DIVIDEND, 4.0), instrument=1))["close"].tolist() == [10, 4, 5, 8]


@pytest.mark.parametrize("value", [0.0, -2.0, np.nan, np.inf])
def test_a_split_that_cannot_be(value: float) -> None:
    with pytest.raises(DataError, match=r"split of .* is not above 0"):
        adjust(bars_of([10, 5]), actions_of((2, SPLIT, value)))


@pytest.mark.parametrize("value", [10.0, 11.0, -1.0, np.nan])
def test_a_dividend_that_cannot_be(value: float) -> None:
    with pytest.raises(DataError, match=r"dividend of .* is not within 0 and the last close, 10"):
        adjust(bars_of([10, 5]), actions_of((2, DIVIDEND, value)))


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 13), st.just(SPLIT), st.sampled_from([0.1, 0.5, 1.0027, 1.5, 2.0, 7.0])),
        st.tuples(st.integers(0, 13), st.just(DIVIDEND), st.floats(0.0, 0.5)),
    ),
    max_size=6,
)


@given(st.lists(st.floats(50.0, 200.0), min_size=1, max_size=12), ACTIONS)
def test_there_and_back(closes: list[float], actions: list[tuple[int, ActionKind, float]]) -> None:
    raw, rows = bars_of(closes), actions_of(*actions)
    back = unadjust(adjust(raw, rows), rows)
    for name in ("open", "high", "low", "close", "volume"):
        np.testing.assert_allclose(back[name], raw[name], rtol=1e-12)


@given(st.lists(st.floats(50.0, 200.0), min_size=2, max_size=12), ACTIONS)
def test_adjusted_growth_is_that_of_reinvesting(
    closes: list[float], actions: list[tuple[int, ActionKind, float]]
) -> None:
    """One who holds a unit, takes splits, and puts each dividend back at the theoretical ex-price, grows as adjusted closes."""
    raw, rows = bars_of(closes), actions_of(*actions)
    units, values = 1.0, []
    for k in range(len(closes)):
        price = closes[k - 1]
        for row in sorted(actions, key=lambda one: one[0]):
            if row[0] == k + 1 and k > 0 and row[1] == SPLIT:
                units, price = units * row[2], price / row[2]
            elif row[0] == k + 1 and k > 0 and row[1] == DIVIDEND:
                price -= row[2]
                units += units * row[2] / price
        values.append(units * closes[k])
    adjusted = adjust(raw, rows)["close"]
    np.testing.assert_allclose(adjusted / adjusted[0], np.array(values) / values[0], rtol=1e-12)
