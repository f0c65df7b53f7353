"""Paper runs that look at time: slices and timers of two and five instruments, stepped in any order, dying anywhere.

The tape must be that of an undisturbed run, every turn taken once and in order (`check_turns`), and parity must be 0.
"""

from __future__ import annotations

import os
import random
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.sim import mortal
from tests.sim.churn import CrossChurn
from tests.sim.mortal import Case, Simulation, Undisturbed, reference, torture, undisturbed_of
from tests.sim.truth import check_turns, events_of

import quantlytic as ql
from quantlytic.engine.session import Session
from quantlytic.engine.strategy import Strategy
from quantlytic.model.bar import Bar
from quantlytic.model.barsclosed import BarsClosed
from quantlytic.model.equity import Decided, Equity
from quantlytic.model.errors import InputError, StrategyError
from quantlytic.model.fill import Fill
from quantlytic.model.instrument import Instrument
from quantlytic.model.order import Order, OrderCancel
from quantlytic.model.run import Run
from quantlytic.model.time import NS_PER_S
from quantlytic.research.runs.paper import paper_session
from quantlytic.research.runs.parity import check_parity
from quantlytic.services.executor import PaperExecutor
from quantlytic.services.strategist import Strategist
from quantlytic.store.log import open_log
from quantlytic.store.log.port import Log
from quantlytic.strategies.equal_weight import EqualWeight

pytestmark = pytest.mark.usefixtures("no_fsync")
SEEDS = int(os.environ.get("SIM_SEEDS", "300"))
CROSS = partial(check_turns, period_ns=CrossChurn.PERIOD_NS)
TWO = Case(CrossChurn(), 2, check=CROSS)
FIVE = Case(CrossChurn(weight=0.05), 5, check=CROSS)
PORTFOLIO = Case(EqualWeight(rebalance=2), 5, check=check_turns)
CASES = {"two": TWO, "five": FIVE, "portfolio": PORTFOLIO}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Undisturbed]:
    return {name: undisturbed_of(case, tmp_path_factory.mktemp(name)) for name, case in CASES.items()}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", list(CASES))
