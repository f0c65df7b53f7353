"""What every kind of model is: a fit, and what it gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from quantlytic.learn.samples.inputs import Inputs, Values
from quantlytic.model.errors import InputError

Params = Mapping[str, Any]
Thresholds = list[tuple[int, float]]
UP, RETURN = "up", "return"
"""What is forecast: the probability that the label is above 0, or the label's expected value."""


class CannotExport(InputError):
    """There is no way to write this model down without code."""


class Fitted(Protocol):
    """A model that has learned. It can be asked, and written down as `file` (the name says in which format)."""

    file: ClassVar[str]

    def predict(self, inputs: Inputs) -> Values:
        """f8[n] of f4[n, k]: the library's own answer, which the file is compared with."""
        ...

    def export(self) -> bytes:
        """The file: everything that is needed to answer, and no code. CannotExport, in words, where there is no such file."""
        ...

    def thresholds(self) -> Thresholds:
        """(column, value) of every comparison the model makes: where two implementations part first. None for smooth models."""
        ...

    def importance(self) -> Values | None:
        """f8[k]: how much the model itself says it uses each column; None when it does not say."""
        ...


class ModelKind(Protocol):
    """A way to learn. `params` are its parameters and their defaults; no other is taken."""

    @property
    def name(self) -> str: ...

    @property
    def tasks(self) -> tuple[str, ...]: ...

    @property
    def params(self) -> dict[str, Any]: ...

    def fit(self, inputs: Inputs, labels: Values, weights: Values, seed: int, params: Params, task: str) -> Fitted:
        """Learn from f4[n, k]; labels f8[n] are 0 or 1 where the task is `UP`; weights f8[n] are above 0. One thread,
        and the same bytes for the same seed."""
        ...


class Scaler:
    """Zero mean and unit deviation, learned on the training rows alone; a column that does not move stays 0."""

    def __init__(self, inputs: Inputs) -> None:
        values = inputs.astype(np.float64)
        self.mean: Values = values.mean(axis=0)
        deviation = values.std(axis=0)
        moves = deviation > 1e-12 * np.maximum(np.abs(self.mean), 1e-30)
        self.factor: Values = np.where(moves, 1.0 / np.where(moves, deviation, 1.0), 0.0)

    @classmethod
    def known(cls, mean: Values, factor: Values) -> Scaler:
        """Of numbers that were found otherwise: (x - mean) * factor."""
        scaler = cls.__new__(cls)
        scaler.mean, scaler.factor = mean, factor
        return scaler

    def scaled(self, inputs: Inputs) -> Values:
        """f8[n, k]."""
        scaled: NDArray[np.float64] = (inputs.astype(np.float64) - self.mean) * self.factor
        return scaled
