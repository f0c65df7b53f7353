"""Quiet hours by the clock on the wall, summer time and all; pauses that double."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantlytic.store.control.records import Subscriber
from quantlytic.telling.manners import LONGEST_PAUSE_NS, LONGEST_RETRY_NS, quiet_until_ns, retry_ns

S = 1_000_000_000
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Chatham")


def sleeper(start: int, end: int, zone: str = "Europe/Berlin") -> Subscriber:
    return Subscriber("a" * 32, "ann@example.com", "confirmed", zone, start, end, 0, 0)


def ns(text: str, zone: str = "UTC", fold: int = 0) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()) * S


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-01-10T21:59", None),
        ("2026-01-10T22:00", "2026-01-11T07:00"),
        ("2026-01-10T23:59", "2026-01-11T07:00"),
        ("2026-01-11T00:00", "2026-01-11T07:00"),
        ("2026-01-11T06:59", "2026-01-11T07:00"),
        ("2026-01-11T07:00", None),
        ("2026-12-31T23:00", "2027-01-01T07:00"),
        ("2028-02-28T23:00", "2028-02-29T07:00"),
        ("2026-03-28T23:00", "2026-03-29T07:00"),  # the night with an hour less
        ("2026-10-24T23:00", "2026-10-25T07:00"),  # the night with an hour more
    ],
)
def test_over_midnight(now: str, until: str | None) -> None:
    found = quiet_until_ns(sleeper(22 * 60, 7 * 60), ns(now, "Europe/Berlin"))
    assert found == (None if until is None else ns(until, "Europe/Berlin"))


def test_an_end_that_is_jumped_over_is_when_the_clock_jumps() -> None:
    """In Berlin 2:00 to 3:00 is missing on 2026-03-29."""
    found = quiet_until_ns(sleeper(60, 150), ns("2026-03-29T01:30", "Europe/Berlin"))
    assert found is not None
    assert found <= ns("2026-03-29T03:30", "Europe/Berlin")
    assert found >= ns("2026-03-29T03:00", "Europe/Berlin")


def test_an_hour_that_comes_twice_is_quiet_twice() -> None:
    """In Berlin 2:00 to 3:00 comes twice on 2026-10-25."""
    sub = sleeper(60, 150)
    first, second = (ns("2026-10-25T02:15", "Europe/Berlin", fold) for fold in (0, 1))
    assert second - first == 3600 * S
    assert quiet_until_ns(sub, first) == ns("2026-10-25T02:30", "Europe/Berlin", 0)
    assert quiet_until_ns(sub, second) == ns("2026-10-25T02:30", "Europe/Berlin", 1)


def test_without_quiet_hours_or_zone() -> None:
    assert quiet_until_ns(sleeper(60, 60), ns("2026-01-01T01:00")) is None
    nowhere = sleeper(60, 120, "Atlantis/Centre")
    assert quiet_until_ns(nowhere, ns("2026-01-01T01:30")) == ns("2026-01-01T02:00")


@given(
    start=st.integers(0, 1439), end=st.integers(0, 1439), zone=st.sampled_from(ZONES),
    now=st.datetimes(datetime(2024, 1, 1), datetime(2028, 12, 31)),
)  # fmt: skip
def test_quiet_time_ends_within_a_day_and_when_it_ends_it_is_over_or_comes_twice(
    start: int, end: int, zone: str, now: datetime
) -> None:
    sub, now_ns = sleeper(start, end, zone), int(now.replace(tzinfo=UTC).timestamp()) * S
    until = quiet_until_ns(sub, now_ns)
    wall = datetime.fromtimestamp(now_ns // S, ZoneInfo(zone))
    minute = wall.hour * 60 + wall.minute
    if until is None:
        inside = start <= minute < end if start < end else (minute >= start or minute < end)
        assert start == end or not inside
        return
    assert now_ns < until <= now_ns + 26 * 3600 * S
    for _ in range(3):  # following it always gets there
        again = quiet_until_ns(sub, until)
        if again is None:
            return
        until = again
    raise AssertionError(f"still quiet at {datetime.fromtimestamp(until // S, ZoneInfo(zone))}")


def test_pauses_double_up_to_their_longest() -> None:
    assert [retry_ns(count, LONGEST_PAUSE_NS) // S for count in range(9)] == [1, 1, 2, 4, 8, 16, 32, 60, 60]
    assert retry_ns(13, LONGEST_RETRY_NS) // S == 4096
    assert retry_ns(10**6, LONGEST_RETRY_NS) == LONGEST_RETRY_NS
