"""A small neural network by Keras on TensorFlow, in float64 on one thread, so that a seed means the same bytes each time."""

from __future__ import annotations

import os
from typing import Any, ClassVar

import numpy as np

from quantlytic.learn.extra import need
from quantlytic.learn.models.model import RETURN, UP, Params, Scaler
from quantlytic.learn.models.network import FittedNetwork, Target, check_activation
from quantlytic.learn.samples.inputs import Inputs, Values
from quantlytic.model.errors import InputError

_STEPS = 32  # batches that TensorFlow takes at a time


class Keras:
    """`hidden`: units of each of `layers` dense layers; `dropout`: the share of them left out at each step; `weight_decay`: see
    AdamW (Loshchilov & Hutter 2019); `epochs`: passes over the rows, shuffled anew each time."""

    name: ClassVar[str] = "keras"
    tasks: ClassVar[tuple[str, ...]] = (UP, RETURN)
    params: ClassVar[dict[str, Any]] = {
        "hidden": 32, "layers": 1, "dropout": 0.0, "weight_decay": 0.0, "learning_rate": 1e-3, "epochs": 10, "batch": 256,
        "activation": "relu",
    }  # fmt: skip

    def fit(
        self, inputs: Inputs, labels: Values, weights: Values, seed: int, params: Params, task: str
    ) -> FittedNetwork:
        check_activation(self.name, params)
        if not params["dropout"] < 1.0:
            raise InputError(f"model keras: dropout is a share, 0 or more and below 1, not {params['dropout']:g}")
        keras = _keras()
        scaler, target = Scaler(inputs), Target(labels, task)
        rows, wanted = scaler.scaled(inputs), target.of(labels)[:, None]
        model = _network(keras, inputs.shape[1], seed, params)
        losses, double = keras.losses, {"dtype": "float64"}
        loss = (
            losses.BinaryCrossentropy(from_logits=True, **double) if task == UP else losses.MeanSquaredError(**double)
        )
        optimizer = keras.optimizers.AdamW(params["learning_rate"], params["weight_decay"])
        model.compile(optimizer, loss, steps_per_execution=_STEPS)
        random = np.random.default_rng(seed)  # of our own: what the libraries share is left alone
        for _ in range(params["epochs"]):
            order = random.permutation(len(rows))
            model.fit(
                rows[order], wanted[order], params["batch"], 1, verbose=0, shuffle=False, sample_weight=weights[order]
            )
        layers = [tuple(layer.get_weights()) for layer in model.layers if layer.get_weights()]
        return FittedNetwork(
            scaler, layers, params["activation"], target, lambda scaled: model(scaled, training=False).numpy()[:, 0]
        )


def _network(keras: Any, columns: int, seed: int, params: Params) -> Any:
    """The layers, drawn from seeds that they alone have."""
    seeds = iter(np.random.default_rng(seed).integers(0, 2**31, 2 * params["layers"] + 1).tolist())
    layers = [keras.Input((columns,), dtype="float64")]
    units = [(params["hidden"], params["activation"])] * params["layers"] + [(1, None)]
    for k, (size, activation) in enumerate(units):
        drawn = keras.initializers.GlorotUniform(next(seeds))
        layers.append(keras.layers.Dense(size, activation, kernel_initializer=drawn, dtype="float64"))
        if k < params["layers"] and (drop := next(seeds)) and params["dropout"]:
            layers.append(keras.layers.Dropout(params["dropout"], seed=drop, dtype="float64"))
    return keras.Sequential(layers)


def _keras() -> Any:
    """Keras on TensorFlow, quiet, on one thread of the processor."""
    for name, value in (("KERAS_BACKEND", "tensorflow"), ("TF_CPP_MIN_LOG_LEVEL", "3"), ("TF_ENABLE_ONEDNN_OPTS", "0")):
        os.environ.setdefault(name, value)
    tensorflow, keras = need("tensorflow", "the model keras"), need("keras", "the model keras")
    if keras.backend.backend() != "tensorflow":
        raise InputError("the model keras runs on tensorflow: unset KERAS_BACKEND")
    tensorflow.get_logger().setLevel("ERROR")  # that each model is compiled anew is known
    tensorflow.config.experimental.enable_op_determinism()
    try:
        tensorflow.config.set_visible_devices([], "GPU")
        tensorflow.config.threading.set_intra_op_parallelism_threads(1)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:  # it has begun already: then this was done before, or whoever began it chose otherwise
        pass
    return keras
