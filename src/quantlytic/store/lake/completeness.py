"""What the lake holds, stream by stream, and what it lacks: counted from the rows, then set against the ledger.

Gaps are seen where sequence numbers are contiguous by nature: trade ids, and book changes that each begin where the
last one ended. Where most steps are not of that kind (futures' book ids, some venues' trade ids, all quotes), only the
ledger can tell. A venue that begins to count anew starts a new sequence; the ledger says where (a GAP with count 0).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from quantlytic.model.ledger import LedgerKind
from quantlytic.model.time import NS_PER_MS, duration_text
from quantlytic.store.lake.lake import Lake
from quantlytic.store.lake.reason import collected

KINDS = ("trades", "quotes", "book", "bars")


class StreamReport(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument's stream of one kind. `first_ns`, `last_ns`: times of its first and last row (bars: their opens).

    `gaps`: holes in the sequence, `missing` numbers in them; `unexplained`: holes that the ledger does not speak of.
    `duplicates`: rows that are there twice. The rest is the ledger's word: `late` rows, `backfilled` afterwards,
    `dropped` repeats, messages that were `invalid`, `reconnects` of the venue. `missing_bars`: steps without a bar;
    where nothing was traded there is none to be, so they are told and not counted as gaps.
    """

    kind: str
    venue: str
    instrument: str
    size: str = ""
    rows: int
    first_ns: int
    last_ns: int
    gaps: int = 0
    missing: int = 0
    unexplained: int = 0
    duplicates: int = 0
    late: int = 0
    backfilled: int = 0
    dropped: int = 0
    invalid: int = 0
    reconnects: int = 0
    missing_bars: int = 0

    @property
    def is_clean(self) -> bool:
        """Whole, and nothing twice."""
        return self.gaps == 0 and self.duplicates == 0


def check(lake: Lake) -> list[StreamReport]:
    """Every market stream of the lake, by kind, instrument and bar size. Reads the sequence columns of all rows."""
    ledger = collected(lake.scan("ledger"))
    reports: list[StreamReport] = []
    for kind in KINDS:
        for name, rows in _instruments(lake, kind):
            notes = _Notes(ledger, kind, name)
            sized = rows.with_columns(size=pl.col("close_time") - pl.col("open_time")) if kind == "bars" else rows
            parts = sized.partition_by("size") if kind == "bars" else [sized]
            reports += [_report(kind, name, part, notes) for part in parts]
    return reports


class _Notes:
    """The ledger's entries about one instrument's stream, and about its venue's connections."""

    def __init__(self, ledger: pl.DataFrame, kind: str, instrument: str) -> None:
        venue = instrument.partition(":")[0]
        self.own = ledger.filter((pl.col("instrument") == instrument) & (pl.col("stream") == kind))
        everywhere = (pl.col("venue") == venue) & (pl.col("stream") == "raw")
        self._raw = ledger.filter(everywhere)

    def count(self, kind: LedgerKind) -> int:
        return int(self.own.filter(pl.col("kind") == kind)["count"].sum())

    def raw_count(self, kind: LedgerKind) -> int:
        return int(self._raw.filter(pl.col("kind") == kind)["count"].sum())

    def stated_gaps(self) -> dict[str, int]:
        """Gaps by the ledger's word alone."""
        gaps = self.own.filter((pl.col("kind") == LedgerKind.GAP) & (pl.col("count") > 0))
        return {"gaps": gaps.height, "missing": int(gaps["count"].sum())}

    @property
    def restarts(self) -> pl.DataFrame:
        """Where the venue began to count anew: `source` and `offset`."""
        return self.own.filter((pl.col("kind") == LedgerKind.GAP) & (pl.col("count") == 0)).select("source", "offset")

    @property
    def stated(self) -> list[tuple[int, int]]:
        """Stretches of sequence numbers that are known not to be there, merged, in order."""
        known = self.own.filter(pl.col("kind").is_in([LedgerKind.GAP, LedgerKind.INVALID]) & (pl.col("count") > 0))
        merged: list[tuple[int, int]] = []
        for first, last in known.select("first", "last").sort("first").iter_rows():
            if merged and first <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(merged[-1][1], last))
            else:
                merged.append((first, last))
        return merged


_COLUMNS = {
    "trades": ("event_time", "trade_id"),
    "quotes": ("event_time", "receive_time", "sequence", "bid", "bid_quantity", "ask", "ask_quantity"),
    "book": ("event_time", "first_sequence", "last_sequence", "snapshot"),
    "bars": ("open_time", "close_time"),
}


