"""What is trained on and what is tested on, for labels that look ahead: nothing of a test's time is trained on.

A thin layer over `research/honesty/splits.py`, for rows of several instruments: rows of one time always are on one side, and
the embargo counts bars (distinct times) after the last test label has ended. Source: Lopez de Prado, "Advances in Financial
Machine Learning" (2018), chapters 7 and 12.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantlytic.model.errors import DataError, InputError
from quantlytic.research.honesty.splits import combinatorial_purged, purged_kfold

Rows = NDArray[np.int64]
KINDS = ("walk_forward", "purged_kfold", "cpcv")


class SplitSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`folds`: test stretches ("cpcv": groups, of which each choice of `test_groups` is tested). `embargo`: bars left out of
    training after a test stretch's labels have ended (walk-forward trains on nothing later, and needs none). `train`: of
    "walk_forward", the number of bars trained on before each test; 0 is all there are."""

    kind: str = "walk_forward"
    folds: int = 5
    embargo: int = 0
    test_groups: int = 2
    train: int = 0


@dataclass(frozen=True)
class Fold:
    """Row numbers to train on and to test on, i8, ascending."""

    train: Rows
    test: Rows


def folds_of(start_times: ArrayLike, end_times: ArrayLike, spec: SplitSpec) -> list[Fold]:
    """The folds over rows whose labels are taken over [start, end], ns UTC; rows in order of start.

    No training label's time touches the time of a test stretch's labels. "purged_kfold" tests every row once, "cpcv" each in
    C(folds - 1, test_groups - 1) folds, "walk_forward" each once but those of the first of `folds` + 1 equal stretches.

    Raises InputError for a kind or numbers that cannot be, DataError when nothing is left to train on in a fold.
    """
    if spec.kind not in KINDS:
        raise InputError(f"there is no split {spec.kind!r}: take {', '.join(KINDS)}")
    for name in ("folds", "embargo", "test_groups", "train"):
        if getattr(spec, name) < 0:
            raise InputError(f"[split] {name} is 0 or more, not {getattr(spec, name)}")
    starts, ends = np.asarray(start_times, np.int64), np.asarray(end_times, np.int64)
    if starts.ndim != 1 or starts.shape != ends.shape or not len(starts):
        raise InputError(f"starts and ends are one time a row each, not {starts.shape} and {ends.shape}")
    if (np.diff(starts) < 0).any() or (ends < starts).any():
        raise InputError("rows are in order of time, and labels end no earlier than they start")
    times, of_time = np.unique(starts, return_inverse=True)
    latest = np.zeros(len(times), np.int64)
    np.maximum.at(latest, of_time, ends)
    found = []
    for number, (train, test) in enumerate(_over_times(times, latest, spec)):
        rows = [np.flatnonzero(_mask(part, len(times))[of_time]) for part in (train, test)]
        if not len(rows[0]) or not len(rows[1]):
            raise DataError(
                f"fold {number + 1} has nothing to {'test' if len(rows[0]) else 'train'} on ({len(times):,} bars, labels up "
                f"to {_longest(times, latest)} bars long, embargo {spec.embargo}): fewer folds, a shorter horizon or embargo"
            )
        found.append(Fold(*rows))
    return found


def check_classes(values: NDArray[np.float64], folds: list[Fold], least: int = 2) -> None:
    """Raise DataError, naming the fold, where what is trained on has fewer than `least` distinct labels."""
    for number, fold in enumerate(folds):
        classes = np.unique(values[fold.train])
        if len(classes) < least:
            raise DataError(
                f"fold {number + 1} has only the label {classes[0]:g} in its {len(fold.train):,} rows of training: a model "
                "cannot learn from one class; take fewer folds, more data, or other barriers"
            )


def _over_times(times: Rows, ends: Rows, spec: SplitSpec) -> Iterator[tuple[Rows, Rows]]:
    """Train and test as numbers of `times`."""
    if spec.kind == "walk_forward":
        yield from _walk_forward(times, ends, spec)
        return
    if spec.kind == "purged_kfold":
        pairs = purged_kfold(times, ends, spec.folds)
    else:
        pairs = combinatorial_purged(times, ends, spec.folds, spec.test_groups)
    for train, test in pairs:
        yield _embargoed(train, test, times, ends, spec.embargo), test


def _walk_forward(times: Rows, ends: Rows, spec: SplitSpec) -> Iterator[tuple[Rows, Rows]]:
    if not 1 <= spec.folds < len(times):
        raise InputError(f"{len(times)} bars cannot be walked through in {spec.folds} folds")
    parts = np.array_split(np.arange(len(times)), spec.folds + 1)
    for test in parts[1:]:
        first = int(test[0])
        before = np.arange(max(0, first - spec.train) if spec.train else 0, first)
        yield before[ends[before] < times[first]], test


def _embargoed(train: Rows, test: Rows, times: Rows, ends: Rows, embargo: int) -> Rows:
    """What is left when the first `embargo` bars after each test stretch's last label are taken away."""
    keep = np.ones(len(times), bool)
    for stretch in np.split(test, np.flatnonzero(np.diff(test) > 1) + 1):
        after = int(np.searchsorted(times, ends[stretch].max(), "right"))
        keep[after : after + embargo] = False
    return train[keep[train]]


def _mask(rows: Rows, length: int) -> NDArray[np.bool_]:
    mask = np.zeros(length, bool)
    mask[rows] = True
    return mask


def _longest(times: Rows, ends: Rows) -> int:
    return int((np.searchsorted(times, ends, "right") - 1 - np.arange(len(times))).max())
