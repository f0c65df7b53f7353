"""One instrument's history, as a vendor gave it, held against the calendar and the rules: what may be stored, and what to say."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.daily import basis, calendar
from quantlytic.daily.day import Work
from quantlytic.daily.rules.finding import Doubt, Repair, priced
from quantlytic.daily.vendor import judged
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.venues.daily import DailyHistory

BARS, ACTIONS = "bars", "actions"
_FEWEST_SHARED, _UNIT_SLACK, _MOST_ALIKE = 5, 0.02, 0.9  # rows, share of a price, share of rows
_MOST_OFF = 0.05  # share of rows on days when the exchange was closed: more, and it is another exchange


@dataclass(frozen=True)
class Examined:
    """`rows`: raw, one a session, priced; none where prices are in doubt (`is_held`). `entries` are for the ledger, in the order
    of time. `missing`: sessions without a row."""

    instrument: str
    rows: NDArray[Any]
    entries: tuple[LedgerEntry, ...]
    repairs: tuple[Repair, ...]
    doubts: tuple[Doubt, ...]
    missing: tuple[date, ...]
    is_held: bool

    @property
    def sentences(self) -> tuple[str, ...]:
        """What a person should know, without the instrument's name."""
        return tuple(f"{calendar.day_of(entry.event_time)}: {entry.detail}" for entry in self.entries)


def examine(
    work: Work, history: DailyHistory, day: date, known: Mapping[int, float] | None = None, right: Collection[int] = ()
) -> Examined:
    """Judge the rows of the dates from `work.since` to `day`. `known`: the closes that are stored, by label; `right`: labels of
    days whose doubtful prices a person has found to be right."""
    name, rows = work.instrument, history.rows
    rows = rows[np.argsort(rows["time"], kind="stable")]
    notes: list[LedgerEntry] = []
    twice = np.append(np.diff(rows["time"]) == 0, np.zeros(min(len(rows), 1), np.bool_))
    notes += [
        _entry(name, LedgerKind.DUPLICATE, time, "the source has the day twice; the last is taken")
        for time in rows["time"][twice]
    ]
    rows = rows[~twice]
    rows = rows[(rows["time"] >= calendar.label_ns(work.since)) & (rows["time"] <= calendar.label_ns(day))]
    asked = DailyHistory(name, rows, history.basis, history.currency, history.later_split)
    found = judged(basis.split_adjusted(asked), history.currency)
    notes += [_repaired(name, one) for one in found.repairs]
    doubts = tuple(one for one in found.doubts if one.about != "prices" or one.time not in right)
    for doubt in doubts:
        stream = BARS if doubt.about == "prices" else ACTIONS
        notes.append(_entry(name, LedgerKind.INVALID, doubt.time, doubt.reason, stream))
    doubtful = {one.time for one in doubts if one.about == "dividend"}
    fixed = basis.raw(asked, found.rows)
    fixed["dividend"][np.isin(fixed["time"], list(doubtful))] = 0.0
    is_held = any(one.about == "prices" for one in doubts)
    there = priced(fixed)
    notes += [
        _entry(name, LedgerKind.INVALID, time, "the source has no price for the day") for time in fixed["time"][~there]
    ]
    whole = fixed[there]
    open_days = calendar.sessions(work.calendar, work.since, day)
    closed = ~np.isin(whole["time"], calendar.labels(open_days))
    if len(whole) and closed.mean() > _MOST_OFF:
        reason = (
            f"{int(closed.sum())} of {len(whole)} rows are of days when {work.calendar} was closed: another exchange's?"
        )
        notes.append(_entry(name, LedgerKind.INVALID, int(whole["time"][closed][0]), reason))
        is_held = True
    else:
        reason = f"a bar of a day when {work.calendar} was closed; it is left out"
        notes += [_entry(name, LedgerKind.INVALID, time, reason) for time in whole["time"][closed]]
    whole = whole[~closed]
    rescaled = _rescaled(whole, known or {})
    if rescaled:
        notes.append(_entry(name, LedgerKind.INVALID, calendar.label_ns(day), rescaled))
        is_held = True
    missing = [one for one in _missing(open_days, whole) if calendar.label_ns(one) not in (known or {})]
    notes += [] if is_held else _gaps(name, open_days, missing)
    if is_held:
        whole = whole[:0]
    notes.sort(key=lambda entry: (entry.event_time, entry.kind, entry.detail))
    return Examined(name, whole, tuple(notes), found.repairs, doubts, tuple(missing), is_held)


def _rescaled(rows: NDArray[Any], known: Mapping[int, float]) -> str:
    """Why the rows are in other units than those stored; "" where they are not. A split that is in the prices and not stated yet
    would look like a crash."""
    ratios = np.array([row["close"] / known[int(row["time"])] for row in rows if int(row["time"]) in known])
    if len(ratios) < _FEWEST_SHARED:
        return ""
    usual = float(np.median(ratios))
    is_one = np.mean(np.abs(ratios / usual - 1.0) < _UNIT_SLACK) >= _MOST_ALIKE
    if abs(usual - 1.0) < _UNIT_SLACK or not is_one:
        return ""
    return f"the source's prices are now {usual:.6g} times those stored, without a split that says so; none is taken"


def _missing(open_days: list[date], rows: NDArray[Any]) -> list[date]:
    """Sessions from the first row on that have none; all of them where there is no row."""
    if not len(rows):
        return open_days
    there = set(rows["time"].tolist())
    first = int(rows["time"][0])
    return [day for day in open_days if (label := calendar.label_ns(day)) > first and label not in there]


def _gaps(name: str, open_days: list[date], missing: Iterable[date]) -> list[LedgerEntry]:
    """An entry for each stretch of missing sessions."""
    place = {day: k for k, day in enumerate(open_days)}
    stretches: list[list[date]] = []
    for day in missing:
        if stretches and place[day] == place[stretches[-1][-1]] + 1:
            stretches[-1].append(day)
        else:
            stretches.append([day])
    return [_gap(name, one) for one in stretches]


def _gap(name: str, stretch: list[date]) -> LedgerEntry:
    first, last = calendar.label_ns(stretch[0]), calendar.label_ns(stretch[-1])
    several = f"{len(stretch)} sessions until {stretch[-1]} have no bar"
    detail = "the session has no bar" if len(stretch) == 1 else several
    return LedgerEntry(name, BARS, LedgerKind.GAP, first, first, last, len(stretch), detail)


def _repaired(name: str, one: Repair) -> LedgerEntry:
    """From what to what, and why."""
    stream = BARS if one.fields[0] in ("open", "high", "low", "close", "volume") else ACTIONS
    what = f"{', '.join(one.fields)} {one.before:.6g} -> {one.after:.6g}"
    rows = "" if one.rows == 1 else f" ({one.rows} rows until {calendar.day_of(one.last)})"
    detail = f"{one.rule}: {what}{rows}: {one.reason}"
    return LedgerEntry(name, stream, LedgerKind.REPAIRED, one.first, one.first, one.last, one.rows, detail)


def _entry(name: str, kind: LedgerKind, time: int, detail: str, stream: str = BARS) -> LedgerEntry:
    return LedgerEntry(name, stream, kind, int(time), detail=detail)
