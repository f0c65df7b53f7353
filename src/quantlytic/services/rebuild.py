"""Market tables made anew from the raw objects, by the code that made them first: they must come out the same."""

from __future__ import annotations

from typing import Any

import msgspec
import polars as pl

from quantlytic.model.errors import StoreError
from quantlytic.model.event import Event
from quantlytic.store.lake import Lake
from quantlytic.store.lake.reason import collected
from quantlytic.venues.port import Normaliser

REBUILT = ("trades", "quotes", "book", "news", "ledger")
_BATCH_EVENTS = 100_000


class Comparison(msgspec.Struct, frozen=True):
    """A table as recorded against the same made anew. `differences`: rows that one side lacks, or has elsewhere.

    Two rows are equal when all fields of the event are, bit for bit; order is that of the offsets. The offsets
    themselves are not compared: some logs keep numbers for themselves.
    """

    table: str
    recorded: int
    rebuilt: int
    differences: int


def rebuild(lake: Lake, venue: str, normaliser: Normaliser, into: Lake) -> int:
    """Feed a venue's raw frames to a new normaliser, write what it says to the tables of `into`; returns the frames.

    The events get the offsets 0, 1, 2 ... of the stream `market.VENUE`: those that the embedded log had given them.
    """
    pending: list[Event] = []
    frames = offset = 0
    source = f"market.{venue}"
    for _, frame in lake.raw.frames(venue):
        pending.extend(normaliser.feed(frame))
        frames += 1
        if len(pending) >= _BATCH_EVENTS:
            into.append(source, range(offset, offset + len(pending)), pending)
            offset += len(pending)
            pending = []
    if pending:
        into.append(source, range(offset, offset + len(pending)), pending)
    return frames


def compare(lake: Lake, fresh: Lake, venue: str) -> list[Comparison]:
    """Each rebuilt table against the recorded one."""
    return [_compare(name, _rows(lake, name, venue), _rows(fresh, name, venue)) for name in REBUILT]


def replace(lake: Lake, fresh: Lake, venue: str) -> None:
    """Put the rebuilt rows in the place of the recorded ones, table by table, each in one commit.

    Raises StoreError when the raw objects end before the tables do: rows would be lost.
    """
    recorded = max(_last_offset(lake, name, venue) for name in REBUILT)
    rebuilt = max(_last_offset(fresh, name, venue) for name in REBUILT)
    if rebuilt < recorded:
        raise StoreError(
            f"the raw objects of {venue} give events up to offset {rebuilt}, the tables hold them up to {recorded}: "
            "let the archiver finish, or write --into another folder"
        )
    for name in REBUILT:
        lake.table(name).replace(f"market.{venue}", venue, _rows(fresh, name, venue), rebuilt)


def _rows(lake: Lake, table: str, venue: str) -> pl.LazyFrame:
    return lake.scan(table).filter(pl.col("venue") == venue, pl.col("source") == f"market.{venue}")


def _last_offset(lake: Lake, table: str, venue: str) -> int:
    last: Any = collected(_rows(lake, table, venue).select(pl.col("offset").max())).item()
    return -1 if last is None else int(last)


def _compare(table: str, recorded: pl.LazyFrame, rebuilt: pl.LazyFrame) -> Comparison:
    """Day by day: one day's rows of both sides are in memory at a time."""
    days = collected(pl.concat([recorded, rebuilt]).select(pl.col("date").unique().sort()))["date"]
    counts = [0, 0, 0]
    for day in days:
        left, right = (_content(side.filter(pl.col("date") == day)) for side in (recorded, rebuilt))
        for index, count in enumerate((left.height, right.height, _differences(left, right))):
            counts[index] += count
    return Comparison(table, *counts)


def _content(rows: pl.LazyFrame) -> pl.DataFrame:
    """What the events say, in order; floats as their bits, so that equal means the same bytes."""
    ordered = collected(rows.sort("offset").drop("offset", "source", "venue", "date"))
    return ordered.with_columns(
        pl.col(pl.Float64).reinterpret(dtype=pl.UInt64),
        pl.col(pl.List(pl.Float64)).list.eval(pl.element().reinterpret(dtype=pl.UInt64)),
    )


def _differences(left: pl.DataFrame, right: pl.DataFrame) -> int:
    if left.equals(right):
        return 0
    keys = [name for name, dtype in left.schema.items() if not isinstance(dtype, pl.List)]
    sides = [side.with_columns(row=side.hash_rows()).group_by("row").len() for side in (left, right)]
    both = sides[0].join(sides[1], on="row", how="full", coalesce=True).fill_null(0)
    unlike = int((both["len"].cast(pl.Int64) - both["len_right"].cast(pl.Int64)).abs().sum())
    if unlike == 0:  # the same rows in another order
        moved = pl.any_horizontal(pl.col(name).ne_missing(right[name]) for name in keys)
        unlike = max(1, left.filter(moved).height)
    return unlike
