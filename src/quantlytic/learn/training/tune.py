"""Which settings learn best: tried by Optuna, the same ones however many of them are tried at once.

Trials are proposed `BATCH` at a time, each by a sampler seeded with its number and told of the batches before alone; so the
result does not hang on who finishes first. Each finished trial is written into a journal at once; a search begun again finds
there what it has tried already. A trial that after a fold is worse than the median of the finished ones is given up.
"""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from quantlytic.learn.extra import need
from quantlytic.learn.models.catalogue import settled
from quantlytic.learn.models.model import Fitted, ModelKind
from quantlytic.learn.samples.inputs import Inputs, Values
from quantlytic.learn.samples.problem import Problem
from quantlytic.learn.training.journal import Journal, Tried
from quantlytic.learn.training.scores import METRICS
from quantlytic.learn.training.spec import Axis, TrainSpec
from quantlytic.model.errors import DataError, StoreError

BATCH = 4
_STARTUP = 8  # trials drawn at random before the sampler learns from them
_JUDGES = 4  # finished trials that a median is taken of

Progress = Callable[[int, int], None]


class NoNumbers(DataError):
    """A model answers with what is no number."""


class Job(NamedTuple):
    """What a trial needs, wherever it is computed. `medians`: what the mean up to each fold must not be worse than."""

    problem: Problem
    kind: ModelKind
    task: str
    metric: str
    seed: int
    number: int
    params: dict[str, Any]
    settings: dict[str, Any]
    medians: list[float]


def tune(
    spec: TrainSpec, kind: ModelKind, problem: Problem, journal: Path, run: Runner, progress: Progress
) -> list[Tried]:
    """All trials of the spec's search, in order. `journal`: the file that holds those of this search that are finished.
    Raises StoreError when it cannot be used."""
    search = spec.search
    assert search is not None
    optuna = need("optuna", "a search")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    more = METRICS[spec.task][spec.metric][1]
    study = optuna.create_study(direction="maximize" if more else "minimize", sampler=_sampler(optuna, spec.seed, 0))
    kept = Journal(journal)
    done: list[Tried] = []
    while len(done) < search.trials:
        numbers = range(len(done), min(len(done) + BATCH, search.trials))
        asked, jobs = [], []
        medians = _medians(done, len(problem.folds))
        for number in numbers:
            study.sampler = _sampler(optuna, spec.seed, number)
            trial = study.ask()
            params = {name: _suggested(trial, name, axis) for name, axis in sorted(search.params.items())}
            asked.append(trial)
            settings = settled(kind, {**spec.model.params, **params})
            jobs.append(Job(problem, kind, spec.task, spec.metric, spec.seed, number, params, settings, medians))
        found = {number: kept.finished[number] for number in numbers if number in kept.finished}
        for tried in run([job for job in jobs if job.number not in found]):
            kept.add(tried)
            found[tried.number] = tried
            progress(len(done) + len(found), search.trials)
        for number, trial in zip(numbers, asked, strict=True):
            tried = found[number]
            for step, value in enumerate(tried.folds):
                trial.report(value, step)
            state = optuna.trial.TrialState.PRUNED if tried.pruned else optuna.trial.TrialState.COMPLETE
            study.tell(trial, None if tried.pruned else tried.score, state=state)
            done.append(tried)
        progress(len(done), search.trials)
    return done


def best_of(trials: Sequence[Tried], task: str, metric: str) -> Tried:
    """The best of those that went through all folds; the earliest of equals. DataError where there is none."""
    whole = [one for one in trials if not one.pruned]
    if not whole:
        raise DataError(f"none of {len(trials)} settings gave forecasts that are numbers: search other parameters")
    sign = -1.0 if METRICS[task][metric][1] else 1.0
    return min(whole, key=lambda one: (sign * one.score, one.number))


