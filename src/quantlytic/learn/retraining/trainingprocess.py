"""One training, in a process of its own that gives way to everything else."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import msgspec

from quantlytic.learn.training.spec import TrainSpec, read_spec
from quantlytic.model.errors import InputError, QuantlyticError, StoreError

NICE = 10
_STOP_S = 5.0
_THREADS = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS",
    "POLARS_MAX_THREADS", "RAYON_NUM_THREADS", "TOKIO_WORKER_THREADS",
)  # fmt: skip


class TrainingFailed(QuantlyticError):
    """A training ended without its models; the message is one line."""


class Made(msgspec.Struct, frozen=True):
    """A model that a training put into the registry; `line` is "NAME/INSTRUMENT" or "NAME/pooled"."""

    model_id: str
    line: str


class TrainingProcess:
    """`quantlytic train SPEC --json`, niced, with one thread, its answer and its words in files of `home`/training/.

    While it runs it holds the lock of that folder: of one home there is one training at a time, whoever asks. The lock is the
    process's own: when its trainer is killed, the training goes on to its end, and the next trainer finds what it made under
    the same `line` and `number`. So nothing is trained twice because somebody died. `command`: what is run instead (tests).
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
    ) -> None:
        self._spec, self._line, self._nice = spec, line, nice
        name = f"{line}.{number}"
        self._command = command or (sys.executable, "-m", "quantlytic", "train", str(spec), "--json")
        self._home, self._folder = home, home / "training"
        self._answer, self._words = self._folder / f"{name}.json", self._folder / f"{name}.err"
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self) -> bool:
        """Start it, unless it is done already (by one whose trainer died). False: another training is going on, ask again.

        Raises InputError for a spec that cannot be, and StoreError when nothing can be written.
        """
        lock = self._lock()
        if lock is None:
            return False
        try:
            spec = read_spec(self._spec)
            if spec.name != self._line:
                raise InputError(f"{self._spec} trains {spec.name!r}, not the line {self._line!r}: give it that name")
            if self._has_all(spec):
                return True
            with self._answer.open("wb") as answer, self._words.open("wb") as words:
                self._process = self._spawn(lock, answer, words)
        except OSError as error:
            raise StoreError(f"no training can be started in {self._folder}: {error.strerror}") from None
        finally:
            os.close(lock)  # the process has it now
        return True

    @property
    def is_running(self) -> bool:
        """Whether there is something to wait for."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the process; 0 when none was started."""
        return self._process.pid if self._process else 0

    def made(self) -> list[Made]:
        """What it made, once it is not running any more. TrainingFailed, saying in one line why, when it did not end well."""
        code = self._process.returncode if self._process else 0
        if code:
            raise TrainingFailed(self._why(code))
        try:
            found = self._lines()
        except msgspec.MsgspecError as error:
            raise TrainingFailed(f"its answer cannot be read: {error}") from None
        if not found:
            raise TrainingFailed("it made no model")
        return found

    def stop(self) -> None:
        """End it, if it runs: what it has tried so far it will not try again."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def forget(self) -> None:
        """Remove its files."""
        for path in (self._answer, self._words):
            path.unlink(missing_ok=True)

    def _lock(self) -> int | None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StoreError(f"no training can be started in {self._folder}: {error.strerror}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        return lock

    def _spawn(self, lock: int, answer: IO[Any], words: IO[Any]) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=answer, stderr=words, pass_fds=(lock,),
            env=self._environment(os.environ), start_new_session=True,
        )  # fmt: skip
        with contextlib.suppress(OSError):  # over already
            wanted = min(os.getpriority(os.PRIO_PROCESS, 0) + self._nice, 19)
            os.setpriority(os.PRIO_PROCESS, process.pid, wanted)
            if hasattr(os, "SCHED_BATCH"):  # Linux: when it wakes it takes the processor from nobody
                os.sched_setscheduler(process.pid, os.SCHED_BATCH, os.sched_param(0))
        if (score := Path(f"/proc/{process.pid}/oom_score_adj")).exists():
            with contextlib.suppress(OSError):  # when memory is short this one goes, and not who forecasts
                score.write_text("800")
        return process

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
