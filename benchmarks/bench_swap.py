"""A thousand swaps of models while a thousand bars a second are forecast, on the real embedded log.

    python benchmarks/bench_swap.py [--json] [--swaps 1000]

In one process a thread takes two services in turns, as `up` does: a feeder in the place of the barmaker, which commits a bar
each millisecond, and the predictor, which commits its forecast; the loader's thread looks at the registry every 50 ms. Another
process promotes models of several kinds in turn, one of twenty-five with other features, which are warmed with the history in
the log; each is fetched, verified, asked, timed and swapped in. Every ten swaps there is a pause.

`lateness_ms`: from when a bar was due to when its forecast was committed, over all pauses (`calm`) and all the time between
them, while models are loaded and swapped (`swapping`). `added_ms`: the difference of a pause's p50 (p99) and that of the ten
swaps after it, the median of all rounds: a disk or a machine that stands still for seconds is in a few rounds alone.
`at_swap_added_ms`: of the very bars from which a new model served. `load_ms`: away from the loop; `swap_us`: between two bars,
`other_features_us` with the catching up of features. `forecast_us`: from the bar at hand to its forecast, by kind of model (a
row of features and the model's answer). Afterwards every bar must have one forecast, by the model that the changes say. Goal:
p99 added below 5 ms.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import random
import subprocess
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
from quantlytic.learn.features.featureset import FeatureSet
from quantlytic.learn.features.featurespec import FeatureSpec
from quantlytic.learn.labels.labelspec import LabelSpec
from quantlytic.learn.live.loading import Loader
from quantlytic.learn.live.servedline import ServedLine
from quantlytic.learn.live.serving import Line
from quantlytic.learn.models.catalogue import find_model, settled
from quantlytic.learn.models.model import UP
from quantlytic.learn.registry.artifact import Artifact, DataFacts, Manifest
from quantlytic.learn.registry.registry import Registry
from quantlytic.learn.registry.runtime import load
from quantlytic.learn.samples.inputs import inputs_of
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


class Feeder:
    """Commits a bar each tick, when it is due or as soon after as it can: in the barmaker's place."""

    def __init__(self, log: Log, first: int) -> None:
        self._writer, self._first = log.writer("barmaker.bench"), first
        self._began_ns = time.perf_counter_ns()
        self.due_ns: list[int] = []

    def pump(self) -> int:
        """The bars that are due."""
        done = len(self.due_ns)
        due = min((time.perf_counter_ns() - self._began_ns) // TICK_NS, MOST_BARS - self._first)
        if due > done:
            self._writer.commit({LINE.bars_stream: [bar(self._first + number) for number in range(done, due)]})
            self.due_ns += [self._began_ns + (number + 1) * TICK_NS for number in range(done, due)]
        return due - done

    def wait(self) -> None:
        """Until the next one is."""
        left_ns = self._began_ns + (len(self.due_ns) + 1) * TICK_NS - time.perf_counter_ns()
        time.sleep(max(left_ns, 0) / 1e9)


class Timed:
    """What a predictor's swaps and loads took."""

    def __init__(self, loader: Loader) -> None:
        self.loads_ms: list[float] = []
        self.swaps_us: list[tuple[bool, float]] = []
        load_model = loader.load

        def timed_load(*args: Any, **kwargs: Any) -> Any:
            began_ns = time.perf_counter_ns()
            found = load_model(*args, **kwargs)
            self.loads_ms.append((time.perf_counter_ns() - began_ns) / 1e6)
            return found

        loader.load = timed_load  # type: ignore[method-assign]

    def watch(self, served: ServedLine) -> None:
        swap = served._swap

        def timed_swap(*args: Any) -> Any:
            known, began_ns = set(served._feeds), time.perf_counter_ns()
            found = swap(*args)
            took_us = (time.perf_counter_ns() - began_ns) / 1e3
            self.swaps_us.append((set(served._feeds) <= known, took_us))
            return found

        served._swap = timed_swap  # type: ignore[method-assign]


def log_of(folder: Path) -> Callable[[], Log]:
    return lambda: open_log("sqlite", folder=folder / "log")


def serve(folder: Path) -> None:
    """Feeder and predictor by turns, until the file `stop` is there; what they saw is left in `seen.json`."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    loader = Loader(Registry(folder / "lake"), LINE, log_of(folder), budget_ns=50 * NS_PER_MS)
    timed, done_ns, stopping = Timed(loader), list[int](), threading.Event()
    threading.Thread(target=await_file, args=(folder / "stop", stopping), daemon=True).start()
    with closing(log_of(folder)()) as log, closing(Predictor(log, LINE, loader, check_s=CHECK_S)) as predictor:
        timed.watch(predictor._served)
        gc.collect()
        gc.freeze()  # what was imported is not looked at again; the collector stays on
        feeder = Feeder(log, HISTORY)
        while not stopping.is_set() or len(done_ns) < len(feeder.due_ns):
            fed = 0 if stopping.is_set() else feeder.pump()
            if count := predictor.pump():
                done_ns += [time.perf_counter_ns()] * count
            elif not fed:
                feeder.wait()
    seen = {"due_ns": feeder.due_ns, "done_ns": done_ns, "loads_ms": timed.loads_ms, "swaps_us": timed.swaps_us}
    (folder / "seen.json").write_text(json.dumps(seen))


def await_file(path: Path, found: threading.Event) -> None:
    while not path.exists():
        time.sleep(0.05)
    found.set()


class Watcher:
    """Counts the changes of model on the tape."""

    def __init__(self, log: Log) -> None:
        self._log, self._position = log, 0
        self.changes = 0

    def await_changes(self, count: int, process: subprocess.Popen[bytes]) -> None:
        """Until so many were made."""
        while self.changes < count:
            batch = self._log.read(LINE.forecasts_stream, self._position, 50_000)
            self.changes += sum(type(event) is ModelChange for event in batch.events)
            self._position = batch.next_offset
            if not batch.events:
                if process.poll() is not None:
                    raise RuntimeError("the predictor's process has ended")
                self._log.wait({LINE.forecasts_stream: self._position}, 0.5)
            time.sleep(0.005)


def replay(folder: Path, swaps: int) -> dict[str, Any]:
    """The figures of one replay."""
    registry = Registry(folder / "lake")
    models = [(kind, registry.put(model(kind, SPECS, seed))) for seed in (1, 2) for kind in KINDS]
    wide = ("logistic, other features", registry.put(model("logistic", WIDE, 3)))
    kind_of = {model_id: kind for kind, model_id in (*models, wide)}
    calm: list[tuple[int, int]] = []
    source = random.Random(1)
    with closing(log_of(folder)()) as log:
        log.writer("barmaker.bench").commit({LINE.bars_stream: [bar(number) for number in range(HISTORY)]})
        registry.promote(models[0][1], ALIAS, "first", "bench", 1)
        process = subprocess.Popen([sys.executable, __file__, "--serve", str(folder)], stdin=subprocess.DEVNULL)
        try:
            watcher = Watcher(log)
            watcher.await_changes(1, process)
            time.sleep(1.0)
            for number in range(2, swaps + 2):
                if number % ROUND == 2:
                    began_ns = time.perf_counter_ns()
                    time.sleep(CALM_S)
                    calm.append((began_ns, time.perf_counter_ns()))
                one = wide if number % EVERY_WIDE == 0 else models[(number * 3) % len(models)]
                registry.promote(one[1], ALIAS, "in turn", "bench", number)
                watcher.await_changes(number, process)
                time.sleep(source.uniform(0.0, 0.003))
            (folder / "stop").touch()
            process.wait(60)
        finally:
            process.kill()
        events = list(log.read(LINE.forecasts_stream, 0, 10**7).events)
    seen = json.loads((folder / "seen.json").read_text())
    changes = check(events, len(seen["due_ns"]), swaps)
    return figures(seen, calm, [at - HISTORY for at in changes]) | {
        "forecast_us": latencies(events, kind_of),
        "swaps": swaps,
        "bars": len(seen["due_ns"]),
        "seconds": (seen["due_ns"][-1] - seen["due_ns"][0]) / 1e9,
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


def figures(seen: dict[str, Any], calm: list[tuple[int, int]], changes: list[int]) -> dict[str, Any]:
    due = np.array(seen["due_ns"])
    lateness = (np.array(seen["done_ns"]) - due) / 1e6
    ends = [began_ns for began_ns, _ in calm[1:]] + [int(due[-1]) + 1]
    pauses = [lateness[(due >= began_ns) & (due < ended_ns)] for began_ns, ended_ns in calm]
    turns = [lateness[(due >= ended_ns) & (due < end)] for (_, ended_ns), end in zip(calm, ends, strict=True)]
    quiet, busy = cuts(np.concatenate(pauses)), cuts(np.concatenate(turns))
    rounds = [(cuts(one), cuts(other)) for one, other in zip(pauses, turns, strict=True)]
    added = {name: round(float(np.median([b[name] - a[name] for a, b in rounds])), 3) for name in quiet}
    other = [took for is_shared, took in seen["swaps_us"] if not is_shared]
    return {
        "each_bar_once": True,
        "lateness_ms": {"calm": quiet, "swapping": busy},
        "added_ms": added,
        "at_swap_added_ms": cuts(lateness[changes] - quiet["p50"]),
        "goal_added_p99_ms": GOAL_MS,
        "held": added["p99"] < GOAL_MS,
        "load_ms": cuts(seen["loads_ms"]),
        "swap_us": cuts([took for is_shared, took in seen["swaps_us"] if is_shared], 1),
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
    with tempfile.TemporaryDirectory(prefix="quantlytic-swap-") as folder:
        return replay(Path(folder), swaps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--swaps", type=int, default=SWAPS)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve is not None:
        serve(given.serve)
        return
    found = measure(given.swaps)
    if given.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:<22}{value}")


if __name__ == "__main__":
    main()
