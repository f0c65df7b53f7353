"""Walk-forward folds, purged k-fold, combinatorial purged cross-validation."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlytic.model.errors import InputError
from quantlytic.research.honesty.splits import (
    Fold,
    combinatorial_paths,
    combinatorial_purged,
    purged_kfold,
    walk_forward_folds,
)


def test_rolling_and_anchored() -> None:
    assert walk_forward_folds(0, 100, 40, 20) == [Fold(0, 40, 60), Fold(20, 60, 80), Fold(40, 80, 100)]
    assert walk_forward_folds(0, 100, 40, 20, anchored=True) == [Fold(0, 40, 60), Fold(0, 60, 80), Fold(0, 80, 100)]


def test_the_last_fold_is_cut_but_never_below_half() -> None:
    assert walk_forward_folds(0, 71, 40, 20)[-1] == Fold(20, 60, 71)
    assert walk_forward_folds(0, 69, 40, 20)[-1] == Fold(0, 40, 60)


@pytest.mark.parametrize(("train", "test", "message"), [(90, 20, "shorter"), (0, 20, "above 0"), (20, -1, "above 0")])
def test_folds_that_cannot_be(train: int, test: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        walk_forward_folds(0, 100, train, test)


@given(st.integers(1, 50), st.integers(1, 50), st.integers(101, 400), st.booleans())
def test_nothing_is_tested_that_was_trained_on(train: int, test: int, end: int, anchored: bool) -> None:
    folds = walk_forward_folds(0, end, train, test, anchored=anchored)
    assert all(0 <= one.train_start < one.train_end < one.test_end <= end for one in folds)
    assert all(one.test_end == two.train_end for one, two in itertools.pairwise(folds))
    assert all((one.train_start == 0) if anchored else (one.train_end - one.train_start == train) for one in folds)


@settings(max_examples=60)
@given(st.integers(0, 1_000), st.integers(20, 60), st.integers(2, 6), st.integers(0, 5))
def test_no_training_label_touches_a_test_label(seed: int, rows: int, folds: int, embargo: int) -> None:
    rng = np.random.default_rng(seed)
    starts = np.cumsum(rng.integers(0, 4, rows))
    ends = starts + rng.integers(0, 12, rows)
    tested = []
    for train, test in purged_kfold(starts, ends, folds, embargo):
        tested += test.tolist()
        assert not set(train) & set(test)
        for row in train:
            assert ((ends[row] < starts[test]) | (starts[row] > ends[test])).all()
            assert not test[-1] < row <= test[-1] + embargo
    assert tested == list(range(rows))


def test_equal_to_purgedcv() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pandas as pd
        import purgedcv

        rows, embargo = 120, 4
        starts = np.arange(rows) * 3_600_000_000_000
        ends = starts + 5 * 3_600_000_000_000
        times = {
            "prediction_times": pd.Series(pd.to_datetime(starts)),
            "evaluation_times": pd.Series(pd.to_datetime(ends)),
        }
        table = np.zeros((rows, 1))
        kfold = list(purgedcv.PurgedKFold(5, embargo_observations=embargo, **times).split(table))
        combined = list(purgedcv.CombinatorialPurgedCV(6, 2, embargo_observations=embargo, **times).split(table))
    # theirs ends a label before its last instant: one shorter
    ours = purged_kfold(starts, ends - 1, 5, embargo), combinatorial_purged(starts, ends - 1, 6, 2, embargo)
    for found, wanted in zip(ours, (kfold, combined), strict=True):
        pairs = list(zip(found, wanted, strict=True))
        for (train, test), (their_train, their_test) in pairs:
            assert test.tolist() == sorted(their_test.tolist())
            assert train.tolist() == sorted(their_train.tolist())


def test_paths_hold_each_period_once_out_of_sample() -> None:
    rng = np.random.default_rng(2)
    table = rng.normal(0, 0.01, (90, 7)) + np.arange(90)[:, None] * 0  # all values distinct
    found = combinatorial_paths(table, 6, 2, purge=2, embargo=1)
    assert found.returns.shape == (5, 90)
    assert len(found.picked) == math.comb(6, 2)
    for path in found.returns:
        assert all(np.isin(value, table[period]) for period, value in enumerate(path))


def test_paths_tell_an_edge_from_noise() -> None:
    rng = np.random.default_rng(4)
    noise = rng.normal(0, 0.01, (600, 30))
    edge = noise.copy()
    edge[:, 3] += 0.003
    assert combinatorial_paths(edge).loss == 0.0
    assert set(combinatorial_paths(edge).picked) == {3}
    assert np.mean([combinatorial_paths(rng.normal(0, 0.01, (200, 10)), 6).loss for _ in range(40)]) > 0.3


@pytest.mark.parametrize(("groups", "tests", "purge"), [(1, 1, 0), (5, 5, 0), (200, 2, 0), (4, 2, 90)])
def test_paths_that_cannot_be(groups: int, tests: int, purge: int) -> None:
    with pytest.raises(InputError):
        combinatorial_paths(np.random.default_rng(0).normal(0, 1, (100, 3)), groups, tests, purge=purge)


def test_labels_out_of_order_are_refused() -> None:
    with pytest.raises(InputError, match="order of time"):
        list(purged_kfold(np.array([3, 1, 2]), np.array([4, 4, 4]), 2))
