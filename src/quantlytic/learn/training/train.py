"""From a spec to models in the registry."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.data.bars import Bars
from quantlytic.learn.models.catalogue import find_model, settled
from quantlytic.learn.models.model import CannotExport, Fitted, ModelKind
from quantlytic.learn.models.online import OnlineKind
from quantlytic.learn.models.own import OwnModel
from quantlytic.learn.registry.artifact import Artifact, DataFacts, Manifest
from quantlytic.learn.registry.registry import Registry
from quantlytic.learn.registry.runtime import load
from quantlytic.learn.samples.inputs import Values
from quantlytic.learn.samples.problem import Problem, features_of, problem_of
from quantlytic.learn.samples.tape import Tape, tape_hash, taped_bars
from quantlytic.learn.training.dataend import DataEnd
from quantlytic.learn.training.gate import GateReport, check_export
from quantlytic.learn.training.journal import Tried
from quantlytic.learn.training.progressive import progressive
from quantlytic.learn.training.scores import scores_of
from quantlytic.learn.training.sourcebars import bars_of, lines_of
from quantlytic.learn.training.spec import TrainSpec
from quantlytic.learn.training.tune import Runner, answers, best_of, fit_fold, one_thread, runner, tune
from quantlytic.model.errors import DataError, InputError, MismatchError
from quantlytic.model.time import duration_text
from quantlytic.research.honesty.trials import sketch_of
from quantlytic.research.runs.manifest import data_hash, versions

_GOLDEN = 32
_PACKAGES = ("scikit-learn", "onnx", "onnxruntime")
_PACKAGES_OF = {
    "lightgbm": ("lightgbm",), "knn": ("faiss-cpu",), "keras": ("keras", "tensorflow", "tensorflow-cpu"),
    "torch": ("torch",), "river-logistic": ("river",), "river-linear": ("river",), "river-tree": ("river",),
}  # fmt: skip

Told = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Trained:
    """A model that was trained, and what is known of it.

    `tested` i8 are the rows of the problem that were forecast out of sample, in order of time, and `forecast` f8 what was said (a
    row tested in several folds has the mean); `by_fold` a fold's scores each. `by_bar` f8[bars]: forecasts out of sample of
    every bar that has features, whether it has a label or not, NaN for others: what a strategy would have been told.
    `progressive`: scores of an online learner that goes on learning, None for other models. `gate` is None, and `not_kept`
    says why, where the model cannot be served: then it is not in the registry.
    """

    manifest: Manifest
    problem: Problem
    bars: Bars
    trials: list[Tried]
    gate: GateReport | None
    not_kept: str
    kind: ModelKind
    fitted: Fitted
    tested: NDArray[np.int64]
    forecast: Values
    by_fold: list[dict[str, float | None]]
    by_bar: Values
    progressive: dict[str, float | None] | None


class _Tested(NamedTuple):
    tested: NDArray[np.int64]
    forecast: Values
    by_fold: list[dict[str, float | None]]
    by_bar: Values


def train(
    spec: TrainSpec,
    *,
    folder: Path,
    home: Path,
    registry: Registry,
    now_ns: int,
    jobs: int = 1,
    dask: str = "",
    parent: str = "",
    told: Told = lambda _line, _done, _of: None,
    fresh: bool = False,
) -> Iterator[Trained]:
    """Train the spec's model, or, not pooled, one for each instrument; each is in the registry when it is given.

    `folder`: where the spec's paths begin; `home`: where the journal of trials and the trial ledger are. `told` is given the
    line, the trials done and how many there will be. A search that was interrupted goes on where it was, over the data that it
    began with; `fresh`: over all that has come since. The same spec, data and seed give the same model, by any number of
    `jobs`, or on Dask. Raises InputError, DataError, MismatchError (the export gate) and StoreError.
    """
    work, kind, end = runner(jobs, dask), find_model(spec.model.kind, folder), DataEnd(spec, home)
    if fresh:
        end.forget()
    try:
        until = end.read(now_ns)
        bars = bars_of(spec, folder, registry.address, until)
        if until is None:
            end.keep(int(bars.array["open_time"].max()) + 1, now_ns)
        for line, own in lines_of(spec, bars):
            found, artifact = _line(spec, kind, line, own, work, folder, home, registry, now_ns, parent, told)
            if artifact is not None:
                registry.put(artifact)
            yield found
    except (InputError, DataError, MismatchError):
        end.forget()  # the same data would end alike
        raise
    end.forget()


def _line(
    spec: TrainSpec, kind: ModelKind, line: str, bars: Bars, work: Runner, folder: Path, home: Path, registry: Registry,
    now_ns: int, parent: str, told: Told,
) -> tuple[Trained, Artifact | None]:  # fmt: skip
    """One model: its rows, its search, and what comes of it."""
    features = features_of(spec, bars, folder)
    tape: Tape = {}
    if features.graph.events:
        bars, tape = taped_bars(registry.address, bars, features.graph.events, spec.data.gaps)
    problem = problem_of(spec, features, bars, tape)
    sha256 = tape_hash(data_hash(bars), tape)
    trials = _trials(spec, kind, line, problem, sha256, home, work, told)
    if trials:
        _enter(spec, kind, line, problem, bars, sha256, trials, home, now_ns)
    return _finish(spec, kind, line, bars, problem, sha256, trials, now_ns, parent)


def _trials(
    spec: TrainSpec, kind: ModelKind, line: str, problem: Problem, sha256: str, home: Path, work: Runner, told: Told
) -> list[Tried]:
    """A search of the same spec, data and code goes on where it was; more trials may be asked of it."""
    if spec.search is None:
        told(line, 0, 0)
        return []
    asked = msgspec.to_builtins(msgspec.structs.replace(spec, search=msgspec.structs.replace(spec.search, trials=1)))
    parts = [asked, sha256, problem.code_hash, _versions(kind)]
    identity = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]
    journal = home / "tuning" / f"{identity}.jsonl"
    return tune(spec, kind, problem, journal, work, lambda done, of: told(line, done, of))


def _finish(
    spec: TrainSpec, kind: ModelKind, line: str, bars: Bars, problem: Problem, sha256: str, trials: list[Tried],
    now_ns: int, parent: str,
) -> tuple[Trained, Artifact | None]:  # fmt: skip
    """Forecast each fold with the settings chosen, learn from all rows, and let the file through the gate."""
    chosen = best_of(trials, spec.task, spec.metric).params if trials else {}
    settings = settled(kind, {**spec.model.params, **chosen})
    tested, forecast, by_fold, by_bar = _out_of_sample(spec, kind, problem, settings, len(bars))
    golden = problem.inputs[np.linspace(0, len(problem.inputs) - 1, _GOLDEN).astype(np.int64)]
    with one_thread():
        fitted = kind.fit(problem.inputs, problem.labels, problem.weights, spec.seed, settings, spec.task)
        content, gate, not_kept = _exported(fitted, problem, spec.seed)
        answers = fitted.predict(golden) if gate is None else load(content, fitted.file, len(problem.columns))(golden)
    array = bars.array
    manifest = Manifest(
        name=spec.name, line=line, kind=kind.name, task=spec.task, features=spec.features, columns=problem.columns,
        code_hash=problem.code_hash, label=spec.label, horizon=spec.label.horizon, spec=_plain(spec),
        params=settings, seed=spec.seed,
        data=DataFacts(
            tuple(one.id for one in bars.instruments), duration_text(problem.bar_size_ns),
            int(array["close_time"][0]), int(array["close_time"][-1]), len(problem.rows), problem.dropped, sha256,
        ),
        scores=scores_of(forecast, problem.labels[tested], spec.task), trials=max(len(trials), 1), parent=parent,
        versions=_versions(kind),
        feature_deciles=tuple(tuple(np.quantile(one, np.linspace(0, 1, 11)).tolist()) for one in problem.inputs.T),
        golden_rows=tuple(tuple(row) for row in golden.tolist()),
        golden_values=tuple(answers.tolist()),
        max_age_s=spec.max_age_s, file=fitted.file if content else "",
        file_sha256=hashlib.sha256(content).hexdigest(), created_ns=now_ns,
    )  # fmt: skip
    going_on = None
    if isinstance(kind, OnlineKind):
        going_on = scores_of(progressive(kind, problem, settings, spec.task)[tested], problem.labels[tested], spec.task)
    trained = Trained(
        manifest, problem, bars, trials, gate, not_kept, kind, fitted, tested, forecast, by_fold, by_bar, going_on
    )
    return trained, None if gate is None else Artifact(manifest, content)


def _exported(fitted: Fitted, problem: Problem, seed: int) -> tuple[bytes, GateReport | None, str]:
    """The file, and what the gate says; no file, and why, for a model that has none."""
    try:
        content = fitted.export()
    except CannotExport as error:
        return b"", None, str(error)
    return content, check_export(fitted, content, problem.inputs, seed), ""


def _out_of_sample(spec: TrainSpec, kind: ModelKind, problem: Problem, settings: dict[str, Any], bars: int) -> _Tested:
    """Each fold's rows, forecast by a model that has not seen them; of several forecasts the mean."""
    total, count = np.zeros(bars), np.zeros(bars)
    by_fold = []
    for number, fold in enumerate(problem.folds):
        fitted = fit_fold(problem, number, kind, settings, spec.seed, spec.task)
        who, silent = f"the model {kind.name}, in fold {number + 1},", problem.silent_within(fold)
        forecast = answers(fitted, problem.inputs[fold.test], who)
        by_fold.append(scores_of(forecast, problem.labels[fold.test], spec.task))
        rows = np.append(problem.rows[fold.test], problem.silent[silent])
        total[rows] += np.append(forecast, answers(fitted, problem.silent_inputs[silent], who))
        count[rows] += 1
    tested = np.flatnonzero(count[problem.rows])
    by_bar = np.divide(total, count, out=np.full(bars, np.nan), where=count > 0)
    return _Tested(tested, by_bar[problem.rows[tested]], by_fold, by_bar)


