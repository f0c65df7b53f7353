"""How often what a run had announced came true: from the log, and from the lake where the log does not reach back any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantlytic.model.event import Event
from quantlytic.model.intent import Intent, IntentOutcome
from quantlytic.model.intentrecord import IntentRecord
from quantlytic.model.side import Side
from quantlytic.store.log.port import Log

if TYPE_CHECKING:
    from quantlytic.store.lake import Lake


def read_intents(run_id: str, log: Log, lake: Lake | None = None) -> IntentRecord:
    """The record of all that a run's look-ahead has said."""
    stream, record = f"intents.{run_id}", IntentRecord()
    position = log.bounds(stream)[0]
    held = log.bounds(stream)[1] > position
    if lake is not None and (position > 0 or not held):
        for _, event in _of_lake(run_id, lake, position if held else None):
            record.apply(event)
    while (batch := log.read(stream, position)).events:
        for event in batch.events:
            record.apply(event)
        position = batch.next_offset
    return record


def _of_lake(run_id: str, lake: Lake, before: int | None) -> list[tuple[int, Event]]:
    """What the lake holds of it, in order, before an offset (None: all)."""
    import polars as pl

    found: list[tuple[int, Event]] = []
    for table, kind in (("intents", Intent), ("intent_outcomes", IntentOutcome)):
        rows = lake.scan(table).filter(pl.col("run") == run_id, pl.col("source") == f"intents.{run_id}")
        frame = (rows if before is None else rows.filter(pl.col("offset") < before)).collect()
        events = frame.select(kind.__struct_fields__).iter_rows(named=True)
        for offset, row in zip(frame["offset"], events, strict=True):
            found.append((offset, kind(**(row | ({"side": Side(row["side"])} if "side" in row else {})))))
    return sorted(found, key=lambda one: one[0])
