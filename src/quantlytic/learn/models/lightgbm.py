"""Gradient boosting by LightGBM (Ke et al. 2017), one thread, deterministic."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from quantlytic.learn.extra import need
from quantlytic.learn.models.model import RETURN, UP, Params
from quantlytic.learn.models.trees import FittedTrees, Tree
from quantlytic.learn.samples.inputs import Inputs, Values

_ZERO = float(np.float32(1e-35))


class FittedLightGbm(FittedTrees):
    """A booster; the average it starts from is in its first tree's leaves."""

    def __init__(self, booster: Any, task: str) -> None:
        self._booster = booster
        trees = [_tree(one["tree_structure"]) for one in booster.dump_model()["tree_info"]]
        gain = np.asarray(booster.feature_importance("gain"), np.float64)
        super().__init__(trees, 0.0, booster.num_feature(), task == UP, gain)

    def predict(self, inputs: Inputs) -> Values:
        return np.asarray(self._booster.predict(inputs, num_threads=1), np.float64)


class LightGbm:
    """Names as LightGBM has them; `rounds` is the number of trees, `subsample` the share of rows each of them sees."""

    name: ClassVar[str] = "lightgbm"
    tasks: ClassVar[tuple[str, ...]] = (UP, RETURN)
    params: ClassVar[dict[str, Any]] = {
        "rounds": 200, "learning_rate": 0.05, "num_leaves": 31, "max_depth": -1, "min_data_in_leaf": 100,
        "feature_fraction": 1.0, "subsample": 1.0, "lambda_l1": 0.0, "lambda_l2": 0.0,
    }  # fmt: skip

    def fit(
        self, inputs: Inputs, labels: Values, weights: Values, seed: int, params: Params, task: str
    ) -> FittedLightGbm:
        lightgbm = need("lightgbm", "the model lightgbm")
        plain = {name: value for name, value in params.items() if name not in ("rounds", "subsample")}
        settings = {
            **plain,
            "bagging_fraction": params["subsample"], "bagging_freq": int(params["subsample"] < 1.0),
            "objective": "binary" if task == UP else "regression",
            "seed": seed, "deterministic": True, "force_row_wise": True, "num_threads": 1, "verbose": -1,
        }  # fmt: skip
        # LightGBM reads float32 rows as the float64 numbers they are.
        data = lightgbm.Dataset(inputs, labels, weight=weights, params={"verbose": -1}, free_raw_data=True)
        return FittedLightGbm(lightgbm.train(settings, data, num_boost_round=params["rounds"]), task)


def _threshold(threshold: float) -> float:
    """LightGBM takes numbers up to 1e-35 (a float32) for 0 before it compares: a threshold among them parts all or none."""
    if abs(threshold) > _ZERO:
        return threshold
    return _ZERO if threshold >= 0 else float(np.nextafter(np.float32(-_ZERO), np.float32(-np.inf)))


def _tree(root: dict[str, Any]) -> Tree:
    rows: list[list[float]] = []

    def walk(node: dict[str, Any]) -> int:
        at = len(rows)
        rows.append([0, 0.0, -1, -1, node.get("leaf_value", 0.0)])
        if "threshold" in node:
            left, right = walk(node["left_child"]), walk(node["right_child"])
            rows[at] = [node["split_feature"], _threshold(node["threshold"]), left, right, 0.0]
        return at

    walk(root)
    feature, threshold, left, right, value = (np.array(column, np.float64) for column in zip(*rows, strict=True))
    return Tree(feature.astype(np.int64), threshold, left.astype(np.int64), right.astype(np.int64), value)
