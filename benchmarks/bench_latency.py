"""From a frame off the wire to an order on the tape, through the real services on the real embedded log.

    python benchmarks/bench_latency.py [--json]

Each sample is one trade, as the bytes of a WebSocket message, whose time closes a bar, on which the strategy orders. The clock
starts when the frame is handed to the recorder's queue and stops when a reader of the log, on a handle of its own, holds
the order. On the way lie four durable commits: frame and trade, bar, execution, decision.

`one_thread`: recorder, barmaker, executor and strategist pumped in this order by one thread. `threads`: a thread each, as
`quantlytic up` runs them, each woken by the one before it; the reader's own wake-up counts too. `raw_sqlite`: what four
bare transactions of one small row each cost, by turns with the first: the floor. Microseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

from quantlytic import Instrument, Session, Strategy
from quantlytic.app.host import Host
from quantlytic.app.line import SWITCH_INTERVAL_S
from quantlytic.app.wiring.services import GRACE_NS
from quantlytic.model.frame import RawFrame
from quantlytic.model.order import Order
from quantlytic.model.run import Run
from quantlytic.model.time import NS_PER_MS, NS_PER_S
from quantlytic.services.barmaker import Barmaker
from quantlytic.services.chain import Chain
from quantlytic.services.executor import PaperExecutor
from quantlytic.services.recorder import Recorder
from quantlytic.services.service import Service
from quantlytic.services.strategist import Strategist
from quantlytic.store.log import open_log
from quantlytic.store.log.port import Log
from quantlytic.venues.binance.market import spot
from quantlytic.venues.binance.normaliser import BinanceNormaliser
from quantlytic.venues.port import Inbox, Request

SAMPLES = 3000
WARM_UP = 500
PAUSE_S = 0.001  # between samples: what is left to do is done, caches get no warmer than they would be
INSTRUMENT = Instrument("bench:BTCUSDT", "BTC", "USDT", 0.01, 0.00001, 5.0)
RUN = Run(
    run_id="latency", mode="paper", venue="bench", strategy="flip", params={}, instruments=(INSTRUMENT,),
    bar_size_ns=NS_PER_S, cash=100_000.0, fee_bps=0.0, first_bar_offset=0, code_hash="",
)  # fmt: skip


class Flip(Strategy):
    """In at one bar, out at the next: an order at every bar."""

    def on_bar(self, bar: Any, broker: Any) -> None:
        if broker.is_flat:
            broker.target_weight(0.5)
        else:
            broker.close()


class Wire:
    """A `MarketFeed` whose messages the benchmark hands over itself."""

    def __init__(self) -> None:
        self.inbox: Inbox | None = None

    async def run(self, inbox: Inbox) -> None:
        self.inbox = inbox
        await asyncio.Event().wait()

    def request(self, request: Request) -> None:
        """Nothing is missing here."""

    def deliver(self, payload: bytes, receive_time: int) -> None:
        """Into the recorder's queue, from this thread."""
        assert self.inbox is not None
        with suppress(StopIteration):  # it has room, so the coroutine ends at once
            self.inbox.put(RawFrame("ws-0", receive_time, "", payload)).__await__().send(None)


def trade(number: int) -> tuple[bytes, int]:
    """The trade that closes bar number - 1, as bytes, and its time."""
    time_ns = 1_700_000_000 * NS_PER_S + number * NS_PER_S + GRACE_NS + NS_PER_MS
    time_ms = time_ns // NS_PER_MS
    price = 60_000 + number % 7
    text = (
        f'{{"stream":"btcusdt@trade","data":{{"e":"trade","E":{time_ms},"s":"BTCUSDT","t":{number},"p":"{price}.10",'
        f'"q":"0.01200","T":{time_ms},"m":true,"M":true}}}}'
    )
    return text.encode(), time_ns


def session() -> Session:
    return Session(Flip(), RUN.instruments, cash=RUN.cash)


