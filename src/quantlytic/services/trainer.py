"""Forecasts and time to challengers: trains a line's models anew when there is a reason to, beside the live process."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from quantlytic.learn.contest.challenge import comparable
from quantlytic.learn.registry.artifact import Manifest
from quantlytic.learn.registry.registry import CHALLENGER, CHAMPION, AliasChange, Registry, alias_of
from quantlytic.learn.retraining.trainingprocess import LIMIT_S, NICE, Made, TrainingFailed, TrainingProcess
from quantlytic.learn.retraining.trainingreasons import Reasons, Triggers
from quantlytic.model.errors import Fenced, InputError, QuantlyticError, StoreError
from quantlytic.model.event import Event
from quantlytic.model.forecast import Forecast, ModelChange
from quantlytic.model.time import duration_ns, duration_text
from quantlytic.store.log.port import Log


class _Snapshot(msgspec.Struct, array_like=True):
    reasons: bytes
    asked: str
    asked_ns: int
    attempts: int
    refused: str = ""


_NUMBERS = re.compile(r"\b[0-9a-f]{12}\b|[0-9]+")
_SNAPSHOT = msgspec.msgpack.Decoder(_Snapshot)


class Trainer:
    """Reads `forecasts.LINE` for reasons to train (`Triggers`), runs `quantlytic train SPEC` in a niced process of its own, and
    makes what comes of it the challenger. That, and each failure, is told by a `ModelChange` in `shadows.LINE`, with cause
    "trained" or "failed".

    A reason is committed before anything is started, and so are the marks it was measured from: it is trained for once, and
    not once more, however often this service or its process dies. A training that fails (its data, a crash, a kill, a full
    disk) is tried again after 1, 2, 4 ... 60 minutes. One that would fail alike each time (a spec that cannot be, a model that
    cannot be served or is not this line's, one that takes longer than `limit_s`) is told once, and tried again ever later, up
    to a day, or as soon as the spec or a Python file beside it changes. There is one training at a time in a home, whichever
    line it is for. `bar_size_ns`: the line's, that of its models; 0 for any. `command`: what is run instead of
    `quantlytic train` (tests). `last_failure`: one line; "" when all is well.
    """

    FIRST_RETRY_S, LAST_RETRY_S, LAST_REFUSED_S = 60.0, 3600.0, 86_400.0
    COMMIT_EVERY, COMMIT_EVERY_S = 1_000, 30.0
    CHECK_S = 5.0  # how often a refused spec is looked at
    LOOK_S = 1.0  # how often a process that runs is looked at

    def __init__(
        self, log: Log, line: str, spec: Path, home: Path, registry: Registry, triggers: Triggers, *,
        limit_s: float = LIMIT_S, bar_size_ns: int = 0, command: Sequence[str] | None = None, nice: int = NICE,
        now_ns: Callable[[], int] = time.time_ns, timer_s: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        triggers.check()
        self.name = f"trainer.{line}"
        self.last_failure = ""
        self._log, self._line, self._registry = log, line, registry
        self._spec, self._home, self._command, self._nice = spec, home, command, nice
        self._limit_s, self._bar_size_ns = limit_s, bar_size_ns
        self._now_ns, self._timer_s = now_ns, timer_s
        self._source, self._target = f"forecasts.{line}", f"shadows.{line}"
        self._manifests: dict[str, Manifest] = {}
        self._unknown_until_s: dict[str, float] = {}
        self._reasons = Reasons(triggers, self._manifest)
        self._asked, self._asked_ns, self._attempts = "", 0, 0
        self._refused = ""  # what was trained, and why it was refused, after a hash of it
        self._process: TrainingProcess | None = None
        self._retry_at_s = self._look_at_s = 0.0
        self._uncommitted, self._committed_s = 0, timer_s()
        self._writer = log.writer(self.name)
        self._position = max(self._writer.positions.get(self._source, 0), log.bounds(self._source)[0])
        if self._writer.snapshot is not None:
            saved = _SNAPSHOT.decode(self._writer.snapshot)
            self._asked, self._asked_ns, self._attempts = saved.asked, saved.asked_ns, saved.attempts
            self._refused = saved.refused
            self._reasons.restore(saved.reasons)

    @property
    def pid(self) -> int:
        """Of the training process; 0 when none is running."""
        return self._process.pid if self._process is not None and self._process.is_running else 0

    def pump(self) -> int:
        """See `Service.pump`."""
        count = self._read()
        try:
            if self._is_mended():
                self._retry_at_s = 0.0
            if self._timer_s() >= self._retry_at_s:
                self._ask()
                self._work()
            if self._uncommitted >= self.COMMIT_EVERY or (
                self._uncommitted and self._timer_s() - self._committed_s >= self.COMMIT_EVERY_S
            ):
                self._commit([])
        except Fenced:
            raise
        except QuantlyticError as error:  # the lake or the disk: nothing is lost but time
            self._put_off(str(error))
        return count

    def wait(self, timeout_s: float) -> None:
        """See `Service.wait`."""
        limit = min(timeout_s, self.LOOK_S) if self._process is not None else timeout_s
        self._log.wait({self._source: self._position}, limit)

    def close(self) -> None:
        """See `Service.close`. A training that runs is ended; the next trainer takes it up again."""
        if self._process is not None:
            self._process.stop()
        try:
            if self._uncommitted:
                self._commit([])
        except StoreError as error:
            self.last_failure = str(error)  # read again next time
        finally:
            self._writer.close()

    # ---- reasons

    def _read(self) -> int:
        batch = self._log.read(self._source, self._position)
        for event in batch.events:
            if isinstance(event, Forecast):
                self._reasons.see(event)
        self._position = batch.next_offset
        self._uncommitted += len(batch.events)
        return len(batch.events)

    def _ask(self) -> None:
        if self._asked:
            return
        now_ns = self._now_ns()
        if not (why := self._reasons.why(now_ns)):
            return
        before = self._reasons.save()
        self._reasons.done(now_ns)
        self._asked, self._asked_ns, self._attempts = why, now_ns, 0
        try:
            self._commit([])
        except StoreError:
            self._asked = ""
            self._reasons.restore(before)
            raise

    # ---- training

    def _work(self) -> None:
        if not self._asked:
            return
        if self._process is None:
            process = TrainingProcess(
                self._spec, self._home, self._line, self._asked_ns,
                command=self._command, nice=self._nice, limit_s=self._limit_s,
            )  # fmt: skip
            try:
                begun = process.begin()
            except QuantlyticError as error:
                self._fail(error)
                return
            if not begun:
                self._put_off(f"another training is going on: this one waits for {process.waits_for}", self.LOOK_S)
                return
            self._process = process
            if not self._attempts:
                self.last_failure = ""
        try:
            self._process.check_time()
        except TrainingFailed as error:
            self._fail(error)
            return
        if not self._process.is_running:
            self._finish(self._process)

    def _finish(self, process: TrainingProcess) -> None:
        self._process = None
        try:
            made = process.made()
            for one in made:
                self._check(one)
            changes: list[Event] = [self._challenge(one) for one in made]
        except StoreError:
            self._process = process  # the registry is away; its answer is there, and is taken again
            raise
        except QuantlyticError as error:
            process.forget()  # what it answered before it failed is no answer
            self._fail(error)
            return
        asked, self._asked = self._asked, ""
        try:
            self._commit(changes)
        except StoreError:
            self._asked, self._process = asked, process
            raise
        process.forget()
        self.last_failure, self._attempts, self._refused = "", 0, ""

    def _check(self, made: Made) -> None:
        """Raise TrainingFailed for a model that is not this line's, or forecasts something else than its champion."""
        manifest, size_ns = self._registry.manifest(made.model_id), self._bar_size_ns
        model, size = f"model {made.model_id[:12]}", manifest.data.bar_size
        why = ""
        if manifest.name != self._line or manifest.line != made.line:
            why = f"{model} is of the line {manifest.line!r}, not of {self._line!r}: mend the spec's name"
        elif size_ns and duration_ns(size) != size_ns:
            why = f"{model} was trained on bars of {size}, and the line's are of {duration_text(size_ns)}"
        elif champion := self._registry.alias(alias_of(made.line, CHAMPION)):
            served = self._manifest(champion)
            why = "" if served is None else comparable(manifest, served)
        if why:
            raise TrainingFailed(why, lasting=True)

    def _challenge(self, made: Made) -> ModelChange:
        """Make it the challenger, unless it is that already, or no other than the champion; returns what to say."""
        alias = alias_of(made.line, CHALLENGER)
        manifest = self._registry.manifest(made.model_id)
        scores = ", ".join(f"{name} {value:.4g}" for name, value in manifest.scores.items() if value is not None)
        reason = f"{self._asked}; out of sample: {scores}"
        last = (self._registry.history(alias, newest=1) or [AliasChange(0, "", "", "", "", "", 0)])[-1]
        before = last.model_id
        if self._registry.alias(alias_of(made.line, CHAMPION)) == made.model_id:
            return self._word(made, before, before, f"{self._asked}: the same data give the champion again")
        if before != made.model_id:
            self._registry.promote(made.model_id, alias, reason, "trainer", self._now_ns(), expected=before)
        elif last.reason == reason:  # made so before a crash, and not told yet
            before = last.previous
        else:
            return self._word(made, before, before, f"{self._asked}: the same data give the challenger again")
        return self._word(made, before, made.model_id, reason)

    def _word(self, made: Made, old: str, new: str, reason: str) -> ModelChange:
        instrument = made.line.partition("/")[2]
        return ModelChange(
            self._line, "" if instrument == "pooled" else instrument, self._asked_ns, old, new, "trained", reason
        )

    def _fail(self, error: QuantlyticError) -> None:
        self._process = None
        why, lasts = str(error), isinstance(error, InputError) or getattr(error, "lasting", False)
        refused = self._hash(why) if lasts else ""
        is_known = lasts and refused == self._refused
        self._attempts, self._refused = 1 if lasts and not is_known else self._attempts + 1, refused
        most_s = self.LAST_REFUSED_S if lasts else self.LAST_RETRY_S
        wait_s = min(self.FIRST_RETRY_S * 2 ** min(self._attempts - 1, 20), most_s)
        ever = ", ever later, or when the spec or a .py file beside it changes" if lasts else ""
        reason = f"training failed ({self._asked}): {why}; tried again in {wait_s / 60:.3g} min{ever}"
        self._put_off(reason, wait_s)
        self._commit([] if is_known else [ModelChange(self._line, "", self._asked_ns, "", "", "failed", reason)])

    def _is_mended(self) -> bool:
        """Whether what was refused is written otherwise now: it is looked at every few seconds."""
        if not self._refused or not self._look_at_s <= self._timer_s() < self._retry_at_s:
            return False
        self._look_at_s = self._timer_s() + self.CHECK_S
        return self._refused.partition(" ")[0] != self._hash().strip()

    def _hash(self, why: str = "") -> str:
        """SHA-256 of the spec and the Python files beside it, and `why` without its numbers: the next data have others."""
        code = hashlib.sha256()
        for path in (self._spec, *sorted(self._spec.parent.glob("*.py"))):
            try:
                code.update(path.read_bytes())
            except OSError:
                code.update(b"away")
        return f"{code.hexdigest()} {_NUMBERS.sub('', why)}"

    def _put_off(self, why: str, wait_s: float | None = None) -> None:
        self.last_failure = why
        self._retry_at_s = self._timer_s() + (self.FIRST_RETRY_S if wait_s is None else wait_s)

    def _manifest(self, model_id: str) -> Manifest | None:
        """A model's manifest; when it cannot be read, it is asked for again a minute later."""
        if model_id not in self._manifests:
            if self._timer_s() < self._unknown_until_s.get(model_id, 0.0):
                return None
            try:
                self._manifests[model_id] = self._registry.manifest(model_id)
            except QuantlyticError as error:
                self.last_failure = str(error)
                self._unknown_until_s[model_id] = self._timer_s() + self.FIRST_RETRY_S
                return None
        return self._manifests[model_id]

    def _commit(self, outputs: list[Event]) -> None:
        snapshot = msgspec.msgpack.encode(
            _Snapshot(self._reasons.save(), self._asked, self._asked_ns, self._attempts, self._refused)
        )
        self._writer.commit({self._target: outputs} if outputs else {}, {self._source: self._position}, snapshot)
        self._uncommitted, self._committed_s = 0, self._timer_s()
