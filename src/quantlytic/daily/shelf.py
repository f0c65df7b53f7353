"""The lake as the daily run needs it: what it knew before the day, and bars to run over as of the day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from quantlytic.daily.calendar import DAY_NS
from quantlytic.daily.day import Day
from quantlytic.engine.data.adjust import adjust
from quantlytic.engine.data.bars import Bars
from quantlytic.model.action import ACTION
from quantlytic.model.bar import BAR
from quantlytic.model.instrument import Instrument
from quantlytic.store.lake.reason import collected

View = Literal["raw", "splits", "dividends"]


def rows_before(day: Day, table: str, instruments: Sequence[str], columns: Sequence[str]) -> pl.DataFrame:
    """Of the table's rows of those instruments, those that this day has not written itself: what a repeat of its tasks starts
    from. The columns asked for, and `instrument`."""
    rows = day.lake.scan(table)
    if "venue" in day.lake.table(table).spec.partitions:
        rows = rows.filter(pl.col("venue").is_in(sorted({one.partition(":")[0] for one in instruments})))
    rows = rows.filter(pl.col("instrument").is_in(list(instruments)), pl.col("source") != day.source)
    if table == "bars":
        rows = rows.filter(pl.col("close_time") - pl.col("open_time") == DAY_NS)
    return collected(rows.select("instrument", *columns))


def bars_of(day: Day, instruments: Sequence[str], view: View) -> dict[str, Bars]:
    """Daily bars until the end of the day, by instrument: "raw" as they were traded; adjusted for "splits", in the units of the
    day; or for splits and "dividends"."""
    bars = _scan(day, "bars", instruments, "open_time").filter(pl.col("close_time") - pl.col("open_time") == DAY_NS)
    actions = _scan(day, "actions", instruments, "event_time")
    every, done = collected(bars.sort("instrument", "open_time")), collected(actions.sort("event_time", "offset"))
    found = {}
    for (name,), own in every.group_by("instrument", maintain_order=True):
        one = str(name)
        array = _array(own, BAR)
        if view != "raw":
            events = _array(done.filter(pl.col("instrument") == one), ACTION)
            array = adjust(array, events, dividends=view == "dividends")
        found[one] = Bars(array, (Instrument(one),), f"{one}, 1d")
    return found


def _scan(day: Day, table: str, instruments: Sequence[str], time: str) -> pl.LazyFrame:
    return day.lake.scan(table).filter(
        pl.col("venue").is_in(sorted({one.partition(":")[0] for one in instruments})),
        pl.col("instrument").is_in(list(instruments)),
        pl.col(time) < day.label + DAY_NS,
    )


def _array(rows: pl.DataFrame, dtype: np.dtype[Any]) -> NDArray[Any]:
    """One instrument's rows, as number 0."""
    array = np.zeros(rows.height, dtype)
    for name in dtype.names or ():
        if name == "forecast":
            array[name] = np.nan
        elif name != "instrument":
            array[name] = rows[name].to_numpy()
    return array
