"""A new run with history on disk: executor, strategist, look-ahead and replay begin alike, warm, and agree to the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from tests.engine.market import random_bars
from tests.research.paperline import MINUTE_NS, archived, bar_events, logs, paper_run

from quantlytic.model.bar import Bar
from quantlytic.model.equity import Equity
from quantlytic.model.event import Event
from quantlytic.model.intent import IntentOutcome
from quantlytic.model.run import Run
from quantlytic.model.signal import Signal
from quantlytic.research.runs.beginning import begun_session, start_session
from quantlytic.research.runs.parity import check_parity
from quantlytic.services.executor import PaperExecutor
from quantlytic.services.lookahead import Lookahead
from quantlytic.services.recovery import recover_strategist
from quantlytic.services.strategist import Strategist
from quantlytic.store.lake import Lake
from quantlytic.store.log.port import Log

HISTORY, SEED = 120, 31


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with logs(tmp_path / "log") as opened:
        yield opened


def write(log: Log, bars: Sequence[Bar]) -> None:
    writer = log.writer("barmaker.box")
    writer.commit({"bars.box": bars})
    writer.close()


def play(log: Log, run: Run, lake: Lake | None, restarts: int = 1) -> None:
    """Some bars at a time, each time by processes that are new."""
    now_ns = HISTORY * MINUTE_NS
    for k in range(restarts):
        recover_strategist(log, run, start_session(run, log, lake, now_ns=now_ns), lake)
        executor = PaperExecutor(log, run, start_session(run, log, lake, now_ns=now_ns))
        strategist = Strategist(log, run, start_session(run, log, None, now_ns=0))
        ahead = Lookahead(log, run, start_session(run, log, None, now_ns=0), 0, check_every_ns=0)
        steps = 0
        while executor.pump() + strategist.pump() and (k + 1 == restarts or steps < 9):
            steps += 1
        while ahead.pump():
            pass
        for service in (executor, strategist, ahead):
            service.close()


def events(log: Log, stream: str) -> list[Event]:
    return list(log.read(stream, 0, 100_000).events)


def test_no_burn_in_when_history_is_on_disk(log: Log, tmp_path: Path) -> None:
    bars = bar_events(random_bars(SEED, 2 * HISTORY, 2))
    count = sum(bar.close_time <= HISTORY * MINUTE_NS for bar in bars)
    write(log, bars[:count])
    lake = archived(log, tmp_path)
    run = paper_run("sma-cross", first=count)
    write(log, bars[count:])
    play(log, run, lake, restarts=6)
    signals = [one for one in events(log, run.decisions_stream) if isinstance(one, Signal)]
    assert signals
    seen = sum(bar.instrument == signals[0].instrument for bar in bars[count : signals[0].bar_offset + 1])
    assert seen < 30  # its slow average needs that many
    parity = check_parity(log, run, begun_session(run, log))
    assert (parity.mismatches, parity.bars) == (0, len(bars) - count)
    true = {
        (one.instrument, one.event_time)
        for one in events(log, f"intents.{run.run_id}")
        if isinstance(one, IntentOutcome) and one.came_true
    }
    first = signals[0].event_time
    told = [one for one in signals if one.event_time > first]  # before its first bar it has no price to look ahead from
    assert sum((one.instrument, one.event_time) in true for one in told) > 0.7 * len(
        told
    )  # not those after a silent minute


def test_held_without_history(log: Log) -> None:
    """Every bar is marked and decided on meanwhile; then it trades as a backtest does."""
    bars = bar_events(random_bars(SEED, HISTORY, 2))
    run = paper_run("sma-cross")
    write(log, bars)
    play(log, run, None, restarts=5)
    done = [one for one in events(log, run.executions_stream) if isinstance(one, Equity)]
    assert [one.bar_offset for one in done] == list(range(len(bars)))
    signals = [one for one in events(log, run.decisions_stream) if isinstance(one, Signal)]
    seen = {
        name: sum(bar.instrument == name for bar in bars[: signals[0].bar_offset + 1]) for name in ("box:A", "box:B")
    }
    assert min(seen.values()) >= 30
    assert {one.equity for one in done[: signals[0].bar_offset]} == {run.cash}
    parity = check_parity(log, run, begun_session(run, log))
    assert (parity.mismatches, parity.bars) == (0, len(bars))


def test_a_lost_snapshot_of_a_warm_run(log: Log, tmp_path: Path) -> None:
    bars = bar_events(random_bars(SEED, 2 * HISTORY, 2))
    count = sum(bar.close_time <= HISTORY * MINUTE_NS for bar in bars)
    write(log, bars[:count])
    lake = archived(log, tmp_path)
    run = paper_run("macd", first=count)
    write(log, bars[count:])
    play(log, run, lake)
    snapshot = log.writer(f"strategist.{run.run_id}").snapshot
    writer = log.writer(f"strategist.{run.run_id}")
    writer.commit({}, snapshot=b"damaged")
    writer.close()
    assert recover_strategist(log, run, start_session(run, log, lake, now_ns=0), lake) == len(bars) - count
    assert log.writer(f"strategist.{run.run_id}").snapshot == snapshot


EAGER = """
import quantlytic as ql
from quantlytic.indicators import SMA


class Eager(ql.Strategy):
    def setup(self):
        self.average = SMA(25)
        self.wishes = 0

    def on_bar(self, bar, broker):
        self.average.update(bar.close)
        self.wishes += 1
        if broker.is_flat:
            broker.target_weight(0.3)
        elif self.wishes % 7 == 0:
            broker.close()
"""


@pytest.mark.parametrize("minutes", [20, 60])
def test_a_lost_snapshot_of_a_held_run(minutes: int, log: Log, tmp_path: Path) -> None:
    """Of a strategy that wishes for orders all the time: lost while they are held, and after."""
    path = tmp_path / "eager.py"
    path.write_text(EAGER)
    run = msgspec.structs.replace(paper_run("eager"), strategy=str(path))
    write(log, bar_events(random_bars(SEED, minutes, 2)))
    play(log, run, None, restarts=3)
    writer = log.writer(f"strategist.{run.run_id}")
    snapshot = writer.snapshot
    writer.commit({}, snapshot=b"damaged")
    writer.close()
    session = begun_session(run, log)
    assert session.is_held
    assert recover_strategist(log, run, session, None) > minutes
    assert log.writer(f"strategist.{run.run_id}").snapshot == snapshot
    session.restore(snapshot)
    assert session.is_held == (minutes == 20)
    parity = check_parity(log, run, begun_session(run, log))
    assert parity.mismatches == 0
    assert (parity.counts["orders"] > 4) == (minutes == 60)


def test_old_runs_go_on_cold(log: Log) -> None:
    bars = bar_events(random_bars(SEED, HISTORY, 2))
    run = paper_run("sma-cross")
    write(log, bars)
    writer = log.writer("executor.of-before")
    writer.commit({run.executions_stream: [Equity(run.run_id, "box:A", 1, 1.0, 1.0, 0.0, 1.0, 0)]})
    writer.close()
    assert not start_session(run, log, None, now_ns=HISTORY * MINUTE_NS).is_held
    assert msgspec.structs.asdict(run)["first_bar_offset"] == 0
