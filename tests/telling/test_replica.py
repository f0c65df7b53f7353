"""A replica explains what a run did also where that began warm, or gave way to another strategy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine.market import random_bars
from tests.research.paperline import MINUTE_NS, archived, bar_events, logs, paper_run
from tests.services.swapline import ask, means, pump

from quantlytic.engine.held import HeldSession
from quantlytic.model.equity import Decided
from quantlytic.model.run import Run
from quantlytic.model.signal import Signal
from quantlytic.research.runs.beginning import begin
from quantlytic.research.runs.paper import paper_session
from quantlytic.store.control import open_control
from quantlytic.store.log.port import Log
from quantlytic.telling.delivery import Operator
from quantlytic.telling.fanout import FanOut
from quantlytic.telling.replica import Replica


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with logs(tmp_path / "log") as opened:
        yield opened


def write(log: Log, first: int, end: int) -> None:
    bars = bar_events(random_bars(5, 300, 2))[first:end]
    log.writer("barmaker.box").commit({"bars.box": bars})


def reasons(log: Log, run: Run, restart_every: int = 10**9) -> list[tuple[Signal, str, str]]:
    """(signal, its reason, the idea then), by a replica that is made anew now and then from what it saved."""
    replica, found, waiting = Replica(run, log), list[tuple[Signal, str, str]](), list[Signal]()
    for number, event in enumerate(log.read(run.decisions_stream, 0, 100_000).events):
        if isinstance(event, Signal):
            waiting.append(event)
        elif isinstance(event, Decided):
            replica.follow(event.bar_offset)
            for one in waiting:
                found.append((one, replica.reason(one.bar_offset, one.instrument, "100", str), replica.idea))
            waiting.clear()
        if number % restart_every == restart_every - 1:
            replica = Replica(run, log, replica.save())
    return found


def subjects(log: Log, run: Run, folder: Path) -> list[str]:
    """Of the signals' mails, as they come."""
    boss = Operator("boss", "mail", "boss@localhost", ("signal",))
    with open_control(folder) as control:
        for _ in range(2):  # the second begins where the first ended
            fanout = FanOut(log, control, lambda: [run], operators=(boss,), stale_ns=None)
            while fanout.pump():
                pass
        return [one.subject for one in control.messages.history(None, 1_000)[::-1]]


def test_a_run_that_began_warm_is_explained_from_its_first_signal(log: Log, tmp_path: Path) -> None:
    write(log, 0, 200)
    lake = archived(log, tmp_path)
    run = paper_run("sma-cross", first=200)
    write(log, 200, 420)

    def begun() -> HeldSession:
        session = paper_session(run, compiled=False)
        begin(run, session, log, lake, now_ns=100 * MINUTE_NS)
        return session

    pump(log, run, begun, means(tmp_path / "log"))
    told = reasons(log, run)
    assert len(told) > 4
    assert told[0][0].bar_offset < 200 + 2 * 30, "cold, its slow average would not be there yet"
    assert all("SMA 10 (" in reason and "SMA 30 (" in reason for _, reason, _ in told)
    assert reasons(log, run, restart_every=37) == told


@pytest.mark.parametrize("position", ["keep", "close"])
def test_a_run_that_was_given_another_strategy_is_explained_by_that_one(
    log: Log, tmp_path: Path, position: str
) -> None:
    run = paper_run("sma-cross")
    write(log, 0, 400)
    executor, strategist = pump(log, run, lambda: paper_session(run, compiled=False), means(tmp_path / "log"), 200)
    ask(log, run, "rsi-reversion", position, period=5, low=40.0)
    while executor.pump() + strategist.pump():
        pass
    told = reasons(log, run)
    by_first = [one for one in told if "SMA 10 (" in one[1]]
    by_second = [one for one in told if "RSI 5 (" in one[1]]
    assert len(by_first) > 2
    assert len(by_second) > 2
    others = [one for one in told if one not in by_first and one not in by_second]
    assert len(others) <= 2 * (position == "close"), "only sales at the change have no reason of a strategy"
    assert by_first[-1][0].bar_offset < by_second[0][0].bar_offset
    assert by_second[0][2] != by_first[0][2]
    assert reasons(log, run, restart_every=41) == told
    names = [subject.split(" (")[1].split(",")[0] for subject in subjects(log, run, tmp_path)]
    assert names == sorted(names, reverse=True), "each is told under the name of who decided"
    assert set(names) == {"sma-cross", "rsi-reversion"}
