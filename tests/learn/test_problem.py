"""What is learned from, and what is forecast though there is nothing to learn from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.learn.made import made_bars
from tests.learn.test_train import SPEC, trained

from quantlytic.learn.training.tune import fit_fold
from quantlytic.store.barwriter import write_bars

MINUTES = SPEC.replace('bar_size = "1h"', 'bar_size = "1m"')


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    bars = made_bars(700)
    write_bars(tmp_path / "bars.parquet", bars.array, bars.instruments)
    return tmp_path


def test_bars_without_a_label_are_forecast_for_the_backtest(folder: Path) -> None:
    """Were they not, a strategy would see by the hole that nothing much will happen."""
    (plain,) = trained(folder, MINUTES)
    (one,) = trained(folder, MINUTES.replace("horizon = 3", "horizon = 3\ndead_zone = 0.001"))
    problem = one.problem
    assert len(problem.silent) > 100
    assert set(problem.silent.tolist()).isdisjoint(problem.rows.tolist())
    given = ~np.isnan(one.by_bar)
    first = int(np.argmax(given))
    borders = len(problem.folds) * 10  # rows between two folds belong to neither
    assert (~given[first:]).sum() <= borders < (~np.isin(np.arange(first, 700), problem.rows)).sum()
    assert (given[problem.silent]).sum() > 50
    assert np.array_equal(one.by_bar[problem.rows[one.tested]], one.forecast)
    assert len(one.forecast) < given.sum()
    assert (~np.isnan(plain.by_bar)).sum() >= len(plain.forecast)


def test_they_are_forecast_by_a_model_that_has_not_seen_their_fold(folder: Path) -> None:
    (one,) = trained(folder, MINUTES.replace("horizon = 3", "horizon = 3\ndead_zone = 0.001"))
    problem = one.problem
    for number, fold in enumerate(problem.folds):
        silent = problem.silent_within(fold)
        rows = problem.silent[silent]
        assert len(rows)
        assert (rows > problem.rows[fold.test[0]]).all()
        fitted = fit_fold(problem, number, one.kind, one.manifest.params, one.manifest.seed, "up")
        assert np.array_equal(fitted.predict(problem.silent_inputs[silent]), one.by_bar[rows])
        assert problem.ends[fold.train].max() < problem.times[fold.test].min()


def test_when_a_row_is_known_and_when_its_label(folder: Path) -> None:
    (one,) = trained(folder, MINUTES)
    problem = one.problem
    assert (problem.times == one.bars.array["close_time"][problem.rows]).all()
    assert (problem.ends - problem.times == 3 * 60 * 1_000_000_000).all()
