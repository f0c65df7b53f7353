"""A vendor's rows against the calendar and the rules."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.daily.calendar import label_ns, sessions
from quantlytic.daily.day import Work
from quantlytic.daily.examine import Examined, examine
from quantlytic.model.ledger import LedgerKind
from quantlytic.venues.daily import DAILY, DailyHistory

DATE = datetime.date
FIRST, LAST = DATE(2025, 11, 3), DATE(2025, 12, 5)


def rows_of(days: list[DATE]) -> NDArray[Any]:
    rows = np.zeros(len(days), DAILY)
    rows["time"] = [label_ns(day) for day in days]
    for name in ("open", "high", "low", "close"):
        rows[name] = 50.0 + np.sin(np.arange(len(days)))
    rows["high"] += 1.0
    rows["low"] -= 1.0
    rows["adj_close"], rows["volume"] = np.nan, 1000.0
    return rows


def examined(rows: NDArray[Any], known: dict[int, float] | None = None, **history: Any) -> Examined:
    work = Work("usa:AAPL", "XNYS", FIRST, is_new=True, is_due=True, is_wanted=False)
    return examine(work, DailyHistory("usa:AAPL", rows, "split-adjusted", **history), LAST, known)


def kinds(found: Examined) -> list[tuple[LedgerKind, str]]:
    return [(entry.kind, str(np.datetime64(entry.event_time, "ns"))[:10]) for entry in found.entries]


def test_a_whole_month_says_nothing() -> None:
    found = examined(rows_of(sessions("XNYS", FIRST, LAST)))
    assert (len(found.rows), found.entries, found.missing, found.is_held) == (24, (), (), False)


def test_missing_sessions_are_told_stretch_by_stretch() -> None:
    days = [
        day
        for day in sessions("XNYS", FIRST, LAST)
        if day not in (DATE(2025, 11, 26), DATE(2025, 11, 28), DATE(2025, 12, 5))
    ]
    found = examined(rows_of(days))
    assert kinds(found) == [(LedgerKind.GAP, "2025-11-26"), (LedgerKind.GAP, "2025-12-05")]
    assert [entry.count for entry in found.entries] == [2, 1]  # Thanksgiving between them is no session
    assert found.entries[0].detail == "2 sessions until 2025-11-28 have no bar"
    assert examined(rows_of(days), known={label_ns(DATE(2025, 12, 5)): 50.0}).missing == (
        DATE(2025, 11, 26),
        DATE(2025, 11, 28),
    )


def test_a_bar_of_a_holiday_is_left_out() -> None:
    found = examined(rows_of(sorted([*sessions("XNYS", FIRST, LAST), DATE(2025, 11, 27)])))
    assert kinds(found) == [(LedgerKind.INVALID, "2025-11-27")]
    assert len(found.rows) == 24


def test_rows_of_another_exchange_are_held_back() -> None:
    found = examined(rows_of([FIRST + datetime.timedelta(days=k) for k in range(30)]))
    assert found.is_held
    assert len(found.rows) == 0
    assert "another exchange's?" in found.entries[0].detail


def test_a_day_without_a_price_is_missing() -> None:
    rows = rows_of(sessions("XNYS", FIRST, LAST))
    rows["close"][5] = np.nan
    found = examined(rows)
    assert [kind for kind, _ in kinds(found)] == [LedgerKind.GAP, LedgerKind.INVALID]
    assert len(found.rows) == 23


def test_a_day_that_is_there_twice() -> None:
    rows = rows_of(sessions("XNYS", FIRST, LAST))
    rows = np.concatenate((rows, rows[-1:]))
    rows["close"][-1] += 0.5
    found = examined(rows)
    assert kinds(found) == [(LedgerKind.DUPLICATE, "2025-12-05")]
    assert found.rows["close"][-1] == rows["close"][-1]


def test_prices_in_doubt_are_held_back_and_a_doubtful_dividend_is_left_out() -> None:
    rows = rows_of(sessions("XNYS", FIRST, LAST))
    for name in ("open", "high", "low", "close"):
        rows[name][:12] *= 100.0
    found = examined(rows, currency="USD")
    assert found.is_held
    assert (len(found.rows), [doubt.about for doubt in found.doubts]) == (0, ["prices"])

    rows = rows_of(sessions("XNYS", FIRST, LAST))
    rows["adj_close"], rows["dividend"][12] = rows["close"], 20.0
    found = examined(rows)
    assert [doubt.about for doubt in found.doubts] == ["dividend"]
    assert (len(found.rows), found.rows["dividend"].sum()) == (24, 0.0)
    assert found.entries[0].stream == "actions"


def test_a_repair_is_stated_from_what_to_what() -> None:
    rows = rows_of(sessions("XNYS", FIRST, LAST))
    right = float(rows["close"][7])
    rows["close"][7] *= 100.0
    found = examined(rows)
    (entry,) = found.entries
    assert entry.kind is LedgerKind.REPAIRED
    assert entry.detail.startswith(f"unit: close {100 * right:.6g} -> {right:.6g}: close a hundred times off")
    assert np.isclose(found.rows["close"][7], right)


def test_what_is_stored_is_raw() -> None:
    rows = rows_of(sessions("XNYS", FIRST, LAST))
    rows["split"][10] = 4.0
    found = examined(rows, later_split=2.0)
    assert np.allclose(found.rows["close"], rows["close"] * np.where(np.arange(24) < 10, 8.0, 2.0))
    assert found.repairs == ()
