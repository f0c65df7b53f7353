"""A thousand swaps of models while a thousand bars a second are forecast, on the real embedded log.

    python benchmarks/bench_swap.py [--json] [--swaps 1000]

A feeder commits a bar each millisecond; the predictor, in a thread of its own as in `up`, commits a forecast of each, and its
loader thread looks at the registry every 50 ms. Models of several kinds are promoted in turn, one of twenty-five with other
features, which are warmed with the history in the log; each is fetched, verified, asked, timed and swapped in. Every ten swaps
there is a pause.

`lateness_ms`: from when a bar was due to when its forecast was committed, in the pauses (`calm`) and while models are loaded and
swapped (`swapping`); `added` is the difference of the two, `at_swap_added` that of the very bars from which a new model served.
`load_ms`: away from the loop; `swap_us`: between two bars, `other_features_us` with the catching up of features. `forecast_us`:
from the bar at hand to its forecast, by kind of model (a row of features and the model's answer). Afterwards every bar must have
one forecast, by the model that the changes say. Goal: p99 added below 5 ms.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from quantlytic import Instrument
from quantlytic.app.line import SWITCH_INTERVAL_S
from quantlytic.engine.data.bars import Bars
from quantlytic.learn.artifact import Artifact, DataFacts, Manifest
from quantlytic.learn.features.featureset import FeatureSet
from quantlytic.learn.features.featurespec import FeatureSpec
from quantlytic.learn.inputs import inputs_of
from quantlytic.learn.labels.labelspec import LabelSpec
from quantlytic.learn.loading import Loader
from quantlytic.learn.models.catalogue import find_model, settled
from quantlytic.learn.models.model import UP
from quantlytic.learn.registry import Registry
from quantlytic.learn.runtime import load
from quantlytic.learn.serving import Line
from quantlytic.model.bar import BAR, Bar
from quantlytic.model.forecast import Forecast, ModelChange
from quantlytic.model.time import NS_PER_MS
from quantlytic.services.predictor import Predictor
from quantlytic.store.log import open_log
from quantlytic.store.log.port import Log

SWAPS, ROUND = 1_000, 10
CALM_S = 0.5
CHECK_S = 0.05
GOAL_MS = 5.0
TICK_NS = NS_PER_MS
START_NS = 1_700_000_000 * 10**9
HISTORY, ROWS = 2_000, 4_000
MOST_BARS = 600_000
LINE = Line("bench", "bench", ("bench:BTCUSDT",), TICK_NS)
ALIAS = "bench/pooled/champion"
KINDS = ("logistic", "lightgbm", "hist-gradient-boosting", "mlp", "knn")
EVERY_WIDE = 25
SPECS = (
    FeatureSpec("return_1", "return"), FeatureSpec("return_5", "return", {"bars": 5}),
    FeatureSpec("return_20", "return", {"bars": 20}), FeatureSpec("rsi", "rsi", {"period": 14}),
    FeatureSpec("range", "garman_klass", {"period": 20}), FeatureSpec("position", "range_position"),
    FeatureSpec("surprise", "zscore", {"period": 50}), FeatureSpec("hour", "hour_sin"),
)  # fmt: skip
WIDE = (*SPECS, FeatureSpec("atr", "atr", {"period": 14}), FeatureSpec("from_high", "distance_to_high", {"period": 50}))


def walk(count: int) -> np.ndarray[Any, Any]:
    """Prices by a seed."""
    prices: np.ndarray[Any, Any] = 100.0 * np.exp(np.cumsum(np.random.default_rng(1).normal(0.0, 1e-4, count)))
    return prices


PRICES = walk(MOST_BARS + 1).tolist()


def bar(number: int) -> Bar:
    before, close, opened = PRICES[number], PRICES[number + 1], START_NS + number * TICK_NS
    high, low = max(before, close) * 1.00001, min(before, close) * 0.99999
    return Bar("bench:BTCUSDT", opened, opened + TICK_NS, before, high, low, close, 2.0, 2.0 * close, 3)


def model(kind_name: str, specs: tuple[FeatureSpec, ...], seed: int) -> Artifact:
    """A small model of that kind, trained on the first bars."""
    rows = np.zeros(ROWS, BAR)
    for row, number in zip(rows, range(ROWS), strict=True):
        one = bar(number)
        for name in Bar.__struct_fields__:
            row[name] = 0 if name == "instrument" else getattr(one, name)
    features = FeatureSet(specs, LINE_INSTRUMENTS, TICK_NS, gaps="restart")
    table = features.table(Bars(rows, LINE_INSTRUMENTS))
    inputs = inputs_of(table.values[table.ready][:-1])
    labels = (np.diff(rows["close"][table.ready]) > 0).astype(np.float64)
    kind = find_model(kind_name)
    settings = settled(kind, {"neighbours": 20, "rows": 3_000} if kind_name == "knn" else {})
    fitted = kind.fit(inputs, labels, np.ones(len(labels)), seed, settings, UP)
    content, columns = fitted.export(), len(features.names)
    golden = inputs[:32]
    manifest = Manifest(
        name="bench", line="bench/pooled", kind=kind_name, task=UP, features=specs, columns=features.names,
        code_hash=features.code_hash, label=LabelSpec(), horizon=1, spec={"data": {"gaps": "restart"}}, params=settings,
        seed=seed, data=DataFacts(("bench:BTCUSDT",), "1ms", START_NS, START_NS + 1, len(inputs), 0, "0" * 64), scores={},
        trials=1, parent="", versions={},
        feature_deciles=tuple(tuple(np.quantile(one, np.linspace(0, 1, 11)).tolist()) for one in inputs.T),
        golden_rows=tuple(tuple(row) for row in golden.tolist()),
        golden_values=tuple(load(content, fitted.file, columns)(golden).tolist()), max_age_s=0, file=fitted.file,
        file_sha256=hashlib.sha256(content).hexdigest(),
    )  # fmt: skip
    return Artifact(manifest, content)


LINE_INSTRUMENTS = (Instrument("bench:BTCUSDT"),)


class Feeder(threading.Thread):
    """Commits a bar each tick, when it is due or as soon after as it can."""

    def __init__(self, open_a_log: Callable[[], Log], first: int) -> None:
        super().__init__(daemon=True)
        self._open, self._number = open_a_log, first
        self.due_ns: list[int] = []
        self.stopping = threading.Event()

    def run(self) -> None:
        with closing(self._open()) as log:
            writer = log.writer("barmaker.bench")
            due_ns = time.perf_counter_ns()
            while not self.stopping.is_set() and self._number < MOST_BARS:
                due_ns += TICK_NS
                if (left_ns := due_ns - time.perf_counter_ns()) > 0:
                    time.sleep(left_ns / 1e9)
                self.due_ns.append(due_ns)
                writer.commit({LINE.bars_stream: [bar(self._number)]})
                self._number += 1


class Forecaster(threading.Thread):
    """The predictor in its thread, as a host runs it; when each bar's forecast was committed."""

    def __init__(self, open_a_log: Callable[[], Log], registry: Registry) -> None:
        super().__init__(daemon=True)
        self._open, self._registry = open_a_log, registry
        self.done_ns: list[int] = []
        self.loads_ms: list[float] = []
        self.swaps_us: list[tuple[bool, float]] = []
        self.predictor: Predictor | None = None
        self.ready, self.stopping = threading.Event(), threading.Event()

    @property
    def handled(self) -> int:
        """The last change of the alias that was taken up."""
        assert self.predictor is not None
        return self.predictor._served.standing.handled.get(ALIAS, 0)

    def run(self) -> None:
        loader = Loader(self._registry, LINE, self._open, budget_ns=50 * NS_PER_MS)
        load_model = loader.load

        def timed_load(*args: Any, **kwargs: Any) -> Any:
            began_ns = time.perf_counter_ns()
            found = load_model(*args, **kwargs)
            self.loads_ms.append((time.perf_counter_ns() - began_ns) / 1e6)
            return found

        loader.load = timed_load  # type: ignore[method-assign]
        with closing(self._open()) as log, closing(Predictor(log, LINE, loader, check_s=CHECK_S)) as predictor:
            self.predictor = predictor
            served = predictor._served
            swap = served._swap

            def timed_swap(*args: Any) -> Any:
                known, began_ns = set(served._feeds), time.perf_counter_ns()
                found = swap(*args)
                took_us = (time.perf_counter_ns() - began_ns) / 1e3
                self.swaps_us.append((set(served._feeds) <= known, took_us))
                return found

            served._swap = timed_swap  # type: ignore[method-assign]
            self.ready.set()
            while not self.stopping.is_set():
                if count := predictor.pump():
                    self.done_ns += [time.perf_counter_ns()] * count
                else:
                    predictor.wait(0.1)
            while count := predictor.pump():
                self.done_ns += [time.perf_counter_ns()] * count


