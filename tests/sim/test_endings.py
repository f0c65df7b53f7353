"""kill -9 of a run whose strategy raises, is replaced by one that raises as well, and then by one that is mended."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from tests.engine.market import random_bars
from tests.research.paperline import bar_events
from tests.services.swapline import ask, changes
from tests.services.test_ending import faulty

from quantlytic.model.equity import Equity
from quantlytic.model.run import Run
from quantlytic.model.strategychange import NOBODY
from quantlytic.research.runs.beginning import begun_session
from quantlytic.research.runs.parity import check_parity, events_of
from quantlytic.store.log import open_log

ROOT = Path(__file__).parents[2]
READY_S = 120.0
SEED = 7


class World:
    """Bars that come, and the run's process."""

    def __init__(self, folder: Path, run: Run) -> None:
        self.folder, self.run, self.source = folder, run, random.Random(SEED)
        (folder / "run.json").write_bytes(msgspec.json.encode(run))
        self.log = open_log("sqlite", folder=folder / "log")
        self.market, self.bars, self.fed = self.log.writer("barmaker.box"), bar_events(random_bars(3, 4_000, 2)), 0
        self.starts = self.kills = 0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.starts += 1
        with (self.folder / f"run-{self.starts}.txt").open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.sim.run_process", str(self.folder)],
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def until(self, done: Callable[[], bool]) -> None:
        """Bars, until it is so."""
        ends_s = time.monotonic() + READY_S
        while not done():
            assert self.process is not None
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < ends_s, self.said()
            self.market.commit({"bars.box": [self.bars[self.fed % len(self.bars)]]})
            self.fed += 1
            time.sleep(0.005)

    def kill(self) -> None:
        """At once, or a moment later; and start again."""
        assert self.process is not None
        time.sleep(self.source.choice((0.0, 0.001, 0.02)))
        self.process.send_signal(signal.SIGKILL)
        assert self.process.wait(READY_S) == -signal.SIGKILL, self.said()
        self.kills += 1
        self.start()

    def names(self) -> list[str]:
        return [one.new for one in changes(self.log, self.run)]

    def executed(self) -> int:
        return sum(isinstance(event, Equity) for _, event in events_of(self.log, self.run.executions_stream))

    def said(self) -> str:
        return (self.folder / f"run-{self.starts}.txt").read_text()

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.log.close()


@pytest.mark.timeout(300)
def test_kills_while_a_strategy_raises_and_others_take_over(tmp_path: Path) -> None:
    run, code = faulty(tmp_path)
    mended = code.replace("self.weight = [0.3][self.bars]", "pass")
    with closing(World(tmp_path, run)) as world:
        world.start()
        world.until(lambda: world.names() == [NOBODY])
        world.kill()
        before = world.executed()
        world.until(lambda: world.executed() > before + 5)  # the process lives, and the run is marked
        assert "has raised; the run goes on without a strategy" in world.said()
        assert "faulty.py:22: IndexError" in world.said()
        ask(world.log, run, run.strategy, "keep", 1, mended.replace("== 20", "== world"), weight=0.3)
        world.kill()
        world.until(lambda: len(world.names()) == 2)
        assert changes(world.log, run)[-1].refusal
        ask(world.log, run, run.strategy, "close", 2, mended, weight=0.2)
        world.until(lambda: len(world.names()) == 3)
        world.kill()
        before = world.executed()
        world.until(lambda: world.executed() > before + 5)
        assert world.process is not None
        world.process.send_signal(signal.SIGTERM)
        assert world.process.wait(READY_S) == 0, world.said()
        _, _, change = changes(world.log, run)
        assert (change.old, change.new, change.refusal) == (NOBODY, run.strategy, "")
        parity = check_parity(world.log, run, begun_session(run, world.log))
        assert (parity.mismatches, parity.first_mismatch) == (0, None)
        assert parity.bars == world.executed()
        for path in tmp_path.glob("run-*.txt"):
            assert "Traceback" not in path.read_text(), path.read_text()
