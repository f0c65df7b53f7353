"""A strategy that raises ends alone: the run goes on, says so, and another one takes over; replay and parity stay exact."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import msgspec
import pytest
from tests.engine.market import random_bars
from tests.research.paperline import archived, bar_events, logs, paper_run, write_bars
from tests.services.swapline import ask, changes, decided, means, pump, state_of
from tests.services.test_recovery import lose_snapshot

from quantlytic.model.barsclosed import BarsClosed
from quantlytic.model.equity import Decided, Equity
from quantlytic.model.event import Event
from quantlytic.model.order import Order, OrderCancel
from quantlytic.model.run import Run
from quantlytic.model.side import Side
from quantlytic.model.strategychange import NOBODY
from quantlytic.research.runs.beginning import begin, begun_session
from quantlytic.research.runs.liveparity import check_live_parity
from quantlytic.research.runs.paper import paper_session
from quantlytic.research.runs.parity import check_parity, events_of
from quantlytic.research.runs.succession import as_it_is, end_of
from quantlytic.services.recovery import recover_executor, recover_strategist
from quantlytic.store.log.port import Log

CODE = '''"""Buys at once, and cannot count to {most}."""
from quantlytic import Strategy, param


class Faulty(Strategy):
    """In, a stop below, more if it falls; then a table that is too short."""

    weight: float = param(0.3, low=0.0, high=1.0)

    def setup(self):
        self.bars = 0

    def on_bar(self, bar, broker):
        self.bars += 1
        if self.bars == 2:
            broker.target_weight(self.weight)
        if broker.is_long and broker.open_orders == 0:
            broker.stop(-1, broker.position, bar.close * 0.5)
            broker.limit(1, 0.001, bar.close * 0.5)
        if self.bars == {most}:
            broker.sell(0.001)
            self.weight = [0.3][self.bars]
'''
RAISES_AT = 20


def faulty(folder: Path, most: int = RAISES_AT) -> tuple[Run, str]:
    code = CODE.format(most=most)
    path = folder / "faulty.py"
    path.write_text(code)
    digest = hashlib.sha256(code.encode()).hexdigest()
    run = msgspec.structs.replace(
        paper_run("sma-cross"), strategy=f"{path}:Faulty", params={"weight": 0.3}, code_hash=digest
    )
    return run, code


def check(log: Log, run: Run) -> None:
    parity = check_parity(log, run, begun_session(run, log, compiled=False))
    assert (parity.mismatches, parity.first_mismatch) == (0, None)
    equity = [event for _, event in events_of(log, run.executions_stream) if isinstance(event, Equity)]
    assert parity.bars == len(equity)
    live = check_live_parity(log, run, begun_session(run, log, compiled=False))
    assert (live.mismatches, live.first_mismatch) == (0, None)


@pytest.mark.parametrize("position", ["keep", "close"])
def test_a_strategy_that_raises_ends_alone_and_a_mended_one_takes_over(
    position: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run, code = faulty(tmp_path)
    first = lambda: begun_session(run, log, compiled=False)  # noqa: E731
    with logs(tmp_path / "log") as log:
        write_bars(log, 120, 3)
        how = means(tmp_path / "log")
        with caplog.at_level(logging.WARNING, "quantlytic.strategist"):
            _, strategist = pump(log, run, first, how, 60)
        (end,) = changes(log, run)
        assert (end.new, end.old, end.position, end.by) == (NOBODY, run.strategy, "guard", "quantlytic")
        line = 1 + code.splitlines().index("            self.weight = [0.3][self.bars]")
        for said in (
            f"faulty.py:{line}: IndexError", "bar offset", "it held 500.597 box:A, ", "4 open orders", "weight=0.3, bars=19",
        ):  # fmt: skip
            assert said in end.reason, end.reason
        assert "\n" not in end.reason
        (record,) = caplog.records
        assert f"quantlytic swap {run.run_id}" in record.getMessage()
        mine = [event for event in decided(log, run) if getattr(event, "bar_offset", -1) == end.bar_offset]
        assert not [one for one in mine if isinstance(one, Order)], "an order of the handler that raised"
        assert [type(one) for one in mine[1:]] == [OrderCancel, OrderCancel, Decided]
        sent = {one.order_id: one for one in decided(log, run) if isinstance(one, Order)}
        withdrawn = [sent[one.order_id].side for one in mine if isinstance(one, OrderCancel)]
        assert withdrawn == [Side.BUY, Side.BUY], "the stops stay"
        assert strategist._session.open_orders == 2
        assert isinstance(end_of(run, log), type(end))
        assert as_it_is(run, log) == run, "the settings still mean this run"
        check(log, run)
        for _ in range(10):  # new processes, some of which find the request
            pump(log, run, first, how, 2)
        held = sum(strategist._session.positions.values())
        assert held > 0
        mended = code.replace("self.weight = [0.3][self.bars]", "pass")
        ask(log, run, run.strategy, position, code=mended, weight=0.3)
        for _ in range(10):
            pump(log, run, first, how, 1)
        _, strategist = pump(log, run, first, how)
        _, change = changes(log, run)
        assert (change.old, change.new, change.refusal) == (NOBODY, run.strategy, "")
        sold = [e for e in decided(log, run) if isinstance(e, Order) and e.bar_offset == change.bar_offset]
        assert bool(sold) == (position == "close")
        assert end_of(run, log) is None
        check(log, run)
        expected = state_of(strategist), dict(log.committed(strategist.name))
        lake = archived(log, tmp_path)
    for kept in (None, lake):
        lose_snapshot(tmp_path / "log", f"strategist.{run.run_id}", None)
        with logs(tmp_path / "log") as log:
            assert recover_strategist(log, run, begun_session(run, log, compiled=False), kept, how)
            _, again = pump(log, run, first, how)
            assert (state_of(again), dict(log.committed(again.name))) == expected
            again.close()


def test_a_request_that_was_made_ready_meanwhile_is_answered_after_the_end(tmp_path: Path) -> None:
    """Asked for before the bar at which the old one raises, ready after it."""
    run, _ = faulty(tmp_path)
    with logs(tmp_path / "log") as log:
        write_bars(log, 60, 3)
        how = means(tmp_path / "log")
        first = lambda: begun_session(run, log, compiled=False)  # noqa: E731
        executor, strategist = pump(log, run, first, how, 36)
        assert not changes(log, run)
        ask(log, run, "sma-cross", "close", fast=2, slow=5)
        assert strategist._swaps is not None
        ready = type(strategist._swaps).is_ready
        try:
            type(strategist._swaps).is_ready = property(lambda _: False)  # type: ignore[method-assign,assignment]
            while not changes(log, run):
                executor.pump(), strategist.pump()
        finally:
            type(strategist._swaps).is_ready = ready  # type: ignore[method-assign]
        while executor.pump() + strategist.pump():
            pass
        assert [one.new for one in changes(log, run)] == [NOBODY, "sma-cross"]
        check(log, run)


def test_one_that_raises_while_its_orders_are_held(tmp_path: Path) -> None:
    """Then broker and strategist both call it: neither ends by that."""
    run, code = faulty(tmp_path)
    code = code.replace("from quantlytic import", "from quantlytic.indicators import SMA\nfrom quantlytic import")
    code = code.replace("self.bars = 0", "self.bars = 0\n        self.slow = SMA(500)")
    code = code.replace("self.bars += 1", "self.bars += 1\n        self.slow.update(bar.close)")
    Path(run.strategy.partition(":")[0]).write_text(code)
    run = msgspec.structs.replace(run, code_hash=hashlib.sha256(code.encode()).hexdigest())
    with logs(tmp_path / "log") as log:
        write_bars(log, 120, 3)
        how = means(tmp_path / "log")
        session = begun_session(run, log, compiled=False)
        begin(run, session, log, None, now_ns=0)
        assert session.is_held
        first = lambda: begun_session(run, log, compiled=False)  # noqa: E731
        pump(log, run, first, how, 100)
        (end,) = changes(log, run)
        assert (end.new, "held nothing" in end.reason) == (NOBODY, True)
        ask(log, run, "sma-cross", fast=2, slow=5)
        for _ in range(5):
            pump(log, run, first, how, 3)
        _, strategist = pump(log, run, first, how)
        assert [one.new for one in changes(log, run)] == [NOBODY, "sma-cross"]
        assert [event for event in decided(log, run) if isinstance(event, Order)]
        check(log, run)
        expected = state_of(strategist)
        strategist.close()
    lose_snapshot(tmp_path / "log", f"strategist.{run.run_id}", None)
    lose_snapshot(tmp_path / "log", f"executor.{run.run_id}", None)
    with logs(tmp_path / "log") as log:
        recover_executor(log, run, begun_session(run, log, compiled=False))
        recover_strategist(log, run, begun_session(run, log, compiled=False), None, how)
        _, again = pump(log, run, lambda: begun_session(run, log, compiled=False), how)
        assert state_of(again) == expected


SLICES = """from quantlytic import Strategy


