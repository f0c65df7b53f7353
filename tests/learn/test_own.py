"""Models of one's own: a class in a file, exported where it can be, and told in words where it cannot."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from tests.learn.own_models import SOURCE
from tests.learn.test_models import problem
from tests.learn.test_train import SEARCH, SPEC, trained

from quantlytic.app.commands import train as command
from quantlytic.learn.models.catalogue import find_model, settled
from quantlytic.learn.models.model import RETURN, UP, CannotExport
from quantlytic.learn.models.own import OwnModel
from quantlytic.learn.registry.registry import Registry
from quantlytic.learn.registry.runtime import ServedModel
from quantlytic.learn.training.gate import check_export
from quantlytic.learn.training.spec import parse_spec
from quantlytic.model.errors import DataError, InputError, MismatchError
from quantlytic.research.data.demo import demo_bars
from quantlytic.store.barwriter import write_bars
from quantlytic.store.control import open_control


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    bars = demo_bars(300, seed=3)
    write_bars(tmp_path / "bars.parquet", bars.array, bars.instruments)
    (tmp_path / "mine.py").write_text(SOURCE)
    return tmp_path


def own(folder: Path, member: str) -> OwnModel:
    found = find_model(f"mine.py:{member}", folder)
    assert isinstance(found, OwnModel)
    return found


def of_spec(member: str, params: str = "") -> str:
    return SPEC.replace('kind = "logistic"', f'kind = "mine.py:{member}"\nparams = {{{params}}}')


@pytest.mark.parametrize(
    ("member", "params", "task"),
    [
        ("Scaled", {}, UP),
        ("Piped", {"C": 0.1}, UP),
        ("Forest", {}, UP),
        ("Descent", {}, UP),
        ("Tangents", {}, UP),
        ("Exported", {"column": 0}, UP),
        ("Line", {}, RETURN),
    ],
)
def test_learns_repeats_and_passes_the_gate(folder: Path, member: str, params: dict[str, object], task: str) -> None:
    inputs, signal, weights = problem(1000)
    inputs = inputs[:, :2] * np.array([1, 1e4 if member != "Descent" else 1], np.float32)
    kind = own(folder, member)
    labels = (signal > 0).astype(float) if task == UP else signal
    fitted = kind.fit(inputs, labels, weights, 3, settled(kind, params), task)
    assert np.corrcoef(fitted.predict(inputs), signal)[0, 1] > 0.4
    content = fitted.export()
    assert content == kind.fit(inputs, labels, weights, 3, settled(kind, params), task).export()
    assert check_export(fitted, content, inputs, 1, rows=5000).worst <= 1e-6


def test_it_goes_to_other_processes_as_text(folder: Path) -> None:
    kind = own(folder, "Piped")
    (folder / "mine.py").unlink()
    again = pickle.loads(pickle.dumps(kind))
    inputs, signal, weights = problem(200)
    answers = [
        one.fit(inputs, (signal > 0).astype(float), weights, 1, settled(one, {}), UP).predict(inputs)
        for one in (kind, again)
    ]
    assert (answers[0] == answers[1]).all()


def test_seeds_and_weights_are_given_where_they_are_taken(folder: Path) -> None:
    kind = own(folder, "Forest")
    assert "random_state" not in kind.params
    inputs, signal, weights = problem(500)
    labels = (signal > 0).astype(float)

    def answers(seed: int, weights: np.ndarray) -> bytes:
        return kind.fit(inputs, labels, weights, seed, settled(kind, {}), UP).predict(inputs).tobytes()

    assert answers(1, weights) == answers(1, weights)
    assert answers(1, weights) != answers(2, weights)
    assert answers(1, weights) != answers(1, np.where(labels == 1, 5.0, 1.0))


def test_trained_promoted_and_its_source_is_in_its_id(folder: Path) -> None:
    (one,) = trained(folder, of_spec("Piped") + SEARCH.replace("c =", "C ="))
    registry = Registry(folder / "home" / "lake")
    ServedModel(registry.get(one.manifest.model_id)).golden()
    registry.promote(one.manifest.model_id, "trend/pooled/champion", "a test", "test", 1)
    assert one.manifest.kind == "mine.py:Piped"
    assert one.manifest.versions["mine.py:Piped"].startswith("sha256:")
    (folder / "mine.py").write_text(SOURCE + "# another\n")
    (other,) = trained(folder, of_spec("Piped") + SEARCH.replace("c =", "C ="))
    assert other.manifest.file_sha256 == one.manifest.file_sha256
    assert other.manifest.model_id != one.manifest.model_id
    assert len(list((folder / "home" / "tuning").iterdir())) == 2  # what the other file tried is not taken for its own
    with open_control(folder / "home") as control:
        assert len(control.trials.list(one.manifest.data.sha256)) == 12


def test_what_cannot_be_exported_is_trained_and_not_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTLYTIC_HOME", str(folder / "home"))
    (folder / "spec.toml").write_text(of_spec("Sign", "column = 1"))
    done = CliRunner().invoke(command.command, [str(folder / "spec.toml"), "--json"], catch_exceptions=False)
    told = json.loads(done.output)
    assert not told["kept"]
    assert "no to_onnx()" in told["why_not"]
    assert told["gate"] is None
    assert told["scores"]["log_loss"] > 0
    assert "cannot be served" in Path(told["report"]).read_text()
    assert Registry(folder / "home" / "lake").list() == ([], [])
    shown = CliRunner().invoke(command.command, [str(folder / "spec.toml")], catch_exceptions=False).output
    assert "not kept: model mine.py:Sign has no to_onnx()" in shown
    assert "promote" not in shown


@pytest.mark.parametrize(
    ("member", "params", "told"),
    [
        ("Sing", "", "did you mean 'Sign'"),
        ("Sign", "", "needs the parameter 'column'"),
        ("Sign", "column = 0, odd = 1.0", "did you mean 'odds'"),
        ("Sign", "column = 0, odds = nan", "a finite number"),
        ("Piped", "fit_intercept = 3", "true or false"),
        ("Nothing", "", "has no method fit"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_is_computed(
    folder: Path, member: str, params: str, told: str
) -> None:
    with pytest.raises(InputError, match=told):
        parse_spec(of_spec(member, params), folder)


@pytest.mark.parametrize(
    ("member", "error", "told"),
    [
        ("Failing", InputError, r"mine.py:Failing, line \d+: fit: ValueError: nothing to learn here"),
        ("Wide", InputError, "gives .* for .* rows"),
        ("Sure", InputError, "outside 0 to 1"),
        ("Lying", MismatchError, "answers otherwise"),
    ],
)
def test_what_it_does_wrong_is_one_line_and_nothing_is_kept(
    folder: Path, member: str, error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told) as found:
        trained(folder, of_spec(member, "column = 0"))
    assert "\n" not in str(found.value)
    assert Registry(folder / "home" / "lake").list() == ([], [])


def test_a_file_that_is_not_there_or_cannot_be_read(folder: Path) -> None:
    with pytest.raises(InputError, match="there is no file"):
        find_model("none.py:Model", folder)
    (folder / "mine.py").write_text("def (:")
    with pytest.raises(InputError, match="SyntaxError"):
        find_model("mine.py:Model", folder)


def test_bytes_that_are_no_model(folder: Path) -> None:
    (folder / "mine.py").write_text(
        SOURCE.replace("return helper.make_model", "return b'nothing' or helper.make_model")
    )
    kind = own(folder, "Exported")
    inputs, signal, weights = problem(100)
    fitted = kind.fit(inputs, (signal > 0).astype(float), weights, 1, {"column": 0, "odds": 0.6}, UP)
    with pytest.raises(CannotExport, match="no ONNX model"):
        fitted.export()


def test_settings_without_numbers_are_given_up_and_the_search_goes_on(folder: Path) -> None:
    search = SEARCH.replace("c = {low = 0.001, high = 10.0, log = true}", "C = {choices = [0.1, 100.0]}")
    (one,) = trained(folder, of_spec("Brittle") + search)
    assert one.manifest.params["C"] == 0.1
    assert {trial.pruned for trial in one.trials if trial.params["C"] > 1} == {True}
    with pytest.raises(DataError, match="none of 6 settings gave forecasts"):
        trained(folder, of_spec("Brittle") + search.replace("0.1, ", "10.0, "))
    with pytest.raises(DataError, match="in fold 1, gives no numbers"):
        trained(folder, of_spec("Brittle", "C = 5.0"))
