"""Which columns a model's forecasts hang on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from quantlytic.learn.models.model import Fitted
from quantlytic.learn.samples.inputs import Inputs, Values
from quantlytic.learn.training.scores import METRICS

_ROWS = 5_000
_REPEATS = 3


class Importance(NamedTuple):
    """Of one column: how much worse the metric gets when its values are shuffled (mean and standard deviation of repeats), and
    the model's own figure as a share of all, None where it has none."""

    column: str
    worse: float
    deviation: float
    own: float | None


def importance_of(
    fitted: Fitted, inputs: Inputs, labels: Values, columns: tuple[str, ...], task: str, metric: str, seed: int
) -> list[Importance]:
    """Permutation importance (Breiman 2001) on at most 5,000 rows, spread evenly; the largest first.

    Rows should be such as the model was not trained on: on its own training rows also noise looks important.
    """
    kept = np.linspace(0, len(inputs) - 1, min(_ROWS, len(inputs))).astype(np.int64)
    inputs, labels = inputs[kept], labels[kept]
    score, more = METRICS[task][metric]
    sign = 1.0 if more else -1.0
    whole = score(fitted.predict(inputs), labels)
    random = np.random.default_rng(seed)
    own = fitted.importance()
    total = 0.0 if own is None else float(own.sum())
    found = []
    for k, column in enumerate(columns):
        losses = []
        for _ in range(_REPEATS):
            shuffled = inputs.copy()
            shuffled[:, k] = random.permutation(shuffled[:, k])
            losses.append(sign * (whole - score(fitted.predict(shuffled), labels)))
        share = None if own is None or total <= 0 else float(own[k]) / total
        found.append(Importance(column, float(np.mean(losses)), float(np.std(losses)), share))
    return sorted(found, key=lambda one: -one.worse)
