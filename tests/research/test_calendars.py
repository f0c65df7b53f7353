"""Sessions against LEAN's own table of them and against the days on which SPY traded; holes that know the calendar."""

from __future__ import annotations

import gzip
import json
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from quantlytic import Bars, Instrument, load_bars
from quantlytic.model.action import ActionKind
from quantlytic.model.errors import DataError, InputError
from quantlytic.model.time import iso
from quantlytic.research.data.calendars import (
    Sessions,
    count_holes,
    days_off,
    find_session_holes,
    session_actions,
    sessions,
)
from quantlytic.research.data.equities import load_equity

FIRST, LAST = date(1998, 1, 2), date(2021, 3, 31)
EARLY_AND_NOT_IN_LEAN = {date(1998, 11, 27), date(1998, 12, 24), date(1999, 12, 31)}
MINUTE_NS = 60_000_000_000


@pytest.fixture(scope="module")
def nyse() -> Sessions:
    return sessions("XNYS", FIRST, LAST)


def bars_at(opens: list[str], minutes: int) -> Bars:
    times = np.array(opens, "datetime64[ns]").astype(np.int64)
    flat = np.ones(len(times))
    prices = {"open": flat, "high": flat, "low": flat, "close": flat, "volume": flat}
    return Bars.of(Instrument("test:X"), open_time=times, close_time=times + minutes * MINUTE_NS, **prices)


def test_sessions_are_the_days_on_which_spy_traded(market_data: Path, nyse: Sessions) -> None:
    spy = load_equity(market_data, "SPY")
    np.testing.assert_array_equal(nyse.dates_of(spy.bars.array["open_time"]), nyse.dates)
    np.testing.assert_array_equal(spy.bars.array["open_time"], nyse.open_times)


def test_holidays_and_early_closes_are_leans(market_data: Path, nyse: Sessions) -> None:
    with gzip.open(market_data / "lean_market-hours-database.json.gz") as file:
        lean = json.load(file)["entries"]["Equity-usa-[*]"]

    def day(text: str) -> date:
        return datetime.strptime(text, "%m/%d/%Y").date()

    weekdays = {FIRST + timedelta(k) for k in range((LAST - FIRST).days + 1) if (FIRST + timedelta(k)).weekday() < 5}
    assert set(nyse.dates.tolist()) == weekdays - {day(text) for text in lean["holidays"]}
    early = {day(text) for text in lean["earlyCloses"]} & weekdays
    ours = set(nyse.dates[nyse.close_times - nyse.open_times < 6 * 60 * MINUTE_NS].tolist())
    assert ours == early | EARLY_AND_NOT_IN_LEAN


def test_a_daily_bar_closes_with_its_session(market_data: Path) -> None:
    plain, exact = load_equity(market_data, "SPY"), load_equity(market_data, "SPY", calendar="XNYS")
    earlier = plain.bars.array["close_time"] - exact.bars.array["close_time"]
    assert set(np.unique(earlier).tolist()) == {0, 3 * 60 * MINUTE_NS}
    with pytest.raises(DataError, match=r"there is a bar of .*, when XLON was closed"):
        load_equity(market_data, "SPY", calendar="XLON")


def test_actions_open_and_close_each_session(nyse: Sessions) -> None:
    known = sessions("XNYS", "2020-11-25", "2020-11-27")
    assert [str(day) for day in known.dates] == ["2020-11-25", "2020-11-27"]  # Thanksgiving between
    rows = session_actions(known, instruments=2)
    assert [(row["instrument"], ActionKind(row["kind"]).name, iso(row["event_time"])) for row in rows] == [
        (0, "OPEN", "2020-11-25T14:30:00.000000Z"), (1, "OPEN", "2020-11-25T14:30:00.000000Z"),
        (0, "CLOSE", "2020-11-25T21:00:00.000000Z"), (1, "CLOSE", "2020-11-25T21:00:00.000000Z"),
        (0, "OPEN", "2020-11-27T14:30:00.000000Z"), (1, "OPEN", "2020-11-27T14:30:00.000000Z"),
        (0, "CLOSE", "2020-11-27T18:00:00.000000Z"), (1, "CLOSE", "2020-11-27T18:00:00.000000Z"),
    ]  # fmt: skip
    assert (np.diff(session_actions(nyse)["event_time"]) > 0).all()


