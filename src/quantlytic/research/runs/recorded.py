"""What a run has done, as arrays: from the lake as far as it is filled, where columns are read at once, then from the log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.model.bar import EVENT_FIELDS, blank_bars
from quantlytic.model.equity import Decided, Equity
from quantlytic.model.errors import DataError
from quantlytic.model.event import Event
from quantlytic.model.fill import FILL, Fill
from quantlytic.model.order import ORDER_UPDATE, Order, OrderAmend, OrderCancel, OrderUpdate, Reason
from quantlytic.model.run import Run
from quantlytic.model.strategychange import StrategyChange
from quantlytic.research.runs.paper import Rows
from quantlytic.research.runs.succession import accepted
from quantlytic.store.log.port import Log

if TYPE_CHECKING:
    import polars as pl

    from quantlytic.store.lake import Lake

Array = NDArray[Any]
Offsets = NDArray[np.int64]
_TAIL = 1_000


@dataclass(frozen=True)
class Recorded:
    """The bars that the executor has executed, in that order, with their offsets in the bars stream; what it reported, with
    offsets in the executions stream; `equity_at`: the offsets there at which each bar was done with.

    `decided`: offset of the last bar that is known to be decided on, -1 for none; `wished_at`: offsets of the bars up to it
    at which the strategy sent, withdrew or changed an order; `last_order`: the highest order id by then. `changes`: of strategy,
    those up to that bar.
    """

    bars: Array
    bar_offsets: Offsets
    equity_at: Offsets
    updates: Array
    updates_at: Offsets
    fills: Array
    fills_at: Offsets
    decided: int
    wished_at: Offsets
    last_order: int
    changes: tuple[StrategyChange, ...] = ()


def read_recorded(run: Run, log: Log, lake: Lake | None = None) -> Recorded:
    """Read all that a run's executor has recorded. Raises DataError when a part of it is in neither place."""
    rows = Rows(run)
    seam = _seam(run.executions_stream, lake)
    offsets, events = _stream(log, run.executions_stream, seam)
    kinds: dict[type[Event], tuple[list[int], list[Any]]] = {kind: ([], []) for kind in (Equity, Fill, OrderUpdate)}
    for offset, event in zip(offsets, events, strict=True):
        if type(event) in kinds:
            kinds[type(event)][0].append(offset)
            kinds[type(event)][1].append(event)
    at = {kind: np.array(found, np.int64) for kind, (found, _) in kinds.items()}
    done = np.array([event.bar_offset for event in kinds[Equity][1]], np.int64)
    fills, updates = rows.fills(kinds[Fill][1]), rows.updates(kinds[OrderUpdate][1])
    if lake is not None and seam:
        old = _OldReports(run, lake, seam)
        at = {kind: np.append(old.at[kind], at[kind]) for kind in at}
        done, fills = np.append(old.done, done), np.append(old.fills, fills)
        updates = np.append(old.updates, updates)
    bars, bar_offsets = run_bars(run, log, lake)
    where = np.searchsorted(bar_offsets, done)
    if len(done) and (where.max() >= len(bars) or not np.array_equal(bar_offsets[where], done)):
        raise DataError(
            f"{run.run_id}: not all bars that it acted on are in the log or the lake: nothing to rebuild from"
        )
    decided, wished_at, last_order = _decided(run, log, lake, done)
    changes = tuple(one for one in _changes(run, log, lake) if one.bar_offset <= decided)
    return Recorded(
        bars[where],
        done,
        at[Equity],
        updates,
        at[OrderUpdate],
        fills,
        at[Fill],
        decided,
        wished_at,
        last_order,
        changes,
    )


class _OldReports:
    """The executor's reports that are in the lake, before that offset."""

    def __init__(self, run: Run, lake: Lake, before: int) -> None:
        self._index = {one.id: k for k, one in enumerate(run.instruments)}
        equity, fills, updates = (
            _of_run(lake, table, run, run.executions_stream, before) for table in ("equity", "fills", "order_updates")
        )
        self.at: dict[type[Event], Offsets] = {
            kind: _numbers(frame["offset"]) for kind, frame in ((Equity, equity), (Fill, fills), (OrderUpdate, updates))
        }
        self.done = _numbers(equity["bar_offset"])
        self.fills, self.updates = np.zeros(fills.height, FILL), np.zeros(updates.height, ORDER_UPDATE)
        for name in FILL.names or ():
            self.fills[name] = fills[name].to_numpy() if name != "instrument" else self._codes(fills)
        for name in ORDER_UPDATE.names or ():
            if name == "reason":
                self.updates[name] = [Reason.of(text) for text in updates[name]]
            else:
                self.updates[name] = updates[name].to_numpy() if name != "instrument" else self._codes(updates)

    def _codes(self, frame: pl.DataFrame) -> Array:
        return np.array([self._index[name] for name in frame["instrument"]], np.int32)


def run_bars(run: Run, log: Log, lake: Lake | None) -> tuple[Array, Offsets]:
    """All bars of the run, in the order of the stream, and their offsets there."""
    rows, seam = Rows(run), _seam(run.bars_stream, lake)
    offsets, events = _stream(log, run.bars_stream, max(run.first_bar_offset, seam))
    wanted = [(o, e) for o, e in zip(offsets, events, strict=True) if rows.wants(e)]
    found, at = rows.bars([event for _, event in wanted]), np.array([offset for offset, _ in wanted], np.int64)
    if lake is None or seam <= run.first_bar_offset:
        return found, at
    import polars as pl

    index = {one.id: k for k, one in enumerate(run.instruments)}
    old = bars_table(run, lake).filter(
        pl.col("source") == run.bars_stream, pl.col("offset") >= run.first_bar_offset, pl.col("offset") < seam
    )
    frame = old.sort("offset").collect()
    return np.append(bar_rows(frame, index), found), np.append(_numbers(frame["offset"]), at)


