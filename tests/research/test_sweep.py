"""A sweep's rows against backtests of their own; what it does with what is wrong; where it runs must not matter."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.engine.market import Chaos, instruments_of, random_bars, workload_bars

import quantlytic as ql
from quantlytic.engine import sweep as engine_sweep
from quantlytic.engine.market.market import Market
from quantlytic.engine.market.slippage import FixedSlippage
from quantlytic.engine.run import tally
from quantlytic.model.errors import DataError, InputError, StrategyError
from quantlytic.research.figures.metrics import drawdown_curve, last_of_each_time
from quantlytic.research.search.sweepjob import METRICS
from quantlytic.research.search.sweepreason import why_none
from quantlytic.store.control import open_control
from quantlytic.strategies.catalogue import find
from quantlytic.strategies.sma_cross import SmaCross

FEES = ql.Fees(taker_bps=10, maker_bps=2)
AXES = {"fast": [3, 5, 8], "slow": [20, 40]}


@pytest.fixture(scope="module")
def bars() -> ql.Bars:
    return workload_bars(20_000)


@pytest.fixture(scope="module")
def swept(bars: ql.Bars) -> Any:
    return ql.sweep(SmaCross, bars, 1e5, FEES, **AXES, digests=True)


def assert_equals_backtest(sweep: Any, cell: int, **options: Any) -> None:
    result = ql.backtest(sweep.strategy_of(cell), sweep.bars, sweep.cash, FEES, **options)
    row = sweep.row(cell)
    assert row["final_equity"] == result.equity[-1]
    assert row["rejected"] == sum(result.rejections.values())
    deepest = drawdown_curve(last_of_each_time(sweep.bars.array["close_time"], result.equity)[1]).min()
    assert row["max_drawdown"] == pytest.approx(deepest, rel=1e-12)
    for name in set(METRICS) - {"final_equity", "rejected", "max_drawdown", "calmar"}:
        expected = result.metrics[name]
        if expected is None:
            assert row[name] is None, name
        else:
            assert row[name] == pytest.approx(expected, rel=1e-9, abs=1e-12), name
    digest = sweep.outcomes[cell].digest
    assert digest in ("", result.digest)
    rows = np.searchsorted(sweep.bars.array["close_time"], sweep.return_times, side="right") - 1
    equity = np.append(sweep.cash, result.equity[rows])
    assert np.array_equal(sweep.returns[:, cell], equity[1:] / equity[:-1] - 1.0)


def test_each_cell_is_a_backtest(swept: Any) -> None:
    assert len(swept) == 6
    for cell in range(6):
        assert swept.outcomes[cell].digest
        assert_equals_backtest(swept, cell)


def test_table_best_and_rows(swept: Any) -> None:
    table = swept.table
    assert table.columns == ["cell", "fast", "slow", *METRICS, "digest", "error"]
    assert table.select("fast", "slow").rows() == [(f, s) for f in (3, 5, 8) for s in (20, 40)]
    assert table["error"].null_count() == 6
    best = swept.best("final_equity")
    assert best["final_equity"] == table["final_equity"].max()
    assert best["weight"] == 0.99
    assert swept.best("fees_paid", largest=False)["fees_paid"] == table["fees_paid"].min()
    with pytest.raises(InputError, match="no metric 'sharp'"):
        swept.best("sharp")


def test_jobs_backends_and_batches_give_the_same_bytes(bars: ql.Bars, swept: Any) -> None:
    for options in ({"jobs": 1}, {"jobs": 3}, {"jobs": 2, "digests": True}):
        other = ql.sweep(SmaCross, bars, 1e5, FEES, **AXES, **options)
        assert other.returns.tobytes() == swept.returns.tobytes()
        same = swept.table if "digests" in options else swept.table.drop("digest")
        assert other.table.equals(same)


@pytest.mark.parametrize("seed", range(3))
def test_several_instruments_shorts_and_limits(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Round trips, time in the market and costs, streamed, are those of a backtest; blocks cut anywhere."""
    monkeypatch.setattr(engine_sweep, "BLOCK", 37)
    bars = ql.Bars(random_bars(seed, 150, 3), tuple(instruments_of(3, [0.0, 0.01])))
    sweep = ql.sweep(
        Chaos,
        bars,
        1e5,
        FEES,
        allow_short=True,
        allow_gaps=True,
        over={"seed": [1, 2, 3]},
        weight=[-0.5, 0.5],
        compiled=False,
        jobs=1,
    )
    for cell in range(6):
        assert_equals_backtest(sweep, cell, allow_short=True, allow_gaps=True, compiled=False)
    assert sweep.table["round_trips"].max() > 30