class Reader:
    """Waits for orders on a handle of its own."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._offset = log.bounds(RUN.decisions_stream)[1]

    def has_order(self) -> bool:
        """Whether an order has come since it was last asked."""
        batch = self._log.read(RUN.decisions_stream, self._offset)
        self._offset = batch.next_offset
        return any(type(event) is Order for event in batch.events)

    def await_order(self) -> None:
        while not self.has_order():
            if not self._log.wait({RUN.decisions_stream: self._offset}, 10.0):
                raise RuntimeError("no order came")


def time_samples(act: Callable[[bytes, int], None], rest: Callable[[], None]) -> list[float]:
    """Microseconds of each sample after the warm-up."""
    took: list[float] = []
    for number in range(1, WARM_UP + SAMPLES + 1):
        payload, time_ns = trade(number)
        started_ns = time.perf_counter_ns()
        act(payload, time_ns)
        took.append((time.perf_counter_ns() - started_ns) / 1000)
        rest()
    return took[WARM_UP:]


class RawSqlite:
    """The floor: four transactions by turns in two files, as the log keeps them."""

    def __init__(self, folder: Path) -> None:
        self._files = [sqlite3.connect(folder / f"raw-{number}.db", isolation_level=None) for number in range(2)]
        for file in self._files:
            file.execute("PRAGMA journal_mode = WAL")
            file.execute("PRAGMA synchronous = NORMAL")
            file.execute("CREATE TABLE batch (key INTEGER PRIMARY KEY, payload BLOB)")
        self.took: list[float] = []

    def commit_four(self) -> None:
        started_ns = time.perf_counter_ns()
        for number in (0, 1, 1, 1):
            file = self._files[number]
            file.execute("BEGIN IMMEDIATE")
            file.execute("INSERT INTO batch (payload) VALUES (?)", (bytes(200),))
            file.execute("COMMIT")
        self.took.append((time.perf_counter_ns() - started_ns) / 1000)

    def close(self) -> None:
        for file in self._files:
            file.close()


def measure_one_thread(folder: Path) -> dict[str, list[float]]:
    """All in one thread, the floor by turns with it."""
    with ExitStack() as open_things:
        raw = open_things.enter_context(closing(RawSqlite(folder)))
        log = open_things.enter_context(closing(open_log("sqlite", folder=folder)))
        reader = Reader(open_things.enter_context(closing(open_log("sqlite", folder=folder))))
        wire = Wire()
        services: Sequence[Service] = [open_things.enter_context(closing(build(log))) for build in builders(wire)]
        start(wire, services[0])
        recorder, barmaker, executor, strategist = services

        def act(payload: bytes, time_ns: int) -> None:
            wire.deliver(payload, time_ns)
            recorder.pump()
            barmaker.pump()
            executor.pump()
            strategist.pump()
            if time_ns > first_ns and not reader.has_order():
                raise RuntimeError("no order came")

        first_ns = trade(1)[1]

        def rest() -> None:
            pump_all(services)
            raw.commit_four()

        took = time_samples(act, rest)
        return {"one_thread": took, "raw_sqlite": raw.took[WARM_UP:]}


def builders(wire: Wire) -> list[Callable[[Log], Service]]:
    return [
        lambda log: Recorder(log, "bench", wire, BinanceNormaliser(spot("bench"))),
        lambda log: Barmaker(log, "bench", NS_PER_S, GRACE_NS),
        lambda log: PaperExecutor(log, RUN, session()),
        lambda log: Strategist(log, RUN, session()),
    ]


def start(wire: Wire, recorder: Service | None) -> None:
    """Until the recorder's feed runs."""
    while wire.inbox is None:
        if recorder is not None:
            recorder.pump()
        time.sleep(0.01)


def pump_all(services: Sequence[Service]) -> None:
    """Untimed: the executor acknowledges the order."""
    while sum(service.pump() for service in services):
        pass


def measure_threads(folder: Path) -> dict[str, list[float]]:
    """As in `up`: the recorder in one thread, who decides in another, and a wake-up between them."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    with closing(open_log("sqlite", folder=folder)) as log:
        reader, wire = Reader(log), Wire()
        host = Host(lambda: open_log("sqlite", folder=folder))
        try:
            recorder, *deciders = builders(wire)
            host.add(recorder, endless=True)
            host.add(lambda log: Chain([build(log) for build in deciders]))
            start(wire, None)

            def act(payload: bytes, time_ns: int) -> None:
                wire.deliver(payload, time_ns)
                if time_ns > first_ns:
                    reader.await_order()

            first_ns = trade(1)[1]
            return {"threads": time_samples(act, lambda: time.sleep(PAUSE_S))}
        finally:
            host.stop()
            if host.failure is not None:
                raise host.failure


def figures(took: Sequence[float]) -> dict[str, float]:
    cuts = statistics.quantiles(took, n=1000)
    return {"p50_us": cuts[499], "p90_us": cuts[899], "p99_us": cuts[989], "max_us": max(took), "samples": len(took)}


def measure() -> dict[str, Any]:
    """The figures of both arrangements; goal: p50 at most 300, p99 at most 2,000."""
    found: dict[str, Any] = {}
    interval = sys.getswitchinterval()
    for run in (measure_one_thread, measure_threads):
        with tempfile.TemporaryDirectory(prefix="quantlytic-latency-") as folder:
            gc.collect()
            gc.freeze()  # what was imported is not looked at again; the collector stays on, as in the services
            try:
                found |= {name: figures(took) for name, took in run(Path(folder)).items()}
            finally:
                gc.unfreeze()
                sys.setswitchinterval(interval)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    as_json = parser.parse_args().json
    results = measure()
    if as_json:
        print(json.dumps(results))
        return
    print(f"{'frame in -> order out':<24}{'p50':>9}{'p90':>9}{'p99':>9}{'max':>10}   microseconds")
    for name, row in results.items():
        print(f"{name:<24}{row['p50_us']:>9.0f}{row['p90_us']:>9.0f}{row['p99_us']:>9.0f}{row['max_us']:>10.0f}")


if __name__ == "__main__":
    main()
