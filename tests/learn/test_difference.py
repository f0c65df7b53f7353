"""The paired test: its distribution against SciPy's, and how often it errs under overlap."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from quantlytic.learn.contest.difference import mean_above_zero, student_above


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 8, 21, 50])
def test_students_t_is_scipys(freedom: int) -> None:
    for t in (-30.0, -3.0, -0.5, 0.0, 0.3, 1.7, 4.0, 12.0):
        assert student_above(t, freedom) == pytest.approx(stats.t.sf(t, freedom), abs=1e-12)


@pytest.mark.parametrize("overlap", [1, 5, 12])
def test_it_errs_as_often_as_it_says_though_losses_overlap(overlap: int) -> None:
    rng = np.random.default_rng(5)
    drawn = rng.standard_normal((1_000, 300 + overlap - 1))
    losses = [np.convolve(one, np.ones(overlap), "valid") for one in drawn]
    wrong = sum(mean_above_zero(one, overlap).p_value < 0.05 for one in losses)
    assert 0.03 < wrong / 1_000 < 0.075, wrong
    plain = sum(one.mean() * np.sqrt(len(one)) / one.std(ddof=1) > 1.6449 for one in losses)
    assert overlap == 1 or plain > 150, "a test that does not know of the overlap errs far more often"


def test_a_real_difference_is_found_and_its_opposite_is_not() -> None:
    rng = np.random.default_rng(6)
    better = rng.standard_normal(400) + 0.3
    assert mean_above_zero(better).p_value < 1e-3
    assert mean_above_zero(-better).p_value > 0.999


def test_too_little_proves_nothing() -> None:
    assert mean_above_zero(np.array([])).p_value == 1.0
    assert mean_above_zero(np.ones(7)).p_value == 1.0
    assert mean_above_zero(np.full(100, 0.1)).p_value == 1.0, "what does not vary is no sample"
