"""Which days are due: the sessions of each instrument's exchange, and when the last of them has closed."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

DAY_NS = 86_400_000_000_000
ALWAYS = "24/7"
_LOOK_BACK = 14  # days: longer than any exchange was ever closed in our time, but for wars


def label_ns(day: date) -> int:
    """Midnight UTC of the date, which is how a daily bar names its day."""
    return (day - date(1970, 1, 1)).days * DAY_NS


def day_of(label: int) -> date:
    """The date of a label."""
    return date(1970, 1, 1) + timedelta(days=label // DAY_NS)


def sessions(calendar: str, first: date, last: date) -> list[date]:
    """The exchange's sessions from `first` to `last`, both included. Raises InputError for a calendar that is none."""
    if calendar == ALWAYS:
        return [first + timedelta(days=k) for k in range((last - first).days + 1)]
    return [day for day in _known(calendar, first.year, last.year) if first <= day <= last]


def close_ns(calendar: str, day: date) -> int | None:
    """When the session of that date closes, ns UTC (early closes and summer time allowed for); None where there is none."""
    if calendar == ALWAYS:
        return label_ns(day) + DAY_NS
    return _known(calendar, day.year, day.year).get(day)


def due_day(calendars: Iterable[str], now_ns: int, delay_ns: int) -> date | None:
    """The latest date with a session whose every session has been closed for `delay_ns`; None for none in two weeks."""
    today = datetime.fromtimestamp(now_ns // 1_000_000_000, UTC).date() + timedelta(days=1)
    wanted = sorted(set(calendars))
    for back in range(_LOOK_BACK):
        day = today - timedelta(days=back)
        closes = [close for one in wanted if (close := close_ns(one, day)) is not None]
        if closes and max(closes) + delay_ns <= now_ns:
            return day
    return None


def next_due_ns(calendars: Iterable[str], after_ns: int, delay_ns: int) -> int | None:
    """When the next day falls due after that time, ns UTC; None for none in two weeks."""
    first = datetime.fromtimestamp(after_ns // 1_000_000_000, UTC).date() - timedelta(days=2)
    wanted = sorted(set(calendars))
    for ahead in range(_LOOK_BACK + 2):
        day = first + timedelta(days=ahead)
        closes = [close for one in wanted if (close := close_ns(one, day)) is not None]
        if closes and max(closes) + delay_ns > after_ns:
            return max(closes) + delay_ns
    return None


def labels(days: Iterable[date]) -> NDArray[np.int64]:
    """`label_ns` of each."""
    return np.array([label_ns(day) for day in days], np.int64)


@functools.lru_cache(maxsize=64)
def _known(calendar: str, first_year: int, last_year: int) -> dict[date, int]:
    from quantlytic.research.data import calendars  # imports pandas

    found = calendars.sessions(calendar, date(first_year, 1, 1), date(last_year, 12, 31))
    return dict(zip(found.dates.astype("datetime64[D]").tolist(), found.close_times.tolist(), strict=True))
