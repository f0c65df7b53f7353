"""How good forecasts were: numbers that are the same for everybody, weights left aside."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from quantlytic.learn.models.model import RETURN, UP
from quantlytic.learn.samples.inputs import Values

Metric = Callable[[Values, Values], float]
_LEAST = 1e-15


class Bin(NamedTuple):
    """Forecasts of a tenth of the rows: their mean, how often it then went up, and how many there were."""

    forecast: float
    happened: float
    rows: int


def log_loss(forecast: Values, label: Values) -> float:
    """-mean(ln p of what happened); 0.693 for one who always says one half."""
    p = np.clip(forecast, _LEAST, 1 - _LEAST)
    return float(-np.mean(np.where(label > 0, np.log(p), np.log1p(-p))))


def squared_error(forecast: Values, label: Values) -> float:
    """mean((forecast - label)^2): of probabilities, the Brier score (Brier 1950)."""
    return float(np.mean((forecast - label) ** 2))


def auc(forecast: Values, label: Values) -> float:
    """The probability that a row that went up has the higher forecast than one that did not; NaN for one class."""
    up = label > 0
    ups, downs = int(up.sum()), int((~up).sum())
    if not ups or not downs:
        return float("nan")
    return float((ranks(forecast)[up].sum() - ups * (ups + 1) / 2) / (ups * downs))


def accuracy(forecast: Values, label: Values) -> float:
    """How often the likelier side happened."""
    return float(np.mean((forecast > 0.5) == (label > 0)))


def hit_rate(forecast: Values, label: Values) -> float:
    """How often the sign was right, of the rows that have one; NaN when none has."""
    moved = (label != 0) & (forecast != 0)
    return float(np.mean(np.sign(forecast[moved]) == np.sign(label[moved]))) if moved.any() else float("nan")


def rank_correlation(forecast: Values, label: Values) -> float:
    """Spearman's, the information coefficient; NaN where one of them does not move."""
    a, b = ranks(forecast), ranks(label)
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def r_squared(forecast: Values, label: Values) -> float:
    """Out-of-sample R^2 against a forecast of 0 (Gu, Kelly, Xiu 2020)."""
    total = float(np.sum(label**2))
    return 1.0 - float(np.sum((label - forecast) ** 2)) / total if total > 0 else float("nan")


METRICS: dict[str, dict[str, tuple[Metric, bool]]] = {
    UP: {
        "log_loss": (log_loss, False), "brier": (squared_error, False), "auc": (auc, True),
        "accuracy": (accuracy, True),
    },
    RETURN: {
        "mse": (squared_error, False), "ic": (rank_correlation, True), "hit_rate": (hit_rate, True),
        "r_squared": (r_squared, True),
    },
}  # fmt: skip
"""Of a task: a metric's name, what it is, and whether more is better."""


def scores_of(forecast: Values, label: Values, task: str) -> dict[str, float | None]:
    """All of a task's metrics; None where one has no value."""
    found = {name: metric(forecast, label) for name, (metric, _) in METRICS[task].items()}
    return {name: value if np.isfinite(value) else None for name, value in found.items()}


def calibration(forecast: Values, label: Values, bins: int = 10) -> list[Bin]:
    """Rows sorted by forecast and cut into `bins` parts of equal size: what was said, and what happened."""
    order = np.argsort(forecast, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return [Bin(float(forecast[part].mean()), float((label[part] > 0).mean()), len(part)) for part in parts]


def ranks(values: Values) -> Values:
    """From 1; equals share the mean of theirs."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return np.asarray((last - (count - 1) / 2)[place], np.float64)
