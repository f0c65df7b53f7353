"""Features of the time at which a bar closes."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from quantlytic.learn.features.feature import Feature
from quantlytic.model.errors import InputError
from quantlytic.model.time import NS_PER_S

_DAY_NS = 86_400 * NS_PER_S
_FIRST, _LAST = 1970, 2100
_THURSDAY = 3  # 1970-01-01, Monday being 0


class _Local(Feature):
    """Local time, summer time included: the zone's offsets are kept as an array."""

    def __init__(self, zone: str = "UTC") -> None:
        self.changes, self.offsets = offsets_of(zone)
        self.place = 0

    def local(self, time_ns: int) -> int:
        """ns since 1970 on the zone's clocks."""
        while self.place > 0 and time_ns < self.changes[self.place]:
            self.place -= 1
        while self.place + 1 < len(self.changes) and time_ns >= self.changes[self.place + 1]:
            self.place += 1
        return int(time_ns + self.offsets[self.place])


class HourSin(_Local):
    """sin(2 pi t), t the share of the local day that is over at the bar's close."""

    def update(self, bar: Any) -> float:
        """-1 to 1."""
        return math.sin(2.0 * math.pi * (self.local(bar.close_time) % _DAY_NS) / _DAY_NS)


class HourCos(_Local):
    """cos(2 pi t), t the share of the local day that is over at the bar's close."""

    def update(self, bar: Any) -> float:
        """-1 to 1."""
        return math.cos(2.0 * math.pi * (self.local(bar.close_time) % _DAY_NS) / _DAY_NS)


class DaySin(_Local):
    """sin(2 pi d / 7), d the local day of the week at the bar's close, Monday 0."""

    def update(self, bar: Any) -> float:
        """-1 to 1."""
        return math.sin(2.0 * math.pi * ((self.local(bar.close_time) // _DAY_NS + _THURSDAY) % 7) / 7.0)


class DayCos(_Local):
    """cos(2 pi d / 7), d the local day of the week at the bar's close, Monday 0."""

    def update(self, bar: Any) -> float:
        """-1 to 1."""
        return math.cos(2.0 * math.pi * ((self.local(bar.close_time) // _DAY_NS + _THURSDAY) % 7) / 7.0)


class SinceOpen(_Local):
    """Minutes from the session's `open` ("HH:MM", local) to the bar's close; negative before it."""

    def __init__(self, open: str = "09:30", zone: str = "UTC") -> None:
        self.changes, self.offsets = offsets_of(zone)
        self.place = 0
        self.minute = minute_of(open)

    def update(self, bar: Any) -> float:
        """Minutes."""
        return (self.local(bar.close_time) % _DAY_NS) / (60.0 * NS_PER_S) - self.minute


class UntilClose(_Local):
    """Minutes from the bar's close to the session's `close` ("HH:MM", local); negative after it."""

    def __init__(self, close: str = "16:00", zone: str = "UTC") -> None:
        self.changes, self.offsets = offsets_of(zone)
        self.place = 0
        self.minute = minute_of(close)

    def update(self, bar: Any) -> float:
        """Minutes."""
        return self.minute - (self.local(bar.close_time) % _DAY_NS) / (60.0 * NS_PER_S)


def minute_of(text: str) -> float:
    """`"09:30"` as minutes of the day. InputError for anything else."""
    try:
        time = datetime.strptime(str(text), "%H:%M")
    except ValueError:
        raise InputError(f"{text!r} is not a time of day: write HH:MM, such as 09:30") from None
    return 60.0 * time.hour + time.minute


@cache
def offsets_of(zone: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """When the zone's distance from UTC changes, and to what, ns, from 1970 to 2100; found by halving between days."""
    try:
        place = ZoneInfo(str(zone))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InputError(
            f"there is no time zone {zone!r}: write it as Europe/London, America/New_York or UTC"
        ) from None

    def offset(seconds: int) -> int:
        shift = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).astimezone(place).utcoffset()
        assert shift is not None
        return int(shift.total_seconds())

    end = int(datetime(_LAST, 1, 1, tzinfo=UTC).timestamp())
    found = [(-(2**62) // NS_PER_S, offset(0))]
    step = 7 * 86_400
    for start in range(0, end, step):
        low, high = start, start + step
        if offset(low) != offset(high):
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if offset(middle) != offset(low) else (middle, high)
            found.append((high, offset(high)))
    times, shifts = np.array(found, np.int64).T * NS_PER_S
    times.flags.writeable = shifts.flags.writeable = False  # all features of a zone share them
    return times, shifts
