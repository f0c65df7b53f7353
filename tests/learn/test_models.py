"""Every kind of model learns, repeats itself to the byte, and its file answers as it does."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from quantlytic.learn.extra import need
from quantlytic.learn.models.catalogue import MODELS, find_model, settled
from quantlytic.learn.models.model import RETURN, UP
from quantlytic.learn.models.trees import floored
from quantlytic.learn.registry.runtime import load
from quantlytic.learn.samples.inputs import complete, inputs_of
from quantlytic.learn.training.gate import check_export, rows_to_ask
from quantlytic.model.errors import DataError, InputError, MismatchError

SMALL = {
    "lightgbm": {"rounds": 30, "min_data_in_leaf": 20},
    "hist-gradient-boosting": {"rounds": 20},
    "random-forest": {"trees": 10},
    "mlp": {"hidden": 8, "epochs": 5},
    "keras": {"hidden": 8, "epochs": 5, "batch": 32},
    "torch": {"hidden": 8, "epochs": 5, "batch": 32},
    "knn": {"neighbours": 25},
    "river-tree": {"grace_period": 100, "tau": 0.2},
}
OF_TREES = ("lightgbm", "hist-gradient-boosting", "random-forest", "river-tree")
LATER = [("keras", RETURN)]  # TensorFlow takes its time
CASES = [
    pytest.param(name, task, marks=[pytest.mark.slow] * ((name, task) in LATER))
    for name, kind in MODELS.items()
    for task in kind.tasks
]


def problem(rows: int = 3000, seed: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns of very different sizes, one a price far from 0; the label follows two of them."""
    random = np.random.default_rng(seed)
    plain = random.standard_normal((rows, 4))
    signal = plain[:, 0] + 0.7 * plain[:, 1] + random.standard_normal(rows)
    inputs = inputs_of(plain * [1.0, 1e-4, 100.0, 1e6] + [0.0, 0.0, 60_000.0, 0.0])
    return inputs, signal, np.ones(rows)


@pytest.mark.parametrize(("name", "task"), CASES)
def test_learns_repeats_and_passes_the_gate(name: str, task: str) -> None:
    if name in ("keras", "torch"):
        pytest.importorskip(name)
        if {"keras": "torch", "torch": "tensorflow"}[name] in sys.modules:
            pytest.skip("TensorFlow and PyTorch do not go together")
    inputs, signal, weights = problem()
    labels = (signal > 0).astype(float) if task == UP else signal * 0.01
    kind = find_model(name)
    params = settled(kind, SMALL.get(name, {}))
    fitted = kind.fit(inputs[:2000], labels[:2000], weights[:2000], 3, params, task)
    answers = fitted.predict(inputs[2000:])
    assert np.corrcoef(answers, signal[2000:])[0, 1] > 0.4
    assert task == RETURN or (answers.min() >= 0 and answers.max() <= 1)
    content = fitted.export()
    assert content == kind.fit(inputs[:2000], labels[:2000], weights[:2000], 3, params, task).export()
    report = check_export(fitted, content, inputs, 5, rows=20_000)
    assert report.worst <= 1e-6
    assert report.rows >= 20_000
    assert report.on_thresholds == 3 * len(fitted.thresholds())
    assert bool(fitted.thresholds()) == (name in OF_TREES)


def test_units_that_are_no_multiple_of_eight_answer_a_row_alone_as_among_others() -> None:
    inputs, signal, weights = problem(1000)
    kind = find_model("mlp")
    params = settled(kind, {"hidden": 5, "layers": 2, "activation": "tanh", "epochs": 1})
    fitted = kind.fit(inputs, (signal > 0).astype(float), weights, 1, params, UP)
    assert check_export(fitted, fitted.export(), inputs, 1, rows=1001).worst <= 1e-6


def test_a_file_that_cannot_be_run_is_refused_as_one_that_answers_otherwise_is() -> None:
    inputs, signal, weights = problem(500)
    kind = find_model("linear")
    fitted = kind.fit(inputs, signal, weights, 1, settled(kind, {}), RETURN)
    with pytest.raises(MismatchError, match=r"can be run .*: it is not kept"):
        check_export(fitted, b"no model", inputs, 1, rows=1000)


def test_neighbours_are_searched_some_rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    from quantlytic.learn.models import neighbours

    inputs, signal, weights = problem(1000)
    kind = find_model("knn")
    fitted = kind.fit(inputs, signal, weights, 1, {"neighbours": 30, "rows": 1000}, RETURN)
    whole = fitted.predict(inputs)
    monkeypatch.setattr(neighbours, "_FOUND", 7 * 30 + 1)
    assert (fitted.predict(inputs) == whole).all()
    monkeypatch.setattr(neighbours, "_FOUND", 1)
    assert (fitted.predict(inputs[:3]) == whole[:3]).all()
    assert fitted.predict(inputs[:0]).shape == (0,)


