"""kill -9 of a predictor at seeded random instants while models are promoted, rolled back, tampered with and broken.

    SWAP_KILLS=100 SWAP_SEED=7 pytest -m slow tests/sim/test_swaps.py -s

repeats a seed's choices; the machine's own timing differs from run to run.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest
from tests.learn.servable import LINE, OTHER, POOLED, artifact, market, promoted, root_artifact
from tests.services.forecasttruth import ALL, check_forecasts
from tests.sim.mortal import Death, Mortality, MortalLog

from quantlytic.learn.live.loading import Loader
from quantlytic.learn.registry.artifact import Artifact
from quantlytic.learn.registry.registry import Registry
from quantlytic.model.errors import DataError, InputError
from quantlytic.model.forecast import Forecast, ModelChange
from quantlytic.services.predictor import Predictor, name_of
from quantlytic.store.log import open_log
from quantlytic.store.log.port import Log

KILLS = int(os.environ.get("SWAP_KILLS", "100"))
SEED = int(os.environ.get("SWAP_SEED", "7"))
INTERLEAVINGS = int(os.environ.get("SWAP_SEEDS", "20"))
ROOT = Path(__file__).parents[2]
READY_S = 120.0


class Torment:
    """A folder, a market that goes on, and a predictor process that is killed and started again."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.source = folder, random.Random(seed)
        self.registry, self.log = Registry(folder / "lake"), open_log("sqlite", folder=folder / "log")
        self.market = self.log.writer("barmaker.box")
        self.minutes = self.kills = self.starts = self.models = 0
        self.done: Counter[str] = Counter()
        self.good: list[Artifact] = []
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def output(self) -> Path:
        return self.folder / f"predictor-{self.starts}.txt"

    def start(self) -> None:
        self.starts += 1
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.sim.predictor_process", str(self.folder)],
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def wait_ready(self) -> None:
        ends_s = time.monotonic() + READY_S
        while b"runs" not in self.output.read_bytes():
            assert self.process is not None
            assert self.process.poll() is None, self.output.read_text()
            assert time.monotonic() < ends_s, "it does not start"
            time.sleep(0.01)

    def kill(self) -> None:
        assert self.process is not None
        assert self.process.poll() is None, self.output.read_text()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(READY_S)
        self.kills += 1

    def feed(self) -> None:
        count = self.source.choice((1, 1, 2, 5))
        self.market.commit({LINE.bars_stream: market(self.minutes, count)})
        self.minutes += count

    def meddle(self) -> None:
        """Something happens to the registry."""
        what = self.source.choice(
            ("promote", "promote", "promote", "rollback", "tampered", "wrong shape", "no numbers")
        )
        self.done[what] += 1
        self.models += 1
        made = artifact(self.models, features=self.source.choice((OTHER, artifact(1).manifest.features)))
        if what == "promote":
            self.good.append(made)
            promoted(self.registry, made)
        elif what == "rollback":
            try:
                self.registry.rollback(POOLED, "worse", "me", self.models)
            except (InputError, DataError):
                self.done["no way back"] += 1
        elif what == "tampered":
            path = self.folder / "lake" / "models" / self.registry.put(made) / "model.onnx"
            content = path.read_bytes()
            self.registry.promote(made.model_id, POOLED, "why not", "me", self.models)
            path.write_bytes(content[: self.source.randrange(len(content))])
        elif what == "wrong shape":
            columns = len(made.manifest.columns)
            content = artifact(1, features=OTHER if columns == 2 else artifact(1).manifest.features).content
            promoted(self.registry, artifact(self.models, features=made.manifest.features, content=content))
        else:
            bad = root_artifact(self.models)
            self.good.append(bad)  # it is let in: nothing is wrong with it before it serves
            promoted(self.registry, bad)

    def go_on(self, events: int) -> None:
        """Bars and meddling, as they come."""
        for _ in range(events):
            self.feed()
            if self.source.random() < 0.3:
                self.meddle()
            time.sleep(self.source.choice((0.0, 0.002, 0.01, 0.03)))

    def strike(self) -> None:
        """kill -9: while it starts, at once after one of its commits, or anywhere."""
        mood = self.source.choice(("start", "commit", "commit", "any"))
        self.done[f"killed: {mood}"] += 1
        if mood == "start":
            time.sleep(self.source.uniform(0.0, 1.5))
        else:
            self.wait_ready()
            self.go_on(self.source.randrange(3, 15))
            if mood == "commit":
                end = self.log.bounds(LINE.forecasts_stream)[1]
                self.feed()
                self.log.wait({LINE.forecasts_stream: end}, 2.0)
            time.sleep(self.source.choice((0.0, 0.0005, 0.003, 0.02)))
        self.kill()
        self.start()

    def finish(self) -> None:
        """What is there is forecast, and the process ends by itself."""
        self.wait_ready()
        self.go_on(5)
        ends_s = time.monotonic() + READY_S
        end = self.log.bounds(LINE.bars_stream)[1]
        while self.log.committed(name_of(LINE.name)).get(LINE.bars_stream) != end:
            assert time.monotonic() < ends_s, "it does not come to the end"
            time.sleep(0.02)
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(READY_S) == 0, self.output.read_text()

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.log.close()


