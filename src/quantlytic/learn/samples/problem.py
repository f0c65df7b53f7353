"""What a model learns from: rows of features, what then happened, and how much each row counts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.data.bars import Bars
from quantlytic.learn.features.featureset import FeatureSet
from quantlytic.learn.labels.labels import labels_of
from quantlytic.learn.models.model import UP
from quantlytic.learn.samples.folds import Fold, check_classes, folds_of
from quantlytic.learn.samples.inputs import Inputs, Values, complete, inputs_of
from quantlytic.learn.samples.tape import Tape
from quantlytic.learn.samples.weights import weights_of
from quantlytic.learn.training.spec import TrainSpec
from quantlytic.model.errors import DataError, InputError
from quantlytic.model.time import duration_ns
from quantlytic.store.barfile import most_frequent


@dataclass(frozen=True)
class Problem:
    """`inputs` f4[n, k] with their `labels` and `weights`, f8[n]: the rows of the bars (`rows`, i8[n]) that have all of them, in
    order of time. `dropped`: how many bars are not among them. `times` and `ends`, i8[n]: when a row is known, and its label.

    `silent` and `silent_inputs`: rows of the bars that have features, and no label or no weight. Whether a row has a label may
    hang on its future (a dead zone, a barrier): what is back-tested must have forecasts of these, too.
    """

    inputs: Inputs
    labels: Values
    weights: Values
    rows: NDArray[np.int64]
    folds: list[Fold]
    columns: tuple[str, ...]
    code_hash: str
    bar_size_ns: int
    dropped: int
    times: NDArray[np.int64]
    ends: NDArray[np.int64]
    silent: NDArray[np.int64]
    silent_inputs: Inputs

    def silent_within(self, fold: Fold) -> NDArray[np.int64]:
        """Which of the silent rows (their numbers in `silent`) lie in the stretches that the fold tests: where the labelled
        rows before and after them both do."""
        tested = np.zeros(len(self.rows) + 2, np.bool_)
        tested[fold.test + 1] = True
        after = np.searchsorted(self.rows, self.silent)
        last = after == len(self.rows)  # nothing later has a label
        return np.flatnonzero(tested[after] & (tested[after + 1] | last))


def features_of(spec: TrainSpec, bars: Bars, folder: Path) -> FeatureSet:
    """The spec's features, for these bars' instruments. InputError for a feature of trades or quotes where they are not."""
    size = duration_ns(spec.data.bar_size) if spec.data.bar_size else bar_size_of(bars.array)
    features = FeatureSet(spec.features, bars.instruments, size, gaps=spec.data.gaps, folder=folder)
    if features.graph.events and spec.data.source != "lake":
        node = next(node for node in features.graph.nodes if node.family in features.graph.events)
        raise InputError(
            f"feature {node.name!r} is made of {node.family}s, and {spec.data.source} holds bars: they are recorded in the "
            'lake, [data] source = "lake"'
        )
    return features


def problem_of(spec: TrainSpec, features: FeatureSet, bars: Bars, tape: Tape | None = None) -> Problem:
    """Features (of `tape`, too), labels, weights and folds of the bars. InputError and DataError tell what does not fit, in one
    line."""
    size, tape = features.bar_size_ns, tape or {}
    table = features.table(bars, trades=tape.get("trade"), quotes=tape.get("quote"))
    signal = None
    if spec.signal:
        if spec.signal not in table.names:
            raise InputError(f"signal {spec.signal!r} is no feature: there are {', '.join(table.names)}")
        signal = table.values[:, table.names.index(spec.signal)]
    labels = labels_of(bars, spec.label, signal=signal, bar_size_ns=0 if spec.data.gaps == "span" else size)
    weights = weights_of(bars, labels, spec.weights)
    inputs = inputs_of(table.values)
    ready, labelled = table.ready & complete(inputs), labels.known & (weights > 0)
    rows, silent = np.flatnonzero(ready & labelled), np.flatnonzero(ready & ~labelled)
    if not len(rows):
        raise DataError("no bar has all features and a label: the windows or the horizon are longer than the data")
    times = bars.array["close_time"]
    folds = folds_of(times[rows], labels.end_time[rows], spec.split)
    if spec.task == UP:
        check_classes(labels.value[rows], folds)
    return Problem(
        np.ascontiguousarray(inputs[rows]), labels.value[rows], weights[rows], rows, folds, features.names,
        features.code_hash, size, len(bars) - len(rows), times[rows], labels.end_time[rows],
        silent, np.ascontiguousarray(inputs[silent]),
    )  # fmt: skip


def bar_size_of(array: NDArray[Any]) -> int:
    """The most frequent length of a bar, ns."""
    return int(most_frequent(array["close_time"] - array["open_time"]))
