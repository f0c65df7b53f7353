"""From the start of a process to its strategy's first decision, with a year of one-minute bars on disk: 525,600.

    python benchmarks/bench_warmstart.py [--json]

Each figure is a fresh process, with the engine's code on disk, from its being started until its first `Decided` is on the
tape: SMA 50/200 on one instrument, executor and strategist in one thread, the bar already waiting. Medians, in seconds.

`new_run`: a new run, warmed with the year in the lake. `snapshot`: a run that has been going on for that year, from its
snapshot. `rebuilt_lake`: the same with the snapshot lost, from the bars and executions in the lake. `rebuilt_log`: from the
log's own streams. `goal`: 3 s. `imports` is what an empty process with the same imports takes.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from quantlytic.engine.held import HeldSession
from quantlytic.model.bar import Bar, bar_of, blank_bars
from quantlytic.model.equity import Decided, Equity
from quantlytic.model.event import Event
from quantlytic.model.fill import Fill
from quantlytic.model.instrument import Instrument
from quantlytic.model.order import OrderUpdate
from quantlytic.model.run import Run
from quantlytic.research.runs.beginning import begin
from quantlytic.research.runs.paper import Rows
from quantlytic.research.runs.recorded import read_recorded
from quantlytic.research.runs.warmstart import replay
from quantlytic.services.executor import PaperExecutor
from quantlytic.services.recovery import recover_strategist
from quantlytic.services.strategist import Strategist
from quantlytic.store.lake import Lake, Progress
from quantlytic.store.log import open_log
from quantlytic.store.log.port import Log
from quantlytic.strategies.sma_cross import SmaCross

BARS = 525_600
TURNS = 5
MINUTE_NS = 60_000_000_000
START_NS = 1_735_689_600_000_000_000
INSTRUMENT = Instrument("bench:BTCUSDT", "BTC", "USDT", 0.01)
PARAMS = {"fast": 50.0, "slow": 200.0, "weight": 0.99}


def run_of(name: str, first: int) -> Run:
    return Run(name, "paper", "bench", "sma-cross", PARAMS, (INSTRUMENT,), MINUTE_NS, 1e6, 10.0, first, "")


def session_of(run: Run) -> HeldSession:
    return HeldSession(SmaCross(fast=50, slow=200), run.instruments, run.cash)


def year() -> np.ndarray[Any, Any]:
    r = np.random.default_rng(7)
    close = np.round(30_000 * np.exp(np.cumsum(r.normal(0, 8e-4, BARS))), 2)
    bars = blank_bars(BARS)
    bars["open_time"] = START_NS + np.arange(BARS) * MINUTE_NS
    bars["close_time"] = bars["open_time"] + MINUTE_NS
    bars["open"] = np.append(30_000.0, close[:-1])
    bars["close"] = close
    bars["high"], bars["low"] = np.maximum(bars["open"], close), np.minimum(bars["open"], close)
    bars["volume"] = 5.0
    return bars


def events_of(bars: np.ndarray[Any, Any]) -> list[Bar]:
    return [bar_of(row, INSTRUMENT.id) for row in bars]


def record(log: Log, run: Run, bars: np.ndarray[Any, Any]) -> None:
    """What executor and strategist would have written of that year, without its taking a minute to write."""
    session, rows = session_of(run), Rows(run)
    session.run(bars)
    orders = {order.bar_offset: order for order in rows.order_events(session.orders, lambda bar: bar)}  # type: ignore[attr-defined]
    updates: dict[int, list[Event]] = {}
    for update in rows.update_events(session.updates):
        assert isinstance(update, OrderUpdate)
        updates.setdefault(update.order_id, []).append(update)
    fills: dict[int, list[Event]] = {}
    for fill in rows.fill_events(session.fills, lambda bar: bar):
        assert isinstance(fill, Fill)
        fills.setdefault(fill.bar_offset, []).append(fill)
    done, decisions = list[Event](), list[Event]()
    for k, (_, _, time_ns, *_, close, _, _, _, _) in enumerate(bars.tolist()):
        if k - 1 in orders:  # a market order: accepted, and filled at the next open
            done += updates[orders[k - 1].order_id]  # type: ignore[attr-defined]
        done += fills.get(k, [])
        done.append(Equity(run.run_id, INSTRUMENT.id, time_ns, 0.0, 0.0, 0.0, close, k))
        decisions += [orders[k]] if k in orders else []
        decisions.append(Decided(run.run_id, k))
    for name, stream, events in (
        ("fill", run.executions_stream, done),
        ("fill", run.decisions_stream, decisions),
    ):
        append(log, name, stream, events)


def append(log: Log, name: str, stream: str, events: list[Any]) -> None:
    writer = log.writer(name)
    for k in range(0, len(events), 10_000):
        writer.commit({stream: events[k : k + 10_000]})
    writer.close()


def archive(log: Log, lake: Lake) -> None:
    for stream in log.streams():
        position = 0
        while (batch := log.read(stream, position, 100_000)).events:
            lake.append(stream, batch.offsets, batch.events)
            position = batch.next_offset
            lake.advance(stream, Progress(position, batch.offsets[-1], ""))


def prepare(folder: Path) -> None:
    """A year that was traded, its bars and executions in log and lake, and one bar that waits."""
    bars = year()
    log, lake = open_log("sqlite", folder=folder / "log"), Lake(folder / "lake")
    with closing(log):
        append(log, "barmaker.bench", "bars.bench", events_of(bars))
        old = run_of("old", 0)
        record(log, old, bars)
        archive(log, lake)
        begin(old, session_of(old), log, None, warmup="none", now_ns=0)
        session = session_of(old)
        recorded = read_recorded(old, log)
        writer = log.writer("strategist.old")
        made = replay(old, session, recorded, BARS)
        writer.commit({}, made.positions, made.state)
        writer.close()
        write_executor(log, old, bars)
        end = bars[-1:].copy()
        end["open_time"] += MINUTE_NS
        end["close_time"] += MINUTE_NS
        append(log, "barmaker.bench", "bars.bench", events_of(end))


def write_executor(log: Log, run: Run, bars: np.ndarray[Any, Any]) -> None:
    """Let the executor of the old run be where the strategist is: its session of a replay, by its own service's snapshot."""
    executor = PaperExecutor(log, run, session_of(run))
    session = session_of(run)
    session.run(bars)
    executor._session.restore(session.save())
    executor._bars.read_position = executor._bars.position = BARS
    executor._decisions.read_position = executor._decisions.position = log.bounds(run.decisions_stream)[1]
    executor._commit([])
    executor.close()


