"""Open, high, low, close, volume of a stretch of trades."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.model.event import Event, InstrumentId, dtype_of


class Bar(Event, frozen=True, tag=4):
    """A finished bar over [open_time, close_time), both ns UTC. `volume` is in base, `quote_volume` in quote currency.

    A stretch without trades has no bar: nothing is filled in.
    """

    instrument: InstrumentId
    open_time: int
    close_time: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float = 0.0
    trades: int = 0


_EVENT = dtype_of(Bar)
EVENT_FIELDS: tuple[str, ...] = _EVENT.names or ()
"""What a row of BAR has of the event."""

BAR = np.dtype([*((name, _EVENT[name]) for name in EVENT_FIELDS), ("forecast", "f8")], align=True)
"""A bar in an array: the event's fields, and `forecast`, what a model expected after it (NaN: none). Zeros are a forecast too:
begin with `blank_bars`."""


def blank_bars(count: int) -> NDArray[Any]:
    """`count` rows of dtype BAR, all zero, without forecasts."""
    rows = np.zeros(count, BAR)
    rows["forecast"] = math.nan
    return rows


def bar_row(bar: Any, instrument: int, forecast: float = math.nan) -> tuple[Any, ...]:
    """One row of BAR, its fields in order, from a Bar or another event with its fields (Forecast); `instrument` is the index in
    the run's instruments."""
    return (
        instrument, bar.open_time, bar.close_time, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.quote_volume,
        bar.trades, forecast,
    )  # fmt: skip


def bar_of(row: np.void, instrument: str) -> Bar:
    """The event of a row; its forecast is not part of it."""
    return Bar(instrument, *row.item()[1:-1])
