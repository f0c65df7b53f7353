"""A model that becomes worse is noticed; one that does not is left in peace."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from tests.learn.artifacts import small_artifact
from tests.learn.forecasts import forecasts_of
from tests.learn.made import made_bars

from quantlytic.learn.contest.outcomes import Outcome
from quantlytic.learn.models.model import RETURN
from quantlytic.learn.registry.artifact import Manifest
from quantlytic.learn.retraining.losswatch import LossWatch

ROWS = 3_000


def manifest(horizon: int = 1, **changed: object) -> Manifest:
    return msgspec.structs.replace(small_artifact().manifest, horizon=horizon, **changed)


def outcomes(values: np.ndarray, labels: np.ndarray, seed: int = 0) -> list[Outcome]:
    return [
        Outcome(one, float(label), 0.0, 1.0)
        for one, label in zip(forecasts_of(made_bars(len(values), seed=seed), values), labels, strict=True)
    ]


def alarms(given: list[Outcome], made: Manifest, *, restart_every: int = 0) -> list[int]:
    watch = LossWatch()
    watch.watch("m", made)
    found = []
    for k, outcome in enumerate(given):
        if restart_every and k % restart_every == restart_every - 1:
            state = watch.save()
            watch = LossWatch()
            watch.restore(state)
        if words := watch.update(outcome):
            assert words.startswith("its loss rose from 0.")
            found.append(k)
    return found


def skill(rng: np.random.Generator, horizon: int, falls_at: int) -> list[Outcome]:
    """Forecasts that are worth something until they are not; labels that overlap as those of the horizon do."""
    steps = rng.normal(size=ROWS + horizon)
    labels = (np.convolve(steps, np.ones(horizon), "valid")[:ROWS] > 0).astype(float)
    knows = np.where(np.arange(ROWS) < falls_at, 0.3, -0.3)
    return outcomes(0.5 + knows * np.where(rng.random(ROWS) < 0.75, 1, -1) * (2 * labels - 1), labels)


def test_bars_it_learned_from_do_not_count() -> None:
    """Else memory would look like skill, and what comes after it like a loss that has risen."""
    given = skill(np.random.default_rng(1), 1, ROWS // 2)
    assert alarms(given, manifest())
    facts = msgspec.structs.replace(manifest().data, end_ns=given[ROWS // 2].forecast.close_time)
    assert alarms(given, manifest(data=facts)) == []


@pytest.mark.parametrize("horizon", [1, 6])
def test_false_alarms_are_few_though_labels_overlap(horizon: int) -> None:
    false = sum(
        bool(alarms(skill(np.random.default_rng(seed), horizon, ROWS), manifest(horizon))) for seed in range(30)
    )
    print("false alarms in 12 x", ROWS, "bars:", false)
    assert false <= 1


@pytest.mark.parametrize("horizon", [1, 6])
def test_a_rise_is_noticed_soon(horizon: int) -> None:
    for seed in range(5):
        found = alarms(skill(np.random.default_rng(seed), horizon, 1_500), manifest(horizon))
        assert found, seed
        assert 1_500 < found[0] < 1_500 + 100 * (1 + horizon), found


def test_a_loss_that_falls_is_no_alarm() -> None:
    rng = np.random.default_rng(1)
    labels = (rng.random(ROWS) < 0.5).astype(float)
    values = np.where(np.arange(ROWS) < 1_000, 0.5, 0.5 + 0.4 * (2 * labels - 1))
    assert alarms(outcomes(values, labels), manifest()) == []


def test_restarts_change_nothing() -> None:
    given = skill(np.random.default_rng(3), 2, 1_500)
    assert alarms(given, manifest(2), restart_every=101) == alarms(given, manifest(2)) != []


def test_returns_are_measured_by_the_error_of_training() -> None:
    rng = np.random.default_rng(4)
    labels = rng.normal(0.0, 1e-3, ROWS) * np.where(np.arange(ROWS) < 1_500, 1.0, 3.0)
    made = manifest(task=RETURN, scores={"mse": 1e-6})
    watch = LossWatch()
    watch.watch("m", made)
    found = [k for k, one in enumerate(outcomes(np.zeros(ROWS), labels)) if watch.update(one)]
    assert found
    assert 1_500 < found[0] < 1_700


def test_another_model_is_watched_from_its_own_beginning() -> None:
    watch = LossWatch()
    watch.watch("good", manifest())
    good, bad = np.full(500, 0.9), np.full(500, 0.1)
    for one in outcomes(good, np.ones(500)):
        assert not watch.update(one)
    watch.watch("bad", manifest())
    for one in outcomes(bad, np.ones(500)):
        assert not watch.update(one), "it was never better"