def _enter(
    spec: TrainSpec, kind: ModelKind, line: str, problem: Problem, bars: Bars, sha256: str, trials: list[Tried],
    home: Path, now_ns: int,
) -> None:  # fmt: skip
    """Every setting tried is a trial: entered in the ledger once, however often the search is begun again."""
    from quantlytic.store.control import open_control
    from quantlytic.store.control.records import Trial

    parts = [problem.code_hash, msgspec.to_builtins(spec.label), kind.name]
    if isinstance(kind, OwnModel):
        parts.append(kind.source_hash)
    code = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    times, sketch = bars.array, sketch_of(bars)
    with open_control(home) as control:
        known = {(one.code, tuple(sorted(one.params.items()))) for one in control.trials.list(sha256)}
        fresh = []
        for tried in trials:
            params = {name: _number(spec, name, value) for name, value in tried.params.items()}
            if (key := (code, tuple(sorted(params.items())))) in known:
                continue
            known.add(key)
            fresh.append(
                Trial(
                    strategy=f"train:{line}", params=params, data=sha256, time_ns=now_ns, bars=len(bars), kind="tuning",
                    instruments=tuple(one.id for one in bars.instruments), start_ns=int(times["open_time"].min()),
                    end_ns=int(times["close_time"][-1]), code=code, sketch=sketch,
                )
            )  # fmt: skip
        control.trials.add(fresh)


def _number(spec: TrainSpec, name: str, value: Any) -> float:
    """A choice of words is known by its place."""
    if isinstance(value, str):
        assert spec.search is not None
        return float(spec.search.params[name].choices.index(value))
    return float(value)


def _plain(spec: TrainSpec) -> dict[str, Any]:
    """As it will be read again from the manifest."""
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(spec))
    return found


def _versions(kind: ModelKind) -> dict[str, str]:
    """What it was made by: libraries, and a file of one's own by its SHA-256."""
    from importlib.metadata import PackageNotFoundError, version

    found = dict(versions())
    for package in (*_PACKAGES, *_PACKAGES_OF.get(kind.name, ())):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    if isinstance(kind, OwnModel):
        found[kind.name] = f"sha256:{kind.source_hash}"
    return found
