"""Online learners by river: each row is learned once, in order of time, and the model is ready after each of them."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from quantlytic.learn.extra import need
from quantlytic.learn.models.linear import FittedLine
from quantlytic.learn.models.model import RETURN, UP, Fitted, Params, Scaler
from quantlytic.learn.models.trees import FittedTrees, Tree
from quantlytic.learn.samples.inputs import Inputs, Values

Row = dict[int, float]


class Learner(Protocol):
    """What has learned so far."""

    def answer(self, row: Row) -> float:
        """The probability of up, or the expected label."""
        ...

    def learn(self, row: Row, label: float, weight: float) -> None:
        """Take one more row in."""
        ...

    def done(self, columns: int) -> Fitted:
        """What was learned, to be asked and exported."""
        ...


@runtime_checkable
class OnlineKind(Protocol):
    """A kind of model that learns row by row."""

    def begin(self, params: Params, task: str) -> Learner:
        """A learner that knows nothing yet."""
        ...


def rows_of(inputs: Inputs) -> list[Row]:
    """As river takes them."""
    return [dict(enumerate(row)) for row in inputs.astype(np.float64).tolist()]


def _fit(kind: OnlineKind, inputs: Inputs, labels: Values, weights: Values, params: Params, task: str) -> Fitted:
    learner = kind.begin(params, task)
    for row, label, weight in zip(rows_of(inputs), labels.tolist(), weights.tolist(), strict=True):
        learner.learn(row, label, weight)
    return learner.done(inputs.shape[1])


class _LineLearner:
    """A line over columns that are scaled by what was seen of them so far; so is the label of a regression."""

    def __init__(self, params: Params, task: str) -> None:
        river, self.is_up = need("river", "an online learner"), task == UP
        linear, optim = need("river.linear_model", "an online learner"), need("river.optim", "an online learner")
        kind = linear.LogisticRegression if self.is_up else linear.LinearRegression
        rate = params["learning_rate"]
        self._line: Any = kind(optimizer=optim.SGD(rate), l2=params["l2"], intercept_lr=rate)
        self._scaler: Any = need("river.preprocessing", "an online learner").StandardScaler()
        self._label: Any = river.stats.Var(ddof=0)

    def answer(self, row: Row) -> float:
        scaled = self._scaler.transform_one(row)
        if self.is_up:
            return float(self._line.predict_proba_one(scaled)[True])
        return float(self._line.predict_one(scaled)) * self._deviation + float(self._label.mean.get())

    def learn(self, row: Row, label: float, weight: float) -> None:
        self._scaler.learn_one(row)
        if self.is_up:
            wanted: bool | float = label > 0
        else:
            self._label.update(label)
            wanted = (label - float(self._label.mean.get())) / self._deviation
        self._line.learn_one(self._scaler.transform_one(row), wanted, w=weight)

    def done(self, columns: int) -> FittedLine:
        return _FittedOnlineLine(self, columns)

    @property
    def _deviation(self) -> float:
        return float(self._label.get()) ** 0.5 or 1.0

    def numbers(self, columns: int) -> tuple[Scaler, Values, float]:
        """Scaler, coefficients and intercept, the label's scale undone."""
        mean = np.array([self._scaler.means[k] for k in range(columns)], np.float64)
        deviation = np.array([self._scaler.vars[k] for k in range(columns)], np.float64) ** 0.5
        factor = np.where(deviation > 0, 1.0 / np.where(deviation > 0, deviation, 1.0), 0.0)
        weights = np.array([self._line.weights.get(k, 0.0) for k in range(columns)], np.float64)
        scale, base = (1.0, 0.0) if self.is_up else (self._deviation, float(self._label.mean.get()))
        return Scaler.known(mean, factor), weights * scale, float(self._line.intercept) * scale + base


