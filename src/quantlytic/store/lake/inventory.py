"""What there is in the lake, table by table."""

from __future__ import annotations

import msgspec
import polars as pl

from quantlytic.store.lake.lake import Lake
from quantlytic.store.lake.reason import collected


class Holding(msgspec.Struct, frozen=True):
    """A table, or a venue's raw objects (`table` "raw"). Times are None where there is nothing to tell them by.

    For raw objects the rows are frames, the files objects, and the times the days they are filed under.
    """

    table: str
    venues: list[str]
    instruments: list[str]
    rows: int
    bytes: int
    files: int
    first: str | int | None
    last: str | int | None


def inventory(lake: Lake) -> list[Holding]:
    """Everything that was written: raw objects by venue, then the tables."""
    return [*_raw(lake), *(_table(lake, name) for name in lake.tables())]


def _raw(lake: Lake) -> list[Holding]:
    holdings = []
    for venue in lake.raw.venues():
        objects = lake.raw.objects(venue)
        days = [item.date for item in objects]
        frames, size = sum(item.frames for item in objects), sum(item.bytes for item in objects)
        first, last = min(days, default=None), max(days, default=None)
        holdings.append(Holding("raw", [venue], [], frames, size, len(objects), first, last))
    return holdings


def _table(lake: Lake, name: str) -> Holding:
    table = lake.table(name)
    rows, size, files = table.size()
    time = pl.col(table.spec.time)
    scan = table.scan()
    first, last = collected(scan.select(time.min().alias("first"), time.max().alias("last"))).row(0)
    return Holding(name, _distinct(scan, "venue"), _distinct(scan, "instrument"), rows, size, files, first, last)


def _distinct(scan: pl.LazyFrame, column: str) -> list[str]:
    if column not in scan.collect_schema():
        return []
    return collected(scan.select(pl.col(column).unique().sort()))[column].to_list()
