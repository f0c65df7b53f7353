"""Which days are due: sessions, holidays, early closes, summer time."""

from __future__ import annotations

import datetime

import pytest

from quantlytic.daily.calendar import close_ns, day_of, due_day, label_ns, next_due_ns, sessions
from quantlytic.daily.settings import DailySettings, check_instrument
from quantlytic.model.errors import InputError

DATE = datetime.date
HALF_HOUR_NS = 30 * 60 * 10**9


def utc(text: str) -> int:
    return int(datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC).timestamp()) * 10**9


def test_labels() -> None:
    assert label_ns(DATE(1970, 1, 2)) == 86_400 * 10**9
    assert day_of(label_ns(DATE(2024, 2, 29))) == DATE(2024, 2, 29)


@pytest.mark.parametrize(
    ("calendar", "day", "close"),
    [
        ("XNYS", DATE(2026, 3, 6), "2026-03-06T21:00"),  # winter time
        ("XNYS", DATE(2026, 3, 9), "2026-03-09T20:00"),  # summer time began on the 8th
        ("XNYS", DATE(2025, 11, 28), "2025-11-28T18:00"),  # half a day after Thanksgiving
        ("XLON", DATE(2025, 12, 24), "2025-12-24T12:30"),
        ("24/7", DATE(2025, 12, 25), "2025-12-26T00:00"),
    ],
)
def test_when_a_session_closes(calendar: str, day: DATE, close: str) -> None:
    assert close_ns(calendar, day) == utc(close)


@pytest.mark.parametrize("day", [DATE(2025, 11, 27), DATE(2025, 11, 29), DATE(2025, 12, 25)])
def test_no_session(day: DATE) -> None:
    assert close_ns("XNYS", day) is None


def test_sessions_of_a_week_with_a_holiday() -> None:
    assert sessions("XNYS", DATE(2025, 11, 24), DATE(2025, 11, 30)) == [DATE(2025, 11, day) for day in (24, 25, 26, 28)]
    assert len(sessions("24/7", DATE(2025, 11, 24), DATE(2025, 11, 30))) == 7


@pytest.mark.parametrize(
    ("now", "calendars", "due"),
    [
        ("2025-11-28T18:29", ["XNYS"], DATE(2025, 11, 26)),  # the half day is not due yet, the holiday never
        ("2025-11-28T18:30", ["XNYS"], DATE(2025, 11, 28)),
        ("2025-11-30T12:00", ["XNYS"], DATE(2025, 11, 28)),  # Sunday
        ("2025-11-28T23:00", ["XNYS", "24/7"], DATE(2025, 11, 27)),  # crypto's day goes on until midnight
        ("2025-11-29T00:30", ["XNYS", "24/7"], DATE(2025, 11, 28)),
        ("2025-11-30T00:31", ["24/7"], DATE(2025, 11, 29)),
    ],
)
def test_the_day_that_is_due(now: str, calendars: list[str], due: DATE) -> None:
    assert due_day(calendars, utc(now), HALF_HOUR_NS) == due


def test_nothing_is_due_without_exchanges() -> None:
    assert due_day([], utc("2025-11-28T18:30"), 0) is None
    assert next_due_ns([], utc("2025-11-28T18:30"), 0) is None


@pytest.mark.parametrize(
    ("now", "then"), [("2025-11-26T22:00", "2025-11-28T18:30"), ("2025-11-28T18:30", "2025-12-01T21:30")]
)
def test_the_next_time(now: str, then: str) -> None:
    assert next_due_ns(["XNYS"], utc(now), HALF_HOUR_NS) == utc(then)


def test_an_unknown_calendar_is_told() -> None:
    with pytest.raises(InputError, match="no calendar is called 'XXXX'"):
        close_ns("XXXX", DATE(2025, 11, 28))


@pytest.mark.parametrize(
    ("instrument", "calendar"),
    [
        ("usa:AAPL", "XNYS"), ("binance:BTCUSDT", "24/7"), ("kraken:BTC/USD", "24/7"), ("yahoo:VOD.L", "XLON"),
        ("yahoo:BTC-USD", "24/7"), ("yahoo:BRK-B", "XNYS"), ("yahoo:4063.T", "XTKS"),
    ],
)  # fmt: skip
def test_the_exchange_of_an_instrument(instrument: str, calendar: str) -> None:
    assert DailySettings(instruments=(instrument,)).calendar_of(instrument) == calendar


@pytest.mark.parametrize("name", ["AAPL", ":AAPL", "usa:", "usa:../../etc/passwd\n", "usa:A B", "usa:" + "A" * 100])
def test_a_name_that_is_none(name: str) -> None:
    with pytest.raises(InputError, match="is no instrument"):
        check_instrument(name)
