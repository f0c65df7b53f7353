"""Ways to divide time into what is learned on and what is tested on, without the one leaking into the other.

Rows are in order of time. Where labels look ahead, `starts` and `ends` (ns UTC, i8[rows]) say over which time each row's
label is taken, and a training row is dropped when its time touches a test row's (purging); after a test stretch `embargo`
more rows are dropped, for what is correlated beyond the label. Source: Lopez de Prado, "Advances in Financial Machine
Learning" (2018), chapters 7 and 12.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantlytic.model.errors import InputError
from quantlytic.research.honesty.overfitting import Values, matrix, sharpes

Rows = NDArray[np.int64]
_MAX_FOLDS = 10_000


@dataclass(frozen=True)
class Fold:
    """Train on the times in [train_start, train_end), test on those in [train_end, test_end); ns UTC."""

    train_start: int
    train_end: int
    test_end: int


def walk_forward_folds(start: int, end: int, train: int, test: int, *, anchored: bool = False) -> list[Fold]:
    """Folds over the times [start, end): each trains on the `train` ns before its `test` ns, or, anchored, on everything
    before them. Test stretches follow one another without a gap; the last one is cut at `end` (but not below half).

    Raises InputError when not even one fits.
    """
    if not (isinstance(train, int) and isinstance(test, int) and train > 0 and test > 0):
        raise InputError("train and test are durations above 0, such as 180d, or whole nanoseconds")
    if (end - start) // test > _MAX_FOLDS:
        raise InputError(f"test stretches as short as that make more than {_MAX_FOLDS:,} folds: take longer ones")
    folds: list[Fold] = []
    at = start + train
    while at + test <= end or (at < end and 2 * (end - at) >= test and folds):
        folds.append(Fold(start if anchored else at - train, at, min(at + test, end)))
        at += test
    if not folds:
        raise InputError("the data is shorter than one stretch of training and one of testing: make them shorter")
    return folds


def purged_kfold(starts: Rows, ends: Rows, folds: int = 5, embargo: int = 0) -> Iterator[tuple[Rows, Rows]]:
    """(train, test) rows of `folds` contiguous stretches, each tested once; training rows purged and embargoed."""
    starts, ends = _labels(starts, ends)
    if not 2 <= folds <= len(starts):
        raise InputError(f"{len(starts)} rows cannot be divided into {folds} folds")
    for test in np.array_split(np.arange(len(starts)), folds):
        yield _purged(starts, ends, [test], embargo), test


def combinatorial_purged(
    starts: Rows, ends: Rows, groups: int = 10, test_groups: int = 2, embargo: int = 0
) -> Iterator[tuple[Rows, Rows]]:
    """(train, test) rows of each way to choose `test_groups` of the contiguous `groups` for testing."""
    starts, ends = _labels(starts, ends)
    parts = _groups(len(starts), groups, test_groups)
    for chosen in itertools.combinations(range(groups), test_groups):
        tests = [parts[one] for one in chosen]
        yield _purged(starts, ends, tests, embargo), np.concatenate(tests)


@dataclass(frozen=True)
class Paths:
    """Histories that never were, each out of sample all the way: `returns` f8[paths, periods]; `sharpe` f8[paths], per period.

    `picked`: i8[splits], the cell that was best in each split's training part.
    """

    returns: Values
    sharpe: Values
    picked: Rows

    @property
    def loss(self) -> float:
        """Share of the paths that lost money on average."""
        return float((self.sharpe <= 0).mean())


def combinatorial_paths(
    returns: Values, groups: int = 10, test_groups: int = 2, *, purge: int = 0, embargo: int = 0
) -> Paths:
    """Combinatorial purged cross-validation of a search: in each split the cell of f8[periods, cells] with the best Sharpe
    ratio in training is followed through the test groups; these are put together to `C(groups - 1, test_groups - 1)` paths.

    `purge`: periods left out of training on both sides of a test group (as long as a position is held), `embargo`: more
    of them after it.
    """
    table = matrix(returns)
    periods = np.arange(len(table))
    parts = _groups(len(table), groups, test_groups)
    paths = np.empty((math.comb(groups - 1, test_groups - 1), len(table)))
    used, picked = [0] * groups, []
    for chosen in itertools.combinations(range(groups), test_groups):
        train = _purged(periods, periods + purge, [parts[one] for one in chosen], embargo)
        if len(train) < 2:
            raise InputError("nothing is left to train on: purge and embargo less, or take fewer groups")
        best = int(sharpes(table[train]).argmax())
        picked.append(best)
        for one in chosen:
            paths[used[one], parts[one]] = table[parts[one], best]
            used[one] += 1
    return Paths(paths, sharpes(paths.T), np.array(picked))


def _labels(starts: Rows, ends: Rows) -> tuple[Rows, Rows]:
    starts, ends = np.asarray(starts, np.int64), np.asarray(ends, np.int64)
    if starts.ndim != 1 or starts.shape != ends.shape:
        raise InputError(f"starts and ends are one number a row each, not {starts.shape} and {ends.shape}")
    if (ends < starts).any() or (np.diff(starts) < 0).any():
        raise InputError("labels start in order of time, and end no earlier than they start")
    return starts, ends


def _groups(rows: int, groups: int, test_groups: int) -> list[Rows]:
    if not 1 <= test_groups < groups <= rows:
        raise InputError(f"{test_groups} of {groups} groups of {rows} rows cannot be tested: take 1 up to groups - 1")
    return np.array_split(np.arange(rows), groups)


def _purged(starts: Rows, ends: Rows, tests: list[Rows], embargo: int) -> Rows:
    """The rows outside of `tests` whose labels touch no test row's, less `embargo` rows after each test stretch."""
    keep = np.ones(len(starts), bool)
    for test in tests:
        first, last = int(test[0]), int(test[-1])
        keep[first : last + 1 + embargo] = False
        latest = int(ends[first : last + 1].max())
        keep &= (ends < starts[first]) | (starts > latest)
    return np.flatnonzero(keep)
