"""The whole line as processes that can be killed: start, kill, replace, and end cleanly."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from tests.ports import free_port

from quantlytic.model.bar import Bar
from quantlytic.model.barsclosed import BarsClosed
from quantlytic.model.equity import Equity
from quantlytic.model.order import Order, OrderCancel
from quantlytic.store.control import open_control
from quantlytic.store.log import open_log
from quantlytic.store.log.port import Log

SERVICES = ("recorder", "barmaker", "executor", "strategist", "notifier", "archiver")  # what a paper run needs
FENCED, UNREACHABLE = 4, 5  # exit codes: replaced by a newer one; the exchange was away too long at the start
END_S = 120.0
BUSY = """
import quantlytic.app.wiring.services as services
from quantlytic.app.cli import main
services.ARCHIVE_EVERY_S = 0.5
main()
"""  # the command line, with an archiver that files all the time: else it would hardly ever be killed at it


class Line:
    """One home, one exchange, and processes by name. `up` is the whole line in one; others are `quantlytic run NAME`."""

    def __init__(self, folder: Path, *, bar: str = "200ms") -> None:
        self.folder, self.home = folder, folder / "home"
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        settings = {
            "HOME": str(self.home),
            "VENUE__BOX_PORT": str(self.port),
            "WEB__PORT": "0",
            "STRATEGY__BAR": bar,
            "STRATEGY__PARAMS": '{"fast": 2, "slow": 5, "weight": 0.3}',
            "NOTIFY__PER_HOUR": "1000000",  # on a slow machine a test makes more bars, and more signals
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("QUANTLYTIC_")}
        self.environment = inherited | {f"QUANTLYTIC_{name}": value for name, value in settings.items()}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.started_s: dict[str, float] = {}
        self.starts: Counter[str] = Counter()

    @property
    def rest_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextlib.contextmanager
    def log(self) -> Iterator[Log]:
        handle = open_log("sqlite", folder=self.home / "log")
        try:
            yield handle
        finally:
            handle.close()

    # ---- processes

    def start(self, name: str, *options: str) -> None:
        """Start a process; what it prints goes to a file of its own."""
        self.starts[name] += 1
        command = ["-c", BUSY, *(["up"] if name == "up" else ["run", name]), *options]
        with self.output(name).open("wb") as output:
            self.processes[name] = subprocess.Popen(
                [sys.executable, *command],
                env=self.environment, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self.started_s[name] = time.monotonic()

    def output(self, name: str) -> Path:
        """What the newest process of that name has printed."""
        return self.folder / f"{name}-{self.starts[name]}.txt"

    def is_ready(self, name: str) -> bool:
        """Whether it has said that it runs."""
        mark = {"up": b"page:", "exchange": b"exchange at"}.get(name, f"{name} runs".encode())
        return mark in self.output(name).read_bytes()

    def wait_ready(self, name: str, timeout_s: float = END_S) -> None:
        ends_s = time.monotonic() + timeout_s
        while not self.is_ready(name):
            assert self.processes[name].poll() is None, self.complaint(name)
            assert time.monotonic() < ends_s, f"{name} was not ready within {timeout_s:g} s"
            time.sleep(0.05)

    def wait_growth(self, prefix: str, since: int, timeout_s: float = END_S) -> None:
        """Until a stream of that kind holds more events than `since`."""
        ends_s = time.monotonic() + timeout_s
        while self.end_of(prefix) <= since:
            for name, process in self.processes.items():
                assert process.poll() is None, self.complaint(name)
            assert time.monotonic() < ends_s, f"{prefix} did not grow within {timeout_s:g} s"
            time.sleep(0.05)

    def end_of(self, prefix: str) -> int:
        """How many events the streams of that kind have held."""
        with self.log() as log:
            return sum(log.bounds(stream)[1] for stream in log.streams(prefix))

    def kill(self, name: str) -> bool:
        """SIGKILL; false when it was not alive any more."""
        process = self.processes[name]
        if process.poll() is not None:
            return False
        process.send_signal(signal.SIGKILL)
        process.wait(END_S)
        return True

    def stop(self, name: str) -> str:
        """SIGTERM; it must end by itself, without complaint. Returns what it printed."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        code = process.wait(END_S)
        text = self.output(name).read_text()
        assert code == 0, f"{name} ended with {code}: {text}"
        assert "quantlytic: " not in text, text
        return text

    def complaint(self, name: str) -> str:
        return f"{name} ended with {self.processes[name].poll()}: {self.output(name).read_text()}"

    def check_no_traces(self) -> None:
        """No process, killed or not, has printed a stack trace."""
        for path in self.folder.glob("*.txt"):
            assert "Traceback" not in path.read_text(), f"{path.name}: {path.read_text()}"

    def command(self, *arguments: str, expect: int = 0) -> str:
        """Run a command to its end and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "quantlytic", *arguments],
            env=self.environment, cwd=self.folder, capture_output=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == expect, f"{arguments}: {done.returncode}: {done.stderr.decode()}"
        assert b"Traceback" not in done.stderr
        return done.stdout.decode()

    def close(self) -> None:
        """Leave nothing behind."""
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
            process.wait()

    # ---- ends

    def settle(self) -> None:
        """Wait until every bar is executed and decided on, and every order answered. The barmaker must be stopped."""
        ends_s = time.monotonic() + END_S
        quiet = 0
        with self.log() as log:
            while quiet < 3:
                behind = self._behind(log)
                quiet = 0 if behind else quiet + 1
                assert time.monotonic() < ends_s, f"the line does not settle: {behind}"
                for name in self.processes:
                    assert self.processes[name].poll() is None, self.complaint(name)
                time.sleep(0.1)

    def _behind(self, log: Log) -> list[str]:
        """What executor and strategist have still to answer. (What needs no answer is committed with the next that does.)"""
        found = []
        with open_control(self.home) as control:  # one whose strategy is still being compiled has no stream yet
            runs = [run.run_id for run in control.runs.list("paper")]
        for run in runs:
            for name, stream in (
                (f"executor.{run}", "bars.box"),
                (f"executor.{run}", f"decisions.{run}"),
                (f"strategist.{run}", f"executions.{run}"),
            ):
                left = log.read(stream, log.committed(name).get(stream, 0)).events
                marks = (BarsClosed,) if stream.startswith("executions.") else ()  # most among the bars need no answer
                if any(isinstance(event, (Bar, Order, OrderCancel, Equity, *marks)) for event in left):
                    found.append(f"{name} has not read {stream}")
        return found


class Killer:
    """Chooses whom to kill, and when, by a seed. The machine's own timing is not seeded: the choices are."""

    WEIGHTS: ClassVar = {
        "recorder": 4,
        "barmaker": 4,
        "executor": 4,
        "strategist": 4,
        "notifier": 4,
        "archiver": 4,
        "exchange": 1,
    }
    WATCHED: ClassVar = {
        "recorder": ("raw.", "market."),
        "barmaker": ("market.", "bars."),
        "executor": ("bars.", "decisions.", "executions."),
        "strategist": ("executions.", "decisions."),
        "notifier": ("decisions.", "deliveries"),
        "exchange": ("raw.",),
    }

    def __init__(self, line: Line, seed: int) -> None:
        self.line, self.source = line, random.Random(seed)
        self.kills: Counter[str] = Counter()
        self.moods: Counter[str] = Counter()
        self.given_up: Counter[str] = Counter()

    @property
    def total(self) -> int:
        return sum(self.kills.values())

    def run(self, kills: int) -> None:
        """Kill that often, restarting each at once. Ends with all processes ready."""
        with self.line.log() as log:
            while self.total < kills:
                self._revive()
                self._strike(log)
                self._revive()
        ends_s = time.monotonic() + END_S
        while not all(self.line.is_ready(name) for name in ("exchange", *SERVICES)) and time.monotonic() < ends_s:
            time.sleep(0.1)
            self._revive()  # one may have given up, when the exchange was away while it started

    def _strike(self, log: Log) -> None:
        source = self.source
        mood = source.choices(("commit", "any", "start-up", "several", "all", "takeover"), (8, 4, 4, 1.5, 0.5, 1))[0]
        victims = [self._pick(mood)]
        if mood == "start-up":
            newest = max(self.line.started_s, key=lambda name: self.line.started_s[name])
            victims = [newest]
            time.sleep(source.uniform(0, 1.5))
        elif mood == "all":
            victims = list(self.WEIGHTS)
        elif mood == "several":
            victims = source.sample(list(self.WEIGHTS), source.randrange(2, 5))
        if mood in ("several", "all", "any"):
            time.sleep(source.uniform(0.02, 0.6))
        elif mood == "commit":
            self._await_commit(log, victims[0])
        elif mood == "takeover":
            return self._take_over(victims[0])
        for name in victims:
            self.kills[name] += self.line.kill(name)
        self.moods[mood] += 1
        return None

    def _pick(self, mood: str) -> str:
        """Anybody; for a kill at work somebody who works."""
        names = list(self.WEIGHTS)
        while mood == "commit" and not (names := [name for name in self.WEIGHTS if self.line.is_ready(name)]):
            time.sleep(0.05)
            names = list(self.WEIGHTS)
        return self.source.choices(names, [self.WEIGHTS[name] for name in names])[0]

    def _await_ready(self, name: str) -> None:
        ends_s = time.monotonic() + 5
        while not self.line.is_ready(name) and time.monotonic() < ends_s:
            time.sleep(0.02)

    def _await_commit(self, log: Log, name: str) -> None:
        """Until just after something happened that the victim writes, or is about to work on."""
        if name == "archiver":
            return self._await_filing()
        streams = [stream for prefix in self.WATCHED[name] for stream in log.streams(prefix)]
        if streams:
            stream = self.source.choice(streams)
            log.wait({stream: log.bounds(stream)[1]}, 1.5)
        time.sleep(self.source.choice((0.0, 0.0005, 0.002, 0.01)))
        return None

    def _await_filing(self) -> None:
        """Until the archiver has just begun to file: then it is busy for a while."""
        lake = self.line.home / "lake"
        before, ends_s = _newest(lake), time.monotonic() + 6
        while _newest(lake) == before and time.monotonic() < ends_s:
            time.sleep(0.005)
        time.sleep(self.source.uniform(0, 0.15))

    def _take_over(self, name: str) -> None:
        """Start a second one beside the first: the first must step down, with one line and its exit code."""
        if name == "exchange":
            return
        self._await_ready(name)
        first, printed = self.line.processes[name], self.line.output(name)
        self.line.start(name, "--take-over")
        self._await_ready(name)
        try:
            code = first.wait(8)
        except subprocess.TimeoutExpired:  # it has had nothing to commit: then it does no harm
            first.kill()
            first.wait()
            self.kills[name] += 1
        else:
            text = printed.read_text()
            assert code in (FENCED, UNREACHABLE), f"{name} ended with {code}: {text}"
            self.moods["takeover"] += 1

    def _revive(self) -> None:
        """Start whoever is not there. Nobody may have ended but by being killed."""
        for name in ("exchange", *SERVICES):
            process = self.line.processes.get(name)
            code = None if process is None else process.poll()
            if process is not None and code is None:
                continue
            if code == UNREACHABLE and self.kills["exchange"]:
                self.given_up[name] += 1
            else:
                assert code in (None, -signal.SIGKILL), self.line.complaint(name)
            self.line.start(name)


def _newest(folder: Path) -> Any:
    """The newest change below the lake's folders."""
    newest = 0
    for pattern in ("raw/*/*", "tables/*/_delta_log", "progress"):
        for path in folder.glob(pattern):
            with contextlib.suppress(FileNotFoundError):
                newest = max(newest, path.stat().st_mtime_ns)
    return newest