def interleaved(folder: Path, seed: int) -> Counter[str]:
    """One thread, every step by the seed: bars, meddling, looks at the registry, deaths before and after commits."""
    with closing(Torment(folder, seed)) as world:
        source, mortality = world.source, Mortality(seed, random.Random(seed).choice((0.02, 0.1, 0.3)))
        world.good.append(artifact(1))
        promoted(world.registry, world.good[0])
        loader = Loader(
            world.registry, LINE, lambda: open_log("sqlite", folder=folder / "log"), budget_ns=10**9, compiled=False
        )
        predictor = Predictor(world.log, LINE, loader, check_s=0.0)
        for step in range(80):
            act = source.choice(("feed", "feed", "pump", "pump", "meddle", "look")) if step < 70 else "pump"
            mortality.rate = mortality.rate if step < 70 else 0.0
            try:
                if act == "feed":
                    world.feed()
                elif act == "meddle" and source.random() < 0.5:
                    world.meddle()
                elif act == "look":
                    predictor.look()
                else:
                    predictor.pump()
                    mortality.may_strike()
            except Death:
                while True:
                    try:
                        mortal = cast(Log, MortalLog(world.log, mortality))
                        predictor = Predictor(mortal, LINE, loader, check_s=0.0)
                        break
                    except Death:
                        continue
        while predictor.pump():
            pass
        check_forecasts(world.log, LINE, 0, *world.good)
        return check_changes(world.log, world.registry) + Counter(deaths=mortality.deaths)


def test_any_interleaving_of_bars_swaps_and_deaths(tmp_path: Path) -> None:
    total: Counter[str] = Counter()
    for seed in range(INTERLEAVINGS):
        print(f"seed {seed}", end=" ")
        total += interleaved(tmp_path / str(seed), seed)
    print(dict(total))
    assert all(total[cause] for cause in ("command", "refused", "rollback", "demoted"))
    assert total["deaths"] > 3 * INTERLEAVINGS


def torment(folder: Path, kills: int) -> None:
    with closing(Torment(folder, SEED)) as world:
        world.good.append(artifact(1))
        promoted(world.registry, world.good[0])
        world.start()
        world.wait_ready()  # from here on the line has begun
        while world.kills < kills:
            world.strike()
        world.finish()
        check_forecasts(world.log, LINE, 0, *world.good)
        changes = check_changes(world.log, world.registry)
        for model_id in world.registry.aliases().values():
            assert world.registry.manifest(model_id).model_id == model_id
        for path in folder.glob("*.txt"):
            assert "Traceback" not in path.read_text(), path.read_text()
        bars = world.log.bounds(LINE.bars_stream)[1]
        print(f"seed {SEED}: {world.kills} kills, {bars} events, {dict(changes)}, {dict(world.done)}")
        assert changes["command"] > kills // 10  # on a busy machine many are promoted before the last one is ready


def check_changes(log: Log, registry: Registry) -> Counter[str]:
    """A change of model is told right before a forecast, a refusal once for each time it was asked."""
    events = log.read(LINE.forecasts_stream, 0, ALL).events
    found: Counter[str] = Counter()
    for k, event in enumerate(events):
        if isinstance(event, ModelChange):
            found[event.cause] += 1
            following = next(one for one in events[k:] if not isinstance(one, ModelChange))
            assert isinstance(following, Forecast)
            assert (following.bar_offset, following.close_time) == (event.bar_offset, event.event_time)
    asked = Counter(one.model_id for one in registry.history(POOLED))
    refused = Counter(one.new for one in events if isinstance(one, ModelChange) and one.cause == "refused")
    assert all(
        count <= asked[one] for one, count in refused.items()
    )  # a rollback may lead back to one that was refused
    return found


@pytest.mark.timeout(300)
def test_a_few_kills_while_models_are_swapped(tmp_path: Path) -> None:
    """The small one for every day."""
    torment(tmp_path, 8)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_many_kills_while_models_are_swapped(tmp_path: Path) -> None:
    torment(tmp_path, KILLS)
