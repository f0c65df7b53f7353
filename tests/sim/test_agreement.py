"""Compiled, debug and paper are one: the same bars give the same bytes, on real data of five instruments."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import quantlytic as ql
from quantlytic.engine.data.bars import Bars
from quantlytic.engine.market.fees import Fees
from quantlytic.engine.run.digest import digest_of
from quantlytic.engine.session import Session
from quantlytic.model.bar import Bar
from quantlytic.model.equity import Equity
from quantlytic.model.fill import Fill
from quantlytic.model.run import Run
from quantlytic.research.runs.paper import Rows, paper_session
from quantlytic.research.runs.parity import check_parity
from quantlytic.services.executor import PaperExecutor
from quantlytic.services.strategist import Strategist
from quantlytic.store.log import open_log
from quantlytic.store.log.port import Log
from quantlytic.strategies.sma_cross import SmaCross

PARAMS = {"fast": 20, "slow": 80, "weight": 0.19}
CASH, FEE_BPS = 1e6, 10.0
BARS_A_COMMIT = 20_000


def run_of(bars: Bars) -> Run:
    size_ns = int(bars.array["close_time"][0] - bars.array["open_time"][0])
    params = {name: float(value) for name, value in SmaCross(**PARAMS).params.items()}
    return Run("paper-x", "paper", "file", "sma-cross", params, bars.instruments, size_ns, CASH, FEE_BPS, 0, "")


def write_bars(log: Log, bars: Bars) -> None:
    """Put the bars on the tape, as a barmaker does."""
    names = [instrument.id for instrument in bars.instruments]
    writer = log.writer("barmaker.file")
    rows = bars.array.tolist()
    for start in range(0, len(rows), BARS_A_COMMIT):
        writer.commit({"bars.file": [Bar(names[row[0]], *row[1:-1]) for row in rows[start : start + BARS_A_COMMIT]]})
    writer.close()


def trade_on_paper(log: Log, run: Run) -> str:
    """Run executor and strategist to the end of the bars; the digest of what they wrote on the tape."""
    executor = PaperExecutor(log, run, paper_session(run))
    strategist = Strategist(log, run, paper_session(run))
    while executor.pump() + strategist.pump():
        pass
    fills, equity, numbers = [], [], {}
    position = 0
    while (batch := log.read(run.executions_stream, position)).events:
        position = batch.next_offset
        for event in batch.events:
            if isinstance(event, Equity):
                numbers[event.bar_offset] = len(equity)
                equity.append(event.equity)
            elif isinstance(event, Fill):
                fills.append(event)
    rows = Rows(run).fills(fills)
    rows["bar_offset"] = [numbers[fill.bar_offset] for fill in fills]  # the session counts its bars from 0
    return digest_of(rows, np.array(equity))


def agree(bars: Bars, folder: Path) -> Session:
    """Run all three ways and compare; returns the compiled one."""
    run = run_of(bars)
    fees = Fees(maker_bps=FEE_BPS, taker_bps=FEE_BPS)
    compiled = Session(SmaCross(**PARAMS), bars.instruments, CASH, fees)
    debug = Session(SmaCross(**PARAMS), bars.instruments, CASH, fees, compiled=False)
    compiled.run(bars)
    debug.run(bars)
    assert debug.digest == compiled.digest
    log = open_log("sqlite", folder=folder)
    try:
        write_bars(log, bars)
        assert trade_on_paper(log, run) == compiled.digest
        parity = check_parity(log, run, paper_session(run))
    finally:
        log.close()
    assert parity.mismatches == 0
    assert parity.bars == len(bars.array)
    return compiled


def load(market_data: Path) -> Bars:
    return ql.load_bars(market_data / "binance_spot_15m_staticklines.parquet")


def test_three_ways_agree(market_data: Path, tmp_path: Path) -> None:
    bars = load(market_data)
    some = Bars(bars.array[:6_000], bars.instruments)
    assert len(agree(some, tmp_path).fills) > 50


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_three_ways_agree_on_all_of_it(market_data: Path, tmp_path: Path) -> None:
    assert len(agree(load(market_data), tmp_path).fills) > 1_000
