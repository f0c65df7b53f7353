"""The lake: everything that was recorded, in a folder or a bucket. Raw objects are the truth, tables are made of them.

Under the lake's address lie `raw/` (see `raw.py`), `tables/NAME` (Delta) and `progress/STREAM.json` (how far it is in).
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
from numpy.typing import NDArray

from quantlytic.model.bar import EVENT_FIELDS, blank_bars
from quantlytic.model.errors import DataError, InputError, StoreError
from quantlytic.model.event import Event
from quantlytic.model.frame import RawFrame
from quantlytic.model.instrument import Instrument
from quantlytic.model.time import duration_ns, iso
from quantlytic.store.lake.columns import TABLE_OF, TABLES, rows_of
from quantlytic.store.lake.objects import open_objects
from quantlytic.store.lake.raw import RawObjects
from quantlytic.store.lake.reason import collected, one_line
from quantlytic.store.lake.table import Table


class Progress(msgspec.Struct, frozen=True):
    """All events of a stream before `next_offset` are in the lake. The last one's SHA-256 tells a log from another."""

    next_offset: int
    last_offset: int
    last_digest: str


_PROGRESS = msgspec.json.Decoder(Progress)


class Lake:
    """A handle on the lake at `address`: a folder (made if missing), or a URL such as `s3://bucket/prefix`.

    `options` go to the object store, with the names that deltalake knows: "aws_endpoint", "aws_region",
    "aws_conditional_put": "etag", "allow_http": "true" ... One handle a thread.
    """

    def __init__(self, address: str | Path, options: Mapping[str, str] | None = None) -> None:
        self.address = str(address).rstrip("/")
        self._options = dict(options or {})
        self._objects: Any = open_objects(self.address, self._options)
        self.raw = RawObjects(self._objects)
        self._tables: dict[str, Table] = {}

    def table(self, name: str) -> Table:
        """The table of that name, written to or not. Raises InputError for a name that no table has."""
        if name not in TABLES:
            raise InputError(f"the lake has no table {name!r}: choose one of {', '.join(TABLES)}")
        if name not in self._tables:
            self._tables[name] = Table(TABLES[name], f"{self.address}/tables/{name}", self._options or None)
        return self._tables[name]

    # ---- writing

    def append(self, stream: str, offsets: Sequence[int], events: Sequence[Event]) -> int:
        """File a stretch of a stream: frames as a raw object, other events in their tables; returns the rows added.

        Each target knows how far it is in this stream, so a stretch may be repeated, cut anew, or cut off by a crash
        between two targets: nothing is doubled. Events without a table (`Decided`) are passed over.
        """
        groups: dict[type[Event], tuple[list[int], list[Event]]] = {}
        for offset, event in zip(offsets, events, strict=True):
            group = groups.get(type(event))
            if group is None:
                group = groups[type(event)] = ([], [])
            group[0].append(offset)
            group[1].append(event)
        added = 0
        for kind, (where, what) in groups.items():
            if kind is RawFrame:
                frames = [event for event in what if isinstance(event, RawFrame)]
                added += self.raw.append(stream.partition(".")[2], where, frames)
            elif kind in TABLE_OF:
                spec = TABLE_OF[kind]
                added += self.table(spec.name).append(rows_of(spec, stream, where, what), stream, offsets[-1])
        return added

    def progress(self, stream: str) -> Progress | None:
        """How far the stream is in the lake; None when nothing of it is."""
        import obstore

        key = f"progress/{stream}.json"
        try:
            return _PROGRESS.decode(obstore.get(self._objects, key).bytes().to_bytes())
        except FileNotFoundError:
            return None
        except Exception as error:
            raise StoreError(f"{self.address}/{key} cannot be read: {one_line(error)}") from None

    def advance(self, stream: str, progress: Progress) -> None:
        """Note that the stream is in the lake so far. Call it after the `append`s it speaks of."""
        import obstore

        key = f"progress/{stream}.json"
        try:
            obstore.put(self._objects, key, msgspec.json.encode(progress))
        except Exception as error:
            raise StoreError(f"{self.address}/{key} cannot be written: {one_line(error)}") from None

    def compact(self, today: datetime.date) -> int:
        """Rewrite the many small files of days before `today` as one sorted file each; returns how many."""
        return sum(self.table(name).compact(today) for name in self.tables())

    # ---- reading

    def tables(self) -> list[str]:
        """The tables that have been written to."""
        import obstore

        try:
            folders = obstore.list_with_delimiter(self._objects, "tables")["common_prefixes"]
        except Exception as error:
            raise StoreError(f"the lake {self.address} cannot be listed: {one_line(error)}") from None
        there = {str(path).rsplit("/", 1)[-1] for path in folders}
        return [name for name in TABLES if name in there]

    def scan(self, table: str) -> pl.LazyFrame:
        """All rows of a table, lazily."""
        return self.table(table).scan()

    def bars(
        self, instruments: str | Sequence[str], size: str, start_ns: int | None = None, end_ns: int | None = None
    ) -> tuple[NDArray[Any], tuple[Instrument, ...]]:
        """Bars of one size that open in [start_ns, end_ns), and their instruments, sorted by name.

        The array is of dtype BAR in (close_time, instrument) order. Raises InputError when there are none, DataError
        when one instrument has two bars for the same time.
        """
        names = sorted({instruments} if isinstance(instruments, str) else set(instruments))
        span = pl.col("close_time") - pl.col("open_time")
        rows = self.scan("bars").filter(
            pl.col("venue").is_in(sorted({name.partition(":")[0] for name in names})),
            pl.col("instrument").is_in(names),
            span == duration_ns(size),
        )
        if start_ns is not None:
            rows = rows.filter(pl.col("open_time") >= start_ns)
        if end_ns is not None:
            rows = rows.filter(pl.col("open_time") < end_ns)
        found = collected(rows.sort("close_time", "instrument"))
        if found.height == 0:
            raise InputError(
                f"the lake has no {size} bars of {', '.join(names)} in that range: see `quantlytic data list`"
            )
        twice = found.filter(pl.struct("instrument", "open_time").is_duplicated())
        if twice.height:
            name, time = twice["instrument"][0], iso(twice["open_time"][0])
            raise DataError(f"the lake has two {size} bars of {name} that open at {time}: see `quantlytic data check`")
        codes = found["instrument"].replace_strict(names, range(len(names)), return_dtype=pl.Int32)
        array = blank_bars(found.height)  # also the padding between fields: equal bars are equal bytes
        for column in EVENT_FIELDS:
            array[column] = (codes if column == "instrument" else found[column]).to_numpy()
        return array, tuple(Instrument(name) for name in names)
