"""The reader against the real embedded log: where it begins, how it goes on, what it does when the log is away."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.web.conftest import wait_until
from tests.web.paper_tape import PaperTape

from quantlytic.model.bar import Bar
from quantlytic.model.equity import Decided, Equity
from quantlytic.model.errors import StoreError
from quantlytic.model.fill import Fill
from quantlytic.model.side import Side
from quantlytic.model.strategychange import NOBODY, StrategyChange
from quantlytic.store.log.batch import EventBatch
from quantlytic.store.log.port import Log
from quantlytic.store.log.sqlite import SqliteLog
from quantlytic.web.reader import HISTORY, MAX_RUNS, TapeReader
from quantlytic.web.views import Dashboard

S = 1_000_000_000


class Watched:
    """A reader and what it published."""

    def __init__(self, folder: Path, open_log: Callable[[], Log] | None = None) -> None:
        self.payloads: list[bytes] = []
        dashboard = Dashboard("box", [S], stale_after_s=2.0)
        opener = open_log or (lambda: SqliteLog(folder / "log"))
        self.held = 0
        self.reader = TapeReader(
            opener, dashboard, folder / "outbox",
            list_runs=tuple, publish=self.payloads.append, count_held=lambda: self.held,
        )  # fmt: skip
        self.reader.start()

    def view(self) -> dict[str, Any]:
        view: dict[str, Any] = json.loads(self.reader.snapshot())
        return view


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    log = SqliteLog(tmp_path / "log")
    yield log
    log.close()


def equity(run: str, time_ns: int) -> Equity:
    return Equity(run, "box:A", time_ns, 5.0, 5.0, 0.0, 1.0, 0)


def write_run(log: Log, run: str, time_ns: int) -> None:
    writer = log.writer(f"executor.{run}")
    writer.commit({f"executions.{run}": [equity(run, time_ns)]})
    writer.close()


def has_read_all(view: dict[str, Any], tape: PaperTape) -> bool:
    """Whether the view is at the tape's end: its last equity, its last signal, its last mail."""
    run = view["run"]
    at_end = run is not None and run["equity"] == tape.equity and run["counts"]["signals"] == tape.signals
    return at_end and len(view["notices"]) == tape.signals