class Slices(Strategy):
    def setup(self):
        self.count = 0

    def on_slice(self, slice, broker):
        self.count += 1
        if self.count == 5:
                self.count = [0][self.count]
"""


def test_a_run_on_slices_stands_still(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """There nobody can take over: what was done by then stays, and is proven."""
    path = tmp_path / "slices.py"
    path.write_text(SLICES)
    run = msgspec.structs.replace(paper_run("sma-cross"), strategy=f"{path}:Slices", params={})
    with logs(tmp_path / "log") as log:
        write_times(log, 30)
        how = means(tmp_path / "log")
        fresh = lambda: paper_session(run, compiled=False)  # noqa: E731
        for _ in range(3):
            executor, strategist = pump(log, run, fresh, how)
            assert [one.new for one in changes(log, run)] == [NOBODY]
            assert executor.pump() == strategist.pump() == 0
            strategist.wait(0.0)
        assert "slices.py:11: IndexError" in changes(log, run)[0].reason
        assert sum("has ended: start a new one" in one.getMessage() for one in caplog.records) == 3
        before = len(decided(log, run))
        ask(log, run, "sma-cross")
        strategist.pump()
        assert "on_slice" in changes(log, run)[-1].refusal
        assert len(decided(log, run)) == before + 1
        parity = check_parity(log, run, fresh())
        assert (parity.mismatches, parity.bars) == (0, 6)


@pytest.mark.parametrize("raises_at", [1, 5])
def test_a_run_on_slices_that_lost_its_snapshots_has_ended_still(raises_at: int, tmp_path: Path) -> None:
    path = tmp_path / "slices.py"
    path.write_text(SLICES.replace("== 5", f"== {raises_at}"))
    run = msgspec.structs.replace(paper_run("sma-cross"), strategy=f"{path}:Slices", params={})
    fresh = lambda: paper_session(run, compiled=False)  # noqa: E731
    with logs(tmp_path / "log") as log:
        write_times(log, 30)
        how = means(tmp_path / "log")
        ask(log, run, "sma-cross")
        executor, strategist = pump(log, run, fresh, how)
        assert [(one.new, bool(one.refusal)) for one in changes(log, run)] == [("sma-cross", True), (NOBODY, False)]
        expected = dict(log.committed(strategist.name)), state_of(strategist), decided(log, run)
        reported = list(events_of(log, run.executions_stream))
        executor.close()
        strategist.close()
    for name in ("strategist", "executor"):
        lose_snapshot(tmp_path / "log", f"{name}.{run.run_id}", None)
    with logs(tmp_path / "log") as log:
        recover_executor(log, run, paper_session(run, compiled=False))
        done = [event for event in expected[2] if isinstance(event, Decided)]
        assert recover_strategist(log, run, paper_session(run, compiled=False), None, how) == len(done)
        _, strategist = pump(log, run, fresh, how)
        assert (dict(log.committed(strategist.name)), state_of(strategist), decided(log, run)) == expected
        assert list(events_of(log, run.executions_stream)) == reported


def write_times(log: Log, count: int) -> None:
    """Bars with what says that their time is complete."""
    bars = bar_events(random_bars(3, 2 * count, 2))
    events = list[Event]()
    for k, bar in enumerate(bars):
        if k and bars[k - 1].close_time < bar.close_time:
            events.append(BarsClosed(bar.close_time - bar.open_time, bars[k - 1].close_time))
        events.append(bar)
    log.writer("barmaker.box").commit({"bars.box": events})
