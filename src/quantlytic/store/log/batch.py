"""What every adapter hands to a reader."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from quantlytic.model.event import Event


class EventBatch(NamedTuple):
    """Events of one stream with their offsets; `next_offset` is where to go on."""

    events: Sequence[Event]
    offsets: Sequence[int]
    next_offset: int


def empty_batch(offset: int) -> EventBatch:
    """Nothing there yet: go on at the same place."""
    return EventBatch((), (), offset)