def _instruments(lake: Lake, kind: str) -> Iterator[tuple[str, pl.DataFrame]]:
    rows = lake.scan(kind).select("instrument", "source", "offset", *_COLUMNS[kind])
    names = collected(rows.select(pl.col("instrument").unique().sort()))["instrument"]
    for name in names:
        yield name, collected(rows.filter(pl.col("instrument") == name))


def _report(kind: str, instrument: str, rows: pl.DataFrame, notes: _Notes) -> StreamReport:
    time = "open_time" if kind == "bars" else "event_time"
    if kind == "trades":
        found = _sequence(rows, "trade_id", "trade_id", notes)
    elif kind == "book":
        found = _sequence(rows.filter(~pl.col("snapshot")), "first_sequence", "last_sequence", notes)
    elif kind == "quotes":
        found = notes.stated_gaps() | {"duplicates": _repeats(rows)}
    else:
        found = _steps(rows)
    return StreamReport(
        kind=kind,
        venue=instrument.partition(":")[0],
        instrument=instrument,
        rows=rows.height,
        first_ns=int(rows[time].to_numpy().min()),
        last_ns=int(rows[time].to_numpy().max()),
        late=notes.count(LedgerKind.LATE),
        backfilled=notes.count(LedgerKind.BACKFILL),
        dropped=notes.count(LedgerKind.DUPLICATE),
        invalid=notes.count(LedgerKind.INVALID),
        reconnects=notes.raw_count(LedgerKind.RECONNECT),
        **found,
    )


def _sequence(rows: pl.DataFrame, first: str, last: str, notes: _Notes) -> dict[str, Any]:
    """Holes and repeats in spans [first, last], in each stretch in which the venue counts on."""
    restarts = notes.restarts.with_columns(restart=pl.col("offset")).sort("offset")
    stretches = rows.sort("offset").join_asof(restarts, on="offset", by="source", check_sortedness=False)
    low_high: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    steps = chained = repeats = 0
    for part in stretches.partition_by("restart"):
        spans = part.select(first, last).unique() if first != last else part.select(first).unique()
        repeats += part.height - spans.height
        spans = spans.sort(last)
        begins, ends = spans[first].to_numpy(), np.maximum.accumulate(spans[last].to_numpy())
        steps += max(len(begins) - 1, 0)
        chained += int(np.count_nonzero(begins[1:] == ends[:-1] + 1))
        hole = begins[1:] > ends[:-1] + 1
        low_high.append((ends[:-1][hole] + 1, begins[1:][hole] - 1))
    unnumbered = rows.height > 1 and not rows[last].to_numpy().any()
    if unnumbered or 2 * chained < steps:  # not contiguous by nature
        return notes.stated_gaps() | {"duplicates": rows.height - rows.select("source", "offset").n_unique()}
    low = np.concatenate([pair[0] for pair in low_high]) if low_high else np.empty(0, np.int64)
    high = np.concatenate([pair[1] for pair in low_high]) if low_high else np.empty(0, np.int64)
    return {
        "gaps": len(low),
        "missing": int((high - low + 1).sum()),
        "unexplained": _unexplained(low, high, notes.stated),
        "duplicates": repeats,
    }


def _unexplained(low: NDArray[np.int64], high: NDArray[np.int64], stated: list[tuple[int, int]]) -> int:
    """How many of the holes no stated stretch covers wholly."""
    if not stated:
        return len(low)
    firsts, lasts = np.array(stated).T
    at = np.searchsorted(firsts, low, side="right") - 1
    return int(np.count_nonzero((at < 0) | (lasts[np.maximum(at, 0)] < high)))


def _repeats(quotes: pl.DataFrame) -> int:
    """The same update twice: the same id and content; without ids also the same times."""
    times = [
        pl.when(pl.col("sequence") == 0).then(pl.col(name)).otherwise(0) for name in ("event_time", "receive_time")
    ]
    content = quotes.select(*_COLUMNS["quotes"]).with_columns(*times)
    return quotes.height - content.n_unique()


def _same_offsets(rows: pl.DataFrame) -> int:
    return rows.height - rows.select("source", "offset").n_unique()


def _size_text(size_ns: int) -> str:
    return duration_text(size_ns) if size_ns > 0 and size_ns % NS_PER_MS == 0 else f"{size_ns}ns"


def _steps(bars: pl.DataFrame) -> dict[str, Any]:
    """One size's bars."""
    size = int(bars["size"][0])
    opens = np.unique(bars["open_time"].to_numpy())
    missing = int((np.diff(opens) // size - 1).clip(0).sum())
    return {"size": _size_text(size), "duplicates": bars.height - len(opens), "missing_bars": missing}
