"""Warm start: what is rebuilt from the records is what a process that never stopped holds, to the last byte."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.research.paperline import archived, logs, paper_run, play, write_bars

from quantlytic.model.errors import DataError
from quantlytic.model.run import Run
from quantlytic.research.runs.paper import paper_session
from quantlytic.research.runs.recorded import Recorded, read_recorded
from quantlytic.research.runs.warmstart import rebuild_session, replay
from quantlytic.store.log.port import Log
from quantlytic.strategies.catalogue import entries

SEED = 20_261_121
ON_BAR = [one.name for one in entries() if one.strategy.handlers() <= {"on_bar", "on_fill"}]


def check_cuts(run: Run, recorded: Recorded, states: dict[int, bytes], cuts: int) -> None:
    source = random.Random(f"{SEED}{run.strategy}")
    print("seed", SEED, run.strategy)
    session = paper_session(run)
    fresh = session.save()
    for bars in sorted(source.sample(range(1, len(states) + 1), cuts)):
        session.restore(fresh)
        rebuilt = replay(run, session, recorded, bars)
        offset = int(recorded.bar_offsets[bars - 1])
        assert rebuilt.state == states[offset], f"{run.strategy}: other bytes after {bars} bars"
        assert rebuilt.positions[run.bars_stream] == offset + 1


def from_lake(run: Run, tmp_path: Path, log: Log) -> Recorded:
    """What the lake alone knows: the log given is empty."""
    with logs(tmp_path / "empty") as empty:
        return read_recorded(run, empty, archived(log, tmp_path))


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with logs(tmp_path / "log") as opened:
        yield opened


@pytest.mark.parametrize("strategy", ["sma-cross", "turtle", "grid"])
def test_equals_a_process_that_never_stopped(strategy: str, tmp_path: Path, log: Log) -> None:
    run = paper_run(strategy)
    write_bars(log, 130, SEED)
    states = play(log, run)
    of_log, of_lake = read_recorded(run, log), from_lake(run, tmp_path, log)
    assert of_log.decided == max(states)
    check_cuts(run, of_log, states, 3)
    check_cuts(run, of_lake, states, 3)
    for name in ("bars", "bar_offsets", "equity_at", "updates", "updates_at", "fills", "fills_at"):
        assert repr(getattr(of_log, name).tolist()) == repr(getattr(of_lake, name).tolist()), name  # NaN is NaN
    wished = of_log.wished_at  # the lake does not know whether the last bar was decided on in full
    assert wished[wished <= of_lake.decided].tolist() == of_lake.wished_at.tolist()
    assert of_lake.decided == of_log.bar_offsets[-2]
    rebuilt = rebuild_session(run, paper_session(run), log)
    assert rebuilt.state == states[max(states)]
    assert dict(rebuilt.positions) == log.committed(f"strategist.{run.run_id}")


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ON_BAR)
def test_every_built_in_at_fifty_cuts(strategy: str, tmp_path: Path, log: Log) -> None:
    run = paper_run(strategy)
    write_bars(log, 500, SEED)
    states = play(log, run)
    check_cuts(run, from_lake(run, tmp_path, log), states, 50)


def test_what_was_trimmed_from_the_log_is_read_from_the_lake(tmp_path: Path, log: Log) -> None:
    run = paper_run("turtle")
    write_bars(log, 130, SEED)
    states = play(log, run)
    lake = archived(log, tmp_path)
    for stream, before in ((run.bars_stream, 101), (run.executions_stream, 150), (run.decisions_stream, 90)):
        log.trim(stream, before)
        assert log.bounds(stream)[0] > 0
    assert rebuild_session(run, paper_session(run), log, lake).state == states[max(states)]
    with pytest.raises(
        DataError, match=r"offsets 0 to .* of executions\.run-turtle are neither in the lake nor in the log"
    ):
        rebuild_session(run, paper_session(run), log)


def test_another_strategy_is_found_out(log: Log) -> None:
    """The records are of one set of parameters, the session of another."""
    run = paper_run("sma-cross")
    write_bars(log, 130, SEED)
    play(log, run)
    other = Run(
        **{name: getattr(run, name) for name in run.__struct_fields__} | {"params": {"slow": 12.0, "fast": 3.0}}
    )
    with pytest.raises(DataError, match="does not do what it is recorded to have done"):
        rebuild_session(run, paper_session(other), log)


def test_nothing_recorded_is_the_beginning(log: Log) -> None:
    run = paper_run("sma-cross")
    rebuilt = rebuild_session(run, paper_session(run), log)
    assert rebuilt.bars == 0
    assert rebuilt.state == paper_session(run).save()
    assert dict(rebuilt.positions) == {run.bars_stream: 0, run.executions_stream: 0}
