"""Holds what was fetched against the calendar and the rules for vendors' errors, and says what it found. Changes nothing."""

from __future__ import annotations

from collections import Counter

import polars as pl

from quantlytic.daily.accepted import accepted
from quantlytic.daily.day import Day, Summary
from quantlytic.daily.examine import examine
from quantlytic.daily.shelf import rows_before

_HELD = "its prices are in doubt, it is held back (--accept, if they are right)"


def run(day: Day) -> Summary:
    """Count what is missing, would be repaired, and is doubted."""
    rules, missing, doubts, held, rows = Counter[str](), 0, 0, list[str](), 0
    works = day.works
    stored = rows_before(day, "bars", [one.instrument for one in works], ["open_time", "close"])
    for done, work in enumerate(works):
        day.progress(work.instrument, done, len(works))
        history = day.staging.history(work.instrument)
        if history is None:
            continue
        own = stored.filter(pl.col("instrument") == work.instrument)
        found = examine(
            work,
            history,
            day.date,
            dict(own.select("open_time", "close").iter_rows()),
            accepted(day.control, work.instrument),
        )
        rows += len(history.rows)
        rules.update(one.rule for one in found.repairs)
        missing += len(found.missing)
        doubts += len(found.doubts)
        held += [work.instrument] if found.is_held else []
    return {
        "rows": rows, "missing": missing, "repairs": rules.total(), "by_rule": dict(sorted(rules.items())), "doubts": doubts,
        "held": held, "trouble": [f"{name}: {_HELD}" for name in held],
    }  # fmt: skip
