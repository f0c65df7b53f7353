"""What an online learner would have said: each row is forecast by one that has learned every label known by then."""

from __future__ import annotations

from typing import Any

import numpy as np

from quantlytic.learn.models.online import OnlineKind, rows_of
from quantlytic.learn.samples.inputs import Values
from quantlytic.learn.samples.problem import Problem


def progressive(kind: OnlineKind, problem: Problem, settings: dict[str, Any], task: str) -> Values:
    """f8[n]: forecasts of all rows in one pass, test and learn by turns (Dawid 1984). A label counts from its end on, not from
    its row's time: what lies ahead is not learned from."""
    learner = kind.begin(settings, task)
    rows, labels, weights = rows_of(problem.inputs), problem.labels.tolist(), problem.weights.tolist()
    known = np.argsort(problem.ends, kind="stable")
    until = np.searchsorted(problem.ends[known], problem.times, "right").tolist()
    order, learned, found = known.tolist(), 0, np.empty(len(rows))
    for number, row in enumerate(rows):
        for k in order[learned : until[number]]:
            learner.learn(rows[k], labels[k], weights[k])
        learned = max(learned, until[number])
        found[number] = learner.answer(row)
    return found