def replay(folder: Path, swaps: int) -> dict[str, Any]:
    """The figures of one replay."""

    def open_a_log() -> Log:
        return open_log("sqlite", folder=folder / "log")

    registry = Registry(folder / "lake")
    models = [(kind, registry.put(model(kind, SPECS, seed))) for seed in (1, 2) for kind in KINDS]
    wide = ("logistic, other features", registry.put(model("logistic", WIDE, 3)))
    kind_of = {model_id: kind for kind, model_id in (*models, wide)}
    with closing(open_a_log()) as log:
        log.writer("barmaker.bench").commit({LINE.bars_stream: [bar(number) for number in range(HISTORY)]})
    registry.promote(models[0][1], ALIAS, "first", "bench", 1)
    gc.collect()
    gc.freeze()  # what trained the models is not looked at again; the collector stays on, as in the services
    forecaster, feeder = Forecaster(open_a_log, registry), Feeder(open_a_log, HISTORY)
    forecaster.start()
    forecaster.ready.wait()
    feeder.start()
    time.sleep(1.0)
    calm: list[tuple[int, int]] = []
    source = random.Random(1)
    for number in range(2, swaps + 2):
        if number % ROUND == 2:
            began = len(feeder.due_ns)
            time.sleep(CALM_S)
            calm.append((began, len(feeder.due_ns)))
        one = wide if number % EVERY_WIDE == 0 else models[(number * 3) % len(models)]
        registry.promote(one[1], ALIAS, "in turn", "bench", number)
        while forecaster.handled < number and forecaster.is_alive():
            time.sleep(0.002)
        time.sleep(source.uniform(0.0, 0.003))
    feeder.stopping.set()
    feeder.join()
    forecaster.stopping.set()
    forecaster.join()
    with closing(open_a_log()) as log:
        events = log.read(LINE.forecasts_stream, 0, 10**7).events
    changes = check(list(events), len(feeder.due_ns), swaps)
    lateness = (np.array(forecaster.done_ns) - np.array(feeder.due_ns)) / 1e6
    return figures(lateness, calm, [at - HISTORY for at in changes], forecaster) | {
        "forecast_us": latencies(list(events), kind_of),
        "swaps": swaps,
        "bars": len(lateness),
        "seconds": (feeder.due_ns[-1] - feeder.due_ns[0]) / 1e9,
    }


