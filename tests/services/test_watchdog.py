"""The watchdog over a real log: it halts, lets go, and each word of the latch is told once."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from quantlytic.model.equity import Decided, Equity
from quantlytic.model.errors import StoreError
from quantlytic.model.event import Event
from quantlytic.model.halt import Halt
from quantlytic.model.instrument import Instrument
from quantlytic.model.run import Run
from quantlytic.model.side import Side
from quantlytic.model.trade import Trade
from quantlytic.services.beating import Beating
from quantlytic.services.watchdog import Watchdog
from quantlytic.store.log.sqlite import SqliteLog
from quantlytic.trading.deadman import DeadMan, DeadManRules
from quantlytic.trading.heartbeat import Heartbeat
from quantlytic.trading.latch import Latch

S = 10**9
RULES = DeadManRules(heartbeat_s=10.0, decision_s=20.0, data_age_s=30.0, settle_s=2.0)
BTC = "box:BTCUSDT"
RUN = Run("live-1", "live", "box", "sma-cross", {}, (Instrument(BTC),), S, 1000.0, 10.0, 0, "")


class Scene:
    """A log, a clock that is set by hand, and all that a watchdog looks at."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.log = SqliteLog(home / "log")
        self.latch = Latch(home / "accounts", "main")
        self.heartbeat = Heartbeat(home / "accounts", "main")
        self.now = 1_700_000_000 * S
        self.silences: list[str] = []
        self.feed = self.log.writer("recorder.box")
        self.other = self.log.writer("test")
        self.watchdog = self.start()

    def start(self) -> Watchdog:
        return Watchdog(
            self.log, "main", [RUN], self.latch, self.heartbeat, DeadMan("main", RULES),
            on_silence=self.silences.append, clock_ns=lambda: self.now,
        )  # fmt: skip

    def after(self, seconds: float, *, data: bool = True, beat: bool = True) -> None:
        """Time passes, and then the watchdog looks."""
        self.now += int(seconds * S)
        if data:
            self.feed.commit({"market.box": [Trade(BTC, self.now, self.now, 1, 100.0, 1.0, Side.BUY)]})
        if beat:
            self.heartbeat.beat(self.now)
        self.watchdog.pump()

    def told(self) -> list[Halt]:
        events: list[Event] = list(self.log.read("account.main", 0).events)
        return [event for event in events if isinstance(event, Halt)]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.watchdog.close()
    made.log.close()


def test_a_silent_executor_is_halted_told_of_and_acted_on_once(scene: Scene) -> None:
    scene.after(1)
    scene.after(11, beat=False)
    halt = scene.latch.read()
    assert halt is not None
    assert halt.cause == "dead-man"
    scene.after(5, beat=False)
    assert len(scene.silences) == 1
    assert "no sign of life" in scene.silences[0]
    assert scene.told() == [halt]
    scene.after(1)
    assert scene.latch.read() is not None
    scene.after(2)
    assert scene.latch.read() is None
    assert [word.is_halted for word in scene.told()] == [True, False]
    scene.after(11, beat=False)
    assert len(scene.silences) == 2


def test_an_executor_that_ended_cleanly_is_not_missed(scene: Scene) -> None:
    scene.after(1)
    scene.heartbeat.stop()
    scene.after(25, beat=False)
    assert scene.latch.read() is None
    assert scene.told() == []


def test_a_sign_of_life_that_was_left_by_a_crash_gives_the_new_executor_time_to_start(scene: Scene) -> None:
    scene.watchdog.close()
    scene.heartbeat.beat(scene.now - 86_400 * S)
    scene.watchdog = scene.start()
    scene.after(5, beat=False)
    assert scene.latch.read() is None
    scene.after(6, beat=False)
    assert len(scene.silences) == 1


def test_old_data_halts_without_acting_at_the_venue(scene: Scene) -> None:
    scene.after(1)
    for _ in range(4):
        scene.after(8, data=False)
    assert scene.latch.read() is not None
    assert scene.silences == []
    scene.after(1)
    scene.after(2)
    assert scene.latch.read() is None


def test_no_data_from_the_beginning_halts_too(scene: Scene) -> None:
    for _ in range(4):
        scene.after(8, data=False)
    assert scene.latch.read() is not None


def test_an_executed_bar_that_is_not_decided_on_halts(scene: Scene) -> None:
    scene.other.commit({RUN.executions_stream: [Equity(RUN.run_id, BTC, scene.now, 1e3, 1e3, 0.0, 100.0, 5)]})
    scene.after(1)
    scene.after(9)
    assert scene.latch.read() is None
    scene.after(9)
    scene.after(9)
    halt = scene.latch.read()
    assert halt is not None
    assert "run live-1 has not decided" in halt.text
    scene.other.commit({RUN.decisions_stream: [Decided(RUN.run_id, 5)]})
    scene.after(1)
    scene.after(2)
    assert scene.latch.read() is None


