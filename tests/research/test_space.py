"""Which parameter sets are tried."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import quantlytic as ql
from quantlytic.model.errors import InputError
from quantlytic.research.search.space import draw, grid


class Wide(ql.Strategy):
    span: int = ql.param(10, low=2, high=50)
    share: float = ql.param(0.5, low=0.0, high=1.0)
    short: bool = ql.param(False)
    free: int = ql.param(3)

    def on_bar(self, bar: Any, broker: Any) -> None:
        pass


def test_grid() -> None:
    found = grid(Wide(free=9), {"span": range(2, 6, 2), "share": np.array([0.1, 0.2])}, None)
    assert [(one["span"], one["share"]) for one in found] == [(2, 0.1), (2, 0.2), (4, 0.1), (4, 0.2)]
    assert all(one["free"] == 9 and one["short"] is False for one in found)
    assert type(found[0]["share"]) is float
    assert len(grid(Wide(), {"span": [3, 3, 4]}, None)) == 2
    assert [one["span"] for one in grid(Wide(), {"span": [3, 4, 5]}, lambda p: p["span"] > p["free"])] == [4, 5]


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({}, "at least one parameter to vary"),
        ({"spam": [1]}, "Wide has no parameter 'spam': did you mean 'span'"),
        ({"span": []}, "'span' is given no values"),
        ({"span": "12"}, "'span' is given '12'"),
        ({"span": [None]}, "'span' is given None"),
        ({"span": range(2000), "free": range(2000)}, "4,000,000 combinations are more than 1,000,000"),
    ],
)
def test_what_is_no_grid(axes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        grid(Wide(), axes, None)


@given(seed=st.integers(0, 10_000), count=st.integers(1, 40))
def test_draws(seed: int, count: int) -> None:
    axes = {"span": (3, 30), "share": None, "free": [1, 5, 7]}
    found = draw(Wide(), axes, count, seed, lambda p: p["span"] % 2 == 0)
    assert found == draw(Wide(), axes, count, seed, lambda p: p["span"] % 2 == 0)
    assert len({tuple(one.values()) for one in found}) == len(found) == count
    assert all(one["span"] % 2 == 0 and 3 <= one["span"] <= 30 and one["free"] in (1, 5, 7) for one in found)
    assert all(0.0 <= one["share"] <= 1.0 and one["short"] is False for one in found)


def test_draws_of_all_ranges_and_of_few() -> None:
    found = draw(Wide(), {}, 50, 1, None)
    assert {one["short"] for one in found} == {True, False}
    assert {one["free"] for one in found} == {3}
    assert {one["span"] for one in draw(Wide(), {"span": (3, 5)}, 100, 0, None)} == {3, 4, 5}
    assert draw(Wide(), {"span": (3, 50)}, 5, 1, None) != draw(Wide(), {"span": (3, 50)}, 5, 2, None)


def test_what_cannot_be_drawn() -> None:
    with pytest.raises(InputError, match="'free' has no range of its own"):
        draw(Wide(), {"free": None}, 3, 0, None)
    with pytest.raises(InputError, match="draws is a whole number from 1"):
        draw(Wide(), {}, 0, 0, None)
    with pytest.raises(InputError, match="none of 600 draws meets the constraint"):
        draw(Wide(), {}, 3, 0, lambda p: False)
    with pytest.raises(InputError, match="asks for 'slow', which is no parameter"):
        draw(Wide(), {}, 3, 0, lambda p: p["slow"] > 1)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "ten"])
def test_values_are_finite_numbers(value: object) -> None:
    with pytest.raises(InputError, match="its values are numbers"):
        grid(Wide(), {"share": [0.1, value]}, None)


@pytest.mark.parametrize(("axis", "message"), [((0, 10**30), "too large"), ((2.2, 2.8), "no whole number")])
def test_ranges_that_cannot_be_drawn_from(axis: tuple[float, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        draw(Wide(), {"free": axis}, 3, 0, None)


@pytest.mark.parametrize("seed", [-1, 1.5, True])
def test_a_seed_is_a_whole_number(seed: Any) -> None:
    with pytest.raises(InputError, match="a seed is"):
        draw(Wide(), {}, 3, seed, None)


def test_a_small_space_is_soon_exhausted() -> None:
    found = draw(Wide(), {"span": (2, 4)}, 1_000_000, 0, None)
    assert sorted(one["span"] for one in found) == [2, 3, 4]


@pytest.mark.parametrize("value", [10**400, 2**63])
def test_a_parameter_fits_into_eight_bytes(value: int) -> None:
    with pytest.raises(InputError, match="'free' is a whole number"):
        Wide(free=value)