def check(events: list[Any], bars: int, swaps: int) -> list[int]:
    """Every bar once, each by the model that the changes say; the offsets of the bars from which another model served."""
    in_force, following, changes = "", HISTORY, list[int]()
    for event in events:
        if isinstance(event, ModelChange):
            if event.old != in_force or event.cause not in ("command", "promotion"):
                raise RuntimeError(f"a change that cannot be: {event}")
            in_force = event.new
            changes.append(event.bar_offset)
        elif isinstance(event, Forecast):
            if event.bar_offset != following or event.model_id != in_force or event.value != event.value:
                raise RuntimeError(f"a forecast that cannot be: {event}")
            following += 1
    if following != HISTORY + bars or len(changes) != swaps + 1:
        raise RuntimeError(
            f"{following - HISTORY:,} of {bars:,} bars were forecast, {len(changes) - 1:,} of {swaps:,} swaps made"
        )
    return changes[1:]


def cuts(values: Any, digits: int = 3) -> dict[str, float]:
    found = np.asarray(values, np.float64)
    return {
        "p50": round(float(np.percentile(found, 50)), digits),
        "p99": round(float(np.percentile(found, 99)), digits),
    }


def figures(
    lateness: np.ndarray[Any, Any], calm: list[tuple[int, int]], changes: list[int], forecaster: Forecaster
) -> dict[str, Any]:
    is_calm = np.zeros(len(lateness), np.bool_)
    for began, ended in calm:
        is_calm[began:ended] = True
    is_calm[:500] = True
    quiet, busy = cuts(lateness[is_calm]), cuts(lateness[~is_calm])
    shared = [took for is_shared, took in forecaster.swaps_us if is_shared]
    other = [took for is_shared, took in forecaster.swaps_us if not is_shared]
    at_swap = cuts(lateness[changes] - quiet["p50"])
    return {
        "each_bar_once": True,
        "lateness_ms": {"calm": quiet, "swapping": busy},
        "added_ms": {name: round(busy[name] - quiet[name], 3) for name in busy},
        "at_swap_added_ms": at_swap,
        "goal_added_p99_ms": GOAL_MS,
        "held": busy["p99"] - quiet["p99"] < GOAL_MS,
        "load_ms": cuts(forecaster.loads_ms),
        "swap_us": cuts(shared, 1),
        "other_features_us": cuts(other, 1) if other else {},
    }


def latencies(events: list[Any], kind_of: dict[str, str]) -> dict[str, dict[str, float]]:
    found: dict[str, list[float]] = {}
    for event in events:
        if isinstance(event, Forecast):
            found.setdefault(kind_of[event.model_id], []).append(event.latency_ns / 1e3)
    return {kind: cuts(took, 1) for kind, took in sorted(found.items())}


def measure(swaps: int = SWAPS) -> dict[str, Any]:
    """The figures; goal: p99 of the lateness added by swapping below 5 ms."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        with tempfile.TemporaryDirectory(prefix="quantlytic-swap-") as folder:
            return replay(Path(folder), swaps)
    finally:
        gc.unfreeze()
        sys.setswitchinterval(interval)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--swaps", type=int, default=SWAPS)
    given = parser.parse_args()
    found = measure(given.swaps)
    if given.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:<22}{value}")


if __name__ == "__main__":
    main()
