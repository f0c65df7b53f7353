"""Sums of decision trees, and their ONNX file.

`x <= threshold` must come out alike in float32 and float64. Libraries learn float64 thresholds; ONNX trees hold float32 ones.
Rounded to nearest, a threshold may move past a row that lies on it; rounded *down* to the next float32 at or below it, it
parts the same float32 rows as before, exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quantlytic.learn.models.graph import Graph
from quantlytic.learn.models.model import Thresholds
from quantlytic.learn.samples.inputs import Values


class Tree(NamedTuple):
    """Nodes in arrays, the root first. `left` is where x[feature] <= threshold goes; -1 in `left` marks a leaf, which adds
    `value`."""

    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    value: NDArray[np.float64]


def floored(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """The next float32 at or below each."""
    nearest = thresholds.astype(np.float32)
    below: NDArray[np.float32] = np.nextafter(nearest, np.float32(-np.inf))
    return np.where(nearest.astype(np.float64) > thresholds, below, nearest)


class FittedTrees:
    """A library's model with its trees laid bare: `base` plus the sum of the leaves, through the logistic
    function where `is_up`."""

    file: ClassVar[str] = "model.onnx"

    def __init__(self, trees: Sequence[Tree], base: float, columns: int, is_up: bool, gain: Values) -> None:
        self._trees, self._base, self._columns, self._is_up, self._gain = trees, base, columns, is_up, gain

    def export(self) -> bytes:
        graph = Graph()
        margin = graph.double(graph.add("TreeEnsembleRegressor", "rows", domain="ai.onnx.ml", **self._nodes()))
        margin = graph.add("Add", margin, graph.constant(np.array([self._base])))
        return graph.finish(graph.add("Sigmoid", margin) if self._is_up else margin, self._columns)

    def thresholds(self) -> Thresholds:
        found: dict[tuple[int, float], None] = {}
        for tree in self._trees:
            inner = tree.left >= 0
            found |= dict.fromkeys(zip(tree.feature[inner].tolist(), tree.threshold[inner].tolist(), strict=True))
        return sorted(found)

    def importance(self) -> Values | None:
        return self._gain

    def _nodes(self) -> dict[str, Any]:
        sizes = [len(tree.left) for tree in self._trees]
        place = np.concatenate([np.arange(size) for size in sizes])
        which = np.repeat(np.arange(len(sizes)), sizes)
        feature, threshold, left, right, value = (np.concatenate(parts) for parts in zip(*self._trees, strict=True))
        leaf = left < 0
        return {
            "n_targets": 1,
            "aggregate_function": "SUM",
            "post_transform": "NONE",
            "nodes_treeids": which.tolist(),
            "nodes_nodeids": place.tolist(),
            "nodes_featureids": np.where(leaf, 0, feature).tolist(),
            "nodes_values": np.where(leaf, np.float32(0), floored(np.where(leaf, 0.0, threshold))).tolist(),
            "nodes_modes": np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
            "nodes_truenodeids": np.where(leaf, 0, left).tolist(),
            "nodes_falsenodeids": np.where(leaf, 0, right).tolist(),
            "target_treeids": which[leaf].tolist(),
            "target_nodeids": place[leaf].tolist(),
            "target_ids": [0] * int(leaf.sum()),
            "target_weights": value[leaf].astype(np.float32).tolist(),
        }
