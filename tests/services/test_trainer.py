"""The trainer: trains for a reason, once, in a process that gives way, and lives through all that can happen to it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.learn.artifacts import small_artifact
from tests.learn.forecasts import forecasts_of
from tests.learn.made import made_bars

from quantlytic.learn.registry.registry import Registry
from quantlytic.learn.retraining.trainingprocess import TrainingProcess
from quantlytic.learn.retraining.trainingreasons import Triggers
from quantlytic.model.errors import InputError, StoreError
from quantlytic.model.forecast import ModelChange
from quantlytic.model.time import NS_PER_S
from quantlytic.services.trainer import Trainer
from quantlytic.store.barwriter import write_bars
from quantlytic.store.log import open_log
from quantlytic.store.log.port import Log

SPEC = """
name = "trend"
[data]
source = "bars.parquet"
[[features]]
name = "x0"
kind = "return"
params = {bars = 1}
[model]
kind = "logistic"
"""
HOUR_NS = 3600 * NS_PER_S
HOURLY = Triggers(every_ns=HOUR_NS, loss_delta=0.0, max_drift=0.0)


class World:
    """A log, a registry with models in it, and commands that pretend to train them."""

    def __init__(self, folder: Path, log: Log) -> None:
        self.folder, self.log, self.now_ns, self.now_s = folder, log, 1_700_000_000 * NS_PER_S, 1000.0
        self.registry = Registry(folder / "lake")
        self.models = [self.registry.put(small_artifact(seed)) for seed in (1, 2, 3)]
        self.spec = folder / "spec.toml"
        self.spec.write_text(SPEC)
        self.fed = 0

    def command(self, body: str = "", model: int = 0, code: int = 0) -> list[str]:
        """Notes that it ran, does `body`, answers with a model."""
        answer = json.dumps({"model_id": self.models[model], "line": "trend/pooled", "rows": 5})
        script = (
            f"import os, sys, time\nopen({str(self.folder / 'ran')!r}, 'a').write('x')\n"
            f"{textwrap.dedent(body)}\nprint({answer!r}, flush=True)\nsys.exit({code})\n"
        )
        return [sys.executable, "-c", script]

    def trainer(self, triggers: Triggers, command: list[str], **options: Any) -> Trainer:
        return Trainer(
            self.log, "trend", self.spec, self.folder, self.registry, triggers, command=command,
            now_ns=lambda: self.now_ns, timer_s=lambda: self.now_s, **options,
        )  # fmt: skip

    def feed(self, bars: int, model_id: str = "", drift: float = 0.01, value: float = 0.6) -> None:
        made = made_bars(bars, "box:A", seed=self.fed, first=self.fed)
        self.fed += bars
        writer = self.log.writer("predictor.trend")
        writer.commit({"forecasts.trend": list(forecasts_of(made, np.full(bars, value), model_id, drift=drift))})
        writer.close()

    @property
    def ran(self) -> int:
        """How many trainings were begun."""
        path = self.folder / "ran"
        return len(path.read_text()) if path.exists() else 0

    @property
    def words(self) -> list[ModelChange]:
        return [one for one in self.log.read("shadows.trend", 0).events if isinstance(one, ModelChange)]

    @property
    def challenger(self) -> str | None:
        return self.registry.alias("trend/pooled/challenger")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    log = open_log("sqlite", folder=tmp_path / "log")
    yield World(tmp_path, log)
    log.close()


def until(trainer: Trainer, what: Callable[[], bool], seconds: float = 20.0) -> None:
    """Pump until something is so."""
    end = time.monotonic() + seconds
    while not what():
        trainer.pump()
        assert time.monotonic() < end, f"it did not come to pass: {trainer.last_failure}"
        time.sleep(0.01)


def test_by_schedule_it_trains_at_once_and_then_when_the_time_is_over(world: World) -> None:
    trainer = world.trainer(Triggers(every_ns=24 * HOUR_NS, loss_delta=0.0, max_drift=0.0), world.command())
    until(trainer, lambda: world.challenger == world.models[0])
    assert [(one.cause, one.old, one.new) for one in world.words] == [("trained", "", world.models[0])]
    assert world.words[0].reason == "schedule: the first; out of sample: auc 0.5"
    for _ in range(5):
        trainer.pump()
    assert world.ran == 1
    world.now_ns += 24 * HOUR_NS
    until(trainer, lambda: len(world.words) == 2)
    assert world.ran == 2
    assert "schedule: every 1d" in world.words[1].reason
    assert "the challenger again" in world.words[1].reason
    assert not list((world.folder / "training").glob("*.json")), "what is done leaves nothing behind"


def test_new_data_are_counted_from_the_training_before(world: World) -> None:
    trainer = world.trainer(Triggers(new_bars=50, loss_delta=0.0, max_drift=0.0), world.command())
    world.feed(49)
    trainer.pump()
    assert world.ran == 0
    world.feed(1)
    until(trainer, lambda: len(world.words) == 1)
    assert "new data: 50 bars" in world.words[0].reason
    world.feed(49)
    trainer.pump()
    assert world.ran == 1


def test_features_that_drifted_are_a_reason_once_for_each_champion(world: World) -> None:
    trainer = world.trainer(Triggers(loss_delta=0.0), world.command(model=1))
    world.feed(10, world.models[0], drift=0.2)
    trainer.pump()
    assert world.ran == 0
    world.feed(10, world.models[0], drift=0.3)
    until(trainer, lambda: len(world.words) == 1)
    assert f"PSI 0.3 above 0.25 under champion {world.models[0][:12]}" in world.words[0].reason
    world.feed(10, world.models[0], drift=0.9)
    for _ in range(5):
        trainer.pump()
    assert world.ran == 1
    world.feed(10, world.models[1], drift=0.3)
    until(trainer, lambda: len(world.words) == 2)


def test_a_loss_that_rises_is_a_reason_and_a_restart_changes_nothing(world: World) -> None:
    triggers = Triggers(max_drift=0.0)
    made = made_bars(1_200, "box:A", seed=5)
    ahead = np.sign(np.append(np.diff(made.array["close"]), 1.0))
    knows = np.where(np.arange(1_200) < 600, 0.5 + 0.3 * ahead, 0.5 - 0.3 * ahead)
    events = list(forecasts_of(made, knows, world.models[0]))
    trainer = world.trainer(triggers, world.command(model=1))
    found = []
    for k, event in enumerate(events):
        writer = world.log.writer("predictor.trend")
        writer.commit({"forecasts.trend": [event]})
        writer.close()
        trainer.pump()
        if k % 200 == 150:  # as after a kill: what was not committed is read again
            trainer = world.trainer(triggers, world.command(model=1))
        if trainer._asked and not found:
            found.append(k)
            break
    assert found, "the loss went from 0.04 to 0.64"
    assert 600 < found[0] < 750
    until(trainer, lambda: len(world.words) == 1)
    assert f"loss of champion {world.models[0][:12]}: its loss rose from 0.04" in world.words[0].reason


def test_it_gives_way_and_has_one_thread(world: World) -> None:
    body = f"""
        with open({str(world.folder / "seen")!r}, "w") as file:
            time.sleep(0.5)  # until it was made nice
            file.write(f"{{os.nice(0)}} {{os.environ['OMP_NUM_THREADS']}} {{os.environ['QUANTLYTIC_HOME']}}")
        if hasattr(os, "SCHED_IDLE"):
            assert os.sched_getscheduler(0) == os.SCHED_IDLE
            assert len(os.sched_getaffinity(0)) == {(len(os.sched_getaffinity(0)) + 1) // 2}
        if os.path.exists("/proc/self/oom_score_adj"):
            assert open("/proc/self/oom_score_adj").read().strip() == "800"
    """
    trainer = world.trainer(HOURLY, world.command(body))
    until(trainer, lambda: len(world.words) == 1)
    nice, threads, home = (world.folder / "seen").read_text().split()
    assert (int(nice), threads, home) == (min(os.nice(0) + 10, 19), "1", str(world.folder))


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ("print('quantlytic: the lake is empty', file=sys.stderr)", 3, "quantlytic: the lake is empty"),
        ("raise RuntimeError('boom')", 0, "RuntimeError: boom"),
        ("os.kill(os.getpid(), 9)", 0, "ended by SIGKILL"),
        ("print('cannot be written: No space left on device', file=sys.stderr)", 4, "No space left on device"),
        ("sys.exit(0)", 0, "it made no model"),
        ("print('nonsense')", 0, "its answer cannot be read"),
    ],
)
def test_a_training_that_fails_is_told_in_one_line_and_tried_again_ever_later(
    world: World, body: str, code: int, words: str
) -> None:
    trainer = world.trainer(HOURLY, world.command(body, code=code))
    until(trainer, lambda: len(world.words) == 1)
    assert [one.cause for one in world.words] == ["failed"]
    assert words in world.words[0].reason
    assert "\n" not in world.words[0].reason
    assert world.words[0].reason == trainer.last_failure
    assert "tried again in 1 min" in trainer.last_failure
    assert world.challenger is None
    for _ in range(3):
        trainer.pump()
    assert world.ran == 1, "not before its time"
    world.now_s += 61.0
    until(trainer, lambda: len(world.words) == 2)
    assert "tried again in 2 min" in trainer.last_failure
    world.now_s += 121.0
    trainer._command = world.command()
    until(trainer, lambda: world.challenger == world.models[0])
    assert trainer.last_failure == ""
    assert world.ran == 3


@pytest.mark.parametrize(
    ("right", "wrong", "words"), [("logistic", "logstic", "logistic"), ('"trend"', '"trent"', "not the line 'trend'")]
)
def test_a_spec_that_cannot_be_is_told_and_starts_nothing(world: World, right: str, wrong: str, words: str) -> None:
    world.spec.write_text(SPEC.replace(right, wrong))
    trainer = world.trainer(HOURLY, world.command())
    until(trainer, lambda: len(world.words) == 1)
    assert words in world.words[0].reason
    assert world.ran == 0


def test_a_registry_that_is_away_is_waited_for_and_nothing_is_trained_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise StoreError("the bucket does not answer")

    trainer = world.trainer(HOURLY, world.command())
    with monkeypatch.context() as patch:
        patch.setattr(Registry, "manifest", away)
        until(trainer, lambda: trainer.last_failure == "the bucket does not answer")
    world.now_s += 61.0
    until(trainer, lambda: world.challenger == world.models[0])
    assert world.ran == 1
    assert [one.cause for one in world.words] == ["trained"]


def test_a_trainer_that_dies_leaves_its_training_to_the_next_one(world: World) -> None:
    triggers = HOURLY
    trainer = world.trainer(triggers, world.command("time.sleep(1.0)"))
    until(trainer, lambda: trainer.pid > 0)
    # it dies here, as by kill -9: nothing is closed, the process goes on
    again = world.trainer(triggers, world.command())
    again.pump()
    assert (
        "another training is going on: this one waits for the training of line 'trend' (process" in again.last_failure
    )

    def is_done() -> bool:
        world.now_s += 1.0
        return world.challenger == world.models[0]

    until(again, is_done)
    assert world.ran == 1, "it was not trained twice"
    until(again, lambda: len(world.words) == 1)
    assert trainer._process is not None
    assert not trainer._process.is_running


def test_there_is_one_training_at_a_time(world: World) -> None:
    first = TrainingProcess(world.spec, world.folder, "trend", 1, command=world.command("time.sleep(30)"))
    second = TrainingProcess(world.spec, world.folder, "trend", 2, command=world.command())
    assert first.begin()
    assert not second.begin()
    first.stop()
    assert second.begin()
    while second.is_running:
        time.sleep(0.01)
    assert [one.model_id for one in second.made()] == [world.models[0]]


def test_closing_ends_the_training_and_the_next_trainer_takes_it_up(world: World) -> None:
    triggers = HOURLY
    trainer = world.trainer(triggers, world.command("time.sleep(30)"))
    until(trainer, lambda: trainer.pid > 0)
    pid = trainer.pid
    trainer.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    again = world.trainer(triggers, world.command())
    until(again, lambda: world.challenger == world.models[0])
    assert len(world.words) == 1


def test_a_full_disk_is_told_and_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = world.trainer(HOURLY, world.command())
    commit = type(trainer._writer).commit

    def full(*_: object) -> None:
        raise StoreError("decisions.db: the disk is full")

    monkeypatch.setattr(type(trainer._writer), "commit", full)
    trainer.pump()
    assert trainer.last_failure == "decisions.db: the disk is full"
    assert world.ran == 0, "what is not known to the log is not begun"
    monkeypatch.setattr(type(trainer._writer), "commit", commit)
    world.now_s += 61.0
    until(trainer, lambda: world.challenger == world.models[0])
    assert world.ran == 1


def test_the_same_model_as_the_champion_is_no_challenger(world: World) -> None:
    world.registry.promote(world.models[0], "trend/pooled/champion", "by hand", "me", 1)
    trainer = world.trainer(HOURLY, world.command())
    until(trainer, lambda: len(world.words) == 1)
    assert "give the champion again" in world.words[0].reason
    assert world.challenger is None


def test_a_challenger_made_before_a_crash_is_told_after_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    triggers = HOURLY
    trainer = world.trainer(triggers, world.command())
    until(trainer, lambda: trainer._process is not None)
    commit = type(trainer._writer).commit

    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    monkeypatch.setattr(type(trainer._writer), "commit", killed)
    with pytest.raises(Killed):
        until(trainer, lambda: False)
    monkeypatch.setattr(type(trainer._writer), "commit", commit)
    assert world.challenger == world.models[0]
    assert world.words == []
    again = world.trainer(triggers, world.command())
    until(again, lambda: len(world.words) == 1)
    assert world.words[0].new == world.models[0]
    assert world.ran == 1
    assert len(world.registry.history("trend/pooled/challenger")) == 1


def test_numbers_that_cannot_be_are_refused(world: World) -> None:
    for wrong in (Triggers(every_ns=-1), Triggers(new_bars=-1), Triggers(loss_delta=1.0), Triggers(every_ns=5)):
        with pytest.raises(InputError, match="the trainer"):
            world.trainer(wrong, world.command())


PROCESS = """
import sys
from pathlib import Path
from quantlytic.learn.registry.registry import Registry
from quantlytic.learn.retraining.trainingreasons import Triggers
from quantlytic.services.trainer import Trainer
from quantlytic.store.barwriter import write_bars
from quantlytic.store.log import open_log
folder, command = Path(sys.argv[1]), sys.argv[2:]
log = open_log("sqlite", folder=folder / "log")
trainer = Trainer(log, "trend", folder / "spec.toml", folder, Registry(folder / "lake"),
                  Triggers(new_bars=10, loss_delta=0.0, max_drift=0.0), command=command)
trainer.LOOK_S = 0.02
while True:
    if not trainer.pump():
        trainer.wait(0.02)
"""


def test_killed_at_any_moment_it_trains_once_for_each_reason(world: World) -> None:
    seed = 20261121
    print("seed", seed)
    rng = random.Random(seed)
    command = world.command("time.sleep(0.3)")
    reasons = 0
    for _ in range(int(os.environ.get("TRAINER_KILLS", "4"))):
        process = subprocess.Popen([sys.executable, "-c", PROCESS, str(world.folder), *command])
        time.sleep(0.5 + rng.random() * 1.2)
        if len(world.words) == reasons:  # otherwise two reasons would become one
            world.feed(10)
            reasons += 1
        time.sleep(rng.random() * 0.8)
        process.send_signal(signal.SIGKILL)
        process.wait()
    process = subprocess.Popen([sys.executable, "-c", PROCESS, str(world.folder), *command])
    try:
        end = time.monotonic() + 30
        while len(world.words) < reasons and time.monotonic() < end:
            time.sleep(0.1)
    finally:
        process.kill()
        process.wait()
    assert [one.cause for one in world.words] == ["trained"] * reasons
    assert world.ran == reasons
    assert world.challenger == world.models[0]


def test_the_real_command_makes_the_challenger(world: World) -> None:
    made = made_bars(400, "box:A")
    write_bars(world.folder / "bars.parquet", made.array, made.instruments)
    trainer = Trainer(
        world.log, "trend", world.spec, world.folder, world.registry, HOURLY, now_ns=lambda: world.now_ns
    )  # fmt: skip
    until(trainer, lambda: bool(world.words), 90.0)
    (word,) = world.words
    assert (word.cause, word.old, word.instrument) == ("trained", "", "")
    assert world.challenger == word.new
    manifest = world.registry.manifest(word.new)
    assert (manifest.line, manifest.kind, manifest.data.rows) == ("trend/pooled", "logistic", 398)
    assert "schedule: the first; out of sample: accuracy 0." in word.reason
