"""Weights by hand and by definition."""

from __future__ import annotations

import numpy as np
import pytest
from tests.learn.made import made_bars

from quantlytic.learn.labels.labels import labels_of
from quantlytic.learn.labels.labelspec import LabelSpec, WeightSpec
from quantlytic.learn.samples.weights import attribution, concurrency, decay, uniqueness, weights_of
from quantlytic.model.errors import InputError


def test_uniqueness_by_hand() -> None:
    # labels over bars 1..3, 3..4 and 6..6
    start, end = np.array([0, 2, 5]), np.array([3, 4, 6])
    assert concurrency(start, end, 7).tolist() == [0, 1, 1, 2, 1, 0, 1]
    assert np.allclose(uniqueness(start, end, 7), [(1 + 1 + 0.5) / 3, (0.5 + 1) / 2, 1.0])


def test_attribution_by_hand() -> None:
    start, end = np.array([0, 1]), np.array([2, 3])
    price = np.array([0.0, 0.1, 0.3, 0.2])
    assert np.allclose(attribution(start, end, price), [0.1 + 0.2 / 2, abs(0.2 / 2 - 0.1)])


def test_decay_is_that_of_the_book() -> None:
    unique = np.full(4, 0.5)
    assert np.allclose(decay(unique, 1.0), 1.0)
    assert np.allclose(decay(unique, 0.5), [0.625, 0.75, 0.875, 1.0])
    assert np.allclose(decay(unique, 0.0), [0.25, 0.5, 0.75, 1.0])
    assert np.allclose(decay(unique, -0.5), [0.0, 0.0, 0.5, 1.0])


def test_by_definition() -> None:
    bars = made_bars(120, seed=4)
    labels = labels_of(bars, LabelSpec("triple_barrier", 10, volatility_window=10))
    rows = np.flatnonzero(labels.known)
    spans = [np.arange(i + 1, labels.end_row[i] + 1) for i in rows]
    count = np.zeros(120)
    for span in spans:
        count[span] += 1
    expected = np.array([np.mean(1.0 / count[span]) for span in spans])
    expected /= expected.mean()
    found = weights_of(bars, labels, WeightSpec())
    assert np.allclose(found[rows], expected)
    assert (found[~labels.known] == 0.0).all()


def test_apart_labels_weigh_the_same_and_old_ones_less() -> None:
    bars = made_bars(50)
    labels = labels_of(bars, LabelSpec("forward_return", 1))
    assert np.allclose(weights_of(bars, labels, WeightSpec())[labels.known], 1.0)
    fading = weights_of(bars, labels, WeightSpec(decay=0.2))[labels.known]
    assert (np.diff(fading) > 0).all()
    with pytest.raises(InputError, match="decay is above -1"):
        weights_of(bars, labels, WeightSpec(decay=-1.0))
