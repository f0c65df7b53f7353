"""A model that answers: loaded from numbers alone (ONNX, or KNN's own file), on one thread, with no code from outside."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.learn.extra import need
from quantlytic.learn.models.neighbours import FittedNeighbours
from quantlytic.learn.registry.artifact import Artifact, Manifest
from quantlytic.learn.registry.overtime import Overtime, TookTooLong
from quantlytic.learn.samples.inputs import Inputs, Values, complete, inputs_of
from quantlytic.model.errors import DataError

TOLERANCE = 1e-6
"""How far answers may be apart that must be the same."""
LIMIT_S = 5.0
"""So long may an answer take where nobody waits for it: a file may hold a loop that never ends."""
_ROW_LIMIT_S = 0.002  # and so much more for each further row
_ROWS = 16_384  # at a time: what trees need while they answer stays small
_LOOPS = ("Loop", "Scan", "SequenceMap")  # operators that go round; other names of them there are none

Answer = Callable[[Inputs], Values]


class ServedModel:
    """A model, ready to be asked, by one thread at a time. DataError when its file cannot be loaded, or takes other rows than
    its manifest says.

    A row in which anything is not known or not finite gets NaN. The same row gets the same bytes, alone or among others.
    """

    def __init__(self, artifact: Artifact) -> None:
        self.manifest: Manifest = artifact.manifest
        self.model_id: str = artifact.model_id
        self.columns: int = len(self.manifest.columns)
        self._answer = load(artifact.content, self.manifest.file, self.columns)

    def limit(self, seconds: float) -> None:
        """A row's answer that takes longer from now on (`LIMIT_S` until then) is stopped, and TookTooLong raised. A search
        among neighbours, which always ends, is not."""
        if isinstance(self._answer, _Session):
            self._answer.limit_s = seconds

    def predict(self, rows: NDArray[Any]) -> Values:
        """f8[n] of f8[n, k] (or one row, f8[k]): the probability of up, or the expected label."""
        inputs = inputs_of(np.atleast_2d(rows))
        if inputs.shape[1] != self.columns:
            raise DataError(f"model {self.model_id[:12]} takes {self.columns} columns, not {inputs.shape[1]}")
        known = complete(inputs)
        if known.all():
            return self._checked(inputs)
        values: Values = np.full(len(inputs), np.nan)
        if known.any():
            values[known] = self._checked(inputs[known])
        return values

    def golden(self) -> None:
        """Ask the golden rows. DataError when an answer is further than 1e-6 from the one recorded at training."""
        given = self.predict(np.array(self.manifest.golden_rows, np.float64).reshape(-1, self.columns))
        expected = np.array(self.manifest.golden_values, np.float64)
        apart = float(np.abs(given - expected).max(initial=0.0)) if given.shape == expected.shape else np.inf
        if not apart <= TOLERANCE:
            raise DataError(
                f"model {self.model_id[:12]} answers its golden rows otherwise than when it was trained (by {apart:.2g}): "
                "promote another one, or train it again with this machine's libraries"
            )

    def _checked(self, inputs: Inputs) -> Values:
        values = self._answer(inputs)
        if values.shape != (len(inputs),):
            raise DataError(f"model {self.model_id[:12]} gives {values.shape} for {len(inputs)} rows, not one each")
        return values


def load(content: bytes, file: str, columns: int) -> Answer:
    """A function f4[n, columns] -> f8[n] from a model's file; its name says in which format it is. DataError when damaged."""
    if file == FittedNeighbours.file:
        neighbours = FittedNeighbours.read(content)
        _check_columns(neighbours.columns, columns)
        return neighbours.predict
    if not file.endswith(".onnx"):
        raise DataError(f"a model in {file!r} is in no format that is served: .onnx or {FittedNeighbours.file}")
    runtime: Any = need("onnxruntime", "a model")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    session = _opened(runtime, content, options)
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if [one.name for one in inputs] != ["rows"] or "value" not in [one.name for one in outputs]:
        raise DataError("the model's file has other inputs or outputs than `rows` and `value`: train it again")
    _check_columns(inputs[0].shape[-1], columns)
    return _Session(session, Overtime(runtime))


class _Session:
    def __init__(self, session: Any, overtime: Overtime) -> None:
        self._run, self._overtime = session.run, overtime
        self.limit_s = LIMIT_S

    def __call__(self, inputs: Inputs) -> Values:
        if len(inputs) <= _ROWS:
            return self._some(inputs)
        return np.concatenate([self._some(inputs[at : at + _ROWS]) for at in range(0, len(inputs), _ROWS)])

    def _some(self, inputs: Inputs) -> Values:
        try:
            with self._overtime(self.limit_s + (len(inputs) - 1) * _ROW_LIMIT_S):
                (value,) = self._run(["value"], {"rows": inputs}, self._overtime.options)
        except TookTooLong:
            raise
        except Exception as error:
            raise DataError(f"the model cannot answer ({_short(error)}): promote another one") from None
        return np.asarray(value, np.float64)


def _opened(runtime: Any, content: bytes, options: Any) -> Any:
    """The session. One whose file may hold loops is looked at as it will be run, with all that has no effect left out."""
    with contextlib.ExitStack() as stack:
        simplified = None
        if any(one.encode() in content for one in _LOOPS):
            simplified = Path(stack.enter_context(TemporaryDirectory())) / "simplified.onnx"
            options.optimized_model_filepath = str(simplified)
        try:
            session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise DataError(
                f"the model's file is no ONNX model that can be run ({_short(error)}): train it again"
            ) from None
        if simplified is not None:
            _check_loops(simplified)
        return session


def _check_loops(path: Path) -> None:
    """DataError for a loop without an operator in it: between two operators is where a run can be stopped."""
    onnx: Any = need("onnx", "a model with a loop")
    model = onnx.load_model(path)
    graphs = [model.graph, *model.functions]
    while graphs:
        for node in graphs.pop().node:
            inner = [graph for one in node.attribute for graph in ([one.g] if one.HasField("g") else one.graphs)]
            if node.op_type in _LOOPS and not all(map(_does_something, inner)):
                raise DataError(
                    "the model's file has a loop with nothing in it, which cannot be stopped: train it again"
                )
            graphs += inner


def _does_something(graph: Any) -> bool:
    return any(node.op_type != "Constant" for node in graph.node)  # a constant is no step of a run


def _check_columns(has: Any, columns: int) -> None:
    if has != columns:
        raise DataError(f"the model's file takes {has} columns, and its manifest names {columns}: train it again")


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
