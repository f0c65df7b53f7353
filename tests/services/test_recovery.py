"""A strategist whose snapshot is gone goes on as if it had not been: nothing decided twice, nothing left out."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from tests.engine.market import random_bars
from tests.research.paperline import MINUTE_NS, archived, bar_events, logs, paper_run, play

from quantlytic.model.bar import Bar
from quantlytic.model.barsclosed import BarsClosed
from quantlytic.model.errors import InputError
from quantlytic.model.event import Event
from quantlytic.research.runs.paper import paper_session
from quantlytic.research.runs.parity import check_parity
from quantlytic.services.recovery import recover_executor, recover_strategist
from quantlytic.store.log.port import Log

STRATEGY = "bracket-breakout"
SLICES = "risk-parity"


def with_ends(bars: list[Bar]) -> list[Bar | BarsClosed]:
    """The bars, and after those of each minute the word that they are all."""
    found: list[Bar | BarsClosed] = []
    for k, bar in enumerate(bars):
        found.append(bar)
        if k + 1 == len(bars) or bars[k + 1].close_time > bar.close_time:
            found.append(BarsClosed(MINUTE_NS, bar.close_time))
    return found


def write(log: Log, bars: Sequence[Event]) -> None:
    writer = log.writer("barmaker.box")
    writer.commit({"bars.box": bars})
    writer.close()


@pytest.mark.parametrize("damage", ["lost", "of another version"])
@pytest.mark.parametrize("strategy", [STRATEGY, SLICES])
def test_goes_on_where_it_was(strategy: str, damage: str, tmp_path: Path) -> None:
    bars = with_ends(bar_events(random_bars(11, 160, 2)))
    run = paper_run(strategy)
    with logs(tmp_path / "whole") as log:
        write(log, bars)
        states = play(log, run)
    with logs(tmp_path / "log") as log:
        write(log, bars[:150])
        first = play(log, run)
        lake = archived(log, tmp_path)
    lose_snapshot(
        tmp_path / "log", f"strategist.{run.run_id}", None if damage == "lost" else b"QLS2 of an earlier version"
    )
    with logs(tmp_path / "log") as log:
        if damage != "lost":
            with pytest.raises((InputError, msgspec.DecodeError)):
                play(log, run)
        session = paper_session(run)
        fresh = session.save()
        assert recover_strategist(log, run, session, lake) > 90
        assert session.save() == fresh
        assert recover_strategist(log, run, session, lake) == 0
        write(log, bars[150:])
        assert first | play(log, run) == states
        parity = check_parity(log, run, paper_session(run))
        assert (parity.bars, parity.mismatches) == (sum(isinstance(one, Bar) for one in bars), 0)


@pytest.mark.parametrize("damage", ["lost", "of another version"])
@pytest.mark.parametrize("strategy", [STRATEGY, SLICES])
def test_the_executor_goes_on_where_it_was(strategy: str, damage: str, tmp_path: Path) -> None:
    bars = with_ends(bar_events(random_bars(11, 160, 2)))
    run = paper_run(strategy)
    with logs(tmp_path / "log") as log:
        write(log, bars[:150])
        play(log, run)
        writer = log.writer(f"executor.{run.run_id}")
        expected = writer.positions, writer.snapshot
        writer.close()
    lose_snapshot(tmp_path / "log", f"executor.{run.run_id}", None if damage == "lost" else b"of an earlier version")
    with logs(tmp_path / "log") as log:
        session = paper_session(run)
        assert recover_executor(log, run, session) > 90
        assert recover_executor(log, run, session) == 0
        writer = log.writer(f"executor.{run.run_id}")
        assert (writer.positions, writer.snapshot) == expected
        writer.close()
        write(log, bars[150:])
        play(log, run)
        parity = check_parity(log, run, paper_session(run))
        assert (parity.bars, parity.mismatches) == (sum(isinstance(one, Bar) for one in bars), 0)


def test_a_new_run_is_left_alone(tmp_path: Path) -> None:
    run = paper_run(STRATEGY)
    with logs(tmp_path / "log") as log:
        write(log, bar_events(random_bars(11, 20, 2)))
        assert recover_strategist(log, run, paper_session(run), None) == 0
        assert recover_strategist(log, run, paper_session(run), archived(log, tmp_path)) == 0
        assert recover_executor(log, run, paper_session(run)) == 0
        assert play(log, run)


def lose_snapshot(folder: Path, writer: str, left: bytes | None) -> None:
    with closing(sqlite3.connect(folder / "decisions.db")) as file, file:
        (number,) = file.execute("SELECT id FROM writer WHERE name = ?", (writer,)).fetchone()
        if left is not None:
            file.execute("UPDATE snapshot SET payload = ? WHERE writer = ?", (left, number))
        else:
            file.execute("DELETE FROM snapshot WHERE writer = ?", (number,))
            file.execute("DELETE FROM writer WHERE id = ?", (number,))
