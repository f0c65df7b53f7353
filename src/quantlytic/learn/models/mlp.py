"""A small neural network of dense layers, on scaled columns."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import numpy as np

from quantlytic.learn.extra import need
from quantlytic.learn.models.graph import dense
from quantlytic.learn.models.model import RETURN, UP, Params, Scaler, Thresholds
from quantlytic.learn.samples.inputs import Inputs, Values
from quantlytic.model.errors import InputError

_OPERATOR = {"relu": "Relu", "tanh": "Tanh"}


class FittedMlp:
    """Layers of weights; the labels' own mean and deviation are undone at the end of a regression."""

    file: ClassVar[str] = "model.onnx"

    def __init__(self, scaler: Scaler, model: Any, mean: float, deviation: float) -> None:
        self._scaler, self._model, self._mean, self._deviation = scaler, model, mean, deviation
        self._is_up = hasattr(model, "predict_proba")

    def predict(self, inputs: Inputs) -> Values:
        scaled = self._scaler.scaled(inputs)
        if self._is_up:
            return np.asarray(self._model.predict_proba(scaled)[:, 1], np.float64)
        return np.asarray(self._model.predict(scaled) * self._deviation + self._mean, np.float64)

    def export(self) -> bytes:
        layers = list(zip(self._model.coefs_, self._model.intercepts_, strict=True))
        if not self._is_up:
            weights, bias = layers[-1]
            layers[-1] = weights * self._deviation, bias * self._deviation + self._mean
        return dense(self._scaler, layers, _OPERATOR[self._model.activation], self._is_up)

    def thresholds(self) -> Thresholds:
        return []

    def importance(self) -> Values | None:
        return None


class Mlp:
    """`hidden`: units of each of `layers` layers; `alpha`: L2 penalty; `epochs`: passes over the rows."""

    name: ClassVar[str] = "mlp"
    tasks: ClassVar[tuple[str, ...]] = (UP, RETURN)
    params: ClassVar[dict[str, Any]] = {
        "hidden": 32, "layers": 1, "alpha": 1e-4, "learning_rate": 1e-3, "epochs": 20, "batch": 256, "activation": "relu",
    }  # fmt: skip

    def fit(self, inputs: Inputs, labels: Values, weights: Values, seed: int, params: Params, task: str) -> FittedMlp:
        network = need("sklearn.neural_network", "mlp")
        if params["activation"] not in _OPERATOR:
            raise InputError(f"model mlp: activation is one of {', '.join(_OPERATOR)}, not {params['activation']!r}")
        kind = network.MLPClassifier if task == UP else network.MLPRegressor
        model = kind(
            hidden_layer_sizes=(params["hidden"],) * params["layers"],
            alpha=params["alpha"],
            learning_rate_init=params["learning_rate"],
            max_iter=params["epochs"],
            batch_size=min(params["batch"], len(labels)),
            activation=params["activation"],
            random_state=seed,
        )
        mean, deviation = 0.0, 1.0
        if task == RETURN:
            mean, deviation = float(labels.mean()), float(labels.std()) or 1.0
        scaler = Scaler(inputs)
        target = labels if task == UP else (labels - mean) / deviation
        with warnings.catch_warnings():  # passes are a budget here: that more of them would change something is known
            warnings.filterwarnings("ignore", category=need("sklearn.exceptions", "mlp").ConvergenceWarning)
            model.fit(scaler.scaled(inputs), target, sample_weight=weights)
        return FittedMlp(scaler, model, mean, deviation)
