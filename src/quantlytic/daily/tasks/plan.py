"""What the day has to do: which instruments, from which date on."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

import polars as pl

from quantlytic.daily import calendar
from quantlytic.daily.day import Day, Summary, Work
from quantlytic.daily.shelf import rows_before
from quantlytic.daily.tracked import refuse_unnamed, tracked, wanted
from quantlytic.model.errors import InputError
from quantlytic.model.time import iso

_FIRST = calendar.day_of(0)


def run(day: Day) -> Summary:
    """Write the plan; refuse a day that is not over."""
    works = works_of(day)
    refuse_unfinished(day, works)
    refuse_unnamed(day.control, day.now_ns())
    day.staging.put("plan", works)
    day.staging.trim(day.date)
    return {
        "instruments": len(works), "due": sum(one.is_due for one in works), "new": sum(one.is_new for one in works),
        "wanted": sum(one.is_wanted for one in works), "trouble": [],
    }  # fmt: skip


def works_of(day: Day) -> list[Work]:
    """Settings first, then what was asked for. Nothing is written."""
    if day.date < _FIRST:
        raise InputError(f"{day.name} is before {_FIRST}: name a later date")
    names, asked = tracked(day.control, day.settings), wanted(day.control)
    if not names:
        raise InputError(
            'no instrument is tracked: name some in quantlytic.toml, [daily] instruments = ["usa:AAPL", "binance:BTCUSDT"]'
        )
    last = _last_days(day, names)
    return [_work(day, name, last.get(name), is_wanted=name in asked) for name in names]


def refuse_unfinished(day: Day, works: Iterable[Work]) -> None:
    """Raise InputError where a session of the day has not closed yet: half a bar would be stored for a whole one."""
    for one in works:
        close = calendar.close_ns(one.calendar, day.date)
        if close is not None and close > day.now_ns():
            raise InputError(
                f"{day.name} is not over: {one.calendar} closes at {iso(close)[:16]}Z; name an earlier date"
            )


def _work(day: Day, name: str, last: date | None, is_wanted: bool) -> Work:
    where = day.settings.calendar_of(name)
    if last is None:
        since = _before(day.date, day.settings.history_days)
    else:
        since = min(_before(day.date, day.settings.lookback_days), last + timedelta(days=1))
    return Work(name, where, since, last is None, calendar.close_ns(where, day.date) is not None, is_wanted)


def _before(day: date, days: int) -> date:
    """So many days earlier, as far as there are any."""
    return day - timedelta(days=min(days, (day - _FIRST).days))


def _last_days(day: Day, names: list[str]) -> dict[str, date]:
    """The last day in the lake, by instrument."""
    rows = rows_before(day, "bars", names, ["open_time"]).group_by("instrument").agg(pl.col("open_time").max())
    return {name: calendar.day_of(time) for name, time in rows.iter_rows()}
