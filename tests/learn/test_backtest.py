"""A model's forecasts in bars: none that it could not have made then, and what following them earns after costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import quantlytic as ql
from quantlytic.engine.data.bars import Bars
from quantlytic.learn.live.serving import Feed, Line
from quantlytic.learn.registry.artifact import Artifact
from quantlytic.learn.registry.registry import Registry
from quantlytic.learn.registry.runtime import ServedModel
from quantlytic.learn.training.backtest import forecast_bars, trained_backtest
from quantlytic.learn.training.spec import parse_spec
from quantlytic.learn.training.train import Trained, train
from quantlytic.model.bar import bar_of
from quantlytic.model.errors import DataError, InputError
from quantlytic.model.instrument import Instrument
from quantlytic.research.honesty.lookahead import detect_lookahead
from quantlytic.store.barwriter import write_bars
from quantlytic.store.control import open_control

HOUR_NS = 3_600_000_000_000
SPEC = """
name = "trend"
max_age = "{age}"
[data]
source = "bars.parquet"
bar_size = "1h"
[[features]]
name = "return_1"
kind = "return"
params = {{bars = 1}}
[[features]]
name = "rsi"
kind = "rsi"
params = {{period = 14}}
[label]
kind = "{label}"
horizon = 3
[split]
kind = "{split}"
folds = 3
embargo = 2
[model]
kind = "{model}"
"""
MODELS = {"direction": "logistic", "forward_return": "linear"}
BARS = ql.demo_bars(1000, seed=3, instruments=2)
SEEN = 600 * 2


def trained_on(
    folder: Path, label: str = "direction", split: str = "walk_forward", bars: Bars | None = None
) -> Trained:
    bars = Bars(BARS.array[:SEEN], BARS.instruments) if bars is None else bars
    write_bars(folder / "bars.parquet", bars.array, bars.instruments)
    text = SPEC.format(age="200h", label=label, split=split, model=MODELS[label])
    options: dict[str, Any] = {"folder": folder, "home": folder / "home", "now_ns": 7}
    (one,) = train(parse_spec(text, folder), registry=Registry(folder / "home" / "lake"), **options)
    return one


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trained, Artifact]:
    folder = tmp_path_factory.mktemp("trained")
    one = trained_on(folder)
    return one, Registry(folder / "home" / "lake").get(one.manifest.model_id)


def test_only_after_what_it_learned_from_and_until_it_is_too_old(trained: tuple[Trained, Artifact]) -> None:
    _, artifact = trained
    told = forecast_bars(BARS, artifact)
    given = ~np.isnan(told.array["forecast"])
    times, end = told.array["close_time"], artifact.manifest.data.end_ns
    assert given.tolist() == ((times > end) & (times <= end + 200 * HOUR_NS)).tolist()
    assert given.sum() == 400
    (note,) = told.source["forecasts"]
    assert (note["model"], note["in_sample"]) == (artifact.model_id, False)
    assert "for 400 of 2,000 bars" in note["sentence"]
    assert "the 1,200 bars until then have no forecast" in note["sentence"]
    assert "(max_age): the 400 bars after that have none either." in note["sentence"]


def test_in_sample_is_said(trained: tuple[Trained, Artifact]) -> None:
    _, artifact = trained
    told = forecast_bars(BARS, artifact, in_sample=True)
    assert not np.isnan(told.array["forecast"][40:SEEN]).any()
    assert "1,200 of the bars are ones it may have seen: what is shown for them is no evidence" in str(told.source)


def test_the_same_as_live(trained: tuple[Trained, Artifact]) -> None:
    """Bar by bar, as the predictor asks it, to the byte; under the ids of another venue."""
    _, artifact = trained
    other = tuple(Instrument(f"box:{one.symbol}") for one in BARS.instruments)
    told = forecast_bars(Bars(BARS.array, other), artifact, in_sample=True)
    feed = Feed(artifact.manifest, Line("trend", "box", tuple(one.id for one in other), HOUR_NS), compiled=False)
    model, live = ServedModel(artifact), []
    for row in BARS.array:
        values = feed.take(bar_of(row, other[row["instrument"]].id))
        assert values is not None
        live.append(float(model.predict(values)[0]))
    expired = BARS.array["close_time"] > artifact.manifest.data.end_ns + 200 * HOUR_NS
    assert np.where(expired, np.nan, live).tobytes() == told.array["forecast"].tobytes()


def test_no_forecast_hangs_on_a_later_bar(trained: tuple[Trained, Artifact]) -> None:
    _, artifact = trained
    part = Bars(BARS.array[:400], BARS.instruments)
    assert not detect_lookahead(
        lambda bars: forecast_bars(bars, artifact, in_sample=True).array["forecast"], part, samples=4
    )


def test_a_hole_begins_anew(trained: tuple[Trained, Artifact]) -> None:
    """As the model is served, though its training would have refused the hole."""
    _, artifact = trained
    array = np.delete(BARS.array, slice(1400, 1404))
    told = forecast_bars(Bars(array, BARS.instruments), artifact)
    assert np.isnan(told.array["forecast"][1400:1426]).all()
    assert not np.isnan(told.array["forecast"][1430:1500]).any()


def test_several_models_each_what_it_knows(trained: tuple[Trained, Artifact]) -> None:
    _, artifact = trained
    names = (Instrument("file:ALPHA"), Instrument("file:UNKNOWN"))
    told = forecast_bars(Bars(BARS.array, names), artifact)
    unknown = told.array["instrument"] == 1
    assert np.isnan(told.array["forecast"][unknown]).all()
    assert not np.isnan(told.array["forecast"][~unknown]).all()
    again = forecast_bars(told, artifact)
    assert len(again.source["forecasts"]) == 2


def test_what_does_not_fit_is_refused(trained: tuple[Trained, Artifact]) -> None:
    _, artifact = trained
    with pytest.raises(InputError, match=r"was trained on ALPHA, \w+, none of OTHER"):
        forecast_bars(Bars(BARS.array[::2], (Instrument("file:OTHER"),)), artifact)
    with pytest.raises(DataError, match="was trained on bars of 1h, not of 4h"):
        forecast_bars(ql.demo_bars(100, size="4h"), artifact)
    changed = Artifact(msgspec.structs.replace(artifact.manifest, code_hash="0" * 64), artifact.content)
    with pytest.raises(DataError, match="trained with other code of its features"):
        forecast_bars(BARS, changed)


def test_a_trained_model_is_traded_after_costs(trained: tuple[Trained, Artifact], tmp_path: Path) -> None:
    """Noise: whatever is earned, it is not called real; the trial is in the ledger once."""
    one, _ = trained
    found = trained_backtest(one, home=tmp_path, now_ns=7, compiled=False)
    assert found is not None
    assert found.verdict.label != "likely real"
    assert found.result.fills["fee"].sum() > 0.0
    assert found.result.metrics["fees_paid"] > 0
    told = found.result.bars
    assert told.has_forecasts
    known = ~np.isnan(one.by_bar)
    assert told.array["forecast"][~np.isnan(told.array["forecast"])].tolist() == one.by_bar[known].tolist()
    assert found.summary["verdict"]["label"] == found.verdict.label
    assert "learned from earlier bars alone" in " ".join(found.sentences)
    trained_backtest(one, home=tmp_path, now_ns=8, compiled=False)
    with open_control(tmp_path) as control:
        assert [trial.strategy for trial in control.trials.list()] == ["train:trend/pooled"]


def test_what_can_be_foretold_earns(tmp_path: Path) -> None:
    """Bars that mostly go on as they went, by far more than costs: the threshold from costs lets the model in."""
    rng = np.random.default_rng(5)
    print("seed 5")
    steps = np.zeros(4000)
    for k in range(1, 4000):
        steps[k] = 0.8 * steps[k - 1] + rng.normal(0.0, 0.01)
    close = 100.0 * np.exp(np.cumsum(steps - steps.mean()))
    before = np.append(100.0, close[:-1])
    times = np.arange(4000, dtype=np.int64) * HOUR_NS + 1_600_000_200_000_000_000
    bars = Bars.of(
        Instrument("x:A"), open_time=times, close_time=times + HOUR_NS, open=before, high=np.maximum(before, close),
        low=np.minimum(before, close), close=close, volume=np.full(4000, 1e18),
    )  # fmt: skip
    for label in MODELS:
        folder = tmp_path / label
        folder.mkdir()
        found = trained_backtest(trained_on(folder, label, bars=bars), compiled=False)
        assert found is not None
        assert found.result.equity[-1] > 1.5 * found.result.cash
        assert found.verdict.label == "likely real", found.verdict.sentence
        shorted = trained_backtest(trained_on(folder, label, bars=bars), compiled=False, short=True)
        assert shorted is not None
        assert shorted.result.fills["side"].tolist() != found.result.fills["side"].tolist()


def test_costs_that_nothing_can_earn(trained: tuple[Trained, Artifact]) -> None:
    found = trained_backtest(trained[0], cost_bps=900.0, compiled=False)
    assert found is not None
    assert len(found.result.fills) == 0
    assert found.verdict.label == "unproven"


def test_folds_that_saw_later_bars_are_named(tmp_path: Path) -> None:
    found = trained_backtest(trained_on(tmp_path, split="purged_kfold"), compiled=False)
    assert found is not None
    assert "had seen later ones" in " ".join(found.sentences)
