"""The promotion gate over models that were really trained: noise stays out, an edge comes in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.learn.forecasts import contest_of
from tests.learn.made import MINUTE_NS, bars_of

from quantlytic.engine.data.bars import Bars
from quantlytic.learn.contest.promotion import Gate
from quantlytic.learn.features.featureset import FeatureSet
from quantlytic.learn.live.drift import Drift
from quantlytic.learn.models.model import UP
from quantlytic.learn.registry.artifact import Manifest
from quantlytic.learn.registry.registry import Registry
from quantlytic.learn.registry.runtime import ServedModel
from quantlytic.learn.samples.inputs import complete, inputs_of
from quantlytic.learn.training.spec import parse_spec
from quantlytic.learn.training.train import train
from quantlytic.store.barwriter import write_bars

SPEC = """
name = "trend"
[data]
source = "{name}.parquet"
bar_size = "1m"
[[features]]
name = "return_1"
kind = "return"
params = {{bars = 1}}
[[features]]
name = "return_4"
kind = "return"
params = {{bars = 4}}
[[features]]
name = "rsi"
kind = "rsi"
params = {{period = 14}}
[label]
horizon = {horizon}
[split]
folds = 2
embargo = 2
[model]
kind = "logistic"
"""
FIRST, SECOND, LIVE = 1_500, 2_000, 1_000
GATE = Gate(outcomes=200, looks=3, cost_bps=1.0)


def walk(seed: int, memory: float) -> Bars:
    """Returns that follow the one before by `memory`; 0 is noise."""
    rng = np.random.default_rng([11, seed])
    noise = rng.normal(0.0, 1e-3, SECOND + LIVE)
    returns = np.zeros(len(noise))
    for t in range(1, len(noise)):
        returns[t] = memory * returns[t - 1] + noise[t]
    return bars_of(100.0 * np.exp(np.cumsum(returns)))


def part(bars: Bars, first: int, end: int) -> Bars:
    return Bars(bars.array[first:end], bars.instruments)


def trained(bars: Bars, folder: Path, name: str, horizon: int) -> Registry:
    """A model of these bars, in a registry of its own."""
    folder.mkdir(exist_ok=True)
    write_bars(folder / f"{name}.parquet", bars.array, bars.instruments)
    registry = Registry(folder / name / "lake")
    spec = parse_spec(SPEC.format(name=name, horizon=horizon), folder)
    list(train(spec, folder=folder, home=folder / name, registry=registry, now_ns=1))
    return registry


def answers(registry: Registry, bars: Bars) -> tuple[np.ndarray, float, Manifest]:
    """What the model says of the last LIVE bars, and how far its features have drifted."""
    ((manifest,), _) = registry.list()
    table = FeatureSet(manifest.features, bars.instruments, MINUTE_NS, compiled=False).table(bars).values[-LIVE:]
    drift, index = Drift(manifest.feature_deciles), 0.0
    inputs = inputs_of(table)
    for row in inputs[complete(inputs)]:
        index = drift.add(row)
    return ServedModel(registry.get(manifest.model_id)).predict(table), index, manifest


def promotions(
    bars: Bars, folder: Path, horizon: int, *, has_champion: bool, places: tuple[int, ...] = (0,)
) -> list[bool]:
    """A challenger trained on the newer bars, against a champion trained on the older ones, on bars that neither has seen:
    whether it is promoted as that one of its year's challengers, a place each."""
    challenger = trained(part(bars, SECOND - FIRST, SECOND), folder, "challenger", horizon)
    said, drift, manifest = answers(challenger, bars)
    theirs = None
    if has_champion:
        theirs, _, _ = answers(trained(part(bars, 0, FIRST), folder, "champion", horizon), bars)
    looked, ended = 0, dict[int, bool]()
    for contest in contest_of(part(bars, SECOND, SECOND + LIVE), manifest.label, UP, theirs, said, cost_bps=1.0):
        contest.drift = drift
        if GATE.is_due(contest, looked):
            for place in set(places) - ended.keys():
                verdict = GATE.judge(contest, looked, manifest.trials, place)
                if verdict.promoted or verdict.final:
                    ended[place] = verdict.promoted
            looked += 1
            if len(ended) == len(places):
                return [ended[place] for place in places]
    raise AssertionError("there were too few outcomes")


def test_a_real_edge_comes_in_and_noise_stays_out(tmp_path: Path) -> None:
    assert promotions(walk(1, 0.5), tmp_path, 1, has_champion=False, places=(0, 50)) == [True, True]
    assert promotions(walk(1, 0.0), tmp_path / "noise", 1, has_champion=True) == [False]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_of_200_models_trained_on_noise_at_most_10_are_promoted(tmp_path: Path) -> None:
    promoted = sum(
        promotions(walk(seed, 0.0), tmp_path / str(seed), 1 + seed % 4, has_champion=seed % 3 > 0)[0]
        for seed in range(200)
    )
    print("promoted of 200 trained on noise:", promoted)
    assert promoted <= 10


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_of_models_with_an_edge_most_are_promoted_the_fiftieth_of_a_year_too(tmp_path: Path) -> None:
    made = [
        promotions(walk(seed, 0.5), tmp_path / str(seed), 1, has_champion=False, places=(0, 1, 50, 365))
        for seed in range(20)
    ]
    alone, first, fiftieth, last = (sum(one) for one in zip(*made, strict=True))
    print("promoted of 20 with an edge: alone", alone, "as no. 1:", first, "no. 50:", fiftieth, "no. 365:", last)
    assert min(alone, first) >= 16
    assert fiftieth >= 14
