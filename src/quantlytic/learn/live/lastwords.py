"""What a line has said of its models: which serve, and which it refused or took out of service. Read from its stream."""

from __future__ import annotations

from dataclasses import dataclass, field

from quantlytic.model.forecast import Forecast, ModelChange
from quantlytic.store.log.port import Log

EVENTS = 50_000
"""So many of the newest events are read."""
TROUBLE = ("refused", "demoted", "expired")


@dataclass
class LastWords:
    """`serving`: instrument -> the model of its last forecast, "" for none. `trouble`: model -> why it was not let in, or serves
    no more; one that was let in again later is not there."""

    serving: dict[str, str] = field(default_factory=dict)
    trouble: dict[str, ModelChange] = field(default_factory=dict)

    def serves(self, model_id: str) -> list[str]:
        """The instruments a model forecasts."""
        return sorted(one for one, model in self.serving.items() if model == model_id)


def last_words(log: Log, line: str, events: int = EVENTS) -> LastWords:
    """Of the newest `events` of a line."""
    stream, found = f"forecasts.{line}", LastWords()
    first, end = log.bounds(stream)
    at = max(first, end - events)
    while at < end and (batch := log.read(stream, at)).events:
        for event in batch.events:
            if isinstance(event, Forecast):
                found.serving[event.instrument] = event.model_id
            elif isinstance(event, ModelChange) and event.cause in TROUBLE:
                found.trouble[event.new if event.cause == "refused" else event.old] = event
            elif isinstance(event, ModelChange):
                found.trouble.pop(event.new, None)
        at = batch.next_offset
    return found
