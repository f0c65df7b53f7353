"""When somebody may be disturbed, and how often; and how long to wait before trying again. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from quantlytic.model.time import NS_PER_S
from quantlytic.store.control.records import Subscriber

MINUTE_NS = 60 * NS_PER_S
HOUR_NS = 3_600 * NS_PER_S
FIRST_RETRY_NS, LONGEST_RETRY_NS = NS_PER_S, 2 * HOUR_NS
LONGEST_PAUSE_NS = MINUTE_NS
FLOODS = ("signal", "look-ahead", "fill")
"""Kinds of which there may be hundreds an hour: the hour's limit of messages holds for them together ..."""
MATTERS = ("risk", "data", "digest")
"""... and for these by themselves: what is wrong does not wait behind what is as ever."""


def limited_with(kind: str) -> tuple[str, ...]:
    """The kinds with which one of this kind shares the hour's limit; () for one that is not limited."""
    return next((kinds for kinds in (FLOODS, MATTERS) if kind in kinds), ())


def retry_ns(failures: int, longest_ns: int) -> int:
    """The pause after so many failures in a row: 1, 2, 4 ... s, up to `longest_ns`."""
    return min(FIRST_RETRY_NS << min(max(failures - 1, 0), 40), longest_ns)


def quiet_until_ns(subscriber: Subscriber, now_ns: int) -> int | None:
    """When the subscriber's quiet time that is now ends, ns UTC; None when it is not quiet.

    The clock on his wall decides: where it is put forward over the end, the quiet time ends when it jumps; where it is put
    back into it, the hour that comes twice is quiet twice. A time zone that is unknown counts as UTC.
    """
    start, end = subscriber.quiet_start_min, subscriber.quiet_end_min
    if start == end:
        return None
    zone = _zone(subscriber.time_zone)
    now = datetime.fromtimestamp(now_ns // NS_PER_S, UTC)
    wall = now.astimezone(zone)
    minute = wall.hour * 60 + wall.minute
    is_quiet = start <= minute < end if start < end else minute >= start or minute < end
    if not is_quiet:
        return None
    days = 1 if start > end and minute >= start else 0
    day = wall.replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0) + timedelta(days=days)
    ends = (day + timedelta(minutes=end)).replace(tzinfo=zone, fold=wall.fold if days == 0 else 0)
    until = int(ends.astimezone(UTC).timestamp()) * NS_PER_S
    # an end that was jumped over lies an hour further on the wall than in truth; one that came before is the later of the two
    return until if until > now_ns else int(ends.replace(fold=1).astimezone(UTC).timestamp()) * NS_PER_S


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")
