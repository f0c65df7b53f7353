"""The forecasts of a stream, as a contest is read from it again."""

from __future__ import annotations

from quantlytic.model.forecast import Forecast
from quantlytic.store.log.port import Log


def forecasts_between(log: Log, stream: str, first: int, end: int | None = None) -> list[tuple[int, Forecast]]:
    """With their offsets, from `first` (or what is left of it) up to the offset `end`."""
    found: list[tuple[int, Forecast]] = []
    at = max(first, log.bounds(stream)[0])
    while end is None or at < end:
        batch = log.read(stream, at)
        if not batch.events:
            break
        pairs = zip(batch.offsets, batch.events, strict=True)
        found += [(k, one) for k, one in pairs if isinstance(one, Forecast) and (end is None or k < end)]
        at = batch.next_offset
    return found
