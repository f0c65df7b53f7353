"""Positions and exposure, told from fills."""

from __future__ import annotations

import numpy as np

from quantlytic.model.fill import FILL
from quantlytic.research.figures.positions import exposure, position_after


def some_fills() -> np.ndarray:
    fills = np.zeros(4, FILL)
    fills["side"], fills["quantity"], fills["instrument"] = [1, -1, -1, 1], [0.3, 0.1, 0.2, 5], [0, 0, 0, 1]
    fills["bar_offset"] = [2, 4, 6, 9]
    return fills


def test_position_after_each_bar() -> None:
    held = position_after(some_fills(), 0, np.array([1, 2, 3, 4, 5, 6, 9]))
    assert np.allclose(held, [0, 0.3, 0.3, 0.2, 0.2, 0, 0])
    assert held[-1] == 0.0  # 0.3 - 0.1 - 0.2 is not 0 in floats, but holds nothing
    assert position_after(some_fills(), 1, np.array([8, 9])).tolist() == [0, 5]
    assert position_after(some_fills()[:0], 0, np.array([0, 1])).tolist() == [0, 0]


def test_exposure_counts_bar_times_with_a_position() -> None:
    times, fills = np.arange(10), some_fills()
    assert exposure(times, fills[:0]) == 0
    assert exposure(times, fills[:3]) == 0.4
    assert exposure(times, fills) == 0.5
    assert exposure(times[:0], fills[:0]) is None


def test_exposure_looks_at_the_end_of_each_time() -> None:
    fills = some_fills()[:2]
    fills["bar_offset"], fills["quantity"] = [0, 1], 1.0  # opened by the first bar of a time, closed by the second
    assert exposure(np.array([1, 1, 2, 2]), fills) == 0
