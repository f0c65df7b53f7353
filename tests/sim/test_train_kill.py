"""`kill -9` while models are trained, exported, promoted and rolled back: nothing half, nothing lost, nothing twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.learn.test_train import SEARCH, SPEC
from tests.sim.train_process import ALIAS

from quantlytic.learn.registry.registry import Registry
from quantlytic.learn.registry.runtime import ServedModel
from quantlytic.learn.training.journal import Journal
from quantlytic.research.data.demo import demo_bars
from quantlytic.store.barwriter import write_bars
from quantlytic.store.control import open_control

FAST_KILLS = 3
SLOW_KILLS = int(os.environ.get("TRAIN_KILLS", "100"))
SEARCHED = SPEC.replace('name = "trend"', 'name = "trend"\nseed = 1') + SEARCH
PLAIN = SPEC.replace('name = "trend"', 'name = "trend"\nseed = 2').replace("[model]", "[model]\nparams = {c = 0.01}")


class Trainer:
    """The process, and its children."""

    def __init__(self, folder: Path) -> None:
        environment = os.environ | {"QUANTLYTIC_HOME": str(folder / "home"), "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.sim.train_process", str(folder)], env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        assert self._read() == "ready"

    def work(self, kill_after_s: float | None = None) -> bool:
        """Whether all was done; the child is killed after so long."""
        assert self._process.stdin is not None
        self._process.stdin.write("on\n")
        self._process.stdin.flush()
        child = int(self._read())
        if kill_after_s is not None:
            time.sleep(kill_after_s)
            os.kill(child, signal.SIGKILL)  # while its parent waits for it, it is there, if only as a zombie
        ended = self._read()
        assert ended in ("done", "killed"), ended
        return ended == "done"

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def trainer(folder: Path) -> Iterator[Trainer]:
    folder.mkdir()
    bars = demo_bars(250, seed=3)
    write_bars(folder / "bars.parquet", bars.array, bars.instruments)
    (folder / "a.toml").write_text(SEARCHED)
    (folder / "b.toml").write_text(PLAIN)
    process = Trainer(folder)
    try:
        yield process
    finally:
        process.close()


def check(folder: Path) -> dict[int, object]:
    """What must be true at any instant; returns the trials that are finished."""
    if not (folder / "home" / "lake").exists():
        return {}
    registry = Registry(folder / "home" / "lake")
    models, damaged = registry.list()
    assert damaged == []
    for one in models:
        ServedModel(registry.get(one.model_id)).golden()
    for alias, model_id in registry.aliases().items():
        assert alias == ALIAS
        assert model_id in {one.model_id for one in models}
    for page in folder.glob("home/trained/*/report.html"):
        assert page.read_text().rstrip().endswith("</html>")
    journals = list(folder.glob("home/tuning/*.jsonl"))
    return dict(Journal(journals[0]).finished) if journals else {}


def final(folder: Path) -> tuple[list[str], list[tuple[str, str]], dict[int, object]]:
    """Models, what the alias meant and why, and the trials: as they are when all is done."""
    finished = check(folder)
    registry = Registry(folder / "home" / "lake")
    (journal,) = folder.glob("home/tuning/*.jsonl")
    lines = [line for line in journal.read_bytes().split(b"\n") if line]
    assert len(lines) == len(finished), "a trial that was finished was computed again"
    with open_control(folder / "home") as control:
        data = registry.list()[0][0].data.sha256
        assert len(control.trials.list(data)) == len(finished)
    models = sorted(one.model_id for one in registry.list()[0])
    return models, [(one.model_id, one.cause) for one in registry.history(ALIAS)], finished


def kill_and_go_on(tmp_path: Path, kills: int, seed: int) -> None:
    print(f"seed {seed}")
    instants = random.Random(seed)
    with trainer(tmp_path / "whole") as undisturbed:
        begun = time.monotonic()
        assert undisturbed.work()
        seconds = time.monotonic() - begun
    expected = final(tmp_path / "whole")
    assert [cause for _, cause in expected[1]] == ["promotion", "promotion", "rollback"]
    assert expected[1][0][0] == expected[1][2][0] != expected[1][1][0]
    done, number, ended = 0, 0, True
    while done < kills:
        folder = tmp_path / f"cut{number}"
        number += 1
        with trainer(folder) as process:
            ended, known = False, check(folder)
            while not ended and done < kills:
                ended = process.work(instants.uniform(0.0, 0.7 * seconds))
                done += not ended
                found = check(folder)
                assert known.items() <= found.items(), "a finished trial was lost"
                known = found
            assert ended or process.work()
        assert final(folder) == expected


def test_killed_at_any_instant(tmp_path: Path) -> None:
    kill_and_go_on(tmp_path, FAST_KILLS, 20261121)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_killed_a_hundred_times(tmp_path: Path) -> None:
    kill_and_go_on(tmp_path, SLOW_KILLS, 7)
