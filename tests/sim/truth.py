"""What must be true of a line whatever was done to it: checked from the log, the lake, the mails and the exchange."""

from __future__ import annotations

import typing
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any

import httpx
import polars as pl

from quantlytic.engine.data.barbuilder import TimeBars
from quantlytic.model.bar import Bar
from quantlytic.model.barsclosed import BarsClosed
from quantlytic.model.book import BookDelta
from quantlytic.model.codec import encode
from quantlytic.model.delivery import Delivery
from quantlytic.model.equity import Decided, Equity
from quantlytic.model.event import Event
from quantlytic.model.fill import Fill
from quantlytic.model.forecast import Forecast
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.model.order import Order
from quantlytic.model.run import Run
from quantlytic.model.signal import Signal
from quantlytic.model.time import NS_PER_MS
from quantlytic.model.trade import Trade
from quantlytic.services.barmaker import name_of
from quantlytic.store.control.control import Control
from quantlytic.store.lake import Lake
from quantlytic.store.lake.columns import TABLES, TableSpec
from quantlytic.store.lake.completeness import check
from quantlytic.store.log.port import Log
from quantlytic.telling.letter import unpack
from quantlytic.telling.occasion import occasion_of
from quantlytic.telling.wishes import Wishes


def events_of(log: Log, stream: str) -> Iterator[tuple[int, Event]]:
    """All of a stream, with offsets."""
    offset = log.bounds(stream)[0]
    while (batch := log.read(stream, offset)).events:
        yield from zip(batch.offsets, batch.events, strict=True)
        offset = batch.next_offset


# ---- log and lake


def check_lake(log: Log, lake: Lake) -> dict[str, int]:
    """The lake holds what the log holds: each event once, in order, to the last bit. Returns rows by table."""
    wanted: dict[str, dict[tuple[str, int], Event]] = {name: {} for name in TABLES}
    table_of = {spec.event: spec.name for spec in TABLES.values()}
    for stream in log.streams():
        assert log.bounds(stream)[0] == 0, f"{stream} was trimmed: the test cannot compare"
        if stream.startswith("raw."):
            recorded = [(offset, encode(frame)) for offset, frame in events_of(log, stream)]
            filed = [(offset, encode(frame)) for offset, frame in lake.raw.frames(stream.partition(".")[2])]
            assert filed == recorded, f"{stream}: {len(filed)} frames in the lake, {len(recorded)} in the log"
            counted = sum(item.frames for item in lake.raw.objects(stream.partition(".")[2]))
            assert counted == len(recorded), f"{stream}: {counted - len(recorded)} frames are in two objects"
            continue
        for offset, event in events_of(log, stream):
            if type(event) in table_of:
                wanted[table_of[type(event)]][stream, offset] = event
    for name, events in wanted.items():
        rows = list(table_events(lake, TABLES[name]))
        assert len({key for key, _ in rows}) == len(rows), f"table {name} holds rows twice"
        found = dict(rows)
        assert found.keys() == events.keys(), (
            f"table {name}: missing {sorted(events.keys() - found.keys())[:3]}, "
            f"not in the log {sorted(found.keys() - events.keys())[:3]}"
        )
        differing = [key for key, event in events.items() if encode(found[key]) != encode(event)]
        assert not differing, f"table {name}: other content at {differing[:3]}"
    return {name: len(events) for name, events in wanted.items() if events}


def table_events(lake: Lake, spec: TableSpec) -> Iterator[tuple[tuple[str, int], Event]]:
    """The rows of a table as ((source, offset), event), in offset order of each source."""
    if spec.name not in lake.tables():
        return
    converters = [_converter(hint) for hint in typing.get_type_hints(spec.event).values()]
    rows = lake.scan(spec.name).sort("source", "offset").select("source", "offset", *spec.fields).collect()
    for source, offset, *values in rows.iter_rows():
        yield (source, offset), spec.event(*(convert(value) for convert, value in zip(converters, values, strict=True)))


def _converter(hint: Any) -> Callable[[Any], Any]:
    """From a column's value back to the field's: enumerations and tuples have lost their type."""
    if isinstance(hint, type) and issubclass(hint, IntEnum):
        return hint
    return tuple if typing.get_origin(hint) is tuple else lambda value: value


def check_completeness(lake: Lake) -> dict[str, int]:
    """No hole in the trades, nothing twice, and every hole in a book is in the ledger. Returns the ledger by kind."""
    for report in check(lake):
        assert report.duplicates == 0, report
        assert report.unexplained == 0, report
        assert report.invalid == 0, report
        if report.kind == "trades":
            assert report.gaps == 0, report
    ledger = lake.scan("ledger").collect()
    gaps = ledger.filter(pl.col("kind") == LedgerKind.GAP)
    assert gaps.filter(pl.col("stream") == "trades").height == 0
    for instrument, first, last in gaps.select("instrument", "first", "last").iter_rows():
        _check_gap(lake, instrument, first, last)
    assert ledger.filter(pl.col("kind") == LedgerKind.CROSSED).height == 0
    return {LedgerKind(kind).name: count for kind, count in ledger.group_by("kind").len().sort("kind").iter_rows()}


