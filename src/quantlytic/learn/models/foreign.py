"""ONNX models that others made, given the one form that is served: `rows` (f4[n, k]) in, `value` (f8[n]) out."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np

from quantlytic.learn.extra import need
from quantlytic.learn.models.graph import steady
from quantlytic.learn.models.model import UP, CannotExport

_OPSET = {"": 17, "ai.onnx.ml": 3}
_STEADY_OPSET = 13


def served_file(model: Any, columns: int, task: str, who: str) -> bytes:
    """The file of a model (bytes or ModelProto) with one input of `columns` numbers a row, whose output is one number a row, or,
    for a direction, the probabilities of down and up. CannotExport, begun with `who`, for another."""
    onnx: Any = need("onnx", "a model's file")
    if isinstance(model, bytes):
        try:
            model = onnx.load_from_string(model)
        except Exception as error:
            raise CannotExport(f"{who} gave bytes that are no ONNX model: {type(error).__name__}") from None
    if not isinstance(model, onnx.ModelProto):
        raise CannotExport(f"{who} gave {type(model).__name__}, not an ONNX model or its bytes")
    graph = model.graph
    constants = {one.name for one in graph.initializer}
    inputs = [one for one in graph.input if one.name not in constants]
    outputs = [one for one in graph.output if one.type.HasField("tensor_type")]
    if len(inputs) != 1 or not outputs:
        raise CannotExport(
            f"{who} gave a model of {len(inputs)} inputs and {len(outputs)} outputs: it needs one of each"
        )
    model = _steadied(model)
    if [inputs[0].name, *(one.name for one in graph.output)] == ["rows", "value"]:
        return bytes(model.SerializeToString(deterministic=True))
    return _wrapped(onnx, model, inputs[0], outputs[-1], columns, task)


def sklearn_file(model: Any, columns: int, task: str) -> bytes | None:
    """The file of an estimator of scikit-learn, or of a class made from one; None for what skl2onnx does not know."""
    skl2onnx, types = need("skl2onnx", "a model's file"), need("skl2onnx.common.data_types", "a model's file")
    for base in type(model).__mro__:
        if not base.__module__.startswith("sklearn."):
            continue
        plain = copy.copy(model)
        try:
            plain.__class__ = base
            options = {id(plain): {"zipmap": False}} if hasattr(plain, "predict_proba") else None
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = skl2onnx.convert_sklearn(
                    plain, initial_types=[("features", types.DoubleTensorType([None, columns]))], options=options,
                    target_opset=_OPSET,
                )  # fmt: skip
        except Exception:  # of many kinds: each says that it does not know how
            continue
        return served_file(found, columns, task, type(model).__name__)
    return None


def _steadied(model: Any) -> Any:
    """The same, but that a row alone is answered as among others; as it is where its operators are older than opset 13."""
    if min((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), default=0) < _STEADY_OPSET:
        return model
    nodes, model = steady(model.graph.node), copy.deepcopy(model)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def _wrapped(onnx: Any, model: Any, given: Any, output: Any, columns: int, task: str) -> bytes:
    """The graph between a cast of the rows and a cast of its answer."""
    helper, kinds = onnx.helper, onnx.TensorProto
    graph = model.graph
    before = [helper.make_node("Cast", ["rows"], [given.name], to=given.type.tensor_type.elem_type)]
    name, after = output.name, []
    shape = [one.dim_value for one in output.type.tensor_type.shape.dim]
    if task == UP and shape[-1:] == [2]:
        graph.initializer.append(onnx.numpy_helper.from_array(np.array([1], np.int64), "served_up"))
        after.append(helper.make_node("Gather", [name, "served_up"], ["served_column"], axis=1))
        name = "served_column"
    graph.initializer.append(onnx.numpy_helper.from_array(np.array([-1], np.int64), "served_shape"))
    after.append(helper.make_node("Cast", [name], ["served_double"], to=kinds.DOUBLE))
    after.append(helper.make_node("Reshape", ["served_double", "served_shape"], ["value"]))
    made = helper.make_graph(
        [*before, *graph.node, *after],
        "model",
        [helper.make_tensor_value_info("rows", kinds.FLOAT, [None, columns])],
        [helper.make_tensor_value_info("value", kinds.DOUBLE, [None])],
        graph.initializer,
    )
    whole = helper.make_model(made, opset_imports=model.opset_import, producer_name="quantlytic", ir_version=9)
    whole.functions.extend(model.functions)
    return bytes(whole.SerializeToString(deterministic=True))