def evaluate(job: Job) -> Tried:
    """Learn and forecast fold by fold, on one thread. Settings with which forecasts are no numbers are given up."""
    found: list[float] = []
    metric, more = METRICS[job.task][job.metric]
    for number in range(len(job.problem.folds)):
        try:
            forecast = forecast_fold(job.problem, number, job.kind, job.settings, job.seed, job.task)
        except NoNumbers:
            return Tried(job.number, job.params, found, True)
        value = metric(forecast, job.problem.labels[job.problem.folds[number].test])
        if not np.isfinite(value):
            raise DataError(f"{job.metric} has no value in fold {number + 1}: it has one class, or nothing moves there")
        found.append(value)
        if number < len(job.problem.folds) - 1 and number < len(job.medians):
            mean, limit = statistics.fmean(found), job.medians[number]
            if (mean < limit) if more else (mean > limit):
                return Tried(job.number, job.params, found, True)
    return Tried(job.number, job.params, found, False)


def forecast_fold(
    problem: Problem, number: int, kind: ModelKind, settings: dict[str, Any], seed: int, task: str
) -> Values:
    """f8[rows of the fold's test]: what a model learned on its training rows says of them."""
    fitted = fit_fold(problem, number, kind, settings, seed, task)
    return answers(fitted, problem.inputs[problem.folds[number].test], f"the model {kind.name}, in fold {number + 1},")


def fit_fold(problem: Problem, number: int, kind: ModelKind, settings: dict[str, Any], seed: int, task: str) -> Fitted:
    """A model that has learned from the fold's training rows."""
    train = problem.folds[number].train
    with one_thread():
        return kind.fit(problem.inputs[train], problem.labels[train], problem.weights[train], seed, settings, task)


def answers(fitted: Fitted, inputs: Inputs, who: str) -> Values:
    """f8[n]: a model's answers to f4[n, k]. NoNumbers, begun with `who`, for what is none."""
    if not len(inputs):
        return np.zeros(0)
    with one_thread():
        found = fitted.predict(inputs)
    if not np.isfinite(found).all():
        raise NoNumbers(f"{who} gives no numbers: take other parameters, or scale its features")
    return found


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums of several threads are put together in another order each time: the last digits would hang on the machine."""
    limits = need("threadpoolctl", "training").threadpool_limits
    with limits(1):
        yield


Runner = Callable[[Sequence[Job]], Iterator[Tried]]


def runner(jobs: int, dask: str = "") -> Runner:
    """How trials are computed: here, in `jobs` processes, or on the Dask cluster at an address."""
    if dask:
        return lambda todo: _on_dask(todo, dask)
    if jobs > 1:
        return lambda todo: _in_processes(todo, jobs)
    return lambda todo: (evaluate(job) for job in todo)


def _in_processes(todo: Sequence[Job], jobs: int) -> Iterator[Tried]:
    joblib = need("joblib", "--jobs")
    work = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)
    yield from work(joblib.delayed(evaluate)(job) for job in todo)


def _on_dask(todo: Sequence[Job], address: str) -> Iterator[Tried]:
    distributed = need("distributed", "--dask")
    try:
        client = distributed.Client(address, timeout="10s", set_as_default=False)
    except OSError as error:
        raise StoreError(f"there is no Dask scheduler at {address}: {error}") from None
    with client:
        tasks = [client.submit(evaluate, job, pure=False) for job in todo]
        for _, tried in distributed.as_completed(tasks, client.loop, with_results=True):
            yield tried


def _sampler(optuna: Any, seed: int, number: int) -> Any:
    digest = hashlib.sha256(f"{seed} {number}".encode()).digest()
    return optuna.samplers.TPESampler(seed=int.from_bytes(digest[:4]), n_startup_trials=_STARTUP)


def _suggested(trial: Any, name: str, axis: Axis) -> Any:
    if axis.choices:
        return trial.suggest_categorical(name, list(axis.choices))
    if isinstance(axis.low, int) and isinstance(axis.high, int):
        return trial.suggest_int(name, axis.low, axis.high, log=axis.log)
    return trial.suggest_float(name, axis.low, axis.high, log=axis.log)


def _medians(done: Sequence[Tried], folds: int) -> list[float]:
    whole = [one for one in done if not one.pruned]
    if len(whole) < _JUDGES:
        return []
    return [statistics.median(statistics.fmean(one.folds[: k + 1]) for one in whole) for k in range(folds)]
