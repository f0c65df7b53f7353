"""Times are int64 nanoseconds since 1970 UTC. This file only converts; the clock is read where the world is met."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from quantlytic.model.errors import InputError

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000

_UNITS_NS = {"ms": NS_PER_MS, "s": NS_PER_S, "m": 60 * NS_PER_S, "h": 3600 * NS_PER_S, "d": 86400 * NS_PER_S}
_LONGEST_NS = 36_500 * _UNITS_NS["d"]
_DURATION = re.compile(r"(\d{1,12})(ms|s|m|h|d)")


def duration_ns(text: str) -> int:
    """`"5s"`, `"15m"`, `"1d"` to nanoseconds. Raises InputError on anything else."""
    match = _DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None or int(match[1]) == 0:
        raise InputError(f"{text!r} is not a duration: write a whole number and ms, s, m, h or d, such as 5s or 15m")
    size_ns = int(match[1]) * _UNITS_NS[match[2]]
    if size_ns > _LONGEST_NS:  # a time of today and a duration must add up within int64
        raise InputError(f"{text!r} is too long: a duration is at most {_LONGEST_NS // _UNITS_NS['d']}d")
    return size_ns


def duration_text(size_ns: int) -> str:
    """The shortest exact text of a duration: 60 s -> "1m"."""
    for unit in ("d", "h", "m", "s", "ms"):
        if size_ns % _UNITS_NS[unit] == 0 and size_ns > 0:
            return f"{size_ns // _UNITS_NS[unit]}{unit}"
    raise ValueError(f"{size_ns} ns is not a whole number of milliseconds")


def iso(time_ns: int) -> str:
    """`2026-11-21T12:00:00.000000Z` (microseconds: what datetime can show)."""
    seconds, rest = divmod(time_ns, NS_PER_S)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{rest // 1000:06d}Z"
