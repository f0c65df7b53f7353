"""No training label touches the time of a test, and every row is tested as promised."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlytic.learn.samples.folds import Fold, SplitSpec, check_classes, folds_of
from quantlytic.model.errors import DataError, InputError


@st.composite
def _labelled(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    seed = draw(st.integers(0, 10**6))
    rng = np.random.default_rng(seed)
    instruments, bars, longest = draw(st.integers(1, 3)), draw(st.integers(30, 80)), draw(st.integers(1, 4))
    starts = np.repeat(np.arange(bars) * 100, instruments)
    starts = starts[np.sort(rng.permutation(len(starts))[: int(0.9 * len(starts))])]
    return (
        starts,
        starts + rng.integers(1, longest + 1, len(starts)) * 100 - draw(st.integers(0, 50)),
        draw(st.integers(0, 5)),
    )


def _holds(starts: np.ndarray, ends: np.ndarray, fold: Fold, embargo: int, train_before_only: bool) -> None:
    times = np.unique(starts)
    of_test = np.searchsorted(times, np.unique(starts[fold.test]))
    assert not set(starts[fold.train]) & set(starts[fold.test])
    for stretch in np.split(of_test, np.flatnonzero(np.diff(of_test) > 1) + 1):
        rows = fold.test[np.isin(starts[fold.test], times[stretch])]
        begin, end = starts[rows].min(), ends[rows].max()
        after = np.searchsorted(times, end, "right") + embargo
        free = times[after] if after < len(times) else math.inf
        clear = (ends[fold.train] < begin) | (starts[fold.train] >= free)
        assert clear.all()
        if train_before_only:
            assert (ends[fold.train] < begin).all()


@settings(max_examples=60, deadline=None)
@given(_labelled(), st.sampled_from(["walk_forward", "purged_kfold", "cpcv"]), st.integers(3, 6))
def test_nothing_of_a_tests_time_is_trained_on(data: tuple[np.ndarray, np.ndarray, int], kind: str, folds: int) -> None:
    starts, ends, embargo = data
    try:
        found = folds_of(starts, ends, SplitSpec(kind, folds, embargo, 2))
    except DataError:
        return  # so much was purged that a fold was empty, and it said so
    for fold in found:
        _holds(starts, ends, fold, embargo, kind == "walk_forward")
    times_tested = np.bincount(np.concatenate([fold.test for fold in found]), minlength=len(starts))
    if kind == "walk_forward":
        first = np.array_split(np.unique(starts), folds + 1)[0]
        assert (times_tested[starts <= first[-1]] == 0).all()
        assert (times_tested[starts > first[-1]] == 1).all()
    else:
        assert (times_tested == (1 if kind == "purged_kfold" else folds - 1)).all()


def test_what_is_trained_on_is_all_that_may_be() -> None:
    starts = np.arange(20) * 10
    fold = folds_of(starts, starts + 20, SplitSpec("purged_kfold", 4, 3))[1]
    assert fold.test.tolist() == [5, 6, 7, 8, 9]
    # labels of rows 3 and 4 reach row 5; those of the test end at row 11; three more are embargoed
    assert fold.train.tolist() == [0, 1, 2, 15, 16, 17, 18, 19]


def test_rolling_training_has_the_length_asked_for() -> None:
    starts = np.arange(60)
    for fold in folds_of(starts, starts, SplitSpec("walk_forward", 4, train=10)):
        assert fold.train.tolist() == list(range(fold.test[0] - 10, fold.test[0]))


def test_says_what_is_wrong() -> None:
    starts = np.arange(10)
    with pytest.raises(DataError, match="fold 1 has nothing to train on"):
        folds_of(starts, starts + 100, SplitSpec("purged_kfold", 3))
    with pytest.raises(InputError, match="no split 'kfold'"):
        folds_of(starts, starts, SplitSpec("kfold"))
    with pytest.raises(InputError, match="embargo is 0 or more"):
        folds_of(starts, starts, SplitSpec("purged_kfold", 3, -1))
    with pytest.raises(InputError, match="in order of time"):
        folds_of(starts[::-1], starts[::-1], SplitSpec())
    folds = folds_of(starts, starts, SplitSpec("purged_kfold", 2))
    values = np.r_[np.zeros(5), np.ones(5)]
    with pytest.raises(DataError, match="fold 1 has only the label 1"):
        check_classes(values, folds)
    check_classes(np.tile([0.0, 1.0], 5), folds)
