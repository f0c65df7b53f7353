"""The base rate: of the outcomes known so far, and of no later one."""

from __future__ import annotations

import numpy as np
import pytest

from quantlytic.learn.contest.baserate import BaseRate
from quantlytic.learn.models.model import RETURN, UP


def test_it_begins_with_not_knowing_and_ends_with_the_mean() -> None:
    rate = BaseRate(UP, 2)
    assert rate.forecast("a") == 0.5
    for _ in range(20):
        rate.update("a", 1.0)
    overall = (20 + 10) / 40
    assert rate.forecast("b") == pytest.approx(overall), "an instrument begins with the mean of all"
    assert rate.forecast("a") == pytest.approx((20 + 20 * overall) / 40)
    labels = np.random.default_rng(1).random(20_000) < 0.6
    for label in labels:
        rate.update("a", float(label))
    assert rate.forecast("a") == pytest.approx(0.6, abs=0.01)


def test_of_returns_it_begins_with_zero() -> None:
    rate = BaseRate(RETURN, 1)
    assert rate.forecast("a") == 0.0
    rate.update("a", 0.11)
    assert 0.01 < rate.forecast("a") < 0.02
