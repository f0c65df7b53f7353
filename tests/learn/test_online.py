"""Online learners: row by row in order of time, and scored as they go on, on labels that were known by then alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.learn.test_train import SPEC, trained

from quantlytic.learn.models.catalogue import find_model, settled
from quantlytic.learn.models.model import UP
from quantlytic.learn.models.online import OnlineKind, rows_of
from quantlytic.learn.training.progressive import progressive
from quantlytic.research.data.demo import demo_bars
from quantlytic.store.barwriter import write_bars


class _Noting:
    """A learner that answers how many labels it knows, and refuses one that is not known yet."""

    def begin(self, params: object, task: str) -> _Noting:
        self.known: list[int] = []
        return self

    def answer(self, row: dict[int, float]) -> float:
        return float(len(self.known))

    def learn(self, row: dict[int, float], label: float, weight: float) -> None:
        self.known.append(int(label))

    def done(self, columns: int) -> object:
        return None

    def fit(self, *_: object) -> object:
        return None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    bars = demo_bars(400, seed=3, instruments=2)
    write_bars(tmp_path / "bars.parquet", bars.array, bars.instruments)
    return tmp_path


def test_a_label_is_learned_when_it_is_known_and_not_before(folder: Path) -> None:
    (one,) = trained(folder, SPEC.replace('kind = "logistic"', 'kind = "river-logistic"'))
    problem = one.problem
    learner = _Noting()
    counts = progressive(learner, problem, {}, UP)  # type: ignore[arg-type]
    for row in range(0, len(counts), 37):
        assert counts[row] == (problem.ends <= problem.times[row]).sum() < row + 1
    assert counts[-1] > len(counts) - 12


def test_going_on_is_scored_on_the_rows_that_the_folds_test(folder: Path) -> None:
    (one,) = trained(folder, SPEC.replace('kind = "logistic"', 'kind = "river-logistic"'))
    assert one.progressive is not None
    assert one.progressive.keys() == one.manifest.scores.keys()
    assert 0.5 < (one.progressive["log_loss"] or 0) < 0.9
    (other,) = trained(folder)
    assert other.progressive is None


def test_the_order_of_rows_matters() -> None:
    random = np.random.default_rng(3)
    inputs = random.standard_normal((400, 2)).astype(np.float32)
    labels = (inputs[:, 0] * np.where(np.arange(400) < 200, -1, 1) > 0).astype(float)
    kind = find_model("river-logistic")
    assert isinstance(kind, OnlineKind)
    assert not isinstance(find_model("logistic"), OnlineKind)
    params = settled(kind, {"learning_rate": 0.1})
    late, early = (
        kind.fit(inputs[order], labels[order], np.ones(400), 1, params, UP).predict(inputs)
        for order in (np.arange(400), np.arange(400)[::-1])
    )
    assert np.corrcoef(late, inputs[:, 0])[0, 1] > 0.5 > -0.5 > np.corrcoef(early, inputs[:, 0])[0, 1]


def test_a_column_that_does_not_move_does_nothing() -> None:
    random = np.random.default_rng(3)
    inputs = np.column_stack([random.standard_normal(300), np.full(300, 7.0)]).astype(np.float32)
    labels = (inputs[:, 0] > 0).astype(float)
    kind = find_model("river-logistic")
    fitted = kind.fit(inputs, labels, np.ones(300), 1, settled(kind, {}), UP)
    other = inputs.copy()
    other[:, 1] = 9.0
    assert (fitted.predict(inputs) == fitted.predict(other)).all()
    assert rows_of(inputs)[0][1] == 7.0
