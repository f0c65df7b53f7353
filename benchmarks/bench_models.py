"""How long each kind of model takes to answer: one row alone, and many at once.

    python benchmarks/bench_models.py [--json]

Each is trained on 20,000 rows of 20 columns of noise, with the parameters it has by default, exported, and served on one thread.
`row_us`: one row through the model's file, p50 and p99 of 2,000 calls; `rows_per_s`: 10,000 rows in one call.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np

from quantlytic.learn.inputs import inputs_of
from quantlytic.learn.models.catalogue import MODELS, find_model, settled
from quantlytic.learn.models.model import UP
from quantlytic.learn.runtime import load
from quantlytic.learn.tune import one_thread

ROWS, COLUMNS, CALLS, MANY = 20_000, 20, 2_000, 10_000


def measure(name: str) -> dict[str, object]:
    """The figures of one kind."""
    random = np.random.default_rng(1)
    inputs = inputs_of(random.standard_normal((ROWS, COLUMNS)))
    labels = (inputs[:, 0] + random.standard_normal(ROWS) > 0).astype(float)
    kind = find_model(name)
    task = kind.tasks[0]
    with one_thread():
        begun = time.perf_counter()
        fitted = kind.fit(inputs, labels, np.ones(ROWS), 1, settled(kind, {}), task)
        fit_s = time.perf_counter() - begun
        content = fitted.export()
        answer = load(content, fitted.file, COLUMNS)
        taken = []
        for call in range(CALLS + 100):
            row = inputs[call % ROWS : call % ROWS + 1]
            begun = time.perf_counter_ns()
            answer(row)
            taken.append((time.perf_counter_ns() - begun) / 1e3)
        begun = time.perf_counter()
        answer(inputs[:MANY])
        many_s = time.perf_counter() - begun
    p50, p99 = np.percentile(taken[100:], [50, 99])
    return {
        "model": name,
        "task": "up" if task == UP else "return",
        "fit_s": round(fit_s, 2),
        "file_bytes": len(content),
        "row_us": {"p50": round(float(p50), 1), "p99": round(float(p99), 1)},
        "rows_per_s": round(MANY / many_s),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    found = [measure(name) for name in sorted(MODELS)]
    if as_json:
        print(json.dumps(found, indent=2))
        return
    print(f"{'model':<24}{'fit s':>8}{'file kB':>9}{'row p50 us':>12}{'p99 us':>9}{'rows/s':>13}")
    for one in found:
        row = one["row_us"]
        assert isinstance(row, dict)
        print(
            f"{one['model']:<24}{one['fit_s']:>8}{one['file_bytes'] / 1e3:>9.0f}"  # type: ignore[operator]
            f"{row['p50']:>12}{row['p99']:>9}{one['rows_per_s']:>13,}"
        )


if __name__ == "__main__":
    main()
