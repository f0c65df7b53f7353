"""The daily run at its time."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path

import pytest
from tests.daily.world import SMALL, World, make_files, tables

from quantlytic.daily.day import Day
from quantlytic.daily.runner import TASKS
from quantlytic.model.errors import VenueError
from quantlytic.services.scheduler import Scheduler
from quantlytic.store.control import open_control
from quantlytic.venues.daily import DailyHistory

DATE = datetime.date
HALF_HOUR_NS = 30 * 60 * 10**9


class Clock:
    """Both clocks, moved by the test."""

    def __init__(self, text: str) -> None:
        self.set(text)
        self.monotonic_s = 0.0

    def set(self, text: str) -> None:
        self.ns = int(datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC).timestamp()) * 10**9

    def now_ns(self) -> int:
        return self.ns

    def now_s(self) -> float:
        return self.monotonic_s


class Line:
    """A scheduler on a world, and what it ran."""

    def __init__(self, world: World, clock: Clock) -> None:
        self.ran: list[str] = []
        self.failing = False

        def day_of(date: DATE) -> Day:
            day = world.day(date)
            if date > DATE(1970, 1, 1):
                self.ran.append(day.name)
            return replace(day, source_of=lambda _name: Failing()) if self.failing else day

        world.now_ns = clock.now_ns
        self.scheduler = Scheduler(day_of, HALF_HOUR_NS, clock.now_ns, clock.now_s)

    def pump(self) -> int:
        """Until nothing more is due; how many tasks that were."""
        count = 0
        while self.scheduler.pump():
            count += 1
        return count

    @property
    def days(self) -> list[str]:
        """The days that it ran, each once."""
        return list(dict.fromkeys(self.ran))


class Failing:
    name = "failing"

    def history(self, instrument: str, start: DATE, end: DATE) -> DailyHistory:
        raise VenueError("nobody answers")


@pytest.fixture
def world(tmp_path: Path, market_data: Path) -> World:
    settings = replace(SMALL, instruments=("usa:AAPL",), history_days=100)
    return World(tmp_path / "home", make_files(tmp_path / "files", market_data), settings)


def test_a_day_is_run_half_an_hour_after_the_close_and_once(world: World) -> None:
    clock = Clock("2017-08-30T20:29")
    line = Line(world, clock)
    assert line.pump() == len(TASKS)  # nothing was ever done: the last day that is over
    clock.set("2017-08-30T20:31")
    assert (line.pump(), line.pump()) == (len(TASKS), 0)
    clock.set("2017-08-31T20:31")
    assert line.pump() == len(TASKS)
    assert line.days == ["2017-08-29", "2017-08-30", "2017-08-31"]
    line.scheduler.close()


def test_after_downtime_it_catches_up_once(world: World) -> None:
    clock = Clock("2017-08-15T22:00")
    first = Line(world, clock)
    first.pump()
    first.scheduler.close()
    clock.set("2017-09-03T12:00")  # Sunday, more than two weeks later
    second = Line(world, clock)
    assert second.pump() == len(TASKS)
    assert second.days == ["2017-09-01"]
    bars = tables(world.home)["bars"]["open_time"].sort()
    assert bars.is_unique().all()
    assert "ledger" not in tables(world.home)  # not a session is missing
    second.scheduler.close()


def test_a_clock_that_was_ahead_holds_up_nothing(world: World) -> None:
    clock = Clock("2017-09-01T22:00")
    line = Line(world, clock)
    line.pump()
    clock.set("2017-08-28T22:00")  # it is set right
    assert line.pump() == len(TASKS)
    clock.set("2017-08-29T22:00")
    assert line.pump() == len(TASKS)
    assert line.days == ["2017-09-01", "2017-08-28", "2017-08-29"]
    line.scheduler.close()


def test_a_failure_is_tried_again_later_and_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quantlytic.daily.fetch._PAUSE_S", 0.0)
    clock = Clock("2017-08-31T21:00")
    line = Line(world, clock)
    assert line.scheduler.pump() == 1
    line.failing = True
    waits = []
    for _ in range(8):
        before = clock.monotonic_s
        assert line.scheduler.pump() == 0
        count = len(line.ran)
        while len(line.ran) == count:
            clock.monotonic_s += 60.0
            line.scheduler.pump()
        waits.append((clock.monotonic_s - before) / 60.0)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert "nobody answers" in line.scheduler.last_failure
    line.failing = False
    clock.monotonic_s += 3600.0
    assert line.pump() == len(TASKS) - 1  # the plan had been made
    assert line.scheduler.last_failure == ""
    line.scheduler.close()


def test_not_even_a_defect_ends_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock("2017-08-31T21:00")
    line = Line(world, clock)
    with monkeypatch.context() as broken:
        broken.setattr("quantlytic.daily.tasks.check.examine", lambda *_: 1 // 0)
        assert line.pump() == 3
    assert line.scheduler.last_failure.startswith("ZeroDivisionError: ")
    clock.monotonic_s += 60.0
    assert line.pump() == len(TASKS) - 3
    line.scheduler.close()


def test_crypto_moves_the_day_to_midnight(world: World) -> None:
    world.settings = replace(world.settings, instruments=("usa:AAPL", "binance:BTCUSDT"))
    clock = Clock("2017-08-31T23:59")
    line = Line(world, clock)
    assert line.scheduler.due() == DATE(2017, 8, 30)
    clock.set("2017-09-01T00:30")
    assert line.scheduler.due() == DATE(2017, 8, 31)
    line.scheduler.close()


def test_without_instruments_nothing_is_due_until_somebody_asks(world: World) -> None:
    world.settings = replace(world.settings, instruments=())
    line = Line(world, Clock("2017-08-31T22:00"))
    assert line.scheduler.pump() == 0
    with open_control(world.home) as control:
        control.wanted.add("usa:AAPL", 1)
    assert line.pump() == len(TASKS)
    assert line.days == ["2017-08-31"]
    line.scheduler.close()