def test_only_missing_sessions_are_holes_of_daily_bars(market_data: Path) -> None:
    labelled = load_bars(market_data / "equity_daily_lean.parquet", symbol="SPY")  # stamped at midnight, no time zone
    assert count_holes(labelled, "XNYS") == 0
    timed = load_equity(market_data, "SPY").bars
    assert count_holes(timed, "XNYS") == 0
    keep = np.ones(len(timed), bool)
    keep[[100, 200, 201, 202]] = False
    for bars in (labelled, timed):
        cut = Bars(bars.array[keep], bars.instruments)
        holes = find_session_holes(cut, "XNYS")
        assert holes["missing"].tolist() == [1, 3]
        assert [iso(start)[:10] for start in holes["start"]] == [
            iso(timed.array["open_time"][k])[:10] for k in (100, 200)
        ]
        assert (holes["end"] == bars.array["open_time"][[101, 203]]).all()
    assert count_holes(load_equity(market_data, "QQQ").bars, "XNYS") == 1588  # QQQQ's years, and nothing else


def test_holes_of_smaller_bars_know_the_session() -> None:
    friday = [f"2020-11-27T{hour:02d}:30" for hour in (14, 15, 16, 17)]  # closes at 18:00
    monday = [f"2020-11-30T{hour:02d}:30" for hour in (14, 15, 17, 18, 20)]  # 16:30 and 19:30 are missing
    holes = find_session_holes(bars_at(friday + monday, 60), "XNYS")
    assert [(iso(row["start"])[:16], iso(row["end"])[:16], row["missing"]) for row in holes] == [
        ("2020-11-30T16:30", "2020-11-30T17:30", 1),
        ("2020-11-30T19:30", "2020-11-30T20:30", 1),
    ]
    whole_hours = ["2020-11-27T14:00", "2020-11-27T15:00", "2020-11-27T16:00", "2020-11-27T17:00", "2020-11-30T14:00"]
    assert count_holes(bars_at(whole_hours, 60), "XNYS") == 0  # 14:00 holds the half hour from 14:30
    assert count_holes(bars_at(["2020-11-26T14:30", *friday], 60), "XNYS") == 0  # a bar of Thanksgiving is no hole


def test_a_lunch_break_is_no_hole() -> None:
    tokyo = ["2024-07-01T00:00", "2024-07-01T01:00", "2024-07-01T02:00", "2024-07-01T03:30", "2024-07-01T04:30"]
    assert count_holes(bars_at([*tokyo[:3], "2024-07-01T03:00", "2024-07-01T04:00"], 60), "XTKS") == 0
    half_hours = [f"2024-07-01T{h:02d}:{m:02d}" for h, m in ((0, 0), (0, 30), (1, 0), (1, 30), (2, 0), (3, 30), (4, 0))]
    assert count_holes(bars_at(half_hours, 30), "XTKS") == 0  # 2:30 to 3:30 is the break


def test_real_hours_have_few_holes(market_data: Path) -> None:
    hours = load_equity(market_data, "AAPL", "1h").bars
    holes = find_session_holes(hours, "XNYS")
    assert holes["missing"].sum() < len(hours) * 0.001
    assert (holes["end"] > holes["start"]).all()


def test_round_the_clock_has_no_nights(market_data: Path) -> None:
    btc = load_bars(market_data / "binance_spot_1h_staticklines.parquet", symbol="BTCUSDT")
    assert count_holes(btc, "24/7") == 1
    assert len(days_off(btc, "24/7")) == 0


def test_days_off_are_told(market_data: Path) -> None:
    spy = load_bars(market_data / "equity_daily_lean.parquet", symbol="SPY")
    assert len(days_off(spy, "XNYS")) == 0
    assert "2020-12-28" in [str(day) for day in days_off(spy, "XLON")]


def test_what_no_calendar_can_answer() -> None:
    with pytest.raises(InputError, match="no calendar is called 'NOPE'"):
        sessions("NOPE", "2020-01-01", "2020-02-01")
    with pytest.raises(InputError, match="no sessions of XNYS from 2020-02-01 to 2020-01-01"):
        sessions("XNYS", "2020-02-01", "2020-01-01")
    weekly = bars_at(["2020-01-06", "2020-01-13", "2020-01-20"], 60)
    with pytest.raises(InputError, match="test:X: bars of more than a day"):
        count_holes(weekly, "XNYS")