def test_messages_that_wait_are_told_as_long_as_they_do(log: SqliteLog, tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    try:
        for held, words in ((1_200, ["Messages held back by the hour's limit: 1,200"]), (0, [])):
            watched.held = held
            wait_until(lambda: [one for one in watched.view()["warnings"] if "held back" in one] == words)  # noqa: B023
    finally:
        watched.reader.stop()


def test_a_page_opened_later_shows_the_same(log: SqliteLog, tmp_path: Path) -> None:
    early = Watched(tmp_path)
    tape = PaperTape(log, tmp_path / "outbox")
    tape.history(time.time_ns(), bars=40)
    late = Watched(tmp_path)
    for watched in (early, late):
        wait_until(lambda w=watched: has_read_all(w.view(), tape))  # type: ignore[misc]
    one, two = early.view(), late.view()
    for key in ("run", "candles", "markets", "ledger", "notices", "charts"):
        assert one[key] == two[key], key
    for watched in (early, late):
        watched.reader.stop()
    assert not early.reader.alive
    tape.close()


def test_it_begins_near_the_end_of_a_long_tape(log: SqliteLog, tmp_path: Path) -> None:
    writer = log.writer("barmaker.box")
    bars = [Bar("box:A", k * S, (k + 1) * S, 1.0, 1.0, 1.0, float(k), 1.0) for k in range(30_000)]
    for k in range(0, len(bars), 5000):
        writer.commit({"bars.box": bars[k : k + 5000]})
    writer.close()
    log.trim("bars.box", 5000)
    watched = Watched(tmp_path)
    wait_until(lambda: not watched.view()["loading"])
    candles = watched.view()["candles"]
    assert (len(candles), candles[-1][4]) == (2000, 29_999.0)
    watched.reader.stop()


def test_a_strategy_that_raised_long_ago_is_still_warned_of(
    log: SqliteLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(HISTORY, "decisions", 5)
    end = StrategyChange(
        "r", "raised-1", S, 1, "late.py:Late", "{}", NOBODY, "{}", "guard", "why", "quantlytic", state="s"
    )
    write_run(log, "r", S)
    decided = [Decided("r", k) for k in range(20)]
    log.writer("strategist.r").commit({"decisions.r": [end, *decided], "commands.r": [end]})
    watched = Watched(tmp_path)
    wait_until(lambda: not watched.view()["loading"])
    said = "late.py:Late has raised: nobody decides r"
    assert [one for one in watched.view()["warnings"] if one.startswith(said)]
    watched.reader.stop()


def test_runs_are_found_and_the_quietest_forgotten(log: SqliteLog, tmp_path: Path) -> None:
    for k in range(MAX_RUNS + 2):
        write_run(log, f"run-{k}", k * S)
    watched = Watched(tmp_path)
    wait_until(lambda: watched.view()["current_run"] == f"run-{MAX_RUNS + 1}")
    assert len(watched.view()["runs"]) == MAX_RUNS
    write_run(log, "newest", S)  # its own time is older than all others, but it moves now
    wait_until(lambda: watched.view()["current_run"] == "newest")
    runs = [run["run_id"] for run in watched.view()["runs"]]
    assert len(runs) == MAX_RUNS
    assert "run-2" not in runs
    watched.reader.stop()


def test_a_log_that_cannot_be_read_is_told_and_tried_again(log: SqliteLog, tmp_path: Path) -> None:
    broken = True

    def open_log() -> Log:
        if broken:
            raise StoreError("market.db is not a database: move it away")
        return SqliteLog(tmp_path / "log")

    write_run(log, "r", S)
    watched = Watched(tmp_path, open_log)
    wait_until(lambda: watched.view()["problem"] == "market.db is not a database: move it away")
    assert watched.reader.alive
    broken = False
    wait_until(lambda: watched.view()["current_run"] == "r")
    assert watched.view()["problem"] == ""
    watched.reader.stop()


def test_it_idles_when_nothing_happens(log: SqliteLog, tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    wait_until(lambda: not watched.view()["loading"])
    count, began = len(watched.payloads), time.thread_time()
    time.sleep(1.2)
    beats = len(watched.payloads) - count
    assert 1 <= beats <= 4  # heartbeats, no spinning
    assert time.thread_time() - began < 0.5
    watched.reader.stop()


class Interleaved(SqliteLog):
    """Commits more just after `bars.box` has been found empty: what another process may do at any moment."""

    def __init__(self, folder: Path, then: Callable[[], None]) -> None:
        super().__init__(folder)
        self._then: Callable[[], None] | None = then

    def read(self, stream: str, offset: int, max_events: int = 5000) -> EventBatch:
        batch = super().read(stream, offset, max_events)
        if stream == "bars.box" and not batch.events and self._then is not None:
            then, self._then = self._then, None
            then()
        return batch


def test_a_fill_never_comes_before_its_bar(log: SqliteLog, tmp_path: Path) -> None:
    barmaker, executor = log.writer("barmaker.box"), log.writer("executor.r")
    executor.commit({"executions.r": [equity("r", S)]})  # so that the run is followed already

    def commit() -> None:
        offset = barmaker.commit({"bars.box": [Bar("box:A", 5 * S, 6 * S, 1.0, 1.0, 1.0, 1.0, 1.0)]})["bars.box"][0]
        executor.commit({"executions.r": [Fill("r", 1, 1, "box:A", 6 * S, Side.BUY, 1.0, 1.0, 0.0, offset)]})

    watched = Watched(tmp_path, lambda: Interleaved(tmp_path / "log", commit))
    wait_until(lambda: (watched.view()["run"] or {"fills": []})["fills"])
    assert watched.view()["run"]["fills"][0]["bar_ms"] == 5000.0  # its bar's open, not the fill's own time
    watched.reader.stop()
    barmaker.close()
    executor.close()
