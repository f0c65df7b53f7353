"""A paper run over given bars, through the real services, with what its strategist held after each bar."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from tests.engine.market import random_bars

from quantlytic.model.bar import Bar, bar_of
from quantlytic.model.instrument import Instrument
from quantlytic.model.run import Run
from quantlytic.research.runs.paper import paper_session
from quantlytic.services.archiver import Archiver
from quantlytic.services.executor import PaperExecutor
from quantlytic.services.strategist import Strategist
from quantlytic.store.lake import Lake
from quantlytic.store.log import open_log
from quantlytic.store.log.port import Log

INSTRUMENTS = (Instrument("box:A", tick_size=0.01), Instrument("box:B"))
MINUTE_NS = 60_000_000_000


def bar_events(array: np.ndarray[Any, Any], instruments: tuple[Instrument, ...] = INSTRUMENTS) -> list[Bar]:
    return [bar_of(row, instruments[row["instrument"]].id) for row in array]


def paper_run(strategy: str, instruments: tuple[Instrument, ...] = INSTRUMENTS, first: int = 0) -> Run:
    params = {"slow": 30.0, "fast": 10.0} if strategy == "sma-cross" else {}
    return Run(f"run-{strategy}", "paper", "box", strategy, params, instruments, MINUTE_NS, 1e5, 5.0, first, "")


def write_bars(log: Log, count: int, seed: int, instruments: tuple[Instrument, ...] = INSTRUMENTS) -> None:
    bars = bar_events(random_bars(seed, count, len(instruments)), instruments)
    writer = log.writer("barmaker.box")
    for k in range(0, len(bars), 50):
        writer.commit({"bars.box": bars[k : k + 50]})
    writer.close()


def play(log: Log, run: Run) -> dict[int, bytes]:
    """Run executor and strategist to the end of the bars. Returns the strategist's state after the bar at each offset."""
    session = paper_session(run)
    executor, strategist = PaperExecutor(log, run, paper_session(run)), Strategist(log, run, session)
    states: dict[int, bytes] = {}
    while executor.pump() + (done := strategist.pump()):
        if done:
            states[log.committed(strategist.name)[run.bars_stream] - 1] = session.save()
    while executor.pump():
        pass
    executor.close()
    strategist.close()
    return states


def archived(log: Log, folder: Path) -> Lake:
    """All of it in a lake."""
    lake = Lake(folder / "lake")
    archiver = Archiver(log, lake, batch_s=0.0)
    while archiver.pump():
        pass
    archiver.close()
    return lake


@contextmanager
def logs(folder: Path) -> Iterator[Log]:
    log = open_log("sqlite", folder=folder)
    try:
        yield log
    finally:
        log.close()
