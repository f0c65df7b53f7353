"""One Delta table, appended to exactly once."""

from __future__ import annotations

import datetime
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import polars as pl

from quantlytic.model.errors import StoreError
from quantlytic.store.lake.columns import TableSpec, sorted_rows
from quantlytic.store.lake.reason import RESTORE, collected, one_line

if TYPE_CHECKING:
    from deltalake import DeltaTable

_ATTEMPTS = 10
# Every commit leaves a file in the table's log, and every append lists them: those behind a checkpoint may go after a day.
_CONFIGURATION = {"delta.logRetentionDuration": "interval 1 days", "delta.enableExpiredLogCleanup": "true"}
_SPARE_BYTES = 8_000_000  # left free for the log
_MAX_FILES = 200  # in a partition that still grows; above it small files are merged


class Table:
    """A table of the lake. Not for sharing between threads; any number of processes may append.

    A batch is identified by its source (`app_id`) and its last offset (`version`), which Delta commits in the same
    atomic step as the rows. delta-rs itself accepts a repeated pair, so each append asks the handle first and writes
    through that same handle: were another writer quicker, the commit is refused, and the question asked again.
    """

    def __init__(self, spec: TableSpec, url: str, options: dict[str, str] | None = None) -> None:
        self.spec = spec
        self._url = url
        self._options = options
        self._handle: DeltaTable | None = None

    # ---- writing

    def append(self, rows: pl.DataFrame, app_id: str, version: int) -> int:
        """Append those rows that this source has not appended yet; returns how many that were.

        Rows are known by `offset`: what is at or below the source's last version is there already. Raises StoreError
        when nothing could be written; then nothing was.
        """
        from deltalake.exceptions import CommitFailedError

        for _ in range(_ATTEMPTS):
            handle = self._open(create=True)
            assert handle is not None
            done = self._guarded(handle.transaction_version, app_id)
            new = rows if done is None else rows.filter(pl.col("offset") > done)
            if new.height == 0:
                return 0
            try:
                self._commit(handle, new, app_id, version)
            except CommitFailedError:
                self._handle = None  # somebody else committed: look again
                continue
            return new.height
        raise StoreError(f"lake table {self._url}: {_ATTEMPTS} commits in a row met another writer; stop one of them")

    def _commit(self, handle: DeltaTable, rows: pl.DataFrame, app_id: str, version: int) -> None:
        from deltalake import CommitProperties, Transaction, write_deltalake

        self._require_room(rows)
        properties = CommitProperties(app_transactions=[Transaction(app_id, version)])
        self._guarded(write_deltalake, handle, rows, mode="append", commit_properties=properties)

    def _require_room(self, rows: pl.DataFrame) -> None:
        """On a disk that fills up under it, delta-rs prints a trace of its own; the log needs the last room more, too."""
        if "://" in self._url:
            return
        free = shutil.disk_usage(self._url).free
        if free < _SPARE_BYTES + rows.estimated_size():
            raise StoreError(f"lake table {self._url}: the disk is full ({free / 1e6:,.0f} MB free): free some space")

    def replace(self, source: str, venue: str, fresh: pl.LazyFrame, version: int) -> None:
        """Put `fresh` in the place of a venue's rows from that source, in one commit: readers see the old or the new.

        Rows of other sources stay. One day is in memory at a time. Raises StoreError when a writer commits meanwhile.
        """
        from arro3.core import RecordBatchReader
        from arro3.core import Table as ArrowTable
        from deltalake import CommitProperties, Transaction, write_deltalake
        from deltalake.exceptions import CommitFailedError

        handle = self._open(create=True)
        assert handle is not None
        kept = pl.scan_delta(handle).filter(pl.col("venue") == venue, pl.col("source") != source)
        rows = pl.concat([kept.select(list(self.spec.schema)), fresh])
        days = collected(rows.select(pl.col("date").unique().sort()))["date"]
        batches = (
            batch
            for day in days
            for batch in ArrowTable.from_arrow(
                sorted_rows(self.spec, collected(rows.filter(pl.col("date") == day)))
            ).to_batches()
        )
        schema = ArrowTable.from_arrow(pl.DataFrame(schema=self.spec.schema)).schema
        done = self._guarded(handle.transaction_version, source)
        properties = CommitProperties(app_transactions=[Transaction(source, max(version, done or 0))])
        try:
            self._guarded(
                write_deltalake,
                handle,
                RecordBatchReader.from_batches(schema, batches),
                mode="overwrite",
                predicate=f"venue = '{venue}'",
                commit_properties=properties,
            )
        except CommitFailedError:
            self._handle = None
            raise StoreError(f"lake table {self._url} is being written to: stop the archiver, then try again") from None

    def compact(self, today: datetime.date) -> int:
        """Rewrite the closed days' many small files as one sorted file a partition; merge where too many pile up.

        Returns the number of partitions rewritten. Yields to a writer that commits meanwhile: the next call does it.
        """
        from deltalake.exceptions import CommitFailedError

        handle = self._open()
        if handle is None:
            return 0
        done = 0
        for partition, files in self._files(handle):
            first_open = {"date": today, "month": today.replace(day=1)}
            closed = any(partition[name] < day for name, day in first_open.items() if name in partition)
            try:
                if closed and files > 1:
                    self._rewrite(handle, partition)
                elif files > _MAX_FILES:
                    filters = [(name, "=", str(value)) for name, value in partition.items()]
                    self._guarded(handle.optimize.compact, partition_filters=filters)
                else:
                    continue
                done += 1
            except CommitFailedError:
                self._handle = None
                break
        return done

    def _files(self, handle: DeltaTable) -> list[tuple[dict[str, Any], int]]:
        actions = pl.DataFrame(self._guarded(handle.get_add_actions, flatten=True))
        if actions.height == 0:
            return []
        names = [f"partition.{name}" for name in self.spec.partitions]
        schema = self.spec.schema
        counted = actions.group_by(names).len().sort(names)
        counted = counted.with_columns(pl.col(f"partition.{name}").cast(schema[name]) for name in self.spec.partitions)
        return [(dict(zip(self.spec.partitions, row[:-1], strict=True)), row[-1]) for row in counted.iter_rows()]

    def _rewrite(self, handle: DeltaTable, partition: dict[str, Any]) -> None:
        from deltalake import write_deltalake

        chosen = pl.all_horizontal(pl.col(name) == value for name, value in partition.items())
        rows = sorted_rows(self.spec, collected(pl.scan_delta(handle).filter(chosen)))
        text = {name: str(value).replace("'", "''") for name, value in partition.items()}
        predicate = " AND ".join(f"{name} = '{value}'" for name, value in text.items())
        self._guarded(write_deltalake, handle, rows, mode="overwrite", predicate=predicate)

    # ---- reading

    def scan(self) -> pl.LazyFrame:
        """All rows, lazily, as of now; an empty frame of the right columns where nothing was written yet."""
        handle = self._open()
        if handle is None:
            return pl.LazyFrame(schema=self.spec.schema)
        self._require_whole_files(handle)
        return pl.scan_delta(handle).select(list(self.spec.schema))

    def _require_whole_files(self, handle: DeltaTable) -> None:
        """On a file that was cut off, Polars prints a trace of its own and gives up: it is told here, by name."""
        if "://" in self._url:
            return
        actions = pl.DataFrame(self._guarded(handle.get_add_actions, flatten=True))
        for name, size in zip(actions["path"], actions["size_bytes"], strict=True):
            path = Path(self._url, unquote(name))
            found = path.stat().st_size if path.is_file() else None
            if found != size:
                what = "gone" if found is None else f"{found:,} bytes long, not {size:,}"
                raise StoreError(f"{path} is {what}: {RESTORE}")

    def version(self, app_id: str) -> int | None:
        """The last offset that this source appended; None for none."""
        handle = self._open()
        if handle is None:
            return None
        done: int | None = self._guarded(handle.transaction_version, app_id)
        return done

    def revision(self) -> int | None:
        """The number of the table's last commit; None before the first. Rows read at one revision are always the same."""
        handle = self._open()
        return None if handle is None else int(handle.version())

    def size(self) -> tuple[int, int, int]:
        """(rows, bytes, files), from the table's own statistics."""
        handle = self._open()
        actions = None if handle is None else pl.DataFrame(self._guarded(handle.get_add_actions, flatten=True))
        if actions is None or actions.height == 0:
            return (0, 0, 0)
        return (int(actions["num_records"].sum()), int(actions["size_bytes"].sum()), actions.height)

    # ---- the handle

    def _open(self, create: bool = False) -> DeltaTable | None:
        """The table as of now; None when there is none and none shall be made."""
        from deltalake import DeltaTable, write_deltalake
        from deltalake.exceptions import TableNotFoundError

        if self._handle is not None:
            self._guarded(self._handle.update_incremental)
            return self._handle
        try:
            self._handle = self._guarded(DeltaTable, self._url, storage_options=self._options)
        except TableNotFoundError:
            if not create:
                return None
            empty = pl.DataFrame(schema=self.spec.schema)
            self._guarded(
                write_deltalake,
                self._url,
                empty,
                mode="ignore",
                partition_by=list(self.spec.partitions),
                configuration=_CONFIGURATION,
                storage_options=self._options,
            )
            self._handle = self._guarded(DeltaTable, self._url, storage_options=self._options)
        return self._handle

    def _guarded(self, call: Any, *args: Any, **kwargs: Any) -> Any:
        """Call delta-rs; its errors become one line. CommitFailedError, TableNotFoundError pass: they are answers."""
        from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

        try:
            return call(*args, **kwargs)
        except (CommitFailedError, TableNotFoundError):
            raise
        except (DeltaError, OSError, ValueError) as error:
            self._handle = None
            raise StoreError(f"lake table {self._url} cannot be used: {one_line(error)}") from None
