"""The predictor: every bar one forecast by one model, whatever is promoted, broken or killed meanwhile."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.learn.made import MINUTE_NS, START_NS
from tests.learn.servable import BTC, ETH, LINE, OTHER, PLAIN, POOLED, artifact, market, promoted

from quantlytic.learn.artifact import Artifact
from quantlytic.learn.features.featureset import FeatureSet
from quantlytic.learn.loading import Loader
from quantlytic.learn.registry import Registry
from quantlytic.learn.runtime import ServedModel
from quantlytic.learn.serving import Line
from quantlytic.model.bar import Bar
from quantlytic.model.barsclosed import BarsClosed
from quantlytic.model.event import Event
from quantlytic.model.forecast import Forecast, ModelChange
from quantlytic.model.instrument import Instrument
from quantlytic.services.predictor import Predictor
from quantlytic.store.log import open_log
from quantlytic.store.log.port import Log


class Bench:
    """A log, a registry and a predictor that can be killed."""

    def __init__(self, folder: Path, line: Line = LINE) -> None:
        self.folder, self.line = folder, line
        self.registry = Registry(folder / "lake")
        self.log = self.open_log()
        self.market = self.log.writer("barmaker.box")
        self.minutes = 0
        self.predictor: Predictor | None = None

    def open_log(self) -> Log:
        return open_log("sqlite", folder=self.folder / "log")

    def loader(self, **given: Any) -> Loader:
        return Loader(self.registry, self.line, self.open_log, compiled=False, **given)

    def start(self, **given: Any) -> Predictor:
        """Another one takes over: the one before is dead, without a word."""
        self.predictor = Predictor(self.log, self.line, self.loader(**given), check_s=0.0)
        return self.predictor

    def feed(self, minutes: int) -> None:
        """So many more minutes of bars."""
        self.market.commit({"bars.box": market(self.minutes, minutes)})
        self.minutes += minutes

    def run(self, minutes: int) -> None:
        """More minutes, forecast."""
        assert self.predictor is not None
        self.feed(minutes)
        while self.predictor.pump():
            pass

    def promote(self, made: Artifact, alias: str = "") -> str:
        """In the registry, and looked at."""
        model_id = promoted(self.registry, made, alias)
        if self.predictor is not None:
            self.predictor.look()
        return model_id

    @property
    def events(self) -> list[Event]:
        return list(self.log.read("forecasts.trend", 0, 10**6).events)

    @property
    def forecasts(self) -> list[Forecast]:
        return [one for one in self.events if isinstance(one, Forecast)]

    @property
    def changes(self) -> list[ModelChange]:
        return [one for one in self.events if isinstance(one, ModelChange)]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    with closing(made.log):
        yield made


def check(bench: Bench, first: int = 0, *models: Artifact) -> None:
    """Every bar from that offset on has exactly one forecast, in order, with its end; and each is what the model in force gives
    on features computed anew, over all bars at once."""
    bars = bench.log.read("bars.box", first, 10**6)
    kept = [one.bar if isinstance(one, Forecast) else one for one in bench.events if not isinstance(one, ModelChange)]
    assert kept == list(bars.events)
    offsets = [at for at, one in zip(bars.offsets, bars.events, strict=True) if isinstance(one, Bar)]
    assert [one.bar_offset for one in bench.forecasts] == offsets
    known = {made.model_id: made for made in models}
    values = {model_id: expected(bench, made) for model_id, made in known.items()}
    in_force = dict.fromkeys(bench.line.instruments, "")
    for event in bench.events:
        if isinstance(event, ModelChange) and event.cause != "refused":
            for one in in_force if not event.instrument else [event.instrument]:
                assert in_force[one] == event.old
                in_force[one] = event.new
        elif isinstance(event, Forecast):
            assert event.model_id == in_force[event.instrument]
            assert math.isnan(event.value) == bool(event.reason)
            if event.model_id and known:
                value = values[event.model_id][event.bar_offset]
                assert event.value == value or (math.isnan(event.value) and math.isnan(value)), event


def expected(bench: Bench, made: Artifact) -> dict[int, float]:
    """What a model gives for each bar of the log, by offset."""
    from quantlytic.engine.data.bars import Bars
    from quantlytic.model.bar import BAR

    batch = bench.log.read("bars.box", 0, 10**6)
    trained = tuple(Instrument(one) for one in made.manifest.data.instruments)
    index = {f"box:{one.symbol}": k for k, one in enumerate(trained)}
    pairs = [(at, one) for at, one in zip(batch.offsets, batch.events, strict=True) if isinstance(one, Bar)]
    rows = np.zeros(len(pairs), BAR)
    for row, (_, bar) in zip(rows, pairs, strict=True):
        for name in Bar.__struct_fields__:
            row[name] = index[bar.instrument] if name == "instrument" else getattr(bar, name)
    features = FeatureSet(made.manifest.features, trained, MINUTE_NS, gaps="restart", compiled=False)
    values = ServedModel(made).predict(features.table(Bars(rows, trained)).values)
    return {at: float(value) for (at, _), value in zip(pairs, values, strict=True)}


def test_each_bar_has_one_forecast_and_its_mark(bench: Bench) -> None:
    made = artifact(1)
    bench.promote(made)
    bench.start()
    bench.run(30)
    check(bench, 0, made)
    assert [one.cause for one in bench.changes] == ["command"]
    assert bench.changes[0] == bench.events[0]
    assert bench.forecasts[0].reason.startswith("warming up: feature return_1")
    assert all(one.model_id == made.model_id for one in bench.forecasts)
    assert all(0 < one.value < 1 for one in bench.forecasts[6:])


def test_a_swap_between_two_bars(bench: Bench) -> None:
    first, second = artifact(1), artifact(2)
    bench.promote(first)
    bench.start()
    bench.run(10)
    bench.promote(second)
    bench.run(10)
    check(bench, 0, first, second)
    change = bench.changes[1]
    assert (change.old, change.new, change.instrument, change.bar_offset) == (first.model_id, second.model_id, "", 30)
    assert [one.model_id for one in bench.forecasts] == [first.model_id] * 20 + [second.model_id] * 20


def test_no_champion_says_so(bench: Bench) -> None:
    bench.start()
    bench.run(2)
    check(bench)
    assert {one.reason for one in bench.forecasts} == {"no champion"}
    assert {one.model_id for one in bench.forecasts} == {""}
