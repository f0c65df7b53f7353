"""The nearest rows of the past, searched exactly by faiss. KNN as ONNX takes a third of a second a row: it has its own file.

The file is msgpack of plain numbers: {"neighbours", "columns", "mean", "factor", "rows" (f4 bytes), "labels" (f8 bytes)}.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
import numpy as np

from quantlytic.learn.extra import need
from quantlytic.learn.models.model import RETURN, UP, Params, Scaler, Thresholds
from quantlytic.learn.samples.inputs import Inputs, Values
from quantlytic.model.errors import DataError, InputError

_NEVER = 2**31 - 1
_FOUND = 2**20  # neighbours at a time: 8 bytes each for their numbers, and as much for their labels


class _Numbers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    neighbours: int
    columns: int
    mean: list[float]
    factor: list[float]
    rows: bytes
    labels: bytes


class FittedNeighbours:
    """The mean label of the `neighbours` rows that are nearest, columns scaled."""

    file: ClassVar[str] = "model.knn"

    def __init__(self, mean: Values, factor: Values, rows: Inputs, labels: Values, neighbours: int) -> None:
        faiss: Any = need("faiss", "the model knn")
        # Distances of many rows at once would be summed in another order than those of one row: other neighbours at ties.
        faiss.cvar.distance_compute_blas_threshold = _NEVER
        self._mean, self._factor, self._rows, self._labels, self._neighbours = mean, factor, rows, labels, neighbours
        self._one_thread = faiss.omp_set_num_threads
        self._index = faiss.IndexFlatL2(rows.shape[1])
        self._index.add(rows)

    @classmethod
    def read(cls, content: bytes) -> FittedNeighbours:
        """From a file. DataError when it is damaged."""
        try:
            found = msgspec.msgpack.decode(content, type=_Numbers)
            rows = np.frombuffer(found.rows, np.float32).reshape(-1, found.columns)
            labels = np.frombuffer(found.labels, np.float64)
            mean, factor = np.array(found.mean), np.array(found.factor)
            if not (len(rows) == len(labels) >= found.neighbours >= 1 and len(mean) == len(factor) == found.columns):
                raise ValueError("its sizes do not agree")
        except (msgspec.MsgspecError, ValueError) as error:
            raise DataError(f"the model's file is damaged ({error}): train it again") from None
        return cls(mean, factor, rows, labels, found.neighbours)

    @property
    def columns(self) -> int:
        """How many numbers a row has."""
        return int(self._rows.shape[1])

    def predict(self, inputs: Inputs) -> Values:
        self._one_thread(
            1
        )  # of this thread: two would wait for one another even for a single row, 50 ms where others work, too
        values, step = np.empty(len(inputs)), max(_FOUND // self._neighbours, 1)
        for at in range(0, len(inputs), step):
            scaled = ((inputs[at : at + step].astype(np.float64) - self._mean) * self._factor).astype(np.float32)
            _, near = self._index.search(np.ascontiguousarray(scaled), self._neighbours)
            values[at : at + step] = self._labels[near].mean(axis=1)
        return values

    def export(self) -> bytes:
        return msgspec.msgpack.encode(
            _Numbers(
                self._neighbours, self.columns, self._mean.tolist(), self._factor.tolist(),
                self._rows.tobytes(), self._labels.tobytes(),
            )
        )  # fmt: skip

    def thresholds(self) -> Thresholds:
        return []

    def importance(self) -> Values | None:
        return None


class Neighbours:
    """`neighbours` of the newest `rows` training rows; weights are not used."""

    name: ClassVar[str] = "knn"
    tasks: ClassVar[tuple[str, ...]] = (UP, RETURN)
    params: ClassVar[dict[str, Any]] = {"neighbours": 100, "rows": 50_000}

    def fit(
        self, inputs: Inputs, labels: Values, weights: Values, seed: int, params: Params, task: str
    ) -> FittedNeighbours:
        inputs, labels = inputs[-params["rows"] :], labels[-params["rows"] :]
        if not 1 <= params["neighbours"] <= len(labels):
            raise InputError(f"model knn: {params['neighbours']} neighbours of {len(labels)} rows: take fewer")
        scaler = Scaler(inputs)
        rows = np.ascontiguousarray(scaler.scaled(inputs), np.float32)
        return FittedNeighbours(
            scaler.mean, scaler.factor, rows, np.ascontiguousarray(labels, np.float64), params["neighbours"]
        )
