"""What a run has announced that it will do, and how often that came true."""

from __future__ import annotations

import math
from typing import Any

from quantlytic.model.event import Event
from quantlytic.model.instrument import Instrument
from quantlytic.model.intent import Intent
from quantlytic.model.intentrecord import IntentRecord
from quantlytic.model.intentwords import intent_words
from quantlytic.model.run import Run
from quantlytic.model.time import NS_PER_MS, NS_PER_S

Row = dict[str, Any]

SHOWN = 40


class IntentView:
    """Folds `intents.RUN`. Rows are what is open now, the next to end first; prices that are open ends are None."""

    def __init__(self) -> None:
        self._record = IntentRecord()
        self._rows: list[Row] | None = []
        self._instruments: dict[str, Instrument] = {}

    def apply(self, event: Event) -> None:
        """Take in an intent or an outcome."""
        self._record.apply(event)
        self._rows = None

    def describe(self, run: Run) -> None:
        """Tell the run's instruments: prices are then written to their ticks."""
        instruments = {one.id: one for one in run.instruments}
        if instruments != self._instruments:
            self._instruments, self._rows = instruments, None

    def rows(self) -> list[Row]:
        """What is announced now, ready for JSON."""
        if self._rows is None:
            first = sorted(self._record.open, key=lambda one: (one.until, one.instrument, one.intent_id))
            self._rows = [self._row(intent) for intent in first[:SHOWN]]
        return self._rows

    def record(self) -> Row | None:
        """How often orders that were announced came true; None before the first was judged."""
        found = self._record.figures()
        if not found.said:
            return None
        return {
            "said": found.said, "met": found.met, "came_true": found.came_true,
            "precision": None if math.isnan(found.precision) else found.precision,
            "median_lead_s": found.median_lead_ns / NS_PER_S if found.came_true else None,
        }  # fmt: skip

    def _row(self, intent: Intent) -> Row:
        instrument = self._instruments.get(intent.instrument) or Instrument(intent.instrument)
        return {
            "id": intent.intent_id, "instrument": intent.instrument, "time_ms": intent.event_time / NS_PER_MS,
            "until_ms": intent.until / NS_PER_MS, "action": intent.action, "side": intent.side.name,
            "low": _end(intent.price_low), "high": _end(intent.price_high), "words": intent_words(intent, instrument),
        }  # fmt: skip


def _end(price: float) -> float | None:
    return price if math.isfinite(price) else None
