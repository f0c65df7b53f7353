"""Logistic regression and ridge regression, on scaled columns."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from quantlytic.learn.extra import need
from quantlytic.learn.models.graph import dense
from quantlytic.learn.models.model import RETURN, UP, Params, Scaler, Thresholds
from quantlytic.learn.samples.inputs import Inputs, Values


class FittedLine:
    """`intercept + scaled @ coefficients`, through the logistic function where `is_up`."""

    file: ClassVar[str] = "model.onnx"

    def __init__(self, scaler: Scaler, coefficients: Values, intercept: float, is_up: bool) -> None:
        self._scaler, self._is_up = scaler, is_up
        self._coefficients, self._intercept = coefficients, intercept

    def predict(self, inputs: Inputs) -> Values:
        line: Values = self._scaler.scaled(inputs) @ self._coefficients + self._intercept
        return 1.0 / (1.0 + np.exp(-np.clip(line, -700.0, 700.0))) if self._is_up else line

    def export(self) -> bytes:
        return dense(self._scaler, [(self._coefficients[:, None], np.array([self._intercept]))], "", self._is_up)

    def thresholds(self) -> Thresholds:
        return []

    def importance(self) -> Values | None:
        return np.abs(self._coefficients)


class Logistic:
    """Logistic regression. `c`: the inverse of the strength of its L2 penalty."""

    name: ClassVar[str] = "logistic"
    tasks: ClassVar[tuple[str, ...]] = (UP,)
    params: ClassVar[dict[str, Any]] = {"c": 1.0}

    def fit(self, inputs: Inputs, labels: Values, weights: Values, seed: int, params: Params, task: str) -> FittedLine:
        linear = need("sklearn.linear_model", "logistic")
        scaler = Scaler(inputs)
        model = linear.LogisticRegression(C=params["c"], max_iter=2000, tol=1e-8)
        model.fit(scaler.scaled(inputs), labels, sample_weight=weights)
        return FittedLine(scaler, np.array(model.coef_[0], np.float64), float(model.intercept_[0]), True)


class Linear:
    """Ridge regression. `alpha`: the strength of its L2 penalty."""

    name: ClassVar[str] = "linear"
    tasks: ClassVar[tuple[str, ...]] = (RETURN,)
    params: ClassVar[dict[str, Any]] = {"alpha": 1.0}

    def fit(self, inputs: Inputs, labels: Values, weights: Values, seed: int, params: Params, task: str) -> FittedLine:
        linear = need("sklearn.linear_model", "linear")
        scaler = Scaler(inputs)
        model = linear.Ridge(alpha=params["alpha"], solver="cholesky")
        model.fit(scaler.scaled(inputs), labels, sample_weight=weights)
        return FittedLine(scaler, np.array(model.coef_, np.float64), float(model.intercept_), False)
