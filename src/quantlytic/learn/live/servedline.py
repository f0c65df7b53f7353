"""A line's bars to forecasts: which model is in force for each instrument, and what becomes of it. No thread."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from quantlytic.learn.live.loading import catch_up
from quantlytic.learn.live.serving import Fault, Feed, Line, Serving
from quantlytic.learn.live.staleness import memory, staleness
from quantlytic.learn.live.swap import Ready, Standing, Wish
from quantlytic.learn.live.target import Target, target_of
from quantlytic.learn.samples.inputs import Values
from quantlytic.model.bar import Bar
from quantlytic.model.errors import DataError, InputError
from quantlytic.model.event import Event
from quantlytic.model.forecast import Forecast, ModelChange
from quantlytic.store.log.port import Log

NO_MODEL = "no champion"


class _Slot(msgspec.Struct, array_like=True):
    """What serves an instrument: the model in force, the one before it, and why there is none."""

    model: str = ""
    previous: str = ""
    why: str = NO_MODEL


class Saved(msgspec.Struct, array_like=True):
    """All that a restart goes on from. `feeds` and `drifts` by their key and model. `last_close`: of the last bar that
    had features. `target`: what the model that came to serve last forecasts; None before the first."""

    slots: dict[str, _Slot]
    handled: dict[str, int]
    feeds: dict[str, bytes]
    drifts: dict[str, bytes]
    last_close: int
    lost: list[str] = []
    target: Target | None = None

    @property
    def models(self) -> list[str]:
        """The ids of all models that are needed."""
        return sorted({one for slot in self.slots.values() for one in (slot.model, slot.previous) if one})


class ServedLine:
    """Bars in, exactly one Forecast for each bar of the line's instruments out; models are swapped between two of them.

    From the `log` come the bars that the features of a model that is swapped in have missed, and trades and quotes.
    """

    def __init__(self, line: Line, log: Log) -> None:
        self.line, self._log = line, log
        self._slots = {one: _Slot() for one in line.instruments}
        self._handled: dict[str, int] = {}
        self._servings: dict[str, Serving] = {}
        self._feeds: dict[str, Feed] = {}
        self._waiting: dict[str, Ready] = {}
        self._failed: list[tuple[str, str]] = []  # (model, why): gone at a restart, told with the next bar
        self._lost: set[str] = set()  # could not be had: taken up again when they can be
        self._last_close = 0
        self._target: Target | None = None
        self.standing = Standing({}, {}, {}, {})

    # ---- bars

    def take(self, bar: Bar, offset: int) -> list[Event]:
        """The events of a bar: changes of model, then its Forecast; [] for an instrument that is not of the line."""
        began_ns = time.perf_counter_ns()
        outputs: list[Event] = []
        if bar.instrument in self._slots:
            if self._failed:
                outputs += self._tell_failed(bar, offset)
            if self._waiting:
                outputs += self._swap(bar, offset)
        rows = {key: self._row(feed, bar) for key, feed in self._feeds.items()}
        if any(isinstance(row, np.ndarray) for row in rows.values()):
            self._last_close = bar.close_time  # of a bar whose time is believed
        if bar.instrument not in self._slots:
            return outputs
        value, model_id, reason, drift = self._forecast(bar, offset, rows, outputs)
        latency_ns = time.perf_counter_ns() - began_ns
        outputs.append(
            Forecast(
                self.line.name, bar.instrument, bar.open_time, bar.close_time, bar.open, bar.high, bar.low, bar.close,
                bar.volume, bar.quote_volume, bar.trades, value, model_id, reason, offset, latency_ns, drift,
            )
        )  # fmt: skip
        return outputs

    def _forecast(
        self, bar: Bar, offset: int, rows: dict[str, Values | str | None], outputs: list[Event]
    ) -> tuple[float, str, str, float]:
        """(value, model_id, reason, drift), by the first model that is fit to give it."""
        while (slot := self._slots[bar.instrument]).model:
            serving = self._servings[slot.model]
            row = rows[serving.feed.key]
            if row is None:
                symbols = ", ".join(one.symbol for one in serving.feed.trained)
                why = f"model {serving.short} was trained on {symbols}, not on {bar.instrument.partition(':')[2]}"
                return math.nan, slot.model, why, math.nan
            if isinstance(row, str):
                return math.nan, slot.model, row, math.nan
            if stale := staleness(serving.manifest, bar.close_time):
                outputs += self._retire(slot.model, "expired", stale, bar, offset)
                continue
            try:
                value, reason, drift = serving.forecast(row)
                if slot.previous and (slowness := serving.slowness):
                    raise Fault(slowness)
            except Fault as fault:
                why = f"model {serving.short} {fault}"
                outputs += self._retire(slot.model, "demoted", why, bar, offset)
                continue
            return value, slot.model, reason, drift
        return math.nan, "", slot.why, math.nan

    def _row(self, feed: Feed, bar: Bar) -> Values | str | None:
        """The features after a bar; why there are none; None where the instrument is none of theirs."""
        try:
            return feed.take(bar, self._log)
        except DataError as error:
            return f"no features: {error}"

    # ---- changes

    def offer(self, ready: Ready) -> None:
        """A model that may be served from the next bar of its instruments on, or a refusal to be told then."""
        self._waiting[ready.wish.alias] = ready

    def _swap(self, bar: Bar, offset: int) -> list[Event]:
        outputs: list[Event] = []
        for ready in [one for one in self._waiting.values() if bar.instrument in one.wish.instruments]:
            del self._waiting[ready.wish.alias]
            wish = ready.wish
            self._handled |= wish.numbers
            new, serving = wish.change.model_id, ready.serving
            olds = {one: self._slots[one].model for one in wish.instruments}
            self._lost -= {new, wish.key}
            reason = ready.reason or self._misread(ready)
            if serving is None or reason:
                self._lost |= {new or wish.key} if ready.is_away else set()
                outputs += self._changes(wish, olds, new, "refused", reason, bar, offset)
                continue
            self._target = target_of(serving.manifest)
            if self._feeds.get(serving.feed.key) is not serving.feed:
                catch_up(serving.feed, self.line, self._log, offset)
                self._feeds[serving.feed.key] = serving.feed
            self._servings[new] = serving
            moved = {one: old for one, old in olds.items() if old != new}
            for one, old in moved.items():
                self._slots[one] = _Slot(new, old, "")
            told = [wish.change.reason, memory(serving.manifest, bar.close_time)]
            outputs += self._changes(wish, moved, new, wish.cause, "; ".join(filter(None, told)), bar, offset)
        self._tidy()
        return outputs

    def _misread(self, ready: Ready) -> str:
        """Why whoever reads the line would take the model's forecasts for something else; "" where they would not."""
        if ready.serving is not None and self._target is not None:
            try:
                target_of(ready.serving.manifest).check(self._target, new_label=ready.wish.may_relabel)
            except InputError as error:
                return f"model {ready.serving.short}: {error}"
        return ""

    def _changes(
        self, wish: Wish, olds: dict[str, str], new: str, cause: str, reason: str, bar: Bar, offset: int
    ) -> list[Event]:
        """One for all where that says it all, else one an instrument."""
        together = wish.is_pooled and len(olds) == len(self.line.instruments) and len(set(olds.values())) == 1
        pairs = [("", next(iter(olds.values())))] if together else list(olds.items())
        return [self._change(one, old, new, cause, reason, bar, offset) for one, old in pairs]

    def _retire(self, model_id: str, cause: str, why: str, bar: Bar, offset: int) -> list[Event]:
        """A model serves no more, wherever it does: those before it do, from this very bar on."""
        outputs: list[Event] = []
        held = {one: slot for one, slot in self._slots.items() if slot.model == model_id}
        for one, slot in held.items():
            following = "" if slot.previous == model_id else slot.previous
            self._slots[one] = slot = _Slot(following, "", "" if following else why)
        news = {one: self._slots[one].model for one in held}
        together = len(held) == len(self._slots) and len(set(news.values())) == 1
        for one, new in [("", next(iter(news.values())))] if together else news.items():
            outputs.append(self._change(one, model_id, new, cause, why, bar, offset))
        if follows := [serving for new in news.values() if (serving := self._servings.get(new)) is not None]:
            self._target = target_of(follows[0].manifest)
        self._tidy()
        return outputs

    def _change(
        self, instrument: str, old: str, new: str, cause: str, reason: str, bar: Bar, offset: int
    ) -> ModelChange:
        return ModelChange(self.line.name, instrument, bar.close_time, old, new, cause, reason, offset)

    def _tell_failed(self, bar: Bar, offset: int) -> list[Event]:
        failed, self._failed = self._failed, []
        return [event for model, why in failed for event in self._retire(model, "demoted", why, bar, offset)]

    def _tidy(self) -> None:
        """Forget models that serve nowhere any more, and are not the ones before, and their features."""
        needed = {one for slot in self._slots.values() for one in (slot.model, slot.previous)}
        self._servings = {one: serving for one, serving in self._servings.items() if one in needed}
        used = {serving.feed.key for serving in self._servings.values()}
        self._feeds = {key: feed for key, feed in self._feeds.items() if key in used}

    # ---- what is kept

    def publish(self, position: int) -> None:
        """Let those who prepare models know where this is: bars below the offset `position` were taken."""
        champions_ns = {
            one: serving.typical_ns
            for one, slot in self._slots.items()
            if (serving := self._servings.get(slot.model)) is not None
        }
        handled, lost = dict(self._handled), frozenset(self._lost)
        self.standing = Standing(handled, self._servings, self._feeds, champions_ns, position, self._last_close, lost)

    def save(self) -> Saved:
        """All state."""
        return Saved(
            self._slots,
            self._handled,
            {key: feed.live.save() for key, feed in self._feeds.items()},
            {one: serving.drift.save() for one, serving in self._servings.items()},
            self._last_close,
            sorted(self._lost),
            self._target,
        )

    def restore(self, saved: Saved, servings: Iterable[Serving], failed: Sequence[tuple[str, str]]) -> None:
        """Go on from `save`, with the models it names: those that are left, and (id, why) of those that are not, which are
        demoted at the next bar, and taken up again when they can be had. Features it has no state of are as they were given."""
        if saved.slots.keys() == self._slots.keys():  # else there are other instruments: every alias is looked at again
            self._handled = dict(saved.handled)
        self._slots |= {one: slot for one, slot in saved.slots.items() if one in self._slots}
        self._last_close, self._target = saved.last_close, saved.target
        lost = {one for one, _ in failed}
        self._lost = lost | set(saved.lost)
        for slot in self._slots.values():
            slot.previous = "" if slot.previous in lost else slot.previous
        self._servings = {one.model_id: one for one in servings}
        self._feeds = {one.feed.key: one.feed for one in self._servings.values()}
        for model_id, serving in self._servings.items():
            self._target = self._target or target_of(serving.manifest)
            if model_id in saved.drifts:
                serving.drift.restore(saved.drifts[model_id])
        self._failed = list(failed)
