"""Forecasts over bars made by a seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.data.bars import Bars
from quantlytic.learn.contest.contest import Contest
from quantlytic.learn.contest.outcomes import Outcome
from quantlytic.learn.labels.labels import labels_of
from quantlytic.learn.labels.labelspec import LabelSpec
from quantlytic.model.forecast import Forecast

Numbers = NDArray[np.float64]


def forecasts_of(
    bars: Bars, values: Sequence[float] | Numbers, model_id: str = "m", *, line: str = "trend", drift: float = 0.01
) -> Iterator[Forecast]:
    """The bars, each with its value."""
    for k, (row, value) in enumerate(zip(bars.array, values, strict=True)):
        yield Forecast(
            line, bars.instruments[row["instrument"]].id, int(row["open_time"]), int(row["close_time"]),
            float(row["open"]), float(row["high"]), float(row["low"]), float(row["close"]), float(row["volume"]),
            float(row["quote_volume"]), int(row["trades"]), float(value), model_id, "", k, 1_000, drift,
        )  # fmt: skip


def contest_of(
    bars: Bars, label: LabelSpec, task: str, champion: Numbers | None, challenger: Numbers, *, cost_bps: float = 0.0
) -> Iterator[Contest]:
    """A contest over the bars of one instrument, bar by bar; labels are made once for all."""
    labels = labels_of(bars, label, compiled=False)
    contest = Contest(task, label.horizon, cost_bps)
    forecasts = list(forecasts_of(bars, challenger))
    for k, forecast in enumerate(forecasts):
        contest.take(None if champion is None else float(champion[k]), forecast)
        settled = k - label.horizon
        if settled >= 0 and labels.known[settled]:
            contest.settle(
                Outcome(forecasts[settled], float(labels.value[settled]), float(labels.result[settled]), 1.0)
            )
        yield contest
