"""Forecasts and time to challengers: trains a line's models anew when there is a reason to, beside the live process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from quantlytic.learn.registry.artifact import Manifest
from quantlytic.learn.registry.registry import CHALLENGER, CHAMPION, AliasChange, Registry, alias_of
from quantlytic.learn.retraining.trainingprocess import NICE, Made, TrainingProcess
from quantlytic.learn.retraining.trainingreasons import Reasons, Triggers
from quantlytic.model.errors import Fenced, QuantlyticError, StoreError
from quantlytic.model.event import Event
from quantlytic.model.forecast import Forecast, ModelChange
from quantlytic.store.log.port import Log


class _Snapshot(msgspec.Struct, array_like=True):
    reasons: bytes
    asked: str
    asked_ns: int
    attempts: int


_SNAPSHOT = msgspec.msgpack.Decoder(_Snapshot)


class Trainer:
    """Reads `forecasts.LINE` for reasons to train (`Triggers`), runs `quantlytic train SPEC` in a niced process of its own, and
    makes what comes of it the challenger. That, and each failure, is told by a `ModelChange` in `shadows.LINE`, with cause
    "trained" or "failed".

    A reason is committed before anything is started, and so are the marks it was measured from: it is trained for once, and
    not once more, however often this service or its process dies. A training that fails (its data, a crash, a kill, a full
    disk) is tried again after 1, 2, 4 ... 60 minutes; there is one at a time in a home, whichever line it is for.
    `command`: what is run instead of `quantlytic train` (tests). `last_failure`: one line; "" when all is well.
    """

    FIRST_RETRY_S, LAST_RETRY_S = 60.0, 3600.0
    COMMIT_EVERY, COMMIT_EVERY_S = 1_000, 30.0
    LOOK_S = 1.0  # how often a process that runs is looked at

    def __init__(
        self, log: Log, line: str, spec: Path, home: Path, registry: Registry, triggers: Triggers, *,
        command: Sequence[str] | None = None, nice: int = NICE, now_ns: Callable[[], int] = time.time_ns,
        timer_s: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        triggers.check()
        self.name = f"trainer.{line}"
        self.last_failure = ""
        self._log, self._line, self._registry = log, line, registry
        self._spec, self._home, self._command, self._nice = spec, home, command, nice
        self._now_ns, self._timer_s = now_ns, timer_s
        self._source, self._target = f"forecasts.{line}", f"shadows.{line}"
        self._manifests: dict[str, Manifest] = {}
        self._unknown_until_s: dict[str, float] = {}
        self._reasons = Reasons(triggers, self._manifest)
        self._asked, self._asked_ns, self._attempts = "", 0, 0
        self._process: TrainingProcess | None = None
        self._retry_at_s = 0.0
        self._uncommitted, self._committed_s = 0, timer_s()
        self._writer = log.writer(self.name)
        self._position = max(self._writer.positions.get(self._source, 0), log.bounds(self._source)[0])
        if self._writer.snapshot is not None:
            saved = _SNAPSHOT.decode(self._writer.snapshot)
            self._asked, self._asked_ns, self._attempts = saved.asked, saved.asked_ns, saved.attempts
            self._reasons.restore(saved.reasons)

    @property
    def pid(self) -> int:
        """Of the training process; 0 when none is running."""
        return self._process.pid if self._process is not None and self._process.is_running else 0

    def pump(self) -> int:
        """See `Service.pump`."""
        count = self._read()
        try:
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
                self._spec, self._home, self._line, self._asked_ns, command=self._command, nice=self._nice
            )
            try:
                begun = process.begin()
            except QuantlyticError as error:
                self._fail(str(error))
                return
            if not begun:
                self._put_off("another training is going on: this one waits for its end", self.LOOK_S)
                return
            self._process = process
        if not self._process.is_running:
            self._finish(self._process)

    def _finish(self, process: TrainingProcess) -> None:
        self._process = None
        try:
            changes: list[Event] = [self._challenge(one) for one in process.made()]
        except StoreError:
            self._process = process  # the registry is away; its answer is there, and is taken again
            raise
        except QuantlyticError as error:
            process.forget()  # what it answered before it failed is no answer
            self._fail(str(error))
            return
        asked, self._asked = self._asked, ""
        try:
            self._commit(changes)
        except StoreError:
            self._asked, self._process = asked, process
            raise
        process.forget()
        self.last_failure, self._attempts = "", 0

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

    def _fail(self, why: str) -> None:
        self._process = None
        self._attempts += 1
        wait_s = min(self.FIRST_RETRY_S * 2 ** (self._attempts - 1), self.LAST_RETRY_S)
        reason = f"training failed ({self._asked}): {why}; tried again in {wait_s / 60:.3g} min"
        self._put_off(reason, wait_s)
        self._commit([ModelChange(self._line, "", self._asked_ns, "", "", "failed", reason)])

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
        snapshot = msgspec.msgpack.encode(_Snapshot(self._reasons.save(), self._asked, self._asked_ns, self._attempts))
        self._writer.commit({self._target: outputs} if outputs else {}, {self._source: self._position}, snapshot)
        self._uncommitted, self._committed_s = 0, self._timer_s()
