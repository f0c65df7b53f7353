"""A plateau and a lonely peak are told apart."""

from __future__ import annotations

import math

import numpy as np
import pytest

from quantlytic.research.honesty.peak import neighbours, peak_of

CELLS = [{"x": x, "y": y, "z": 1} for x in (1, 2, 5) for y in (10, 20, 40)]


def test_neighbours_on_a_grid() -> None:
    assert neighbours(CELLS, ["x", "y"], 4) == [0, 1, 2, 3, 5, 6, 7, 8]
    assert neighbours(CELLS, ["x", "y"], 0) == [1, 3, 4]
    assert neighbours(CELLS[:3], ["y"], 1) == [0, 2]
    assert neighbours(CELLS[:1], [], 0) == []


def test_neighbours_of_random_draws() -> None:
    """The eight nearest by rank."""
    random = np.random.default_rng(5)
    cells = [{"x": float(x), "y": float(y)} for x, y in random.random((60, 2))]
    found = neighbours(cells, ["x", "y"], 7)
    assert len(found) == 8
    assert 7 not in found
    ranks = np.argsort(np.argsort([[one["x"], one["y"]] for one in cells], axis=0), axis=0)
    apart = np.abs(ranks - ranks[7]).max(axis=1)
    assert max(apart[found]) <= min(apart[[k for k in range(60) if k not in (*found, 7)]])


def test_a_lonely_peak() -> None:
    values = np.array([0.0, 0.1, 0.0, 0.1, 3.0, 0.1, 0.0, 0.1, 0.0])
    peak = peak_of("sharpe", CELLS, ["x", "y"], values, 4)
    assert peak.is_lonely
    assert peak.neighbours == 8
    assert peak.neighbours_mean == pytest.approx(0.05)
    assert peak.sentence.startswith(
        "The best cell (x 2, y 20) has a sharpe of 3.00; its 8 neighbours have 0.05 on average"
    )
    assert "lonely peak" in peak.advice


def test_a_plateau() -> None:
    values = np.array([-1.0, 0.9, -1.0, 0.95, 1.0, 0.9, math.nan, 0.97, 0.9])
    peak = peak_of("total_return", CELLS, ["x", "y"], values, 4)
    assert peak.neighbours == 7
    assert not peak.is_lonely or peak.kept is not None
    high = peak_of("total_return", CELLS, ["x", "y"], np.array([0, 0, 0, 0, 0, 0.9, 0, 0.95, 1.0]), 8)
    assert high.kept == pytest.approx((0.9 + 0.95 + 0.0) / 3)
    assert "A plateau: nearby parameters keep 62" in high.advice


def test_one_cell_has_no_neighbours() -> None:
    peak = peak_of("sharpe", CELLS[:1], [], np.array([1.0]), 0)
    assert peak.kept is None
    assert not peak.is_lonely
    assert "no neighbours" in peak.sentence
