"""Gradient boosting and random forests by scikit-learn."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from quantlytic.learn.extra import need
from quantlytic.learn.models.model import RETURN, UP, Params
from quantlytic.learn.models.trees import FittedTrees, Tree
from quantlytic.learn.samples.inputs import Inputs, Values


class FittedSklearnTrees(FittedTrees):
    """An ensemble of scikit-learn's."""

    def __init__(self, model: Any, trees: list[Tree], base: float, columns: int, is_up: bool) -> None:
        self._model = model
        splits = np.zeros(columns)
        for tree in trees:
            np.add.at(splits, tree.feature[tree.left >= 0], 1.0)
        super().__init__(trees, base, columns, is_up, splits)

    def predict(self, inputs: Inputs) -> Values:
        if hasattr(self._model, "predict_proba"):
            return np.asarray(self._model.predict_proba(inputs)[:, 1], np.float64)
        return np.asarray(self._model.predict(inputs), np.float64)


class HistGradientBoosting:
    """Histogram boosting. Names as scikit-learn has them; `rounds` is the number of trees."""

    name: ClassVar[str] = "hist-gradient-boosting"
    tasks: ClassVar[tuple[str, ...]] = (UP, RETURN)
    params: ClassVar[dict[str, Any]] = {
        "rounds": 100, "learning_rate": 0.05, "max_leaf_nodes": 31, "min_samples_leaf": 100, "l2_regularization": 0.0,
    }  # fmt: skip

    def fit(
        self, inputs: Inputs, labels: Values, weights: Values, seed: int, params: Params, task: str
    ) -> FittedSklearnTrees:
        ensemble = need("sklearn.ensemble", "hist-gradient-boosting")
        kind = ensemble.HistGradientBoostingClassifier if task == UP else ensemble.HistGradientBoostingRegressor
        plain = {name: value for name, value in params.items() if name != "rounds"}
        # Early stopping would hold out rows at random, whose labels overlap those it learns from.
        model = kind(**plain, max_iter=params["rounds"], early_stopping=False, random_state=seed)
        model.fit(inputs, labels, sample_weight=weights)
        trees = [_histogram_tree(one[0].nodes) for one in model._predictors]
        base = float(np.ravel(model._baseline_prediction)[0])
        return FittedSklearnTrees(model, trees, base, inputs.shape[1], task == UP)


class RandomForest:
    """A forest (Breiman 2001). `trees` of them, each grown on a bootstrap of the rows."""

    name: ClassVar[str] = "random-forest"
    tasks: ClassVar[tuple[str, ...]] = (UP, RETURN)
    params: ClassVar[dict[str, Any]] = {"trees": 100, "max_depth": 6, "min_samples_leaf": 50, "max_features": 0.5}

    def fit(
        self, inputs: Inputs, labels: Values, weights: Values, seed: int, params: Params, task: str
    ) -> FittedSklearnTrees:
        ensemble = need("sklearn.ensemble", "random-forest")
        kind = ensemble.RandomForestClassifier if task == UP else ensemble.RandomForestRegressor
        plain = {name: value for name, value in params.items() if name != "trees"}
        model = kind(**plain, n_estimators=params["trees"], random_state=seed, n_jobs=1)
        model.fit(inputs, labels, sample_weight=weights)
        trees = [_forest_tree(one.tree_, task, params["trees"]) for one in model.estimators_]
        return FittedSklearnTrees(model, trees, 0.0, inputs.shape[1], False)


def _histogram_tree(nodes: Any) -> Tree:
    leaf = nodes["is_leaf"].astype(np.bool_)
    left, right = (np.where(leaf, -1, nodes[side].astype(np.int64)) for side in ("left", "right"))
    value = np.where(leaf, nodes["value"], 0.0).astype(np.float64)
    return Tree(nodes["feature_idx"].astype(np.int64), nodes["num_threshold"].astype(np.float64), left, right, value)


def _forest_tree(tree: Any, task: str, trees: int) -> Tree:
    value = tree.value[:, 0, :]
    answer = value[:, 1] / value.sum(axis=1) if task == UP else value[:, 0]
    leaf = tree.children_left < 0
    return Tree(
        np.asarray(tree.feature, np.int64), np.asarray(tree.threshold, np.float64),
        np.asarray(tree.children_left, np.int64), np.asarray(tree.children_right, np.int64),
        np.where(leaf, answer / trees, 0.0),
    )  # fmt: skip