def test_a_bad_cell_is_a_row(bars: ql.Bars) -> None:
    sweep = ql.sweep(SmaCross, bars, 1e5, FEES, fast=[5, 500], slow=20, jobs=1)
    assert sweep.table["error"][0] is None
    assert "'fast' is a whole number from 2 to 200, not 500" in sweep.table["error"][1]
    assert sweep.table["sharpe"][1] is None
    assert np.isnan(sweep.returns[:, 1]).all()
    assert_equals_backtest(sweep, 0)
    with pytest.raises(StrategyError, match="no cell could be run; the first: SmaCross"):
        ql.sweep(SmaCross, bars, fast=[500, 600])


class Fragile(ql.Strategy):
    """Trades all the time; raises, or sends far too much, in the middle of some cells."""

    kind: int = ql.param(0, low=0, high=2)
    at: int = ql.param(10, low=1, high=100_000)

    def setup(self) -> None:
        self.seen = 0

    def on_bar(self, bar: Any, broker: Any) -> None:
        self.seen += 1
        if self.seen >= self.at and self.kind == 1:
            raise ValueError("enough")
        if self.seen >= self.at and self.kind == 2:
            for _ in range(100):
                broker.limit(1, 1.0, bar.close * 0.5)
        if self.seen % 2 == 0:
            broker.buy(0.001 * (1 + self.seen % 3))
        elif self.seen > 3_000:
            broker.sell(0.001 * (1 + self.seen % 5))


def test_a_cell_that_raises_leaves_the_others_alone(bars: ql.Bars, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled and as sessions: the same bytes and the same words, more open lots than one room holds."""
    monkeypatch.setattr(tally, "_FIRST_LOTS", 2100)
    options = {"kind": [0, 1, 0, 2], "at": [5_000, 10_000], "allow_short": True, "jobs": 1}
    swept = ql.sweep(Fragile, bars, 1e8, FEES, **options)
    assert [bool(one.error) for one in swept.outcomes] == [False, False, True, True, True, True]
    for cell in (0, 1):
        assert_equals_backtest(swept, cell, allow_short=True)
    assert re.search(r"test_sweep\.py:\d+: ValueError at bar 4999 .*enough", swept.outcomes[2].error)
    assert "sent more than 64 orders at one bar" in swept.outcomes[5].error
    as_sessions = ql.sweep(Fragile, bars, 1e8, FEES, digests=True, **options)
    assert as_sessions.returns.tobytes() == swept.returns.tobytes()
    assert as_sessions.table.drop("digest", "error").equals(swept.table.drop("error"))


def test_ctrl_c_keeps_what_was_finished(bars: ql.Bars, swept: Any) -> None:
    def stop_after_four(done: int, of: int) -> None:
        assert of == 6
        if done == 4:
            raise KeyboardInterrupt

    sweep = ql.sweep(SmaCross, bars, 1e5, FEES, **AXES, jobs=1, progress=stop_after_four)
    assert sweep.interrupted
    assert sweep.table["error"].null_count() == 4
    assert sweep.table["error"][5] == "not run: the sweep was interrupted"
    assert sweep.returns[:, :4].tobytes() == swept.returns[:, :4].tobytes()


def test_only_the_sums_are_kept(bars: ql.Bars, tmp_path: Path) -> None:
    """2,000 samples at most, whatever the bars."""
    sweep = ql.sweep(SmaCross, bars, fast=[3, 4])
    assert sweep.returns.shape == (2000, 2)
    assert sweep.return_times[-1] == bars.array["close_time"][-1]
    assert all(one.digest == "" for one in sweep.outcomes)


STRATEGY_FILE = """
from quantlytic import Strategy, param
from quantlytic.indicators import SMA

LIMIT = 0.001


def far(value: float, level: float) -> bool:
    return value > level * (1.0 + LIMIT)


class Mine(Strategy):
    span: int = param(10, low=2, high=50)

    def setup(self) -> None:
        self.average = SMA(self.span)

    def on_bar(self, bar, broker) -> None:
        level = self.average.update(bar.close)
        if self.average.ready:
            if far(bar.close, level) and broker.is_flat:
                broker.target_weight(0.9)
            elif bar.close < level and broker.is_long:
                broker.close()
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["loky", "dask"])
def test_other_processes_give_the_same_bytes(backend: str, bars: ql.Bars, tmp_path: Path) -> None:
    """Also for a strategy from a file, which no other process can import."""
    (tmp_path / "mine.py").write_text(STRATEGY_FILE)
    strategy = find(str(tmp_path / "mine.py"))
    here = ql.sweep(strategy, bars, 1e5, FEES, span=range(2, 12), digests=True)
    assert here.table["fills"].max() > 100
    told: list[tuple[int, int]] = []
    options = {"span": range(2, 12), "digests": True, "progress": lambda done, of: told.append((done, of))}
    if backend == "dask":
        distributed = pytest.importorskip("distributed")
        with distributed.Client(n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=tmp_path):
            there = ql.sweep(strategy, bars, 1e5, FEES, backend="dask", **options)
    else:
        there = ql.sweep(strategy, bars, 1e5, FEES, backend="loky", jobs=2, **options)
    assert there.table.equals(here.table)
    assert there.returns.tobytes() == here.returns.tobytes()
    assert told[-1] == (10, 10)


