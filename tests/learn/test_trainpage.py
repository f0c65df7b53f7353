"""The report, its figures, and the commands that write and read them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from tests.learn.test_train import SEARCH, SPEC

from quantlytic.app.commands import models, train
from quantlytic.learn.models.catalogue import find_model, settled
from quantlytic.learn.models.model import UP
from quantlytic.learn.samples.inputs import inputs_of
from quantlytic.learn.samples.regimes import WINDOW, regimes_of
from quantlytic.learn.training.importance import importance_of
from quantlytic.model.errors import InputError, MismatchError
from quantlytic.research.data.demo import demo_bars
from quantlytic.store.barwriter import write_bars


def run(command: object, *arguments: str) -> str:
    done = CliRunner().invoke(command, arguments, catch_exceptions=False)  # type: ignore[arg-type]
    assert done.exit_code == 0
    return done.output


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QUANTLYTIC_HOME", str(tmp_path / "home"))
    bars = demo_bars(400, seed=3, instruments=2)
    write_bars(tmp_path / "bars.parquet", bars.array, bars.instruments)
    return tmp_path


def test_train_promote_verify_and_roll_back(folder: Path) -> None:
    (folder / "a.toml").write_text(SPEC + SEARCH.replace("6", "5"))
    (folder / "b.toml").write_text(SPEC.replace("[model]", "[model]\nparams = {c = 0.01}"))
    first = json.loads(run(train.command, str(folder / "a.toml"), "--json"))
    assert "log_loss" in run(train.command, str(folder / "b.toml"))
    page = Path(first["report"]).read_text()
    assert "http" not in page.replace("http-equiv", "")
    for words in (
        "fold 3",
        "wild third",
        "no trend",
        "Calibration",
        "return_1",
        "Settings tried",
        "5 settings were tried",
        "Following its forecasts would have",
        "different trials on this data are on record",
        'href="backtest.html"',
        f'<p class="label">{first["backtest"]["verdict"]["label"]}</p>',
    ):
        assert words in page
    assert "</html>" in Path(first["report"]).with_name("backtest.html").read_text()
    assert first["backtest"]["fee_bps"] == 10.0
    found = json.loads(run(models.command, "list", "--json"))
    second = next(one["model_id"] for one in found if one["model_id"] != first["model_id"])
    alias = "trend/pooled/champion"
    for model_id in (first["model_id"], second):
        run(models.command, "promote", model_id[:10], alias, "--reason", "a test")
    assert json.loads(run(models.command, "show", alias, "--json"))["params"]["c"] == 0.01
    assert first["model_id"][:12] in run(models.command, "rollback", alias, "--reason", "a test")
    assert "champion" in run(models.command, "list")
    assert "as it was trained" in run(models.command, "verify")
    path = folder / "home" / "lake" / "models" / second / "model.onnx"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(MismatchError, match="1 of 2 models"):
        run(models.command, "verify")
    with pytest.raises(InputError, match="means no model yet"):
        run(models.command, "show", "trend/pooled/pinned")


def test_returns_have_a_report_too(folder: Path) -> None:
    text = SPEC.replace("horizon = 3", 'kind = "forward_return"\nhorizon = 3').replace('"logistic"', '"linear"')
    (folder / "spec.toml").write_text(text)
    page = Path(json.loads(run(train.command, str(folder / "spec.toml"), "--json"))["report"]).read_text()
    assert "R²" in page
    assert "Calibration" not in page


def test_importance_finds_the_column_that_counts() -> None:
    random = np.random.default_rng(1)
    inputs = inputs_of(random.standard_normal((2000, 3)))
    labels = (inputs[:, 1] + 0.5 * random.standard_normal(2000) > 0).astype(float)
    kind = find_model("logistic")
    fitted = kind.fit(inputs, labels, np.ones(2000), 1, settled(kind, {}), UP)
    found = importance_of(fitted, inputs, labels, ("a", "b", "c"), UP, "log_loss", 1)
    assert found[0].column == "b"
    assert found[0].worse > 0.5 > 0.01 > abs(found[1].worse)
    assert sum(one.own or 0 for one in found) == pytest.approx(1)


def test_regimes_know_nothing_of_what_comes() -> None:
    bars = demo_bars(600, instruments=2)
    rows = np.arange(len(bars))
    found = regimes_of(bars, rows)
    thirds = np.array([found[name] for name in ("calm third", "middle third", "wild third")])
    assert thirds.sum(axis=0).tolist() == [0] * (2 * WINDOW) + [1] * (len(bars) - 2 * WINDOW)
    assert (found["trend"] ^ found["no trend"])[2 * WINDOW :].all()
    changed = demo_bars(600, instruments=2)
    changed.array["close"][900:] *= 3
    again = regimes_of(changed, rows)
    assert np.array_equal(found["trend"][:900], again["trend"][:900])


def test_costs_are_those_asked_for_and_an_online_learner_says_what_going_on_gives(folder: Path) -> None:
    (folder / "a.toml").write_text(SPEC.replace('kind = "logistic"', 'kind = "river-logistic"'))
    told = run(train.command, str(folder / "a.toml"), "--costs", "25")
    assert "online  log_loss" in told
    assert "traded  " in told
    page = next((folder / "home" / "trained").glob("*/report.html")).read_text()
    assert "after 25 bps a fill" in page
    assert "Had it gone on learning" in page
