"""How much later forecasts come while models are trained beside them, and while a challenger is in the shadow.

    python benchmarks/bench_trainer.py [--json] [--rounds 10] [--folder FOLDER]

A feeder commits 200 bars a second to the real embedded log; the predictor, in a thread of its own as in `up`, commits a
forecast of each. By turns of ten seconds nothing else runs (`alone`), the trainer's thread runs and has models trained one
after the other (`training`), a challenger forecasts the same bars in the shadow's thread (`shadow`), or a process that gives way
as a training does sorts numbers, and neither reads nor writes a file (`busy`): what a machine makes of its processors being in
use, whoever uses them. Trainings are what the
trainer starts: a process each, from its imports to the model in the registry, the back-test and the report; of
`examples/specs/lightgbm.toml` over 4,000 hours of two made-up markets, with another seed each time, so that nothing is there
already; between two of them the trainer waits for up to a second, until it looks again, as it does in life. A turn with
training ends with the training that is at work when its ten seconds are over; a turn begins once a service that was held has
caught up.

`--folder`: where it all lies; one in memory (/dev/shm) leaves out what the disk does.

`lateness_ms`: from when a bar was due to when its forecast was committed. `ratio_p99` is that of a turn over the mean of the two
turns alone around it, the median over the rounds: machines have moods longer than a round. `training_s`: the median time of a
training, `trainings` how many there were. `nice`: of the training process. `load`: of the machine in the minute before; on one
that others use, no figure here means much. `training_over_busy`: the one ratio over the other. Goal: training within 10 % of
alone.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from bench_swap import ALIAS, LINE, SPECS, bar, model

from quantlytic.app.line import SWITCH_INTERVAL_S
from quantlytic.learn.live.loading import Loader
from quantlytic.learn.registry.registry import Registry
from quantlytic.learn.retraining.trainingprocess import give_way
from quantlytic.learn.retraining.trainingreasons import Triggers
from quantlytic.model.time import NS_PER_MS
from quantlytic.research.data.demo import demo_bars
from quantlytic.services.predictor import Predictor
from quantlytic.services.service import Service
from quantlytic.services.shadow import Shadow
from quantlytic.services.trainer import Trainer
from quantlytic.store.barwriter import write_bars
from quantlytic.store.log import open_log
from quantlytic.store.log.port import Log

ROUNDS = 10
TURN_S, SETTLE_S, TRAINING_S = 10.0, 0.5, 600.0
PERIOD_NS = 5 * NS_PER_MS
GOAL_RATIO = 1.1
FEW = 20  # events behind that count as none: new ones come all the time
CHALLENGER = "bench/pooled/challenger"
HOUR_NS = 3600 * 10**9
SPEC = Path(__file__).parents[1] / "examples" / "specs" / "lightgbm.toml"
HOURS, MARKETS = 4_000, 2
BUSY = "import numpy as np\nnumbers = np.random.default_rng(1).random(1_000_000)\nwhile True:\n    np.sort(numbers)\n"


class Trainings:
    """A home of its own, in which the trainer trains whenever the clock that it is given is moved on by an hour."""

    def __init__(self, folder: Path) -> None:
        self.home, self._spec = folder, folder / "spec.toml"
        self.nice, self.taken_s = 0, list[float]()
        bars = demo_bars(HOURS, seed=1, instruments=MARKETS)
        folder.mkdir()
        write_bars(folder / "bars.parquet", bars.array, bars.instruments)
        self._write(0)

    def service(self, log: Log) -> Trainer:
        """The trainer, as `up` builds it."""
        triggers = Triggers(every_ns=HOUR_NS)
        return Trainer(
            log, LINE.name, self._spec, self.home, Registry(self.home / "lake"), triggers, now_ns=lambda: self._now_ns
        )

    def one(self, trainer: Trainer) -> None:
        """Have a model trained, from the start to what comes of it."""
        until(lambda: not trainer.pid, "the training before does not end", TRAINING_S)
        before = self._made()
        self._write(len(self.taken_s) + 1)
        began_s = time.monotonic()
        until(lambda: trainer.pid > 0, f"the training has not begun: {trainer.last_failure}")
        self.nice = os.getpriority(os.PRIO_PROCESS, trainer.pid)
        until(lambda: not trainer.pid, "the training does not end", TRAINING_S)
        self.taken_s.append(time.monotonic() - began_s)
        if (made := self._made() - before) != 1:
            raise RuntimeError(f"a training has made {made} models: {trainer.last_failure}")

    def _made(self) -> int:
        """Models in the registry."""
        folder = self.home / "lake" / "models"
        return len(list(folder.iterdir())) if folder.is_dir() else 0

    def _write(self, number: int) -> None:
        """Another seed, and an hour later: the next training is due, and has nothing to go on from."""
        text = SPEC.read_text().replace('name = "hour-lightgbm"', f'name = "{LINE.name}"')
        self._spec.write_text(text.replace("seed = 7", f"seed = {number}"))
        self._now_ns = number * HOUR_NS


class Feeder(threading.Thread):
    """Commits a bar each period, when it is due or as soon after as it can."""

    def __init__(self, open_a_log: Callable[[], Log]) -> None:
        super().__init__(daemon=True)
        self._open = open_a_log
        self.due_ns: list[int] = []
        self.stopping = threading.Event()

    def run(self) -> None:
        with closing(self._open()) as log, closing(log.writer("barmaker.bench")) as writer:
            due_ns, number = time.perf_counter_ns(), 0
            while not self.stopping.is_set():
                due_ns += PERIOD_NS
                if (left_ns := due_ns - time.perf_counter_ns()) > 0:
                    time.sleep(left_ns / 1e9)
                self.due_ns.append(due_ns)
                writer.commit({LINE.bars_stream: [bar(number)]})
                number += 1


class Served(threading.Thread):
    """A service in its thread, as a host runs it, that can be held; when each event it took was done with."""

    def __init__(self, open_a_log: Callable[[], Log], build: Callable[[Log], Service], *, notes: bool = False) -> None:
        super().__init__(daemon=True)
        self._open, self._build, self._notes = open_a_log, build, notes
        self.done_ns: list[int] = []
        self.service: Any = None
        self.quiet = False
        self.ready, self.going, self.stopping = threading.Event(), threading.Event(), threading.Event()
        self.going.set()

    def run(self) -> None:
        with closing(self._open()) as log, closing(self._build(log)) as service:
            self.service = service
            self.ready.set()
            while not self.stopping.is_set():
                if not self.going.wait(0.1):
                    continue
                count = service.pump()
                self.quiet = count < FEW
                if self._notes:
                    self.done_ns += [time.perf_counter_ns()] * count
                if not count:
                    service.wait(0.1)

    def has_caught_up(self) -> bool:
        """Whether the last pump found but a few events."""
        return self.quiet


def measure_in(folder: Path, rounds: int) -> dict[str, Any]:
    """The figures of one run."""

    def open_a_log() -> Log:
        return open_log("sqlite", folder=folder / "log")

    registry = Registry(folder / "lake")
    registry.promote(registry.put(model("lightgbm", SPECS, 1)), ALIAS, "bench", "bench", 1)
    registry.promote(registry.put(model("mlp", SPECS, 2)), CHALLENGER, "bench", "bench", 1)
    trainings = Trainings(folder / "training")
    open_a_log().close()
    predictor = Served(open_a_log, lambda log: Predictor(log, LINE, Loader(registry, LINE, open_a_log)), notes=True)
    shadow = Served(open_a_log, lambda log: Shadow(log, LINE, Loader(registry, LINE, open_a_log)))
    trainer = Served(open_a_log, trainings.service)
    feeder = Feeder(open_a_log)
    threads = [predictor, shadow, trainer]
    trainer.going.clear()  # nothing is trained before its turn
    for thread in threads:
        thread.start()
        thread.ready.wait()
    feeder.start()
    try:
        time.sleep(10.0)  # models are swapped in
        turns = take_turns(rounds, shadow, trainer, trainings)
    finally:
        feeder.stopping.set()
        feeder.join()
        time.sleep(0.5)
        for thread in threads:
            thread.going.set()
            thread.stopping.set()
            thread.join()
    return {
        "nice": trainings.nice, "training_s": statistics.median(trainings.taken_s), "trainings": len(trainings.taken_s),
    } | figures(feeder.due_ns, predictor.done_ns, turns)  # fmt: skip


def until(what: Callable[[], bool], words: str, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            raise RuntimeError(words)
        time.sleep(0.05)


@contextmanager
def busy() -> Iterator[None]:
    """Beside a process that uses a processor, and nothing else."""
    with subprocess.Popen((sys.executable, "-c", BUSY)) as process:
        try:
            give_way(process.pid)
            yield
        finally:
            process.kill()


def take_turns(rounds: int, shadow: Served, trainer: Served, trainings: Trainings) -> list[tuple[str, int, int]]:
    """(what ran, from, to) by `time.perf_counter_ns`."""
    found = []
    for kind in ["alone", "training", "alone", "busy", "alone", "shadow"] * rounds + ["alone"]:
        shadow.quiet = trainer.quiet = False
        (shadow.going.set if kind == "shadow" else shadow.going.clear)()
        (trainer.going.set if kind == "training" else trainer.going.clear)()
        for one, name in ((shadow, "shadow"), (trainer, "training")):
            if name == kind:
                until(one.has_caught_up, f"the {name}'s thread does not keep up")
        time.sleep(SETTLE_S)
        began_ns = time.perf_counter_ns()
        if kind == "training":
            while time.perf_counter_ns() - began_ns < TURN_S * 1e9:
                trainings.one(trainer.service)
        else:
            with busy() if kind == "busy" else nullcontext():
                time.sleep(TURN_S)
        found.append((kind, began_ns, time.perf_counter_ns()))
    return found


def figures(due_ns: list[int], done_ns: list[int], turns: list[tuple[str, int, int]]) -> dict[str, Any]:
    count = min(len(due_ns), len(done_ns))
    due, late = np.array(due_ns[:count]), (np.array(done_ns[:count]) - np.array(due_ns[:count])) / 1e6
    parts = [(kind, late[(due >= began) & (due < ended)]) for kind, began, ended in turns]
    p99 = [float(np.quantile(one, 0.99)) for _, one in parts]
    ratios: dict[str, list[float]] = {"training": [], "busy": [], "shadow": []}
    for k, (kind, _) in enumerate(parts):
        if kind != "alone":
            ratios[kind].append(p99[k] / ((p99[k - 1] + p99[k + 1]) / 2))
    lateness = {}
    for kind in ("alone", "training", "busy", "shadow"):
        together = np.concatenate([one for name, one in parts if name == kind])
        p50, top, most = np.quantile(together, [0.5, 0.99, 1.0]).tolist()
        lateness[kind] = {"p50": p50, "p99": top, "max": most, "bars": len(together)}
    ratio = {kind: statistics.median(found) for kind, found in ratios.items()}
    return {
        "lateness_ms": lateness,
        "ratio_p99": ratio,
        "training_over_busy": ratio["training"] / ratio["busy"],
        "rounds_within_10_percent": {kind: sum(one <= GOAL_RATIO for one in found) for kind, found in ratios.items()},
        "rounds": len(ratios["training"]),
    }


def measure(rounds: int = ROUNDS, folder: Path | None = None) -> dict[str, Any]:
    """The figures; goal: `ratio_p99` of training at most 1.1."""
    load = os.getloadavg()[0]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        with tempfile.TemporaryDirectory(prefix="quantlytic-trainer-", dir=folder) as home:
            found = measure_in(Path(home), rounds)
    finally:
        sys.setswitchinterval(interval)
    return {"load": load} | found | {"goal": f"ratio_p99.training at most {GOAL_RATIO:g}"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--folder", type=Path, help="where it all lies; that of temporary files if it is not said")
    given = parser.parse_args()
    results = measure(given.rounds, given.folder)
    if given.json:
        print(json.dumps(results))
        return
    print(f"{'':<10}{'p50':>9}{'p99':>9}{'max':>9}   lateness, ms     p99 over that alone")
    for kind, row in results["lateness_ms"].items():
        ratio = results["ratio_p99"].get(kind)
        told = "" if ratio is None else f"{ratio:>22.2f}"
        print(f"{kind:<10}{row['p50']:>9.2f}{row['p99']:>9.2f}{row['max']:>9.1f}{told:>31}")
    trained = f"{results['trainings']} trainings at nice {results['nice']}, {results['training_s']:.0f} s each"
    print(f"load {results['load']:.1f}; {trained}; {results['goal']}")


if __name__ == "__main__":
    main()
