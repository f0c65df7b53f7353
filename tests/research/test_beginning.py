"""Where a run begins: warmed by what is on disk, once, and the same for every replica."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.engine.market import random_bars, same_rows
from tests.research.paperline import INSTRUMENTS, MINUTE_NS, archived, bar_events, logs, paper_run, write_bars

from quantlytic.engine.held import HeldSession
from quantlytic.model.run import Run
from quantlytic.research.runs.beginning import begin, begin_again, history
from quantlytic.store.log.port import Log
from quantlytic.strategies.catalogue import find

SEED = 5
BEFORE = 80  # minutes of history


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with logs(tmp_path / "log") as opened:
        yield opened


def session_of(run: Run) -> HeldSession:
    return HeldSession(find(run.strategy)(**run.params), run.instruments, run.cash, compiled=False)


def new_run(log: Log) -> Run:
    return paper_run("sma-cross", first=log.bounds("bars.box")[1])


def test_as_if_it_had_always_run(log: Log, tmp_path: Path) -> None:
    write_bars(log, BEFORE, SEED)
    run, bars = new_run(log), random_bars(SEED, BEFORE, 2)
    session, always = session_of(run), session_of(run)
    found = begin(run, session, log, archived(log, tmp_path), now_ns=int(bars["close_time"][-1]))
    always.run(bars)
    assert (found.bars, found.until) == (len(bars), bars["close_time"][-1])
    assert found.note == f"warmed with {len(bars):,} 1m bars up to 1970-01-01T01:20:00"
    for one in INSTRUMENTS:
        for name in ("fast_ma", "slow_ma"):
            assert session.state_of(one.id)[name]["value"] == always.state_of(one.id)[name]["value"]
    assert not session.is_held
    assert session.positions == {"box:A": 0.0, "box:B": 0.0}


def test_every_replica_begins_with_the_same_bytes(log: Log, tmp_path: Path) -> None:
    """Also when the lake has got more since, and for a replay that has no lake."""
    write_bars(log, BEFORE, SEED)
    run = new_run(log)
    first, second, third = (session_of(run) for _ in range(3))
    assert begin_again(run, first, log) is None
    found = begin(run, first, log, archived(log, tmp_path), now_ns=BEFORE * MINUTE_NS)
    assert begin(run, second, log, None, now_ns=0) == found
    assert begin_again(run, third, log) == found
    assert first.save() == second.save() == third.save() == found.state


def test_what_is_not_archived_yet_counts_and_nothing_twice(log: Log, tmp_path: Path) -> None:
    """The lake is behind the log, and holds some bars from elsewhere too, of which the recorded ones count."""
    bars = random_bars(SEED, BEFORE, 2)
    events = bar_events(bars)
    writer = log.writer("barmaker.box")
    writer.commit({"bars.box": events[:60]})
    lake = archived(log, tmp_path)
    writer.commit({"bars.box": events[60:]})
    writer.close()
    other = [msgspec.structs.replace(one, close=one.low) for one in events[:30]]
    lake.append("import.box", range(30), other)
    run = new_run(log)
    assert same_rows(history(run, log, lake), bars)
    assert same_rows(history(run, log, None), bars)
    with logs(tmp_path / "empty") as empty:
        assert same_rows(history(run, empty, lake), bars[:60])


@pytest.mark.parametrize(
    ("minutes", "now_minute", "note", "is_held"),
    [
        (0, 0, "begins cold: no 1m bars on disk; orders are held until its indicators are ready", True),
        (
            60,
            81,
            "begins cold: the 1m bars on disk end at 1970-01-01T01:00:00; orders are held until its indicators are ready",
            True,
        ),
        (60, 80, "warmed with 91 1m bars up to 1970-01-01T01:00:00", False),
        (
            20,
            21,
            "warmed with 30 1m bars up to 1970-01-01T00:20:00; orders are held until its indicators are ready",
            True,
        ),
    ],
)
def test_what_is_told(log: Log, minutes: int, now_minute: int, note: str, is_held: bool) -> None:
    write_bars(log, minutes, SEED)
    run = new_run(log)
    session = session_of(run)
    assert begin(run, session, log, None, now_ns=now_minute * MINUTE_NS).note == note
    assert session.is_held == is_held


def test_cold_when_it_is_asked_for_and_when_the_run_is_older(log: Log) -> None:
    write_bars(log, BEFORE, SEED)
    run = new_run(log)
    session = session_of(run)
    assert begin(run, session, log, None, warmup="none", now_ns=0).note == "begins cold: warming up is switched off"
    assert session.save() == session_of(run).save()
    older = msgspec.structs.replace(run, run_id="older")
    writer = log.writer("executor.older")
    writer.commit({older.executions_stream: bar_events(random_bars(1, 3, 1))})
    writer.close()
    assert begin(older, session, log, None, now_ns=BEFORE * MINUTE_NS).note == "began before there was a warm-up"
    assert session.save() == session_of(run).save()


@pytest.mark.parametrize("minutes", [0, BEFORE])
def test_another_version_of_the_engine_begins_with_the_same_bars(minutes: int, log: Log, tmp_path: Path) -> None:
    write_bars(log, minutes, SEED)
    run = new_run(log)
    session = session_of(run)
    found = begin(run, session, log, None, now_ns=BEFORE * MINUTE_NS)
    assert found.is_held == session.is_held == (minutes == 0)
    writer = log.writer(f"warmup.{run.run_id}")
    writer.commit({}, snapshot=msgspec.msgpack.encode(msgspec.structs.replace(found, state=b"of an earlier version")))
    writer.close()
    other = session_of(run)
    assert begin(run, other, log, None, now_ns=0) == found
    assert other.save() == session.save()
    assert begin(run, session_of(run), log, None, now_ns=0) == found
