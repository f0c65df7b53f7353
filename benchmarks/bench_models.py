"""How long each kind of model takes to answer: one row alone, and many at once.

    python benchmarks/bench_models.py [--json]

Each kind that is installed is trained on 20,000 rows of 20 columns of noise, with the parameters it has by default, exported, and
served as the predictor serves it: one thread, the artifact's file alone. `row_us`: a row of features in, a checked forecast and
its drift out (`Serving.forecast`), p50 and p99 of 2,000; features themselves are not in it. `quiet_p99`: the least p99 of ten
stretches of 200, for machines that do other things too. `file_row_us`: the model's file alone. `rows_per_s`: 10,000 rows in one
call of `ServedModel.predict`, the best of three.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any, cast

import numpy as np

from quantlytic.learn.features.featurespec import FeatureSpec
from quantlytic.learn.labels.labelspec import LabelSpec
from quantlytic.learn.live.serving import Serving
from quantlytic.learn.models.catalogue import MODELS, settled
from quantlytic.learn.models.model import UP, Fitted
from quantlytic.learn.registry.artifact import Artifact, DataFacts, Manifest
from quantlytic.learn.registry.runtime import load
from quantlytic.learn.samples.inputs import Inputs, inputs_of
from quantlytic.learn.training.tune import one_thread
from quantlytic.model.errors import InputError

ROWS, COLUMNS, CALLS, WARM_UP, MANY = 20_000, 20, 2_000, 200, 10_000


def measure_kind(name: str) -> dict[str, Any]:
    """The figures of one kind. InputError where its library is not installed."""
    kind = MODELS[name]
    random = np.random.default_rng(1)
    inputs = inputs_of(random.standard_normal((ROWS, COLUMNS)))
    labels = (inputs[:, 0] + random.standard_normal(ROWS) > 0).astype(float)
    task = kind.tasks[0]
    with one_thread():
        begun = time.perf_counter()
        fitted = kind.fit(inputs, labels, np.ones(ROWS), 1, settled(kind, {}), task)
        fit_s = time.perf_counter() - begun
        artifact = artifact_of(kind.name, task, fitted, inputs)
        serving = Serving(artifact, cast(Any, None))  # of features, which are not measured here
        rows = inputs.astype(np.float64)
        alone = timed(lambda k: serving.forecast(rows[k]))
        answer = load(artifact.content, fitted.file, COLUMNS)
        bare = timed(lambda k: answer(inputs[k : k + 1]))
        many_s = float("inf")
        for _ in range(3):
            begun = time.perf_counter()
            serving.model.predict(inputs[:MANY])
            many_s = min(many_s, time.perf_counter() - begun)
    return {
        "model": kind.name,
        "task": "up" if task == UP else "return",
        "fit_s": round(fit_s, 2),
        "file_bytes": len(artifact.content),
        "row_us": alone,
        "file_row_us": bare,
        "rows_per_s": round(MANY / many_s),
    }


def timed(call: Callable[[int], object]) -> dict[str, float]:
    """p50 and p99 of 2,000 calls, after 200, each with another row, in microseconds."""
    taken = []
    for number in range(CALLS + WARM_UP):
        begun = time.perf_counter_ns()
        call(number)
        taken.append((time.perf_counter_ns() - begun) / 1e3)
    p50, p99 = np.percentile(taken[WARM_UP:], [50, 99])
    quiet = np.percentile(np.reshape(taken[WARM_UP:], (10, -1)), 99, axis=1).min()
    return {"p50": round(float(p50), 1), "p99": round(float(p99), 1), "quiet_p99": round(float(quiet), 1)}


def artifact_of(kind: str, task: str, fitted: Fitted, inputs: Inputs) -> Artifact:
    """As training would keep it."""
    content, names = fitted.export(), tuple(f"x{k}" for k in range(COLUMNS))
    manifest = Manifest(
        name="bench", line="bench/pooled", kind=kind, task=task, features=tuple(FeatureSpec(one, "return") for one in names),
        columns=names, code_hash="", label=LabelSpec(), horizon=1, spec={}, params={}, seed=1,
        data=DataFacts(("bench:A",), "1h", 0, 1, ROWS, 0, ""), scores={}, trials=1, parent="", versions={},
        feature_deciles=tuple(tuple(np.quantile(one, np.linspace(0, 1, 11)).tolist()) for one in inputs.T),
        golden_rows=tuple(tuple(row) for row in inputs[:32].tolist()),
        golden_values=tuple(fitted.predict(inputs[:32]).tolist()),
        max_age_s=0, file=fitted.file, file_sha256=hashlib.sha256(content).hexdigest(),
    )  # fmt: skip
    return Artifact(manifest, content)


def measure() -> dict[str, Any]:
    """The figures of every kind that is installed, by name; "left_out": why another is not among them."""
    import bench_models  # by its name: a process of its own looks it up there

    found: dict[str, Any] = {}
    missing: list[str] = []
    for name in sorted(MODELS):  # a process each: not all of their libraries go together
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            try:
                found[name] = process.submit(bench_models.measure_kind, name).result()
            except InputError as error:
                missing.append(str(error))
    return found | {"left_out": missing}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    found = measure()
    if as_json:
        print(json.dumps(found, indent=2))
        return
    missing = found.pop("left_out")
    print(
        f"{'model':<24}{'fit s':>8}{'file kB':>9}{'row p50 us':>12}{'p99 us':>9}{'quiet p99':>11}{'file p50':>10}{'rows/s':>13}"
    )
    for one in found.values():
        row, bare = one["row_us"], one["file_row_us"]
        print(
            f"{one['model']:<24}{one['fit_s']:>8}{one['file_bytes'] / 1e3:>9.0f}"
            f"{row['p50']:>12}{row['p99']:>9}{row['quiet_p99']:>11}{bare['p50']:>10}{one['rows_per_s']:>13,}"
        )
    for line in missing:
        print(f"left out: {line}")


if __name__ == "__main__":
    main()
