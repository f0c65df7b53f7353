"""A line of forecasts by a tiny writer: what a predictor leaves on the tape, swaps of models among it."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tests.engine.market import random_bars
from tests.research.paperline import INSTRUMENTS, MINUTE_NS, bar_events

from quantlytic.model.bar import Bar
from quantlytic.model.barsclosed import BarsClosed
from quantlytic.model.event import Event
from quantlytic.model.forecast import Forecast, ModelChange
from quantlytic.model.instrument import Instrument
from quantlytic.model.run import Run
from quantlytic.store.log.port import Log

LINE = "demo"
STRATEGY = f"{Path(__file__).with_name('follow_forecast.py')}:FollowForecast"


def forecasts(bars: Sequence[Bar], seed: int, changes: int = 5, silent: int = 10) -> list[Event]:
    """Each bar with a forecast, none for the first `silent` ones; every model change before the first of the new one; the
    ends of times where they belong."""
    source, model, found = random.Random(seed), "", list[Event]()
    cuts = {silent, *np.linspace(silent, len(bars), changes + 1, dtype=int).tolist()[:changes]}
    for k, bar in enumerate(bars):
        if k in cuts:
            old, model = model, f"m{len(found):04d}"
            found.append(ModelChange(LINE, "", bar.close_time, old, model, "command", "better", k))
        value = math.nan if not model or source.random() < 0.05 else source.random()
        reason = "" if value == value else "warming up"
        whole = [getattr(bar, name) for name in bar.__struct_fields__]
        found.append(Forecast(LINE, *whole, value, model, reason, k, source.randrange(1000)))
        if k + 1 == len(bars) or bars[k + 1].close_time > bar.close_time:
            found.append(BarsClosed(MINUTE_NS, bar.close_time))
    return found


def random_line(
    seed: int, count: int, instruments: tuple[Instrument, ...] = INSTRUMENTS, changes: int = 5
) -> list[Event]:
    return forecasts(bar_events(random_bars(seed, count, len(instruments)), instruments), seed, changes)


def write_line(log: Log, events: Sequence[Event], batch: int = 50) -> None:
    writer = log.writer(f"predictor.{LINE}")
    for k in range(0, len(events), batch):
        writer.commit({f"forecasts.{LINE}": events[k : k + batch]})
    writer.close()


def forecast_run(
    strategy: str = STRATEGY, instruments: tuple[Instrument, ...] = INSTRUMENTS, first: int = 0, mode: str = "paper"
) -> Run:
    return Run("run-ml", mode, "box", strategy, {}, instruments, MINUTE_NS, 1e5, 5.0, first, "", LINE)
