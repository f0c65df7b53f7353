"""The averages of the last 7, 21, 50, 100 and 200 closes, as rows of the lake's table `averages`."""

from __future__ import annotations

from quantlytic.daily.day import Day, Summary
from quantlytic.daily.shelf import bars_of, rows_before
from quantlytic.engine.indicators.sma import SMA
from quantlytic.model.averages import PERIODS, Averages
from quantlytic.model.event import Event


def run(day: Day) -> Summary:
    """Rows for every bar that has none yet: the engine's own average over closes adjusted for splits, told in the day's units."""
    names = [one.instrument for one in day.works]
    known = set(rows_before(day, "averages", names, ["event_time"]).iter_rows())
    traded, adjusted = bars_of(day, names, "raw"), bars_of(day, names, "splits")
    events: list[Event] = []
    for done, name in enumerate(sorted(traded)):
        day.progress(name, done, len(traded))
        close, units = traded[name].array["close"], traded[name].array["close"] / adjusted[name].array["close"]
        means = [SMA.over(adjusted[name].array["close"], period=period) * units for period in PERIODS]
        times = traded[name].array["close_time"].tolist()
        rows = zip(times, close.tolist(), *(one.tolist() for one in means), strict=True)
        events += [Averages(name, *row) for row in rows if (name, row[0]) not in known]
    day.lake.append(day.source, range(len(events)), events)
    return {"instruments": len(traded), "rows": len(events), "trouble": []}