def test_dying_anywhere_changes_nothing(name: str, tmp_path: Path, undisturbed: dict[str, Undisturbed]) -> None:
    torture(tmp_path, CASES[name], range(2), undisturbed[name])


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", list(CASES))
def test_dying_anywhere_many_times_changes_nothing(
    name: str, tmp_path: Path, undisturbed: dict[str, Undisturbed]
) -> None:
    torture(tmp_path, CASES[name], range(2000, 2000 + SEEDS // 3), undisturbed[name])


def test_the_market_exercises_everything(tmp_path: Path) -> None:
    """Slices with instruments missing, several times covered at once, bars that lag; orders of every handler."""
    simulation = Simulation(tmp_path, FIVE, 0, 0.0)
    with closing(simulation):
        simulation.play(FIVE.market(1))
        counts = CROSS(simulation.log, FIVE.run)
        bars = [event for _, event in events_of(simulation.log, "bars.sim")]
        decisions = [event for _, event in events_of(simulation.log, "decisions.sim-run")]
        executions = [event for _, event in events_of(simulation.log, "executions.sim-run")]
    assert counts["bars"] > 100
    assert counts["moments"] > 50
    assert {Order, OrderCancel} <= {type(event) for event in decisions}
    assert Fill in {type(event) for event in executions}
    times = [event.close_time for event in bars if isinstance(event, Bar)]
    assert (np.diff(times) < 0).any(), "no bar has lagged behind another's"
    executed = [event.event_time for event in executions if isinstance(event, Equity)]
    assert executed == sorted(executed)
    sizes = {executed.count(time) for time in executed}
    assert len(sizes) > 2, "all slices were of one size"
    steps = np.diff([event.event_time for event in bars if isinstance(event, BarsClosed)])
    assert steps.max() > 2 * NS_PER_S, "never were several times covered at once"


# ---- the tape by hand


def step_line(folder: Path, events: list[Any], strategy: str = "equal-weight", count: int = 2) -> tuple[Log, Run]:
    """Executor and strategist over this stream of bars."""
    run = run_of(strategy, count)
    log = open_log("sqlite", folder=folder)
    log.writer("barmaker.file").commit({"bars.file": events})
    pump(log, run)
    return log, run


def run_of(strategy: str, count: int = 2, mode: str = "paper") -> Run:
    instruments = tuple(Instrument(f"file:S{k}") for k in range(count))
    params = {"rebalance": 1.0} if strategy == "equal-weight" else {}
    return Run("x", mode, "file", strategy, params, instruments, NS_PER_S, 1e5, 10.0, 0, "")


def pump(log: Log, run: Run) -> None:
    executor, strategist = (
        PaperExecutor(log, run, paper_session(run, compiled=False)),
        Strategist(log, run, paper_session(run, compiled=False)),
    )
    while executor.pump() + strategist.pump():
        pass
    executor.close()
    strategist.close()


def bar(who: int, second: int, close: float = 100.0) -> Bar:
    return Bar(f"file:S{who}", (second - 1) * NS_PER_S, second * NS_PER_S, close, close, close, close, 10.0)


def closed(second: int, size_s: int = 1) -> BarsClosed:
    return BarsClosed(size_s * NS_PER_S, second * NS_PER_S)


def kinds(log: Log, stream: str) -> list[str]:
    return [type(event).__name__ for _, event in events_of(log, stream)]


def test_nothing_is_decided_before_the_time_is_complete(tmp_path: Path) -> None:
    log, run = step_line(tmp_path, [bar(0, 1), bar(1, 1)])
    with closing(log):
        assert kinds(log, "executions.x") == []
        log.writer("barmaker.file").commit({"bars.file": [closed(1, size_s=60)]})
        pump(log, run)
        assert kinds(log, "executions.x") == [], "it was said of bars of another size"
        log.writer("barmaker.file").commit({"bars.file": [closed(1)]})
        pump(log, run)
        assert kinds(log, "executions.x")[:4] == ["Equity", "Equity", "BarsClosed", "OrderUpdate"]
        assert kinds(log, "decisions.x").count("Order") == 2
        assert kinds(log, "decisions.x").count("Decided") == 4
        parity = check_parity(log, run, paper_session(run, compiled=False))
        assert (parity.bars, parity.mismatches) == (2, 0)
        assert parity.counts["orders"] == 2


def test_bars_come_in_the_order_of_time_and_of_the_runs_instruments(tmp_path: Path) -> None:
    """S1 lags behind: its bar of second 1 comes after S0's of second 2; then one comes after its time was over."""
    events = [bar(0, 1), bar(0, 2), bar(1, 1), closed(1), bar(1, 2), closed(2), bar(1, 1, 55.0), bar(1, 3), bar(0, 3)]
    log, run = step_line(tmp_path, [*events, closed(3)])
    with closing(log):
        check_turns(log, run)
        executed = [event for _, event in events_of(log, "executions.x") if isinstance(event, Equity)]
        assert [event.bar_offset for event in executed] == [0, 2, 1, 4, 8, 7]
        parity = check_parity(log, run, paper_session(run, compiled=False))
        assert (parity.bars, parity.mismatches) == (6, 0)


def test_a_run_that_begins_in_the_middle_of_a_time_begins_with_the_next(tmp_path: Path) -> None:
    run = msgspec.structs.replace(run_of("equal-weight"), first_bar_offset=1)
    events = [bar(0, 1), bar(1, 1), closed(1), bar(0, 2), bar(1, 2), closed(2)]
    with closing(open_log("sqlite", folder=tmp_path)) as log:
        log.writer("barmaker.file").commit({"bars.file": events})
        pump(log, run)
        executed = [event for _, event in events_of(log, "executions.x") if isinstance(event, Equity)]
        assert [event.bar_offset for event in executed] == [3, 4]
        parity = check_parity(log, run, paper_session(run, compiled=False))
        assert (parity.bars, parity.mismatches) == (2, 0)


def test_a_time_without_bars_is_passed_in_silence(tmp_path: Path) -> None:
    log, _ = step_line(tmp_path, [bar(0, 1), bar(1, 1), *(closed(k) for k in range(1, 9)), bar(0, 10), closed(12)])
    with closing(log):
        turns = [event for _, event in events_of(log, "decisions.x") if isinstance(event, Decided)]
        assert [event.bar_offset for event in turns] == [0, 1, 1, 2, 10, 10, 11]


def test_a_stop_in_the_middle_of_a_time_is_left_out_of_the_comparison(tmp_path: Path) -> None:
    run = run_of("equal-weight")
    log = open_log("sqlite", folder=tmp_path)
    with closing(log):
        events = [bar(0, 1), bar(1, 1), closed(1), bar(0, 2, 101.0), bar(1, 2, 99.0), closed(2)]
        log.writer("barmaker.file").commit({"bars.file": events})
        executor = PaperExecutor(log, run, paper_session(run, compiled=False))
        strategist = Strategist(log, run, paper_session(run, compiled=False))
        seen = []
        for _ in range(20):
            moved = executor.pump() + strategist.pump()
            parity = check_parity(log, run, paper_session(run, compiled=False))
            assert parity.mismatches == 0, parity.first_mismatch
            seen.append(parity.bars)
            if not moved:
                break
        assert sorted(set(seen)) == [0, 2, 4]
        assert seen == sorted(seen)


def test_parity_finds_what_is_not_so(tmp_path: Path) -> None:
    log, run = step_line(tmp_path, [bar(0, 1), bar(1, 1), closed(1), bar(0, 2), bar(1, 2), closed(2)])
    with closing(log):
        other = Session(EqualWeight(rebalance=1, weight=0.5), run.instruments, cash=1e5, compiled=False)
        parity = check_parity(log, run, other)
        assert parity.mismatches > 0
        assert parity.first_mismatch is not None


class OnTimer(Strategy):
    """Per bar, with a timer that is seldom."""

    def setup(self) -> None:
        self.every(5 * NS_PER_S)
        self.bought = 0

    def on_bar(self, bar: Any, broker: Any) -> None:
        if self.bought % 3 == 0 and broker.is_flat:
            broker.buy(1.0)
            self.bought += 1

    def on_timer(self, time: int, broker: Any) -> None:
        self.bought += 1
        broker.close()


@pytest.mark.parametrize("seed", range(3))
def test_timers_come_when_their_time_is_over_with_bars_or_without(seed: int, tmp_path: Path) -> None:
    source = random.Random(seed)
    events: list[Any] = []
    for second in range(1, 60):
        events += [bar(who, second, 100.0 + source.random()) for who in range(2) if source.random() < 0.4]
        if source.random() < 0.7:
            events.append(closed(second))
    run, session = run_of("on-timer"), lambda: Session(OnTimer(), run_of("x").instruments, cash=1e5, compiled=False)
    log = open_log("sqlite", folder=tmp_path)
    with closing(log):
        log.writer("barmaker.file").commit({"bars.file": events})
        executor, strategist = PaperExecutor(log, run, session()), Strategist(log, run, session())
        while executor.pump() + strategist.pump():
            if source.random() < 0.3:  # both begin anew
                executor, strategist = PaperExecutor(log, run, session()), Strategist(log, run, session())
        counts = check_turns(log, run, sliced=False, period_ns=5 * NS_PER_S)
        assert counts["moments"] >= 8, f"seed {seed}"
        parity = check_parity(log, run, session())
        assert parity.mismatches == 0, f"seed {seed}: {parity.first_mismatch}"
        assert parity.bars == counts["bars"]
        assert counts["fills"] > 4


def test_what_does_not_look_at_bars_is_refused_at_the_start() -> None:
    with pytest.raises(
        StrategyError, match=r"MarketMaker looks at none of what it is given \(bars\): it has .*on_quote"
    ):
        paper_session(run_of("market-maker"))


def test_a_live_account_does_not_know_slices_yet(tmp_path: Path) -> None:
    run = run_of("equal-weight", mode="live")
    with (
        closing(open_log("sqlite", folder=tmp_path)) as log,
        pytest.raises(InputError, match="equal-weight decides on slices or timers"),
    ):
        Strategist(log, run, paper_session(run, compiled=False))


@pytest.mark.parametrize("name", ["equal-weight", "cross-sectional-momentum", "risk-parity"])
def test_portfolios_on_real_bars_of_five_symbols(name: str, market_data: Path, tmp_path: Path) -> None:
    """What paper does with them is what a backtest does."""
    loaded = ql.load_bars(market_data / "binance_spot_1h_staticklines.parquet")
    bars = ql.Bars(loaded.array[:750], loaded.instruments)
    ids = [one.id for one in bars.instruments]
    size_ns = int(bars.array["close_time"][0] - bars.array["open_time"][0])
    params = {"rebalance": 10.0} | ({} if name == "equal-weight" else {"lookback": 20.0})
    run = Run("x", "paper", "file", name, params, bars.instruments, size_ns, 1e6, 10.0, 0, "")
    events: list[Any] = []
    for index, row in enumerate(bars.array.tolist()):
        events.append(Bar(ids[row[0]], *row[1:-1]))  # without a forecast
        if index + 1 == len(bars) or bars.array["close_time"][index + 1] > row[2]:
            events.append(BarsClosed(size_ns, row[2]))
    with closing(open_log("sqlite", folder=tmp_path)) as log:
        log.writer("barmaker.file").commit({"bars.file": events})
        executor, strategist = PaperExecutor(log, run, paper_session(run)), Strategist(log, run, paper_session(run))
        while executor.pump() + strategist.pump():
            pass
        parity = check_parity(log, run, paper_session(run))
        fills = [event for _, event in events_of(log, "executions.x") if isinstance(event, Fill)]
    assert (parity.bars, parity.mismatches) == (len(bars), 0)
    whole = paper_session(run)
    whole.run(bars)
    assert [fill.price for fill in fills] == whole.fills["price"].tolist()
    assert len(fills) > 15


def test_a_reference_run_is_the_same_in_every_interleaving(tmp_path: Path) -> None:
    """Nobody dies: only the order of steps differs, and how much is read at once."""
    events = TWO.market(3, 150)
    expected = reference(tmp_path / "whole", TWO, events)
    for seed in range(4):
        simulation = Simulation(tmp_path / str(seed), TWO, seed, 0.0)
        with closing(simulation):
            simulation.play(events)
            assert mortal.streams(simulation.log) == expected, f"seed {seed}"
