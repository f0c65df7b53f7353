"""Watches whether a model that is live has become worse."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from quantlytic.learn.contest.outcomes import Outcome
from quantlytic.learn.extra import need
from quantlytic.learn.models.model import UP
from quantlytic.learn.registry.artifact import Manifest

_SPREAD = 16.0  # squared errors so many times that of training, and larger ones, count as the worst there is


_RECENT = 30
_LONGEST = 4_000  # losses kept: half of them go when there are more


class _Saved(msgspec.Struct, array_like=True):
    model_id: str
    worst: float
    horizon: int
    losses: list[float]
    total: float
    count: int
    steps: int
    time: int


_SAVED = msgspec.msgpack.Decoder(_Saved)


class LossWatch:
    """ADWIN over a champion's losses (Bifet and Gavalda, "Learning from time-changing data with adaptive windowing", SDM 2007;
    river's): `update` returns what to say when their mean has risen, with `delta` the probability of a false alarm.

    ADWIN takes numbers from 0 to 1 that do not depend on one another. So it is given the Brier score, or a squared error as a
    share of 16 times that in training; the mean over instruments of one time; and of those the mean over as many times as the
    label looks ahead, whose labels overlap. A loss that falls is no alarm. A new model is watched from its own beginning, on bars
    after those it learned from.
    """

    model_id: str
    _worst: float
    _horizon: int
    _total: float
    _count: int
    _steps: int
    _time: int
    _losses: list[float]
    _adwin: Any

    def __init__(self, delta: float = 0.002) -> None:
        self._delta = delta
        self._learned_ns = 0
        self._begin("", 1.0, 1)

    def watch(self, model_id: str, manifest: Manifest) -> None:
        """From now on this model's losses come."""
        self._learned_ns = manifest.data.end_ns
        if model_id != self.model_id:
            self._begin(model_id, _worst(manifest), manifest.horizon)

    def update(self, outcome: Outcome) -> str:
        """Take an outcome of the model's, in order of time. "" while nothing is wrong."""
        found = ""
        time = outcome.forecast.close_time
        if time <= self._learned_ns:
            return found
        if time != self._time and self._count:
            self._steps += 1
            if self._steps >= self._horizon:
                found = self._feed(self._total / self._count)
                self._total, self._count, self._steps = 0.0, 0, 0
        self._time = time
        loss = (outcome.forecast.value - outcome.label) ** 2 / self._worst
        if math.isfinite(loss):
            self._total += min(loss, 1.0)
            self._count += 1
        return found

    def save(self) -> bytes:
        """All state, to go on from: the losses themselves, which no version of ADWIN reads otherwise."""
        return msgspec.msgpack.encode(
            _Saved(
                self.model_id, self._worst, self._horizon, self._losses, self._total, self._count, self._steps, self._time
            )
        )  # fmt: skip

    def restore(self, state: bytes) -> None:
        """Go on from what `save` gave."""
        saved = _SAVED.decode(state)
        self._begin(saved.model_id, saved.worst, saved.horizon)
        self._total, self._count, self._steps, self._time = saved.total, saved.count, saved.steps, saved.time
        self._again(saved.losses)

    def _begin(self, model_id: str, worst: float, horizon: int) -> None:
        self.model_id = model_id
        self._worst = worst
        self._horizon = horizon
        self._total = 0.0
        self._count = 0
        self._steps = 0
        self._time = -1
        self._losses = []
        self._adwin = None

    def _again(self, losses: list[float]) -> None:
        self._losses, self._adwin = losses, None
        for loss in losses:
            self._detector().update(loss)

    def _detector(self) -> Any:
        if self._adwin is None:
            self._adwin = need("river.drift", "the watch on a model's loss").ADWIN(delta=self._delta)
        return self._adwin

    def _feed(self, loss: float) -> str:
        self._losses.append(loss)
        if len(self._losses) > _LONGEST:
            self._again(self._losses[_LONGEST // 2 :])
        else:
            self._detector().update(loss)
        if not self._adwin.drift_detected:
            return ""
        recent, before = self._losses[-_RECENT:], self._losses[:-_RECENT]
        self._losses, self._adwin = [], None  # what was learned is over, whichever way it went
        was, now = (sum(one) / max(len(one), 1) * self._worst for one in (before, recent))
        return f"its loss rose from {was:.4g} to {now:.4g}" if now > was else ""


def _worst(manifest: Manifest) -> float:
    """The squared error that counts as 1."""
    trained = manifest.scores.get("mse")
    return 1.0 if manifest.task == UP or not trained else _SPREAD * trained
