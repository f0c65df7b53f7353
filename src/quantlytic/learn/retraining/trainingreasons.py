"""When a line's models are to be trained anew: what was seen since the last time."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from quantlytic.learn.contest.outcomes import Outcomes
from quantlytic.learn.extra import need
from quantlytic.learn.registry.artifact import Manifest
from quantlytic.learn.retraining.losswatch import LossWatch
from quantlytic.model.errors import InputError
from quantlytic.model.forecast import Forecast
from quantlytic.model.time import NS_PER_S, duration_text


class Triggers(msgspec.Struct, frozen=True, kw_only=True):
    """`every_ns`: train so long after the last training was asked for (by the clock; at once where there was none); 0 never.
    `new_bars`: after so many bars of the line, its instruments counted together; 0 never. `loss_delta`: when ADWIN, with this
    probability of a false alarm, finds that the champion's loss has risen; 0 never. `max_drift`: when the population
    stability index of the champion's features is above it, once for each champion; 0 never.
    """

    every_ns: int = 0
    new_bars: int = 0
    loss_delta: float = 0.002
    max_drift: float = 0.25

    def check(self) -> None:
        """InputError for numbers that cannot be."""
        if self.every_ns < 0 or self.new_bars < 0 or not 0 <= self.loss_delta < 1 or not self.max_drift >= 0:
            raise InputError("the trainer: every, new_bars and max_drift are 0 or more, loss_delta is from 0 to 1")
        if 0 < self.every_ns < NS_PER_S:
            raise InputError("the trainer: every is a second or more")


class _Watched(msgspec.Struct, array_like=True):
    model_id: str
    watch: bytes
    outcomes: bytes


class _Saved(msgspec.Struct, array_like=True):
    bars: int
    asked_ns: int
    risen: str
    drifted: str
    drifted_models: list[str]
    models: dict[str, str]
    watched: list[_Watched]


_SAVED = msgspec.msgpack.Decoder(_Saved)
ManifestOf = Callable[[str], Manifest | None]


class Reasons:
    """Takes the line's forecasts and says, when asked, why to train; `done` begins to count anew. `manifest_of` gives a model's
    manifest, None when it cannot be had now: its loss is then not watched yet.

    What is seen while a training runs counts towards the next one, but for its bars and time.
    """

    def __init__(self, triggers: Triggers, manifest_of: ManifestOf) -> None:
        self._triggers, self._manifest_of = triggers, manifest_of
        if triggers.loss_delta:
            need("river.drift", "the watch on a model's loss")  # now, and not in the middle of the day
        self._bars, self._asked_ns = 0, 0
        self._risen, self._drifted = "", ""
        self._drifted_models: list[str] = []
        self._models: dict[str, str] = {}  # instrument -> its champion
        self._watched: dict[str, tuple[LossWatch, Outcomes]] = {}

    def see(self, forecast: Forecast) -> None:
        """Take the next forecast of the line."""
        self._bars += 1
        model_id = forecast.model_id
        if not model_id:
            return
        if self._models.get(forecast.instrument) != model_id:
            self._models[forecast.instrument] = model_id
            used = set(self._models.values())
            self._watched = {known: watched for known, watched in self._watched.items() if known in used}
            self._drifted_models = [known for known in self._drifted_models if known in used]
        limit = self._triggers.max_drift
        if limit and forecast.drift > limit and model_id not in self._drifted_models:
            self._drifted_models.append(model_id)
            self._drifted = f"features drifted: PSI {forecast.drift:.3g} above {limit:g} under champion {model_id[:12]}"
        if self._triggers.loss_delta:
            self._watch(forecast)

    def why(self, now_ns: int) -> str:
        """The first reason to train now; "" for none."""
        if self._risen or self._drifted:
            return self._risen or self._drifted
        given = self._triggers
        if given.new_bars and self._bars >= given.new_bars:
            return f"new data: {self._bars:,} bars since the last training"
        if given.every_ns and not 0 <= now_ns - self._asked_ns < given.every_ns:  # or the clock was ahead, then
            return f"schedule: every {duration_text(given.every_ns)}" if self._asked_ns else "schedule: the first"
        return ""

    def done(self, now_ns: int) -> None:
        """A training has been asked for."""
        self._bars, self._asked_ns = 0, now_ns
        self._risen = self._drifted = ""

    def save(self) -> bytes:
        """All state, to go on from."""
        watched = [
            _Watched(model_id, watch.save(), outcomes.save()) for model_id, (watch, outcomes) in self._watched.items()
        ]
        return msgspec.msgpack.encode(
            _Saved(
                self._bars, self._asked_ns, self._risen, self._drifted, self._drifted_models, self._models, watched,
            )
        )  # fmt: skip

    def restore(self, state: bytes) -> None:
        """Go on from what `save` gave."""
        saved = _SAVED.decode(state)
        self._bars, self._asked_ns = saved.bars, saved.asked_ns
        self._risen, self._drifted = saved.risen, saved.drifted
        self._drifted_models, self._models = saved.drifted_models, saved.models
        self._watched = {}
        for one in saved.watched:
            if (fresh := self._begin(one.model_id)) is not None:
                fresh[0].restore(one.watch)
                fresh[1].restore(one.outcomes)

    def _watch(self, forecast: Forecast) -> None:
        watched = self._watched.get(forecast.model_id) or self._begin(forecast.model_id)
        if watched is None:
            return
        outcome = watched[1].update(forecast)
        if outcome is not None and (risen := watched[0].update(outcome)):
            self._risen = f"loss of champion {forecast.model_id[:12]}: {risen}"

    def _begin(self, model_id: str) -> tuple[LossWatch, Outcomes] | None:
        manifest = self._manifest_of(model_id)
        if manifest is None or manifest.label.kind == "meta":
            return None
        watch = LossWatch(self._triggers.loss_delta)
        watch.watch(model_id, manifest)
        self._watched[model_id] = watch, Outcomes.of(manifest)
        return self._watched[model_id]