def _check_gap(lake: Lake, instrument: str, first: int, last: int) -> None:
    """What the ledger calls missing is not there."""
    book = lake.scan("book").filter(pl.col("instrument") == instrument, ~pl.col("snapshot"))
    inside = book.filter(pl.col("last_sequence") >= first, pl.col("first_sequence") <= last).collect()
    assert inside.height == 0, f"{instrument}: the ledger says {first}..{last} never came, but it did"


# ---- the chain


def check_trades(log: Log, venue: str, rest_url: str) -> dict[str, int]:
    """Every trade of the exchange from the first recorded one to the last: once, in order, as the exchange tells it."""
    recorded: dict[str, list[Trade]] = {}
    for _, event in events_of(log, f"market.{venue}"):
        if isinstance(event, Trade):
            recorded.setdefault(event.instrument, []).append(event)
    for instrument, trades in recorded.items():
        ids = [trade.trade_id for trade in trades]
        assert ids == list(range(ids[0], ids[-1] + 1)), f"{instrument}: trade ids are not contiguous"
        theirs = history(rest_url, instrument.partition(":")[2], ids[0], ids[-1])
        ours = [(t.trade_id, t.price, t.quantity, t.event_time // NS_PER_MS, t.side < 0) for t in trades]
        assert ours == theirs, f"{instrument}: not what the exchange traded"
    return {instrument: len(trades) for instrument, trades in recorded.items()}


def history(rest_url: str, symbol: str, first: int, last: int) -> list[tuple[int, float, float, int, bool]]:
    """(id, price, quantity, ms, buyer is maker) of the exchange's trades first..last, by REST."""
    found: list[tuple[int, float, float, int, bool]] = []
    with httpx.Client(base_url=rest_url) as client:
        while (at := first + len(found)) <= last:
            params = {"symbol": symbol, "fromId": str(at), "limit": str(min(1000, last - at + 1))}
            rows = client.get("/api/v3/historicalTrades", params=params).raise_for_status().json()
            assert rows, f"the exchange has forgotten {symbol} {at}"
            found += [(r["id"], float(r["price"]), float(r["qty"]), r["time"], r["isBuyerMaker"]) for r in rows]
    return found


def check_bars(log: Log, venue: str, size_ns: int, grace_ns: int) -> int:
    """The bars are those that the recorded market gives in one go."""
    builder, wanted = TimeBars(size_ns, grace_ns), list[Bar]()
    position = log.committed(name_of(venue, size_ns)).get(f"market.{venue}", 0)
    for offset, event in events_of(log, f"market.{venue}"):
        if offset >= position:
            break
        if isinstance(event, Trade):
            wanted += builder.on_trade(event)[0]
        elif isinstance(event, LedgerEntry) and event.kind is LedgerKind.RECONNECT:
            builder.on_interruption()
        elif isinstance(event, BookDelta) and not event.snapshot:
            wanted += builder.on_watermark(event.event_time)
    assert position == log.bounds(f"market.{venue}")[1], "the barmaker has not read everything"
    assert [event for _, event in events_of(log, f"bars.{venue}") if isinstance(event, Bar)] == wanted
    return len(wanted)


def check_run(log: Log, run: Run) -> dict[str, int]:
    """Each bar of the run executed and decided on once; ids of orders, signals and fills contiguous; fills have orders."""
    decisions = [event for _, event in events_of(log, run.decisions_stream)]
    executions = [event for _, event in events_of(log, run.executions_stream)]
    names = {instrument.id for instrument in run.instruments}
    bars = [
        offset
        for offset, event in events_of(log, run.bars_stream)
        if isinstance(event, Forecast if run.forecasts else Bar)
        and event.instrument in names
        and offset >= run.first_bar_offset
    ]
    executed = [event.bar_offset for event in executions if isinstance(event, Equity)]
    decided = [event.bar_offset for event in decisions if isinstance(event, Decided)]
    assert executed == bars[: len(executed)], "bars were executed twice, or left out"
    assert decided == executed[: len(decided)], "bars were decided on twice, or left out"
    assert len(bars) - len(decided) <= len(names), f"{len(bars) - len(decided)} bars were never decided on"
    return {"bars": len(decided)} | _check_deeds(decisions, executions)


def check_turns(log: Log, run: Run, sliced: bool = True, period_ns: int = 0) -> dict[str, int]:
    """As `check_run`, of a run with slices or timers: what was executed and decided, in which order, told in another way.

    A bar has its turn when BarsClosed covers it, a slice when all bars of its time have had theirs, a timer when no bar of its
    time or before can come any more. Nothing is early, late, twice or left out.
    """
    names = [instrument.id for instrument in run.instruments]
    covered, waiting, closed = list[tuple[int, int, int]](), list[tuple[int, int, int]](), 0
    turns = list[tuple[str, int, int]]()
    timer: int | None = None
    open_slice: int | None = None
    last = -1

    def moments(until: int) -> None:
        nonlocal timer, open_slice
        if open_slice is not None and open_slice < until:
            turns.append(("moment", open_slice, last))
            open_slice = None
        while timer is not None and timer < until:
            turns.append(("moment", timer, last))
            timer += period_ns

    for offset, event in events_of(log, run.bars_stream):
        if offset < run.first_bar_offset:
            continue
        if isinstance(event, Bar) and event.instrument in names and event.close_time > closed:
            waiting.append((event.close_time, names.index(event.instrument), offset))
        elif isinstance(event, BarsClosed) and event.bar_size_ns == run.bar_size_ns:
            is_half_known = closed == 0 and run.first_bar_offset > 0
            closed, before = event.event_time, len(turns)
            covered = [] if is_half_known else sorted(one for one in waiting if one[0] <= closed)
            waiting = [one for one in waiting if one[0] > closed]
            for time, _, at in covered:
                moments(time)
                turns.append(("bar", time, at))
                last = at
                open_slice = time if sliced else None
                timer = -(-time // period_ns) * period_ns if period_ns and timer is None else timer
            moments(closed + 1)
            if len(turns) > before:
                turns.append(("end", closed, offset))
    decisions = [event for _, event in events_of(log, run.decisions_stream)]
    executions = [event for _, event in events_of(log, run.executions_stream)]
    done = [
        ("bar", event.event_time, event.bar_offset) if isinstance(event, Equity) else ("mark", event.event_time, 0)
        for event in executions
        if isinstance(event, Equity | BarsClosed)
    ]
    assert done == [one if one[0] == "bar" else ("mark", one[1], 0) for one in turns]
    assert [event.bar_offset for event in decisions if isinstance(event, Decided)] == [one[2] for one in turns]
    kinds = Counter(kind for kind, _, _ in turns)
    return {"bars": kinds["bar"], "moments": kinds["moment"]} | _check_deeds(decisions, executions)


def _check_deeds(decisions: Sequence[Event], executions: Sequence[Event]) -> dict[str, int]:
    """Ids are contiguous, fills have orders."""
    orders = [event for event in decisions if isinstance(event, Order)]
    fills = [event for event in executions if isinstance(event, Fill)]
    signals = [event for event in decisions if isinstance(event, Signal)]
    _check_contiguous("orders", [order.order_id for order in orders])
    _check_contiguous("fills", [fill.fill_id for fill in fills])
    numbers = [signal.signal_id for signal in signals]
    assert numbers == sorted(set(numbers)), "signals are doubled"
    assert set(numbers) <= {order.order_id for order in orders}, "a signal has the number of its order"
    by_id = {order.order_id: order for order in orders}
    for fill in fills:
        order = by_id[fill.order_id]
        assert (fill.instrument, fill.side) == (order.instrument, order.side)
    filled = Counter[int]()
    for fill in fills:
        filled[fill.order_id] += round(fill.quantity * 1e8)
    assert all(total <= round(by_id[number].quantity * 1e8) for number, total in filled.items()), (
        "an order was overfilled"
    )
    return {"orders": len(orders), "fills": len(fills), "signals": len(signals)}


def _check_contiguous(what: str, numbers: Sequence[int]) -> None:
    assert list(numbers) == list(range(1, len(numbers) + 1)), f"{what} are lost or doubled: {numbers[:50]} ..."


def check_mails(log: Log, control: Control, run: Run, outbox: Path) -> int:
    """A message, a delivery and a mail for each fill and each signal that is news (as judged at one go, over the whole tape), and
    whatever else there was to tell; none half-written."""
    wishes = Wishes(run, log)
    happened = [
        event for stream in (run.decisions_stream, run.executions_stream) for _, event in events_of(log, stream)
    ]
    happened = [event for event in happened if not isinstance(event, Signal) or wishes.hear(event)]
    causes = {occasion.cause for event in happened if (occasion := occasion_of(event)) is not None}
    messages = control.messages.history(None, 1_000_000)
    assert causes <= {message.cause for message in messages}, "somebody was not told"
    signals = {message.cause for message in messages if message.kind == "signal"}
    assert signals <= causes, "somebody was told of no news"
    assert {message.state for message in messages} <= {"sent", "dropped"}
    sent = {message.message_id: unpack(message.payload) for message in messages if message.state == "sent"}
    told = [event.message_id for _, event in events_of(log, "deliveries") if isinstance(event, Delivery)]
    assert Counter(told) == Counter(list(sent)), "a delivery is lost or doubled"
    names = {f"{letter.event_time:020d}-{message_id}.eml" for message_id, letter in sent.items()}
    found = {path.name for path in outbox.iterdir() if path.suffix == ".eml"}
    assert found == names, "mails are missing, or too many"
    for name in names:
        assert (outbox / name).read_bytes().rstrip().endswith(b"--")
    return len(names)
