"""Networks of dense layers, whichever library learned them: the numbers are all that is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from quantlytic.learn.models.graph import dense
from quantlytic.learn.models.model import UP, Params, Scaler, Thresholds
from quantlytic.learn.samples.inputs import Inputs, Values
from quantlytic.model.errors import InputError

OPERATORS = {"relu": "Relu", "tanh": "Tanh"}
"""Activations by the name that libraries have for them, and ONNX's."""
_ROWS = 16_384

Layers = Sequence[tuple[NDArray[Any], NDArray[Any]]]


class Target:
    """What a network learns: labels as they are, or, for a regression, less their mean and by their deviation."""

    def __init__(self, labels: Values, task: str) -> None:
        self.is_up = task == UP
        self.mean, self.deviation = (0.0, 1.0) if self.is_up else (float(labels.mean()), float(labels.std()) or 1.0)

    def of(self, labels: Values) -> Values:
        """The labels, scaled."""
        return (labels - self.mean) / self.deviation


class FittedNetwork:
    """Layers (weights, bias) over scaled columns, `activation` between them. `answer` is the library's own: f8[n] of f8[n, k]
    scaled rows, before the logistic function."""

    file: ClassVar[str] = "model.onnx"

    def __init__(
        self, scaler: Scaler, layers: Layers, activation: str, target: Target, answer: Callable[[Values], Values]
    ) -> None:
        self._scaler, self._layers, self._activation = scaler, layers, activation
        self._target, self._answer = target, answer

    def predict(self, inputs: Inputs) -> Values:
        scaled = self._scaler.scaled(inputs)
        parts = [self._answer(scaled[at : at + _ROWS]) for at in range(0, len(scaled), _ROWS)]
        line = np.concatenate(parts) if parts else np.zeros(0)
        if self._target.is_up:
            return np.asarray(1.0 / (1.0 + np.exp(-np.clip(line, -700.0, 700.0))), np.float64)
        return np.asarray(line * self._target.deviation + self._target.mean, np.float64)

    def export(self) -> bytes:
        layers = list(self._layers)
        weights, bias = layers[-1]
        layers[-1] = weights * self._target.deviation, bias * self._target.deviation + self._target.mean
        return dense(self._scaler, layers, OPERATORS[self._activation], self._target.is_up)

    def thresholds(self) -> Thresholds:
        return []

    def importance(self) -> Values | None:
        return None


def check_activation(name: str, params: Params) -> None:
    """Raise InputError for an activation that is not among `OPERATORS`."""
    if params["activation"] not in OPERATORS:
        raise InputError(f"model {name}: activation is one of {', '.join(OPERATORS)}, not {params['activation']!r}")
