"""From a spec to a model in the registry: the same one, however it is computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantlytic.learn.features.featureset import FeatureSet
from quantlytic.learn.registry.registry import Registry
from quantlytic.learn.registry.runtime import ServedModel
from quantlytic.learn.training import tune as tuning
from quantlytic.learn.training.spec import parse_spec
from quantlytic.learn.training.train import Trained, train
from quantlytic.model.errors import DataError, InputError, StoreError
from quantlytic.research.data.demo import demo_bars
from quantlytic.store.barwriter import write_bars
from quantlytic.store.control import open_control

SPEC = """
name = "trend"
[data]
source = "bars.parquet"
bar_size = "1h"
[[features]]
name = "return_1"
kind = "return"
params = {bars = 1}
[[features]]
name = "rsi"
kind = "rsi"
params = {period = 14}
[label]
horizon = 3
[split]
folds = 3
embargo = 2
[model]
kind = "logistic"
"""
SEARCH = """
[search]
trials = 6
[search.params]
c = {low = 0.001, high = 10.0, log = true}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    bars = demo_bars(600, seed=3, instruments=2)
    write_bars(tmp_path / "bars.parquet", bars.array, bars.instruments)
    return tmp_path


def trained(folder: Path, text: str = SPEC, home: str = "home", **options: Any) -> list[Trained]:
    registry = Registry(folder / home / "lake")
    spec = parse_spec(text, folder)
    return list(train(spec, folder=folder, home=folder / home, registry=registry, now_ns=7, **options))


def test_what_was_trained_is_served(folder: Path) -> None:
    (one,) = trained(folder)
    artifact = Registry(folder / "home" / "lake").get(one.manifest.model_id)
    model = ServedModel(artifact)
    model.golden()
    live = FeatureSet(artifact.manifest.features, one.bars.instruments, 3_600_000_000_000)
    assert live.code_hash == artifact.manifest.code_hash
    values = model.predict(live.table(one.bars).values[one.problem.rows])
    assert np.abs(values - one.fitted.predict(one.problem.inputs)).max() < 1e-6
    assert artifact.manifest.line == "trend/pooled"
    assert artifact.manifest.data.rows + artifact.manifest.data.dropped == len(one.bars)
    assert one.gate.rows >= 100_000
    assert len(one.by_fold) == 3
    assert 0.6 < (artifact.manifest.scores["log_loss"] or 0) < 0.8


def test_each_instrument_its_own(folder: Path) -> None:
    found = trained(folder, SPEC.replace('bar_size = "1h"', 'bar_size = "1h"\npooled = false'))
    assert [one.manifest.line for one in found] == [f"trend/{one.bars.instruments[0].id}" for one in found]
    assert len({one.manifest.model_id for one in found}) == 2


def test_two_workers_give_the_same_model(folder: Path) -> None:
    (serial,) = trained(folder, SPEC + SEARCH, "serial")
    (parallel,) = trained(folder, SPEC + SEARCH, "parallel", jobs=2)
    assert serial.trials == parallel.trials
    assert serial.manifest.model_id == parallel.manifest.model_id
    with open_control(folder / "serial") as control:
        assert len(control.trials.list(serial.manifest.data.sha256)) == 6


def test_an_interrupted_search_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (whole,) = trained(folder, SPEC + SEARCH, "whole")
    right, asked = tuning.evaluate, []

    def stopping(job: tuning.Job) -> tuning.Tried:
        if len(asked) == 3:
            raise KeyboardInterrupt
        asked.append(job.number)
        return right(job)

    monkeypatch.setattr(tuning, "evaluate", stopping)
    with pytest.raises(KeyboardInterrupt):
        trained(folder, SPEC + SEARCH, "cut")
    assert Registry(folder / "cut" / "lake").list() == ([], [])

    def counting(job: tuning.Job) -> tuning.Tried:
        asked.append(job.number)
        return right(job)

    monkeypatch.setattr(tuning, "evaluate", counting)
    (again,) = trained(folder, SPEC + SEARCH, "cut")
    assert asked == [0, 1, 2, 3, 4, 5]
    assert again.manifest.model_id == whole.manifest.model_id


def test_hopeless_trials_are_given_up() -> None:
    done = [tuning.Tried(k, {}, [0.5, 0.5 + k / 100], False) for k in range(4)]
    assert tuning._medians(done, 2) == [0.5, pytest.approx(0.5075)]
    assert tuning.best_of([*done, tuning.Tried(4, {}, [0.1], True)], "up", "log_loss").number == 0
    assert tuning.best_of(done, "up", "auc").number == 3


def test_a_fold_that_knows_one_class_is_told(folder: Path) -> None:
    bars = demo_bars(200)
    array = bars.array.copy()
    for name in ("open", "high", "low", "close"):
        array[name] = np.linspace(100.0, 200.0, len(array))
    write_bars(folder / "bars.parquet", array, bars.instruments)
    with pytest.raises(DataError, match="has only the label 1"):
        trained(folder)


@pytest.mark.parametrize(
    ("old", "new", "error", "told"),
    [
        ("horizon = 3", "horizon = 700", DataError, "a label looks 700 bars ahead"),
        ('kind = "rsi"', 'kind = "rsj"', InputError, "did you mean 'rsi'"),
        ('source = "bars.parquet"', 'source = "none.parquet"', InputError, "none.parquet"),
        ("period = 14", "period = 5000", DataError, "not known in any"),
        ("folds = 3", "folds = 3000", InputError, "cannot be walked"),
    ],
)
def test_what_cannot_be_is_one_line_and_nothing_is_written(
    folder: Path, old: str, new: str, error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told) as found:
        trained(folder, SPEC.replace(old, new))
    assert "\n" not in str(found.value)
    assert Registry(folder / "home" / "lake").list() == ([], [])


def test_no_dask_there_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import distributed

    def nobody(*_args: object, **_options: object) -> None:
        raise OSError("timed out")

    monkeypatch.setattr(distributed, "Client", nobody)
    with pytest.raises(StoreError, match="no Dask scheduler at"):
        trained(folder, SPEC + SEARCH, dask="tcp://127.0.0.1:1")
