"""A day of real trades through the real services: bars, a paper run over them, and what was announced of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from quantlytic.model.event import Event
from quantlytic.model.instrument import Instrument
from quantlytic.model.intent import Intent, IntentOutcome
from quantlytic.model.intentrecord import IntentFigures, IntentRecord
from quantlytic.model.run import Run
from quantlytic.model.side import Side
from quantlytic.model.signal import Signal
from quantlytic.model.time import NS_PER_MS, NS_PER_S
from quantlytic.model.trade import Trade
from quantlytic.research.runs.paper import paper_session
from quantlytic.services.barmaker import Barmaker
from quantlytic.services.executor import PaperExecutor
from quantlytic.services.lookahead import Lookahead
from quantlytic.services.strategist import Strategist
from quantlytic.store.log.port import Log

GRACE_NS = 50 * NS_PER_MS
MINUTE_NS = 60 * NS_PER_S
STOCK = Instrument("lean:IBM", tick_size=0.01)


def stock_trades(market_data: Path, day: int = 8, limit: int | None = None) -> list[Trade]:
    """IBM's trades of a day of October 2013, from Nasdaq, New York and elsewhere: 33,381 on the 8th."""
    import polars as pl

    found = pl.scan_parquet(market_data / "equity_tick_ibm_trade_lean.parquet")
    found = found.filter(pl.col("ts").dt.day() == day, pl.col("size") > 0).select("ts", "price", "size")
    frame = (found if limit is None else found.head(limit)).collect()
    times = frame["ts"].dt.epoch("ns").to_list()
    return [
        Trade(STOCK.id, time, time + NS_PER_MS, number, price, float(size), Side.BUY)
        for number, (time, price, size) in enumerate(zip(times, frame["price"], frame["size"], strict=True), 1)
    ]


def write_market(log: Log, trades: Sequence[Event], venue: str = "lean", size_ns: int = MINUTE_NS) -> None:
    """The trades, and the bars that they make."""
    writer = log.writer(f"recorder.{venue}")
    for k in range(0, len(trades), 2_000):
        writer.commit({f"market.{venue}": trades[k : k + 2_000]})
    writer.close()
    barmaker = Barmaker(log, venue, size_ns, GRACE_NS)
    while barmaker.pump():
        pass
    barmaker.close()


def run_of(strategy: str, instruments: tuple[Instrument, ...] = (STOCK,), size_ns: int = MINUTE_NS) -> Run:
    venue = instruments[0].venue
    return Run(f"day-{strategy}", "paper", venue, strategy, {}, instruments, size_ns, 1e6, 1.0, 0, "")


def trade(log: Log, run: Run) -> None:
    """Executor and strategist, to the end of the bars."""
    executor, strategist = PaperExecutor(log, run, paper_session(run)), Strategist(log, run, paper_session(run))
    while executor.pump() + strategist.pump():
        pass
    executor.close()
    strategist.close()


def look_ahead(log: Log, run: Run, check_every_ns: int | None = None) -> None:
    service = lookahead(log, run, check_every_ns)
    while service.pump():
        pass
    service.close()


def lookahead(log: Log, run: Run, check_every_ns: int | None = None) -> Lookahead:
    if check_every_ns is None:
        return Lookahead(log, run, paper_session(run), GRACE_NS)
    return Lookahead(log, run, paper_session(run), GRACE_NS, check_every_ns=check_every_ns)


def events(log: Log, stream: str) -> list[Event]:
    found, position = list[Event](), 0
    while (batch := log.read(stream, position)).events:
        found += batch.events
        position = batch.next_offset
    return found


class Announced(NamedTuple):
    """`signals` of the run, of which `foretold` had been announced as an intent beforehand, at their price."""

    signals: int
    foretold: int
    figures: IntentFigures


def announced(log: Log, run: Run) -> Announced:
    record, last, true = IntentRecord(), dict[int, Intent](), set[tuple[str, int, Side]]()
    for event in events(log, f"intents.{run.run_id}"):
        record.apply(event)
        if isinstance(event, Intent):
            last[event.intent_id] = event
        elif isinstance(event, IntentOutcome) and event.came_true and event.lead_ns > 0:
            intent = last[event.intent_id]
            assert intent.holds_at(event.price)
            if intent.action == "order":
                true.add((event.instrument, event.event_time, intent.side))
    signals = [one for one in events(log, run.decisions_stream) if isinstance(one, Signal)]
    foretold = [one for one in signals if (one.instrument, one.event_time, one.side) in true]
    return Announced(len(signals), len(foretold), record.figures())