def test_every_word_of_the_latch_is_told_once_whoever_said_it(scene: Scene) -> None:
    scene.after(1)
    kill = scene.latch.engage("kill", "operator", "enough", scene.now)
    scene.after(1)
    scene.after(1)
    assert scene.told() == [kill]
    scene.watchdog.close()
    scene.watchdog = scene.start()
    scene.after(1)
    assert scene.told() == [kill]
    released = scene.latch.release("main", "ann", scene.now)
    scene.watchdog.close()
    scene.watchdog = scene.start()
    scene.after(1)
    scene.after(1)
    assert scene.told() == [kill, released]
    risk = scene.latch.engage("risk", "executor", "lost", scene.now)
    scene.other.commit({"account.main": [risk]})  # its own writer has told it already
    scene.after(1)
    assert scene.told() == [kill, released, risk]


def test_a_release_of_long_ago_is_no_news(scene: Scene) -> None:
    scene.latch.engage("kill", "operator", "enough", 1)
    scene.latch.release("main", "ann", 2)
    scene.after(1)
    assert scene.told() == []


def test_a_restart_goes_on_with_what_it_had_halted(scene: Scene) -> None:
    scene.after(1)
    scene.after(11, beat=False)
    scene.watchdog.close()
    scene.watchdog = scene.start()
    scene.after(1)
    assert scene.latch.read() is not None
    scene.after(2)
    assert scene.latch.read() is None


def test_a_kill_is_not_undone_when_all_is_well(scene: Scene) -> None:
    scene.after(1)
    scene.after(11, beat=False)
    kill = scene.latch.engage("kill", "operator", "enough", scene.now)
    scene.after(1)
    scene.after(2)
    scene.after(2)
    assert scene.latch.read() == kill


def test_a_locked_log_keeps_nothing_from_being_halted_and_it_is_told_later(scene: Scene) -> None:
    scene.after(1)
    locks = [sqlite3.connect(path, isolation_level=None) for path in (scene.home / "log").glob("*.db")]
    for lock in locks:
        lock.execute("BEGIN IMMEDIATE")
    release = threading.Timer(1.0, lambda: None)
    release.start()
    started = time.monotonic()
    scene.after(11, data=False, beat=False)
    assert scene.latch.read() is not None
    assert scene.told() == []
    assert scene.watchdog.trouble
    assert time.monotonic() - started < 30
    for lock in locks:
        lock.close()
    release.join()
    scene.after(1, beat=False)
    assert [word.cause for word in scene.told()] == ["dead-man"]
    assert scene.watchdog.trouble == ""


def test_two_watch_one_account_and_each_word_is_told_once(scene: Scene) -> None:
    scene.after(1)
    first, second = scene.watchdog, scene.start()
    scene.latch.engage("kill", "operator", "enough", scene.now)
    for dog in (first, second, first, second, second, first, first):
        scene.watchdog = dog  # whoever is awake tells, the other one may hang
        scene.after(1)
        if scene.latch.read() is None:
            scene.latch.engage("kill", "operator", f"again at {scene.now}", scene.now)
        else:
            scene.latch.release("main", "ann", scene.now)
    for dog in (first, first, second, second, first, first):
        scene.watchdog = dog
        scene.after(1)
    scene.after(11, beat=False)
    told = scene.told()
    assert len(told) == len(set(told))
    assert [word.cause for word in told if word.is_halted].count("dead-man") == 1
    assert set(scene.latch.words()) <= set(told)
    assert [word.is_halted for word in told if word.cause == "kill"] == [True, False] * 4
    second.close()


class Fragile:
    """A service that can fail, and hang."""

    name = "executor.main"
    fails = False

    def pump(self) -> int:
        if self.fails:
            raise StoreError("broken")
        return 1

    def wait(self, timeout_s: float) -> None:
        assert timeout_s <= 1.0

    def close(self) -> None:
        pass


def test_a_service_beats_once_a_second_and_leaves_its_sign_only_after_a_failure(tmp_path: Path) -> None:
    heartbeat, now = Heartbeat(tmp_path / "new", "main"), 5 * S
    inner = Fragile()
    beating = Beating(inner, heartbeat, lambda: now)
    assert heartbeat.last_ns() is None
    assert beating.pump() == 1
    assert heartbeat.last_ns() == 5 * S
    now += S // 2
    beating.pump()
    assert heartbeat.last_ns() == 5 * S
    now += S // 2
    beating.pump()
    assert heartbeat.last_ns() == 6 * S
    beating.wait(60.0)
    beating.close()
    assert heartbeat.last_ns() is None
    beating = Beating(inner, heartbeat, lambda: now)
    beating.pump()
    inner.fails = True
    with pytest.raises(StoreError):
        beating.pump()
    beating.close()
    assert heartbeat.last_ns() == 6 * S