def test_neighbours_are_searched_by_one_thread_whoever_asks() -> None:
    faiss = need("faiss", "the model knn")
    inputs, signal, weights = problem(500)
    kind = find_model("knn")
    fitted = kind.fit(inputs, signal, weights, 1, {"neighbours": 30, "rows": 500}, RETURN)

    def ask() -> tuple[int, int]:
        faiss.omp_set_num_threads(2)
        before = faiss.omp_get_max_threads()
        fitted.predict(inputs[:1])
        return before, faiss.omp_get_max_threads()

    with ThreadPoolExecutor(1) as other:  # how many there may be, each thread knows for itself
        assert other.submit(ask).result() == ask() == (2, 1)


def test_weights_matter() -> None:
    inputs, signal, _ = problem()
    labels = (signal > 0).astype(float)
    heavy = np.where(labels == 1, 10.0, 1.0)
    for name in ("logistic", "lightgbm", "hist-gradient-boosting", "random-forest", "mlp"):
        kind = find_model(name)
        params = settled(kind, SMALL.get(name, {}) | ({"epochs": 40} if name == "mlp" else {}))
        fitted = kind.fit(inputs, labels, heavy, 1, params, UP)
        assert fitted.predict(inputs).mean() > labels.mean() + 0.15, name


def test_a_threshold_rounded_to_nearest_is_caught() -> None:
    """What onnxmltools does: rows on a threshold fall on the other side."""
    from quantlytic.learn.models import trees

    inputs, signal, weights = problem(2000)
    kind = find_model("lightgbm")
    params = settled(kind, {"rounds": 50, "min_data_in_leaf": 5})
    fitted = kind.fit(inputs, (signal > 0).astype(float), weights, 1, params, UP)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trees, "floored", lambda values: values.astype(np.float32))
        content = fitted.export()
    with pytest.raises(MismatchError, match="answers otherwise"):
        check_export(fitted, content, inputs, 1, rows=1000)
    check_export(fitted, fitted.export(), inputs, 1, rows=1000)


def test_another_models_file_is_caught() -> None:
    inputs, signal, weights = problem(500)
    kind = find_model("linear")
    first = kind.fit(inputs, signal, weights, 1, settled(kind, {}), RETURN)
    other = kind.fit(inputs, signal + 1e-4, weights, 1, settled(kind, {}), RETURN)
    with pytest.raises(MismatchError):
        check_export(first, other.export(), inputs, 1, rows=1000)


def test_floored_never_goes_up() -> None:
    random = np.random.default_rng(0)
    values = random.standard_normal(10_000) * 10.0 ** random.integers(-30, 30, 10_000)
    down = floored(values)
    assert (down.astype(float) <= values).all()
    assert (np.nextafter(down, np.float32(np.inf)).astype(float) > values).all()
    exact = values.astype(np.float32)
    assert (floored(exact.astype(float)) == exact).all()


def test_rows_on_thresholds_are_there() -> None:
    inputs, _, _ = problem(100)
    rows, count = rows_to_ask([(2, 60_001.23), (0, 0.1)], inputs, 0, 50)
    assert count == 6
    assert np.float32(60_001.23) in rows[:, 2]
    assert np.nextafter(np.float32(0.1), np.float32(1)) in rows[:, 0]
    assert len(rows) >= 50


@pytest.mark.parametrize(
    ("name", "params", "told"),
    [
        ("lightgmb", {}, "did you mean 'lightgbm'"),
        ("lightgbm", {"num_leafs": 3}, "did you mean 'num_leaves'"),
        ("lightgbm", {"rounds": 3.5}, "rounds is a whole number"),
        ("lightgbm", {"rounds": 0}, "rounds is 1 or more"),
        ("logistic", {"c": "strong"}, "c is a number"),
        ("logistic", {"c": float("nan")}, "c is 0 or more"),
        ("mlp", {"activation": 3}, "activation is text"),
    ],
)
def test_what_does_not_fit_is_told(name: str, params: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        settled(find_model(name), params)


def test_more_neighbours_than_rows() -> None:
    inputs, signal, weights = problem(20)
    kind = find_model("knn")
    with pytest.raises(InputError, match="take fewer"):
        kind.fit(inputs, signal, weights, 1, settled(kind, {}), RETURN)


def test_damaged_files_are_refused() -> None:
    inputs, signal, weights = problem(200)
    for name in ("knn", "linear"):
        kind = find_model(name)
        fitted = kind.fit(inputs, signal, weights, 1, settled(kind, SMALL.get(name, {})), RETURN)
        content = fitted.export()
        for broken in (b"", content[: len(content) // 2], b"\0" * 100):
            with pytest.raises(DataError):
                load(broken, fitted.file, 4)
        with pytest.raises(DataError, match="columns"):
            load(content, fitted.file, 5)
    with pytest.raises(DataError, match="no format that is served"):
        load(b"", "model.pkl", 4)


def test_what_float32_cannot_hold_is_not_complete() -> None:
    assert complete(inputs_of(np.array([[1.0, 2.0], [1e39, 1.0], [np.nan, 1.0]]))).tolist() == [True, False, False]


def test_tensorflow_and_pytorch_are_kept_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", sys)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    with pytest.raises(InputError, match="needs torch, and this process has tensorflow"):
        need("torch", "the model torch")
