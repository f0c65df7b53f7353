"""Stores what is right, repairs what is certain, and enters every change, doubt and hole in the ledger.

A bar that is in the lake stays as it is: what was decided on is not rewritten. Where the source now says something else, the
ledger says so. Nothing that was stated before is stated again.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from quantlytic.daily import calendar
from quantlytic.daily.accepted import accepted
from quantlytic.daily.day import Day, Summary, Work
from quantlytic.daily.examine import BARS, Examined, examine
from quantlytic.daily.shelf import rows_before
from quantlytic.daily.tracked import keep_tracking
from quantlytic.model.action import Action, ActionKind
from quantlytic.model.bar import Bar
from quantlytic.model.event import Event
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.model.losses import CAME_LATE

_SAME = 1e-4  # of a price: vendors round
_SHOWN = 20  # sentences
_KNOWN = {
    "bars": ("open_time", "close"),
    "actions": ("event_time", "kind"),
    "ledger": ("stream", "kind", "event_time", "detail"),
}


def run(day: Day) -> Summary:
    """Append the day's bars, actions and ledger entries to the lake, each once."""
    works = {one.instrument: one for one in day.works if day.staging.history(one.instrument) is not None}
    known = {table: rows_before(day, table, list(works), columns) for table, columns in _KNOWN.items()} if works else {}
    events: list[Event] = []
    trouble: list[str] = []
    for done, (name, work) in enumerate(works.items()):
        day.progress(name, done, len(works))
        history = day.staging.history(name)
        assert history is not None
        own = {table: rows.filter(pl.col("instrument") == name) for table, rows in known.items()}
        bars = dict(own["bars"].select("open_time", "close").iter_rows())
        made, said = _events(examine(work, history, day.date, bars, accepted(day.control, name)), bars, own)
        events += made
        trouble += [f"{name} {sentence}" for sentence in said]
    day.lake.append(day.source, range(len(events)), events)
    _track(day, works, {one.instrument for one in events if isinstance(one, Bar)})
    kinds = [one.kind for one in events if isinstance(one, LedgerEntry)]
    return {
        "bars": sum(isinstance(one, Bar) for one in events), "actions": sum(isinstance(one, Action) for one in events),
        "repaired": kinds.count(LedgerKind.REPAIRED), "gaps": kinds.count(LedgerKind.GAP),
        "doubted": kinds.count(LedgerKind.INVALID), "trouble": _shortened(trouble),
    }  # fmt: skip


def _events(found: Examined, bars: dict[int, float], known: dict[str, pl.DataFrame]) -> tuple[list[Event], list[str]]:
    """(what is new of one instrument, sentences about it). `bars`: stored close by label."""
    last = max(bars, default=None)
    fresh = [row for row in found.rows if int(row["time"]) not in bars]
    entries = list(found.entries)
    entries += _revised(found, bars)
    if last is not None:
        entries += [_late(found.instrument, int(row["time"])) for row in fresh if int(row["time"]) < last]
    stated = set(known["ledger"].select("stream", "kind", "event_time", "detail").iter_rows())
    new = [one for one in entries if (one.stream, int(one.kind), one.event_time, one.detail) not in stated]
    actions = _actions(found, known["actions"])
    said = [f"{calendar.day_of(one.event_time)}: {one.detail}" for one in new if one.kind is not LedgerKind.BACKFILL]
    return [*(_bar(found.instrument, row) for row in fresh), *actions, *new], said


def _bar(name: str, row: Any) -> Bar:
    opens = int(row["time"])
    open_, high, low, close, volume = (float(row[one]) for one in ("open", "high", "low", "close", "volume"))
    return Bar(name, opens, opens + calendar.DAY_NS, open_, high, low, close, volume)


def _actions(found: Examined, known: pl.DataFrame) -> list[Event]:
    """Splits before dividends of the same day: these are for new units. A nanosecond in, after the bar of the day before."""
    there = set(known.select("event_time", "kind").iter_rows())
    actions: list[Event] = []
    for row in found.rows[(found.rows["split"] > 0.0) | (found.rows["dividend"] > 0.0)]:
        time = int(row["time"]) + 1
        for kind, field in ((ActionKind.SPLIT, "split"), (ActionKind.DIVIDEND, "dividend")):
            value = float(row[field])
            if value > 0.0 and not (kind is ActionKind.SPLIT and value == 1.0) and (time, int(kind)) not in there:
                actions.append(Action(found.instrument, time, kind, value))
    return actions


def _revised(found: Examined, bars: dict[int, float]) -> list[LedgerEntry]:
    """Closes that the source has changed since they were stored."""
    entries = []
    for row in found.rows:
        time, close = int(row["time"]), float(row["close"])
        if time in bars and abs(close / bars[time] - 1.0) > _SAME:
            detail = f"the source now has a close of {close:.6g}; {bars[time]:.6g}, which was stored, stays"
            entries.append(LedgerEntry(found.instrument, BARS, LedgerKind.INVALID, time, detail=detail))
    return entries


def _late(name: str, time: int) -> LedgerEntry:
    return LedgerEntry(name, BARS, LedgerKind.BACKFILL, time, time, time, detail=CAME_LATE)


def _track(day: Day, works: dict[str, Work], stored: set[str]) -> None:
    """What was asked for and could be had is tracked from now on."""
    wanted = [one.instrument for one in works.values() if one.is_wanted]
    keep_tracking(day.control, [name for name in wanted if name in stored])
    for name in wanted:
        day.control.wanted.done(name, day.now_ns(), "" if name in stored else "its source has no usable history of it")


def _shortened(sentences: list[str]) -> list[str]:
    more = len(sentences) - _SHOWN
    return (
        sentences if more <= 0 else [*sentences[:_SHOWN], f"and {more} more: see the ledger, `quantlytic data check`"]
    )
