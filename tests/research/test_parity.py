"""Parity beside a run that goes on: compared up to what both sides have finished, and no further; what differs is found."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from tests.engine.market import random_bars
from tests.research.paperline import bar_events, logs, paper_run, write_bars
from tests.services.swapline import ask, means

from quantlytic.model.equity import Equity
from quantlytic.model.event import Event
from quantlytic.model.fill import Fill
from quantlytic.model.order import Order, OrderStatus, OrderUpdate
from quantlytic.model.run import Run
from quantlytic.research.runs.paper import paper_session
from quantlytic.research.runs.parity import Parity, check_parity, events_of
from quantlytic.services.executor import PaperExecutor
from quantlytic.services.strategist import Strategist
from quantlytic.store.log.port import Log

BARS = 50


class Line:
    """A run that is stepped."""

    def __init__(self, log: Log, run: Run, folder: Path) -> None:
        self.run, self.log = run, log
        self.executor = PaperExecutor(log, run, fresh(run))
        self.strategist = Strategist(log, run, fresh(run), means(folder))

    def pump(self) -> int:
        return self.executor.pump() + self.strategist.pump()

    def check(self, log: Log | None = None) -> Parity:
        return check_parity(log or self.log, self.run, fresh(self.run))


def fresh(run: Run) -> Any:
    return paper_session(run)


class Racing:
    """A log on which the run goes on, half a bar, whenever it is read from."""

    def __init__(self, log: Log, line: Line) -> None:
        self._log, self._services = log, itertools.cycle((line.executor, line.strategist))

    def __getattr__(self, name: str) -> Any:
        if name in ("read", "bounds", "committed"):
            next(self._services).pump()
        return getattr(self._log, name)


def test_at_any_moment(tmp_path: Path) -> None:
    """Cut at each commit: executed and not decided on, decided on and not answered, answered and no bar to follow."""
    run = paper_run("grid")
    with logs(tmp_path / "log") as log:
        line = Line(log, run, tmp_path / "log")
        bars = bar_events(random_bars(3, BARS, 2))
        market = log.writer("barmaker.box")
        for number, bar in enumerate(bars, 1):
            market.commit({"bars.box": [bar]})
            for service in (line.executor, line.strategist, line.executor):
                service.pump()
                if 2 < number <= 40:
                    continue
                parity = line.check()
                assert (parity.mismatches, parity.first_mismatch) == (0, None)
                assert parity.bars == number or (number, parity.bars) == (1, 0)


def test_while_it_goes_on(tmp_path: Path) -> None:
    run = paper_run("grid")
    with logs(tmp_path / "log") as log:
        line = Line(log, run, tmp_path / "log")
        write_bars(log, 3 * BARS, 3)
        for _ in range(20):
            line.pump()
        racing, bars = cast(Log, Racing(log, line)), set()
        while len(bars) < 12:
            parity = line.check(racing)
            assert (parity.mismatches, parity.first_mismatch) == (0, None)
            bars.add(parity.bars)


def test_while_the_orders_of_another_strategy_are_held(tmp_path: Path) -> None:
    """Broker and strategist then have replicas of their own."""
    run = paper_run("grid")
    with logs(tmp_path / "log") as log:
        line = Line(log, run, tmp_path / "log")
        write_bars(log, BARS, 3)
        for _ in range(40):
            line.pump()
        ask(log, run, "sma-cross", "close", fast=2, slow=20)
        for _ in range(12):
            for service in (line.executor, line.strategist):
                service.pump()
                parity = line.check()
                assert (parity.mismatches, parity.first_mismatch) == (0, None)


def changed(event: Event) -> Event:
    match event:
        case Equity():
            return msgspec.structs.replace(event, equity=event.equity + 0.01)
        case OrderUpdate():
            return msgspec.structs.replace(event, status=OrderStatus.EXPIRED)
        case Order() | Fill():
            return msgspec.structs.replace(event, quantity=event.quantity * 1.01)
    raise AssertionError


@pytest.mark.parametrize("kind", [Equity, Fill, OrderUpdate, Order])
def test_what_differs_in_the_last_complete_event_is_found(kind: type[Event], tmp_path: Path) -> None:
    """A tape whose last commit has such an event; there it is not what it was."""
    run = paper_run("grid")
    streams = (run.executions_stream, run.decisions_stream)
    with logs(tmp_path / "log") as log, logs(tmp_path / "other") as other:
        line = Line(log, run, tmp_path / "log")
        write_bars(log, BARS, 3)
        for _ in range(20):
            line.pump()
        edge, ends = list[Event](), list[int]()
        for service in itertools.cycle((line.executor, line.strategist)):
            ends = [log.bounds(stream)[1] for stream in streams]
            service.pump()
            edge = [event for stream, end in zip(streams, ends, strict=True) for event in log.read(stream, end).events]
            if any(isinstance(event, kind) for event in edge):
                break
        assert line.check().mismatches == 0
        write_bars(other, BARS, 3)
        for stream, end in zip(streams, ends, strict=True):
            events = [event for _, event in events_of(log, stream)]
            events[end:] = [changed(event) if isinstance(event, kind) else event for event in events[end:]]
            other.writer(f"copy.{stream}").commit({stream: events})
        found = check_parity(other, run, fresh(run))
        assert found.mismatches == sum(isinstance(event, kind) for event in edge), found.first_mismatch


def test_an_answer_that_is_missing_is_found_once_the_executor_has_gone_on(tmp_path: Path) -> None:
    run = paper_run("grid")
    with logs(tmp_path / "log") as log, logs(tmp_path / "other") as other:
        line = Line(log, run, tmp_path / "log")
        write_bars(log, BARS, 3)
        while line.pump():
            pass
        write_bars(other, BARS, 3)
        decisions = [event for _, event in events_of(log, run.decisions_stream)]
        executions = [event for _, event in events_of(log, run.executions_stream)]
        last = max(k for k, event in enumerate(executions) if isinstance(event, OrderUpdate))
        del executions[last]
        other.writer("copy").commit({run.decisions_stream: decisions})
        other.writer(f"executor.{run.run_id}").commit(
            {run.executions_stream: executions}, {run.decisions_stream: len(decisions)}
        )
        assert check_parity(other, run, fresh(run)).mismatches >= 1