def probe(folder: Path, name: str) -> None:
    """What the process does: begin, recover, execute, decide."""
    with closing(open_log("sqlite", folder=folder / "log")) as log:
        lake = Lake(folder / "lake")
        run = run_of(name, 0 if name == "old" else BARS)
        strategist_session, executor_session = session_of(run), session_of(run)
        begin(run, strategist_session, log, lake, now_ns=START_NS + (BARS + 1) * MINUTE_NS)
        begin(run, executor_session, log, lake, now_ns=0)
        recover_strategist(log, run, strategist_session, lake)
        executor, strategist = PaperExecutor(log, run, executor_session), Strategist(log, run, strategist_session)
        before = log.bounds(run.decisions_stream)[1]
        while log.bounds(run.decisions_stream)[1] == before:
            executor.pump()
            strategist.pump()
        event = log.read(run.decisions_stream, before).events[-1]
        assert event == Decided(run.run_id, BARS), event
        executor.close()
        strategist.close()


def measure() -> dict[str, Any]:
    """Seconds, medians of `TURNS` fresh processes each."""
    figures: dict[str, Any] = {"bars": BARS, "goal": 3.0}
    with tempfile.TemporaryDirectory() as name:
        made = Path(name) / "made"
        made.mkdir()
        prepare(made)
        figures["imports"] = timed(made, "", ())
        figures["new_run"] = timed(made, "new", ())
        figures["snapshot"] = timed(made, "old", ())
        figures["rebuilt_lake"] = timed(made, "old", ("lost", "trimmed"))
        figures["rebuilt_log"] = timed(made, "old", ("lost", "no lake"))
    return figures


def timed(made: Path, name: str, damage: tuple[str, ...]) -> dict[str, float]:
    """`seconds` by the clock, and of processor time: on a busy machine the first says little."""
    took, worked = [], []
    for turn in range(TURNS + 1):
        folder = made.parent / f"turn-{turn}"
        shutil.copytree(made, folder)
        spoil(folder, damage)
        began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, __file__, "--probe", str(folder), name], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.append(time.perf_counter() - began)
        worked.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
        shutil.rmtree(folder)
    return {"seconds": statistics.median(took[1:]), "processor": statistics.median(worked[1:])}


def spoil(folder: Path, damage: tuple[str, ...]) -> None:
    if "lost" in damage:
        with closing(sqlite3.connect(folder / "log" / "decisions.db")) as file, file:
            (number,) = file.execute("SELECT id FROM writer WHERE name = 'strategist.old'").fetchone()
            file.execute("DELETE FROM snapshot WHERE writer = ?", (number,))
            file.execute("DELETE FROM writer WHERE id = ?", (number,))
    if "no lake" in damage:
        shutil.rmtree(folder / "lake")
    if "trimmed" in damage:
        with closing(open_log("sqlite", folder=folder / "log")) as log:
            for stream in ("bars.bench", "executions.old", "decisions.old"):  # so that nothing else could be read
                log.trim(stream, log.bounds(stream)[1] - 10_000)


def arguments() -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--probe", nargs=2, default=None, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    options = arguments()
    if options.probe:
        if options.probe[1]:
            probe(Path(options.probe[0]), options.probe[1])
    else:
        found = measure()
        print(json.dumps(found) if options.json else "\n".join(f"{name}: {value}" for name, value in found.items()))
