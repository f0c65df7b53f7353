"""Fills beside the volume of the bars they filled in."""

from __future__ import annotations

import numpy as np
import pytest
from tests.research.test_capacity import some_bars

from quantlytic.model.fill import FILL
from quantlytic.research.figures.participation import participation


def some_fills(quantities: list[float]) -> np.ndarray:
    fills = np.zeros(len(quantities), FILL)
    fills["quantity"], fills["price"], fills["bar_offset"] = quantities, 100.0, np.arange(len(quantities))
    return fills


def test_quantity_over_the_volume_of_the_very_bar() -> None:
    bars = some_bars(1000.0)
    bars.array["volume"][2] = 10.0
    found = participation(bars, some_fills([100.0, 200.0, 300.0]))  # 0.1, 0.2, 30 of their bars
    assert found["participation_median"] == pytest.approx(0.2)
    assert found["participation_95"] == pytest.approx(np.percentile([0.1, 0.2, 30.0], 95))
    assert found["beyond_volume"] == pytest.approx(0.5)  # by value: 300 of 600
    assert found["beyond_volume_median"] == pytest.approx(30.0)


def test_all_of_a_bar_is_not_beyond_it() -> None:
    found = participation(some_bars(1000.0), some_fills([1000.0]))
    assert (found["beyond_volume"], found["beyond_volume_median"]) == (0.0, None)


def test_without_volume_nothing_is_told() -> None:
    bars = some_bars(0.0)
    assert set(participation(bars, some_fills([5.0, 5.0])).values()) == {None}
    assert set(participation(some_bars(), some_fills([])).values()) == {None}
    bars.array["volume"][0] = np.nan
    bars.array["volume"][1] = 50.0  # the one that is known
    assert participation(bars, some_fills([500.0, 5.0]))["participation_median"] == pytest.approx(0.1)
