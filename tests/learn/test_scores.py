"""Scores against scikit-learn's and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn import metrics

from quantlytic.learn.models.model import RETURN, UP
from quantlytic.learn.training.scores import calibration, ranks, scores_of


def test_as_others_compute_them() -> None:
    random = np.random.default_rng(2)
    label = (random.random(500) < 0.4).astype(float)
    forecast = np.round(np.clip(0.3 * label + 0.6 * random.random(500), 0.01, 0.99), 2)  # with equals
    found = scores_of(forecast, label, UP)
    assert found["log_loss"] == pytest.approx(metrics.log_loss(label, forecast))
    assert found["brier"] == pytest.approx(metrics.brier_score_loss(label, forecast))
    assert found["auc"] == pytest.approx(metrics.roc_auc_score(label, forecast))
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(label, forecast > 0.5))
    value = random.standard_normal(500)
    said = value + random.standard_normal(500)
    found = scores_of(said, value, RETURN)
    assert found["ic"] == pytest.approx(spearmanr(said, value).statistic)
    assert found["hit_rate"] == pytest.approx(np.mean((said > 0) == (value > 0)))
    assert found["mse"] == pytest.approx(np.mean((said - value) ** 2))


def test_what_has_no_value_is_none() -> None:
    assert scores_of(np.array([0.4, 0.6]), np.array([1.0, 1.0]), UP)["auc"] is None
    assert scores_of(np.zeros(3), np.array([1.0, -1.0, 2.0]), RETURN)["ic"] is None
    assert scores_of(np.zeros(3), np.zeros(3), RETURN)["r_squared"] is None
    assert np.isfinite(scores_of(np.array([0.0, 1.0]), np.array([1.0, 0.0]), UP)["log_loss"] or np.nan)


def test_calibration_and_ranks() -> None:
    forecast = np.array([0.9, 0.1, 0.8, 0.2])
    bins = calibration(forecast, np.array([1.0, 0.0, 0.0, 0.0]), 2)
    assert [(one.forecast, one.happened, one.rows) for one in bins] == [
        (pytest.approx(0.15), 0.0, 2),
        (pytest.approx(0.85), 0.5, 2),
    ]
    assert ranks(np.array([3.0, 1.0, 3.0])).tolist() == [2.5, 1.0, 2.5]
