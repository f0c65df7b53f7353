"""What must hold of the forecasts of a line, whatever was done to its predictor; computed anew, all bars at once."""

from __future__ import annotations

import math

import msgspec
import numpy as np
from tests.learn.made import MINUTE_NS

from quantlytic.engine.data.bars import Bars
from quantlytic.learn.features.featureset import FeatureSet
from quantlytic.learn.live.serving import Line
from quantlytic.learn.registry.artifact import Artifact
from quantlytic.learn.registry.runtime import ServedModel
from quantlytic.model.bar import BAR, Bar
from quantlytic.model.event import Event
from quantlytic.model.forecast import Forecast, ModelChange
from quantlytic.model.instrument import Instrument
from quantlytic.store.log.port import Log

ALL = 10**6


def check_forecasts(log: Log, line: Line, first: int = 0, *models: Artifact) -> None:
    """Every bar from offset `first` on has exactly one forecast, in order, and its BarsClosed; each is by the model that the
    changes before it say; and where `models` are given, what that model gives on features of the whole log."""
    bars = log.read(line.bars_stream, first, ALL)
    events = log.read(line.forecasts_stream, 0, ALL).events
    kept = [one.bar if isinstance(one, Forecast) else one for one in events if not isinstance(one, ModelChange)]
    assert kept == list(bars.events)
    forecasts = [one for one in events if isinstance(one, Forecast)]
    offsets = [at for at, one in zip(bars.offsets, bars.events, strict=True) if isinstance(one, Bar)]
    assert [one.bar_offset for one in forecasts] == offsets
    values = {made.model_id: expected(log, line, made) for made in models}
    in_force = dict.fromkeys(line.instruments, "")
    for event in events:
        if isinstance(event, ModelChange) and event.cause != "refused":
            for one in in_force if not event.instrument else [event.instrument]:
                assert in_force[one] == event.old
                in_force[one] = event.new
        elif isinstance(event, Forecast):
            assert event.model_id == in_force[event.instrument]
            assert math.isnan(event.value) == bool(event.reason)
            if event.model_id and models:
                value = values[event.model_id][event.bar_offset]
                assert event.value == value or (math.isnan(event.value) and math.isnan(value)), event


def expected(log: Log, line: Line, made: Artifact) -> dict[int, float]:
    """What a model gives for each bar of the log, by offset."""
    batch = log.read(line.bars_stream, 0, ALL)
    trained = tuple(Instrument(one) for one in made.manifest.data.instruments)
    index = {f"{line.venue}:{one.symbol}": k for k, one in enumerate(trained)}
    both = zip(batch.offsets, batch.events, strict=True)
    pairs = [(at, one) for at, one in both if isinstance(one, Bar) and one.instrument in index]
    rows = np.zeros(len(pairs), BAR)
    for row, (_, bar) in zip(rows, pairs, strict=True):
        for name in Bar.__struct_fields__:
            row[name] = index[bar.instrument] if name == "instrument" else getattr(bar, name)
    features = FeatureSet(made.manifest.features, trained, MINUTE_NS, gaps="restart", compiled=False)
    values = ServedModel(made).predict(features.table(Bars(rows, trained)).values)
    return {at: float(value) for (at, _), value in zip(pairs, values, strict=True)}


def plain(event: Event) -> Event:
    """Without what no replay gives again."""
    return msgspec.structs.replace(event, latency_ns=0) if isinstance(event, Forecast) else event