class _FittedOnlineLine(FittedLine):
    def __init__(self, learner: _LineLearner, columns: int) -> None:
        super().__init__(*learner.numbers(columns), learner.is_up)
        self._learner = learner

    def predict(self, inputs: Inputs) -> Values:
        return np.array([self._learner.answer(row) for row in rows_of(inputs)], np.float64)


class RiverLogistic:
    """Logistic regression by stochastic gradient descent, one step a row."""

    name: ClassVar[str] = "river-logistic"
    tasks: ClassVar[tuple[str, ...]] = (UP,)
    params: ClassVar[dict[str, Any]] = {"learning_rate": 0.01, "l2": 0.0}

    def begin(self, params: Params, task: str) -> Learner:
        return _LineLearner(params, task)

    def fit(self, inputs: Inputs, labels: Values, weights: Values, seed: int, params: Params, task: str) -> Fitted:
        return _fit(self, inputs, labels, weights, params, task)


class RiverLinear(RiverLogistic):
    """Linear regression by stochastic gradient descent, one step a row."""

    name: ClassVar[str] = "river-linear"
    tasks: ClassVar[tuple[str, ...]] = (RETURN,)


class _TreeLearner:
    def __init__(self, params: Params, task: str) -> None:
        tree, self.is_up = need("river.tree", "an online learner"), task == UP
        if self.is_up:
            self._tree: Any = tree.HoeffdingTreeClassifier(**params, leaf_prediction="mc")
        else:
            self._tree = tree.HoeffdingTreeRegressor(**params, leaf_prediction="mean")

    def answer(self, row: Row) -> float:
        if self.is_up:
            return float(self._tree.predict_proba_one(row).get(True, 0.0)) if self._tree.n_nodes else 0.5
        return float(self._tree.predict_one(row))

    def learn(self, row: Row, label: float, weight: float) -> None:
        self._tree.learn_one(row, label > 0 if self.is_up else label, w=weight)

    def done(self, columns: int) -> Fitted:
        return _FittedOnlineTree(self, columns)

    def nodes(self) -> Tree:
        """The tree, laid bare."""
        rows: list[list[float]] = []

        def walk(node: Any) -> int:
            at = len(rows)
            if not hasattr(node, "children"):
                value = node.prediction({}, tree=self._tree)
                rows.append([0, 0.0, -1, -1, value.get(True, 0.0) if self.is_up else value])
                return at
            rows.append([])
            left, right = (walk(child) for child in node.children)
            rows[at] = [node.feature, node.threshold, left, right, 0.0]
            return at

        walk(self._tree._root)
        feature, threshold, left, right, value = (np.array(column, np.float64) for column in zip(*rows, strict=True))
        return Tree(feature.astype(np.int64), threshold, left.astype(np.int64), right.astype(np.int64), value)


class _FittedOnlineTree(FittedTrees):
    def __init__(self, learner: _TreeLearner, columns: int) -> None:
        tree, splits = learner.nodes(), np.zeros(columns)
        np.add.at(splits, tree.feature[tree.left >= 0], 1.0)
        super().__init__([tree], 0.0, columns, False, splits)
        self._learner = learner

    def predict(self, inputs: Inputs) -> Values:
        return np.array([self._learner.answer(row) for row in rows_of(inputs)], np.float64)


class RiverTree:
    """A Hoeffding tree (Domingos & Hulten 2000): a leaf parts once the better split is better with probability 1 - `delta`, or
    both are within `tau`; looked at every `grace_period` rows."""

    name: ClassVar[str] = "river-tree"
    tasks: ClassVar[tuple[str, ...]] = (UP, RETURN)
    params: ClassVar[dict[str, Any]] = {"grace_period": 200, "max_depth": 6, "delta": 1e-5, "tau": 0.05}

    def begin(self, params: Params, task: str) -> Learner:
        return _TreeLearner(params, task)

    def fit(self, inputs: Inputs, labels: Values, weights: Values, seed: int, params: Params, task: str) -> Fitted:
        return _fit(self, inputs, labels, weights, params, task)
