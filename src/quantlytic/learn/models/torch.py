"""A small neural network by PyTorch, where it is installed: float64 on one thread."""

from __future__ import annotations

import itertools
from typing import Any, ClassVar

import numpy as np

from quantlytic.learn.extra import need
from quantlytic.learn.models.model import RETURN, UP, Params, Scaler
from quantlytic.learn.models.network import FittedNetwork, Target, check_activation
from quantlytic.learn.samples.inputs import Inputs, Values


class Torch:
    """`hidden`: units of each of `layers` dense layers; `weight_decay`: see AdamW (Loshchilov & Hutter
    2019); `epochs`: passes over the rows, shuffled anew each
    time."""

    name: ClassVar[str] = "torch"
    tasks: ClassVar[tuple[str, ...]] = (UP, RETURN)
    params: ClassVar[dict[str, Any]] = {
        "hidden": 32, "layers": 1, "weight_decay": 0.0, "learning_rate": 1e-3, "epochs": 10, "batch": 256, "activation": "relu",
    }  # fmt: skip

    def fit(
        self, inputs: Inputs, labels: Values, weights: Values, seed: int, params: Params, task: str
    ) -> FittedNetwork:
        check_activation(self.name, params)
        torch = need("torch", "the model torch")
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return _fitted(torch, inputs, labels, weights, seed, params, task)
        finally:
            torch.set_num_threads(threads)


def _fitted(
    torch: Any, inputs: Inputs, labels: Values, weights: Values, seed: int, params: Params, task: str
) -> FittedNetwork:
    scaler, target = Scaler(inputs), Target(labels, task)
    rows, wanted, counts = (torch.from_numpy(one) for one in (scaler.scaled(inputs), target.of(labels), weights.copy()))
    random = np.random.default_rng(seed)  # of our own: what the library shares is left alone
    model = _network(torch, inputs.shape[1], random, params)
    nn = torch.nn
    loss_of = nn.BCEWithLogitsLoss(reduction="none") if task == UP else nn.MSELoss(reduction="none")
    optimizer = torch.optim.AdamW(model.parameters(), lr=params["learning_rate"], weight_decay=params["weight_decay"])
    for _ in range(params["epochs"]):
        order = torch.from_numpy(random.permutation(len(inputs)))
        for chosen in order.split(params["batch"]):
            optimizer.zero_grad()
            loss = (loss_of(model(rows[chosen])[:, 0], wanted[chosen]) * counts[chosen]).mean()
            loss.backward()
            optimizer.step()
    values = [one.detach().numpy().copy() for one in model.state_dict().values()]
    layers = [(weight.T, bias) for weight, bias in zip(values[::2], values[1::2], strict=True)]

    def answer(scaled: Values) -> Values:
        with torch.no_grad():
            return np.asarray(model(torch.from_numpy(np.ascontiguousarray(scaled)))[:, 0].numpy(), np.float64)

    return FittedNetwork(scaler, layers, params["activation"], target, answer)


def _network(torch: Any, columns: int, random: np.random.Generator, params: Params) -> Any:
    """Dense layers whose weights are drawn as Glorot & Bengio (2010) say."""
    sizes = [columns, *[params["hidden"]] * params["layers"], 1]
    parts: list[Any] = []
    for k, (above, below) in enumerate(itertools.pairwise(sizes)):
        layer = torch.nn.Linear(above, below, dtype=torch.float64)
        reach = float(np.sqrt(6.0 / (above + below)))
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(random.uniform(-reach, reach, (below, above))))
            layer.bias.zero_()
        parts.append(layer)
        if k < len(sizes) - 2:
            parts.append(torch.nn.ReLU() if params["activation"] == "relu" else torch.nn.Tanh())
    return torch.nn.Sequential(*parts)
