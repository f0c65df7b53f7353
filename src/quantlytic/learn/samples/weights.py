"""How much each label counts: overlapping labels tell the same story, and old ones an old one.

Source: Lopez de Prado, "Advances in Financial Machine Learning" (2018), chapter 4.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.data.bars import Bars
from quantlytic.learn.labels.labels import Labels
from quantlytic.learn.labels.labelspec import WeightSpec
from quantlytic.model.errors import InputError

Numbers = NDArray[np.float64]


def weights_of(bars: Bars, labels: Labels, spec: WeightSpec) -> Numbers:
    """A weight a row, f8: 0 where the label is not known, 1 on average where it is. Instruments are weighted each by itself.

    `decay` counts in uniqueness gone by, not in bars, so that it does not run faster where labels overlap.
    """
    if not -1.0 < spec.decay <= 1.0:
        raise InputError(f"[weights] decay is above -1 and up to 1 (no decay), not {spec.decay}")
    weights = np.zeros(len(bars))
    for k in range(len(bars.instruments)):
        rows = np.flatnonzero(bars.array["instrument"] == k)
        known = labels.known[rows]
        start = np.flatnonzero(known)
        end = np.searchsorted(rows, labels.end_row[rows][known])
        if not len(start):
            continue
        unique = uniqueness(start, end, len(rows))
        own = unique.copy() if spec.uniqueness else np.ones(len(start))
        if spec.attribution:
            own *= attribution(start, end, np.log(bars.array["close"][rows]))
        weights[rows[known]] = own * decay(unique, spec.decay)
    total = weights.sum()
    return weights * (np.count_nonzero(labels.known) / total) if total > 0.0 else weights


def concurrency(start: NDArray[np.int64], end: NDArray[np.int64], rows: int) -> NDArray[np.int64]:
    """How many labels each bar belongs to, i8[rows]. A label belongs to the bars after its `start` up to its `end`: those
    whose returns it is made of."""
    steps = np.zeros(rows + 1, np.int64)
    np.add.at(steps, start + 1, 1)
    np.add.at(steps, end + 1, -1)
    return np.cumsum(steps[:rows])


def uniqueness(start: NDArray[np.int64], end: NDArray[np.int64], rows: int) -> Numbers:
    """The average over a label's bars of 1 / concurrency, a label: 1 for one that overlaps none."""
    shares = 1.0 / np.maximum(concurrency(start, end, rows), 1)
    sums = np.append(0.0, np.cumsum(shares))
    return np.asarray((sums[end + 1] - sums[start + 1]) / np.maximum(end - start, 1))


def attribution(start: NDArray[np.int64], end: NDArray[np.int64], log_price: Numbers) -> Numbers:
    """|the sum over a label's bars of their log return / concurrency|: what of the movement is this label's own."""
    shares = np.diff(log_price, prepend=log_price[0]) / np.maximum(concurrency(start, end, len(log_price)), 1)
    sums = np.append(0.0, np.cumsum(shares))
    return np.asarray(np.abs(sums[end + 1] - sums[start + 1]))


def decay(unique: Numbers, oldest: float) -> Numbers:
    """Linear in uniqueness gone by: 1 for the newest; the oldest gets `oldest`, or, below 0, that share of all gets nothing."""
    gone = np.cumsum(unique)
    if oldest >= 0.0:
        slope = (1.0 - oldest) / gone[-1]
    else:
        slope = 1.0 / ((oldest + 1.0) * gone[-1])
    return np.asarray(np.maximum(1.0 + slope * (gone - gone[-1]), 0.0))
