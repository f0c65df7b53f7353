"""What cannot be trained, served or kept: one line, its exit code, and nothing half written."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.app.conftest import Command, answer
from tests.learn.made import bars_of, made_bars, without
from tests.learn.test_train import SEARCH, SPEC

from quantlytic.engine.data.bars import Bars
from quantlytic.learn.features.featureset import FeatureSet
from quantlytic.learn.registry.registry import Registry
from quantlytic.learn.registry.runtime import ServedModel
from quantlytic.learn.training.spec import parse_spec
from quantlytic.model.errors import DataError
from quantlytic.research.data.demo import demo_bars
from quantlytic.store.barwriter import write_bars

MINUTES = SPEC.replace('bar_size = "1h"', 'bar_size = "1m"')
ALIAS = "trend/pooled/champion"


@pytest.fixture
def train(quantlytic: Command, tmp_path: Path) -> Callable[[str, Bars], str]:
    """Train a spec on bars that cannot be; returns the line that says so."""

    def run(text: str, bars: Bars, code: int = 4) -> str:
        write_bars(tmp_path / "bars.parquet", bars.array, bars.instruments)
        (tmp_path / "spec.toml").write_text(text)
        ended, out, told = quantlytic("train", "spec.toml", "--json")
        assert (ended, out) == (code, ""), told
        assert len(told.strip().splitlines()) == 1, told
        assert not list((tmp_path / "home").rglob("manifest.json"))
        return told

    return run


def test_a_column_that_is_not_there(train: Callable[..., str]) -> None:
    bars = made_bars(300)
    told = train(MINUTES.replace('kind = "rsi"', 'kind = "rsi"\nof = "closed"'), bars, 2)
    assert "closed" in told
    told = train(MINUTES.replace('kind = "rsi"', 'kind = "rsi"\ninstrument = "x:NONE"'), bars, 2)
    assert "x:NONE" in told
    told = train(MINUTES.replace('kind = "rsi"', 'knd = "rsi"'), bars, 2)
    assert "line" in told
    assert "'kind'" in told


def test_a_horizon_longer_than_the_data(train: Callable[..., str]) -> None:
    assert "looks 400 bars ahead" in train(MINUTES.replace("horizon = 3", "horizon = 400"), made_bars(300), 3)


def test_one_class(train: Callable[..., str]) -> None:
    rising = bars_of(np.linspace(100, 200, 300))
    assert "has only the label 1" in train(MINUTES.replace('"rsi"\n', '"roc"\n'), rising, 3)


def test_an_infinite_feature(train: Callable[..., str]) -> None:
    bars = made_bars(300)
    bars.array["trades"] = 0
    told = train(MINUTES.replace('kind = "rsi"\nparams = {period = 14}', 'kind = "trade_size"'), bars, 3)
    assert "'rsi' is infinite" in told or "'rsi' is not known" in told


def test_a_hole(train: Callable[..., str]) -> None:
    told = train(MINUTES, without(made_bars(300), [100, 101]), 3)
    assert "x:A has 1 hole, the first from" in told or "has 1 hole" in told
    assert 'gaps = "restart"' in told


def test_too_few_rows(train: Callable[..., str]) -> None:
    assert "fold" in train(
        MINUTES.replace("embargo = 2", "embargo = 2\ntrain = 3").replace("horizon = 3", "horizon = 40"),
        made_bars(300),
        3,
    )


@pytest.fixture
def champion(quantlytic: Command, tmp_path: Path) -> str:
    """A model that is the champion; its id."""
    bars = demo_bars(250, seed=3)
    write_bars(tmp_path / "bars.parquet", bars.array, bars.instruments)
    (tmp_path / "a.toml").write_text(SPEC)
    model_id: str = answer(quantlytic("train", "a.toml", "--json"))["model_id"]
    answer(quantlytic("models", "promote", model_id, ALIAS, "--reason", "the first", "--json"))
    return model_id


@pytest.mark.parametrize("file", ["model.onnx", "manifest.json"])
@pytest.mark.parametrize("cut", [True, False])
def test_a_tampered_or_truncated_artifact(
    quantlytic: Command,
    champion: str,
    tmp_path: Path,
    file: str,
    cut: bool,
) -> None:
    (tmp_path / "b.toml").write_text(SPEC.replace("[model]", "[model]\nparams = {c = 0.01}"))
    other = answer(quantlytic("train", "b.toml", "--json"))["model_id"]
    path = tmp_path / "home" / "lake" / "models" / other / file
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] if cut else content.replace(b"2", b"3", 1))
    code, _, told = quantlytic("models", "promote", other, ALIAS, "--reason", "better")
    assert code == 3
    assert len(told.strip().splitlines()) == 1
    assert quantlytic("models", "verify")[0] == 6
    assert Registry(tmp_path / "home" / "lake").alias(ALIAS) == champion
    answer(quantlytic("models", "show", ALIAS, "--json"))


def test_inputs_that_are_not_the_models(champion: str, tmp_path: Path) -> None:
    artifact = Registry(tmp_path / "home" / "lake").get(champion)
    with pytest.raises(DataError, match="takes 2 columns, not 3"):
        ServedModel(artifact).predict(np.zeros((1, 3)))
    bars = demo_bars(250, seed=3)
    other = parse_spec(SPEC.replace("period = 14", "period = 15")).features
    hour = 3_600_000_000_000
    assert FeatureSet(artifact.manifest.features, bars.instruments, hour).code_hash == artifact.manifest.code_hash
    assert FeatureSet(other, bars.instruments, hour).code_hash != artifact.manifest.code_hash


@pytest.mark.parametrize("largest", [0, 300, 1200])
def test_a_full_disk(quantlytic: Command, champion: str, tmp_path: Path, largest: int) -> None:
    """No file may grow beyond `largest` bytes: the second model is not there, the first one stays."""
    (tmp_path / "b.toml").write_text(SPEC.replace("[model]", "[model]\nparams = {c = 0.01}") + SEARCH * (largest == 0))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (largest, hard)
    )  # Python ignores the signal: writing fails, as on a full disk
    try:
        code, out, told = quantlytic("train", "b.toml", "--json")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (code, out) == (4, "")
    assert len(told.strip().splitlines()) == 1
    assert "cannot be written" in told
    registry = Registry(tmp_path / "home" / "lake")
    models, damaged = registry.list()
    assert ([one.model_id for one in models], damaged) == ([champion], [])
    assert registry.alias(ALIAS) == champion
    ServedModel(registry.get(champion)).golden()