def bars_table(run: Run, lake: Lake) -> pl.LazyFrame:
    """What the lake has of bars such as the run's, whatever they came from; of its line's forecasts, if it is given them, and of
    none that challengers made in the shadow."""
    import polars as pl

    table, key, owner = ("forecasts", "source", run.bars_stream) if run.forecasts else ("bars", "venue", run.venue)
    return lake.scan(table).filter(
        pl.col(key) == owner,
        pl.col("instrument").is_in([one.id for one in run.instruments]),
        pl.col("close_time") - pl.col("open_time") == run.bar_size_ns,
    )


def bar_rows(frame: pl.DataFrame, index: dict[str, int]) -> Array:
    """The lake's bars as BAR rows; forecasts, where the frame has them."""
    import polars as pl

    array = blank_bars(frame.height)
    codes = frame["instrument"].replace_strict(list(index), list(index.values()), return_dtype=pl.Int32)
    for name in EVENT_FIELDS:
        array[name] = (codes if name == "instrument" else frame[name]).to_numpy()
    if "value" in frame.columns:
        array["forecast"] = frame["value"].to_numpy()
    return array


def _decided(run: Run, log: Log, lake: Lake | None, done: Offsets) -> tuple[int, Offsets, int]:
    """(the last bar that is known to be decided on, those at which something was wished, the last order that came of it)."""
    seam = _seam(run.decisions_stream, lake)
    _, events = _stream(log, run.decisions_stream, seam)
    last = max((event.bar_offset for event in events if isinstance(event, Decided)), default=-1)
    wishes = [event for event in events if isinstance(event, Order | OrderCancel | OrderAmend)]
    found = [np.array([event.bar_offset for event in wishes], np.int64)]
    orders = [np.array([event.order_id for event in wishes if isinstance(event, Order)], np.int64)]
    at = [np.array([event.bar_offset for event in wishes if isinstance(event, Order)], np.int64)]
    if lake is not None and seam:
        if last < 0:
            last = _last_decided(run, log, done)
        for table in ("orders", "order_cancels", "order_amends"):
            frame = _of_run(lake, table, run, run.decisions_stream, seam)
            found.append(_numbers(frame["bar_offset"]))
            if table == "orders":
                orders.append(_numbers(frame["order_id"]))
                at.append(found[-1])
    wished, ids, ids_at = np.unique(np.concatenate(found)), np.concatenate(orders), np.concatenate(at)
    return last, wished[wished <= last], int(ids[ids_at <= last].max(initial=0))


def _changes(run: Run, log: Log, lake: Lake | None) -> list[StrategyChange]:
    """Who took over from whom, in order."""
    seam = _seam(run.decisions_stream, lake)
    found = list[StrategyChange]()
    if lake is not None and seam:
        names = StrategyChange.__struct_fields__
        rows = _of_run(lake, "strategy_changes", run, run.decisions_stream, seam).select(names).iter_rows(named=True)
        found = [StrategyChange(**row) for row in rows]
    return accepted([*found, *_stream(log, run.decisions_stream, seam)[1]])


def _last_decided(run: Run, log: Log, done: Offsets) -> int:
    """The last `Decided` that the log holds; `Decided` has no table. Without it, the last but one bar that was executed: a
    bar is executed only when the one before it has been decided on."""
    first, end = log.bounds(run.decisions_stream)
    for start in range(end - _TAIL, first - _TAIL, -_TAIL):
        events = log.read(run.decisions_stream, max(start, first), _TAIL).events if end > first else ()
        found = [event.bar_offset for event in events if isinstance(event, Decided)]
        if found:
            return found[-1]
    return int(done[-2]) if len(done) > 1 else -1


def _seam(stream: str, lake: Lake | None) -> int:
    """Before this offset the lake is read, from it on the log."""
    progress = lake.progress(stream) if lake is not None else None
    return progress.next_offset if progress else 0


def _of_run(lake: Lake, table: str, run: Run, source: str, before: int) -> pl.DataFrame:
    """A run's rows of a table that came from that stream, before an offset, in order."""
    import polars as pl

    rows = lake.scan(table).filter(pl.col("run") == run.run_id, pl.col("source") == source)
    return rows.filter(pl.col("offset") < before).sort("offset").collect()


def _stream(log: Log, stream: str, offset: int) -> tuple[list[int], list[Event]]:
    """What the log holds of a stream from an offset on."""
    first = log.bounds(stream)[0]
    if first > offset:
        raise DataError(f"offsets {offset} to {first - 1} of {stream} are neither in the lake nor in the log any more")
    position, offsets, events = offset, list[int](), list[Event]()
    while True:
        batch = log.read(stream, position, 50_000)
        if not batch.events:
            return offsets, events
        offsets.extend(batch.offsets)
        events.extend(batch.events)
        position = batch.next_offset


def _numbers(column: pl.Series) -> Offsets:
    return column.to_numpy().astype(np.int64)
