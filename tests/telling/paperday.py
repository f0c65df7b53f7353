"""A paper run on demo bars, written to a log by the real executor and strategist: something to tell of."""

from __future__ import annotations

from typing import Any

import quantlytic as ql
from quantlytic.engine.session import Session
from quantlytic.model.bar import Bar
from quantlytic.model.instrument import Instrument
from quantlytic.model.run import Run
from quantlytic.research.runs.paper import paper_session
from quantlytic.services.executor import PaperExecutor
from quantlytic.services.strategist import Strategist
from quantlytic.store.log.port import Log

HOUR_NS = 3_600_000_000_000
BTC = Instrument("demo:BTCUSDT", "BTC", "USDT", tick_size=0.01)


def run_of(strategy: str = "sma-cross", *instruments: Instrument, run_id: str = "paper-1", **params: float) -> Run:
    """A paper run on one instrument (or more) and hourly bars."""
    params = params or {"fast": 5.0, "slow": 20.0, "weight": 0.5}
    return Run(run_id, "paper", "demo", strategy, params, instruments or (BTC,), HOUR_NS, 1e5, 10.0, 0, "")


def bars_of(run: Run, count: int, seed: int = 7) -> list[Bar]:
    """Demo bars of the run's instruments, in the order of their closes."""
    array = ql.demo_bars(count, instruments=len(run.instruments), seed=seed).array
    return [
        Bar(
            run.instruments[row["instrument"]].id, int(row["open_time"]), int(row["close_time"]), float(row["open"]),
            float(row["high"]), float(row["low"]), float(row["close"]), float(row["volume"]),
        )
        for row in array
    ]  # fmt: skip


class PaperDay:
    """Plays bars to a run's services, in plain Python."""

    def __init__(self, log: Log, run: Run) -> None:
        self.run = run
        self._barmaker = log.writer(f"barmaker.{run.venue}")
        self._services = PaperExecutor(log, run, self._session()), Strategist(log, run, self._session())

    def _session(self) -> Session:
        return paper_session(self.run, compiled=False)

    def play(self, bars: list[Bar]) -> None:
        """Close these bars, and let everybody act on them."""
        self._barmaker.commit({self.run.bars_stream: bars})
        while sum(service.pump() for service in self._services):
            pass

    def close(self) -> None:
        for service in self._services:
            service.close()


def events(log: Log, stream: str, kind: type[Any]) -> list[Any]:
    """All events of that type in a stream."""
    found: list[Any] = []
    position = 0
    while (batch := log.read(stream, position)).events:
        found += [event for event in batch.events if isinstance(event, kind)]
        position = batch.next_offset
    return found
