"""ONNX files, made of a few plain operators.

Every file takes `rows` (f4[n, k]) and gives `value` (f8[n]). Arithmetic between them is float64: a price of 60,000 with a
deviation of 100 would lose four digits to a float32 subtraction.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.learn.extra import need
from quantlytic.learn.models.model import Scaler

_OPSET, _ML_OPSET, _IR = 17, 3, 9
_LANES = 16
_UNSTEADY = ("Sigmoid", "Tanh", "Exp", "Log", "Erf", "Softplus", "Pow", "Elu", "Selu", "Mish", "Sin", "Cos")


class Graph:
    """A file in the making: operators are added in order, each result by a name."""

    def __init__(self) -> None:
        self._onnx: Any = need("onnx", "a model's file")
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def constant(self, values: NDArray[Any]) -> str:
        """Numbers that are part of the model."""
        name = f"constant{len(self._constants)}"
        self._constants.append(self._onnx.numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """One operator; returns its result's name."""
        name = f"step{len(self._nodes)}"
        self._nodes.append(self._onnx.helper.make_node(operator, list(inputs), [name], domain=domain, **attributes))
        return name

    def double(self, name: str = "rows") -> str:
        """As float64."""
        return self.add("Cast", name, to=self._onnx.TensorProto.DOUBLE)

    def scaled(self, scaler: Scaler) -> str:
        """The rows, scaled."""
        centred = self.add("Sub", self.double(), self.constant(scaler.mean))
        return self.add("Mul", centred, self.constant(scaler.factor))

    def layer(self, name: str, weights: NDArray[np.float64], bias: NDArray[np.float64]) -> str:
        """`name @ weights + bias`."""
        return self.add("Add", self.add("MatMul", name, self.constant(weights)), self.constant(bias))

    def finish(self, name: str, columns: int) -> bytes:
        """The file, whose answer is the result called `name` (f8[n, 1])."""
        onnx = self._onnx
        shape = self.constant(np.array([-1], np.int64))
        self._nodes.append(onnx.helper.make_node("Reshape", [name, shape], ["value"]))
        graph = onnx.helper.make_graph(
            steady(self._nodes),
            "model",
            [onnx.helper.make_tensor_value_info("rows", onnx.TensorProto.FLOAT, [None, columns])],
            [onnx.helper.make_tensor_value_info("value", onnx.TensorProto.DOUBLE, [None])],
            self._constants,
        )
        opsets = [onnx.helper.make_opsetid("", _OPSET), onnx.helper.make_opsetid("ai.onnx.ml", _ML_OPSET)]
        model = onnx.helper.make_model(graph, opset_imports=opsets, producer_name="quantlytic", ir_version=_IR)
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString(deterministic=True))


def steady(nodes: Iterable[Any]) -> list[Any]:
    """The operators, so changed that a row alone gets the same bytes as among others.

    Of functions such as Sigmoid the runtime computes 8 or 16 numbers at once, and those that are left over by other means, a
    last digit apart. So each number is given 16 places of its own, and one of them is taken.
    """
    helper: Any = need("onnx.helper", "a model's file")
    found: list[Any] = []
    for k, node in enumerate(nodes):
        if node.op_type not in _UNSTEADY or node.domain not in ("", "ai.onnx"):
            found.append(node)
            continue
        wide, result, first, axis = (f"steady{k}_{part}" for part in ("wide", "result", "first", "axis"))
        found.append(helper.make_node("Constant", [], [axis], value_ints=[-1]))
        found.append(helper.make_node("Constant", [], [first], value_int=0))
        inputs = []
        for number, name in enumerate(node.input):
            apart = f"steady{k}_apart{number}"
            found.append(helper.make_node("Unsqueeze", [name, axis], [apart]))
            inputs.append(apart)
        found.append(helper.make_node("Concat", [inputs[0]] * _LANES, [wide], axis=-1))
        changed = copy.deepcopy(node)
        del changed.input[:], changed.output[:]
        changed.input.extend([wide, *inputs[1:]])
        changed.output.append(result)
        found += [changed, helper.make_node("Gather", [result, first], list(node.output), axis=-1)]
    return found


def dense(scaler: Scaler, layers: Sequence[tuple[NDArray[Any], NDArray[Any]]], activation: str, is_up: bool) -> bytes:
    """A file of scaled rows through layers (weights, bias) with `activation` ("Relu", "Tanh") between them, and the logistic
    function at the end where the answer is a probability."""
    graph = Graph()
    name = graph.scaled(scaler)
    for k, (weights, bias) in enumerate(layers):
        name = graph.layer(name, np.asarray(weights, np.float64), np.asarray(bias, np.float64))
        if k < len(layers) - 1:
            name = graph.add(activation, name)
    if is_up:
        name = graph.add("Sigmoid", name)
    return graph.finish(name, len(scaler.mean))
