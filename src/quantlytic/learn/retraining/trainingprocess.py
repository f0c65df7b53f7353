"""One training, in a process of its own that gives way to everything else."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import msgspec

from quantlytic.learn.retraining.traininglock import Holder, TrainingLock, birth, end_group
from quantlytic.learn.training.spec import TrainSpec, read_spec
from quantlytic.model.errors import InputError, MismatchError, QuantlyticError, StoreError
from quantlytic.model.time import NS_PER_S, duration_text

NICE = 10
LIMIT_S = 6 * 3600.0
_STOP_S = 5.0
_GATE = ("/bin/sh", "-c", 'read -r go && exec "$@" </dev/null', "sh")
"""Before the command, in its process: waits for a line on its standard input. One whose trainer dies before it said who has the
lock ends with it."""
_LASTING = (InputError.exit_code, MismatchError.exit_code)
_THREADS = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS",
    "POLARS_MAX_THREADS", "RAYON_NUM_THREADS", "TOKIO_WORKER_THREADS",
)  # fmt: skip


class TrainingFailed(QuantlyticError):
    """A training ended without its models; the message is one line. `lasting`: with the same spec the next one would end
    alike."""

    def __init__(self, message: str, *, lasting: bool = False) -> None:
        super().__init__(message)
        self.lasting = lasting


class Made(msgspec.Struct, frozen=True):
    """A model that a training put into the registry; `line` is "NAME/INSTRUMENT" or "NAME/pooled". Not `kept`, it is not there,
    and `why_not` says why."""

    model_id: str
    line: str
    kept: bool = True
    why_not: str = ""


class TrainingProcess:
    """`quantlytic train SPEC --json`, niced, with one thread, its answer and its words in files of `home`/training/.

    While it runs it holds the lock of that folder: of one home there is one training at a time, whoever asks. The lock is the
    process's own: when its trainer is killed, the training goes on to its end, and the next trainer finds what it made under
    the same `line` and `number`. So nothing is trained twice because somebody died. `limit_s`: how long it may take; one that
    takes longer is ended by its trainer, or, where that is dead, by whoever waits for it. `command`: what is run instead
    (tests).
    """

    def __init__(
        self,
        spec: Path,
        home: Path,
        line: str,
        number: int,
        *,
        command: Sequence[str] | None = None,
        nice: int = NICE,
        limit_s: float = LIMIT_S,
    ) -> None:
        self._spec, self._line, self._nice, self._limit_s = spec, line, nice, limit_s
        name = f"{line}.{number}"
        self._command = command or (sys.executable, "-m", "quantlytic", "train", str(spec), "--json")
        self._home, self._folder = home, home / "training"
        self._answer, self._words = self._folder / f"{name}.json", self._folder / f"{name}.err"
        self._lock = TrainingLock(self._folder / "lock")
        self._process: subprocess.Popen[bytes] | None = None
        self._began_s = 0.0
        self.waits_for = ""

    def begin(self) -> bool:
        """Start it, unless it is done already (by one whose trainer died). False: another training is going on, which
        `waits_for` names; ask again.

        Raises InputError for a spec that cannot be, and StoreError when nothing can be written.
        """
        lock = self._lock.take()
        if lock is None:
            self._wait()
            return False
        self.waits_for = ""
        try:
            spec = read_spec(self._spec)
            if spec.name != self._line:
                raise InputError(f"{self._spec} trains {spec.name!r}, not the line {self._line!r}: give it that name")
            if self._has_all(spec):
                return True
            with self._answer.open("wb") as answer, self._words.open("wb") as words:
                self._process = self._spawn(lock, answer, words)
            self._began_s = time.monotonic()
            self._let_go(self._process, lock)
        except OSError as error:
            self.stop()
            raise StoreError(f"no training can be started in {self._folder}: {error.strerror}") from None
        finally:
            os.close(lock)  # the process has it now
        return True

    @property
    def is_running(self) -> bool:
        """Whether there is something to wait for."""
        return self._process is not None and self._process.poll() is None

    def check_time(self) -> None:
        """End it, and raise TrainingFailed, when it has taken longer than it may."""
        if self.is_running and time.monotonic() - self._began_s > self._limit_s:
            self.stop()
            limit = duration_text(max(round(self._limit_s), 1) * NS_PER_S)
            raise TrainingFailed(
                f"it took longer than its limit of {limit} and was ended; the trials it finished are kept, and the next one goes "
                "on from there: ask for fewer trials, or raise the limit",
                lasting=True,
            )

    @property
    def pid(self) -> int:
        """Of the process; 0 when none was started."""
        return self._process.pid if self._process else 0

    def made(self) -> list[Made]:
        """What it made, once it is not running any more. TrainingFailed, saying in one line why, when it did not end well."""
        code = self._process.returncode if self._process else 0
        if code:
            raise TrainingFailed(self._why(code), lasting=code in _LASTING)
        try:
            found = self._lines()
        except msgspec.MsgspecError as error:
            raise TrainingFailed(f"its answer cannot be read: {error}") from None
        if not found:
            raise TrainingFailed("it made no model")
        if lost := [one for one in found if not one.kept]:
            raise TrainingFailed(f"its model cannot be served: {lost[0].why_not}", lasting=True)
        return found

    def stop(self) -> None:
        """End it and all it began, if it runs: what it has tried so far it will not try again."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_S)
        end_group(process.pid)
        process.wait()

    def forget(self) -> None:
        """Remove its files."""
        for path in (self._answer, self._words):
            path.unlink(missing_ok=True)

    def _wait(self) -> None:
        """Find out for whom; end one whose time has long been over."""
        holder = self._lock.holder()
        self.waits_for = "another training" if holder is None else holder.words
        if holder is not None and holder.is_overdue(time.monotonic()) and holder.end():
            self.waits_for += ", which was over its time and has been ended"

    def _spawn(self, lock: int, answer: IO[Any], words: IO[Any]) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            (*_GATE, *self._command), stdin=subprocess.PIPE, stdout=answer, stderr=words, pass_fds=(lock,),
            env=self._environment(os.environ), start_new_session=True,
        )  # fmt: skip
        with contextlib.suppress(OSError):  # over already
            give_way(process.pid, self._nice)
        if (score := Path(f"/proc/{process.pid}/oom_score_adj")).exists():
            with contextlib.suppress(OSError):  # when memory is short this one goes, and not who forecasts
                score.write_text("800")
        return process

    def _let_go(self, process: subprocess.Popen[bytes], lock: int) -> None:
        """Say that it has the lock, then let it begin."""
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError), process.stdin as gate:  # over already: its code says why
            until_s = self._began_s + self._limit_s
            self._lock.note(lock, Holder(self._line, process.pid, birth(process.pid), time.time_ns(), until_s))
            gate.write(b"\n")

    def _environment(self, given: Mapping[str, str]) -> dict[str, str]:
        return {**given, "QUANTLYTIC_HOME": str(self._home.absolute()), **dict.fromkeys(_THREADS, "1")}

    def _has_all(self, spec: TrainSpec) -> bool:
        """Whether the answer of an earlier process is there, and whole. Of a file's unnamed symbols nobody knows how many."""
        expected = 1 if spec.data.pooled else len(spec.data.symbols)
        try:
            return expected > 0 and len(self._lines()) >= expected
        except (msgspec.MsgspecError, OSError):
            return False

    def _lines(self) -> list[Made]:
        if not self._answer.exists():
            return []
        whole = self._answer.read_bytes().rpartition(b"\n")[0]
        return [msgspec.json.decode(line, type=Made) for line in whole.splitlines() if line.strip()]

    def _why(self, code: int) -> str:
        if code < 0:
            return f"it was ended by {signal.Signals(-code).name}"
        lines = self._words.read_text("utf-8", "replace").strip().splitlines() if self._words.exists() else []
        return " ".join(lines[-1].split())[:300] if lines else f"it ended with code {code} and without a word"


def give_way(pid: int, nice: int = NICE) -> None:
    """Make a process `nice`, and on Linux have it run where and when a processor has nothing else to do, and on the upper half of
    them alone: on the others its traces are in nobody's cache. What it costs those beside it all the same: docs/benchmarks.md.
    OSError where it is over."""
    os.setpriority(os.PRIO_PROCESS, pid, min(os.getpriority(os.PRIO_PROCESS, 0) + nice, 19))
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))
        processors = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(pid, processors[len(processors) // 2 :])