def test_a_backend_that_is_not_there(bars: ql.Bars) -> None:
    with pytest.raises(InputError, match="backend 'cloud'"):
        ql.sweep(SmaCross, bars, fast=[3, 4], backend="cloud")


def test_record_enters_each_cell_once(bars: ql.Bars, tmp_path: Path) -> None:
    for _ in range(2):
        ql.sweep(SmaCross, bars, 1e5, FEES, fast=[3, 5, 500], jobs=1, record=tmp_path)
    alone = ql.backtest(SmaCross(fast=3), bars, 1e5, FEES, record=tmp_path)
    with open_control(tmp_path) as control:
        trials = control.trials.list(alone.data_hash)
    assert [(one.kind, one.params["fast"]) for one in trials] == [("sweep", 3.0), ("sweep", 5.0), ("backtest", 3.0)]
    assert trials[0].sharpe == pytest.approx(trials[2].sharpe, rel=1e-9)
    assert (trials[0].start_ns, trials[0].end_ns) == (trials[2].start_ns, trials[2].end_ns)


def test_holes_are_refused_unless_asked_for(bars: ql.Bars) -> None:
    holed = ql.Bars(np.delete(bars.array, slice(50, 60)), bars.instruments)
    with pytest.raises(DataError, match="10 bars are missing"):
        ql.sweep(SmaCross, holed, fast=[3, 4])
    assert len(ql.sweep(SmaCross, holed, fast=[3, 4], allow_gaps=True)) == 2


def test_a_market_of_its_own(bars: ql.Bars) -> None:
    market = Market(fees=FEES, slippage=FixedSlippage(bps=3.0), participation=0.5)
    sweep = ql.sweep(SmaCross, bars, 1e5, market=market, fast=[3, 8], slow=20, jobs=1)
    assert sweep.table["slippage_paid"].min() > 0.0
    for cell in range(2):
        result = ql.backtest(sweep.strategy_of(cell), bars, 1e5, market=market)
        for name in ("slippage_paid", "fees_paid", "round_trips", "total_return", "exposure"):
            assert sweep.row(cell)[name] == pytest.approx(result.metrics[name], rel=1e-9), name
    with pytest.raises(InputError, match="fees and allow_short are part of the market"):
        ql.sweep(SmaCross, bars, 1e5, FEES, market=market, fast=[3, 8])


class Rotation(ql.Strategy):
    """All into the strongest: decides on slices, so its cells are sessions."""

    span: int = ql.param(3, low=1, high=10)

    def setup(self) -> None:
        self.first = np.zeros(8)

    def on_slice(self, slice: Any, broker: Any) -> None:
        best, most = 0, -1.0
        for k in range(slice.instruments):
            if slice.has(k):
                gain = slice.close(k) - self.first[k]
                self.first[k] += gain / self.span
                if gain > most:
                    best, most = k, gain
        for k in range(slice.instruments):
            if slice.has(k):
                broker.on(k).target_weight(0.9 if k == best else 0.0)


def test_slices_are_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_sweep, "BLOCK", 10)
    bars = ql.Bars(random_bars(5, 60, 4), tuple(instruments_of(4)))
    sweep = ql.sweep(Rotation, bars, 1e5, FEES, span=[1, 3], allow_gaps=True, compiled=False, jobs=1)
    assert sweep.table["fills"].min() > 20
    for cell in range(2):
        assert_equals_backtest(sweep, cell, allow_gaps=True, compiled=False)


def test_why_no_cell_has_a_figure() -> None:
    few = ql.sweep(SmaCross, ql.demo_bars(400, seed=3), 1e5, fast=[3], slow=[9], jobs=1)
    assert why_none(few, "sharpe") == (
        "no cell has a sharpe: these bars span 16.6 days, and it needs 30; --metric sharpe_per_bar needs none"
    )
    still = ql.sweep(SmaCross, ql.demo_bars(1000, seed=3), 1e5, fast=[200], slow=[400], weight=[0.0], jobs=1)
    assert why_none(still, "sharpe") == "no cell has a sharpe: none has traded; try other values"
