"""The archiver: the whole tape into the lake, each event once, through crashes, full disks and strange logs."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.store.lake.events import T0, read_back, trades
from tests.store.lake.test_table import files_of_at_most

from quantlytic.model.action import Action, ActionKind
from quantlytic.model.advice import Advice
from quantlytic.model.averages import Averages
from quantlytic.model.bar import Bar
from quantlytic.model.book import BookDelta
from quantlytic.model.breach import RiskBreach
from quantlytic.model.cashflow import CashFlow, CashFlowKind
from quantlytic.model.command import CommandKind, VenueCommand, VenueReport
from quantlytic.model.delivery import Delivery
from quantlytic.model.discrepancy import Discrepancy
from quantlytic.model.equity import Decided, Equity
from quantlytic.model.errors import Fenced, StoreError
from quantlytic.model.event import Event
from quantlytic.model.fill import Fill
from quantlytic.model.forecast import Forecast, ModelChange
from quantlytic.model.frame import RawFrame
from quantlytic.model.halt import Halt
from quantlytic.model.intent import Intent, IntentOutcome
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.model.news import News
from quantlytic.model.order import Order, OrderAmend, OrderCancel, OrderStatus, OrderType, OrderUpdate, TimeInForce
from quantlytic.model.quote import Quote
from quantlytic.model.side import Side
from quantlytic.model.signal import Signal
from quantlytic.model.strategychange import StrategyChange, StrategyRequest
from quantlytic.services.archiver import Archiver
from quantlytic.store.lake import Lake
from quantlytic.store.lake.columns import TABLE_OF, TABLES
from quantlytic.store.log import open_log
from quantlytic.store.log.port import Log

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = open_log("sqlite", folder=tmp_path / "log")
    yield log
    log.close()


class Clock:
    """A timer for the archiver that only the test moves."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def frames(first: int, count: int) -> list[Event]:
    return [RawFrame("ws-0", T0 + i * 10**6, "", b'{"id":%d}' % i) for i in range(first, first + count)]


def one_of_each() -> dict[str, list[Event]]:
    """Streams that hold every event type."""
    btc, run = "box:BTCUSDT", "r1"
    buy = (Side.BUY, OrderType.MARKET, TimeInForce.GTC)
    return {
        "raw.box": frames(0, 3),
        "market.box": [
            *trades(0, 3),
            Quote(btc, T0, T0, 1, 1.0, 2.0, 3.0, 4.0),
            BookDelta(btc, T0, T0, 1, 2, (1.0,), (2.0,), (), (), snapshot=True),
            LedgerEntry(btc, "trades", LedgerKind.GAP, T0, 4, 5, 2, "lost"),
            Action(btc, T0, ActionKind.FUNDING, 1e-4),
            LedgerEntry("box:*", "raw", LedgerKind.RECONNECT, T0),
            News(btc, T0, T0, "up", "", "wire", "", 1),
            Averages(btc, T0, 1.0),
            Advice(btc, T0, "", "{}", "none", ""),
        ],
        "bars.box": [Bar(btc, T0, T0 + 10**9, 1.0, 2.0, 0.5, 1.5, 9.0, 13.5, 4)],
        "forecasts.l1": [
            ModelChange("l1", "", T0 + 10**9, "", "m1", "promotion", "better", 0),
            Forecast("l1", btc, T0, T0 + 10**9, 1.0, 2.0, 0.5, 1.5, 9.0, 13.5, 4, 0.6, "m1", "", 0, 9, 0.1),
        ],
        "decisions.r1": [
            Signal(run, 1, btc, T0, Side.BUY, 0.5, 100.0, 0),
            Order(run, 1, btc, T0, *buy, 0.5, float("nan"), 0),
            OrderAmend(run, 1, btc, T0, 0.25),
            OrderCancel(run, 1, btc, T0, 0),
            StrategyChange(run, "q1", T0, 0, "old", "{}", "new", "{}", "keep", "better", "me"),
            Decided(run, 0),
        ],
        "commands.r1": [StrategyRequest(run, "q1", T0, "new", "{}", "keep", "better", "me")],
        "executions.r1": [
            OrderUpdate(run, 1, btc, T0, OrderStatus.FILLED),
            Fill(run, 1, 1, btc, T0, Side.BUY, 0.5, 100.0, 0.05, 0),
            CashFlow(run, btc, T0, CashFlowKind.FUNDING, -1.5),
            Equity(run, btc, T0, 1e5, 9e4, 0.5, 100.0, 0),
        ],
        "intents.r1": [
            Intent(run, 1, btc, T0, T0 + 1, 1, "order", Side.BUY, 1.0, 2.0, 1.5, 0.5),
            IntentOutcome(run, 1, btc, T0, True, 1.5, 10),
        ],
        "account.main": [
            VenueCommand("main", run, 1, "r1.1", CommandKind.SUBMIT, btc, T0, *buy, 0.5, float("nan")),
            VenueReport("main", "r1.1", 7, btc, T0, T0, OrderStatus.NEW, 0.0, 0.0),
            Discrepancy("main", T0, "balance", "BTC", "1.0", "2.0", "by hand", "ignored"),
            RiskBreach("main", run, 1, btc, T0, "max_order_notional", 1.0, 2.0, "too much"),
            Halt("main", T0, True, "kill", "me", "stopped"),
        ],
        "deliveries": [Delivery(run, "m1", "outbox", "you@localhost", T0, "buy")],
    }


def archived(lake: Lake, source: str) -> dict[int, Event]:
    """Everything in the tables that came from that stream, by offset. Fails where an offset is there twice."""
    found: dict[int, Event] = {}
    for name in lake.tables():
        rows = lake.scan(name).collect()
        rows = rows.filter(rows["source"] == source).sort("offset")
        offsets = rows["offset"].to_list()
        assert len(set(offsets)) == len(offsets), f"{name} has rows of {source} twice"
        assert not set(offsets) & set(found)
        found |= dict(zip(offsets, read_back(TABLES[name], rows), strict=True))
    return dict(sorted(found.items()))


def on_tape(log: Log, stream: str) -> dict[int, Event]:
    batch = log.read(stream, 0, 10**9)
    return dict(zip(batch.offsets, batch.events, strict=True))


def assert_all_archived(log: Log, lake: Lake) -> None:
    for stream in log.streams():
        taped = on_tape(log, stream)
        if stream.startswith("raw."):
            assert dict(lake.raw.frames(stream.partition(".")[2])) == taped
        else:
            kept = {offset: event for offset, event in taped.items() if type(event) in TABLE_OF}
            assert repr(archived(lake, stream)) == repr(kept)  # repr: NaN equals itself there


def test_every_stream_ends_up_in_the_lake_at_close(log: Log, tmp_path: Path) -> None:
    writer = log.writer("everybody")
    for stream, events in one_of_each().items():
        writer.commit({stream: events})
    writer.commit({"other": [Decided("x", 1)]})
    lake = Lake(tmp_path / "lake")
    archiver = Archiver(log, lake, batch_s=3600)
    assert archiver.pump() == sum(len(events) for events in one_of_each().values())
    assert lake.tables() == []  # nothing is due yet
    archiver.close()
    del writer
    for stream in one_of_each():
        progress = lake.progress(stream)
        assert progress is not None
        assert progress.next_offset == log.bounds(stream)[1] == log.committed("archiver")[stream]
    assert lake.progress("other") is None
    assert set(lake.tables()) == set(TABLES)
    assert dict(lake.raw.frames("box")) == on_tape(log, "raw.box")
    assert repr(archived(lake, "market.box")) == repr(on_tape(log, "market.box"))  # repr: NaN equals itself there


def test_batches_are_filed_by_count_and_by_age(log: Log, tmp_path: Path) -> None:
    writer, clock, lake = log.writer("recorder.box"), Clock(), Lake(tmp_path / "lake")
    archiver = Archiver(log, lake, batch_rows=100, batch_s=5.0, timer_s=clock)
    writer.commit({"market.box": trades(0, 60)})
    archiver.pump()
    clock.now_s += 4.9
    writer.commit({"market.box": trades(60, 20)})
    archiver.pump()
    assert lake.tables() == []
    clock.now_s += 0.2  # the first has now waited 5 s
    archiver.pump()
    assert lake.table("trades").size()[0] == 80
    writer.commit({"market.box": trades(80, 230)})
    while archiver.pump():
        pass
    assert lake.table("trades").size()[0] == 280  # two full batches; 30 wait
    archiver.close()
    assert_all_archived(log, lake)


def test_wait_ends_when_a_batch_is_due_or_something_comes(log: Log, tmp_path: Path) -> None:
    writer = log.writer("recorder.box")
    writer.commit({"market.box": trades(0, 5)})
    archiver = Archiver(log, Lake(tmp_path / "lake"), batch_s=0.2)
    archiver.pump()
    start = time.monotonic()
    archiver.wait(30)
    assert 0.05 < time.monotonic() - start < 5
    archiver.pump()
    assert Lake(tmp_path / "lake").table("trades").size()[0] == 5
    writer.commit({"market.box": trades(5, 5)})
    start = time.monotonic()
    archiver.wait(30)
    assert time.monotonic() - start < 5
    archiver.close()


def test_a_second_archiver_fences_the_first_and_doubles_nothing(log: Log, tmp_path: Path) -> None:
    writer, lake = log.writer("recorder.box"), Lake(tmp_path / "lake")
    writer.commit({"market.box": trades(0, 50), "raw.box": frames(0, 50)})
    first = Archiver(log, lake, batch_s=3600)
    first.pump()
    second = Archiver(log, Lake(tmp_path / "lake"), batch_s=0.0)
    second.pump()
    second.close()
    with pytest.raises(Fenced):
        first.close()
    assert_all_archived(log, lake)


def test_a_full_disk_is_said_and_survived(log: Log, tmp_path: Path) -> None:
    writer, lake = log.writer("recorder.box"), Lake(tmp_path / "lake")
    writer.commit({"raw.box": frames(0, 3000)})
    writer.commit({"market.box": trades(0, 3000)})
    archiver = Archiver(log, lake, batch_s=0.0)
    for _ in range(3):
        with files_of_at_most(500), pytest.raises(StoreError, match="cannot be"):
            archiver.pump()
    while archiver.pump():
        pass
    archiver.close()
    assert_all_archived(log, lake)


@pytest.mark.parametrize("seed", range(12))
def test_a_crash_between_any_two_steps_loses_and_doubles_nothing(
    log: Log, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each write of the archiver is, at a seeded random point, its last one; then a new one goes on."""
    chance = random.Random(seed)
    writer = log.writer("recorder.box")

    class Crash(BaseException):
        pass

    def crashing(lake: Lake) -> Lake:
        fuse = chance.randrange(1, 8)

        def fused(call: object) -> object:
            def step(*args: object, **kwargs: object) -> object:
                nonlocal fuse
                fuse -= 1
                if fuse == 0 and chance.random() < 0.5:
                    raise Crash
                result = call(*args, **kwargs)  # type: ignore[operator]
                if fuse == 0:
                    raise Crash
                return result

            return step

        for name in ("trades", "ledger", "quotes"):
            table = lake.table(name)
            monkeypatch.setattr(table, "_commit", fused(table._commit))
        monkeypatch.setattr(lake.raw, "append", fused(lake.raw.append))
        monkeypatch.setattr(lake, "advance", fused(lake.advance))
        return lake

    sent = 0
    for _ in range(8):
        count = chance.randrange(1, 40)
        events = trades(sent, count)
        events.insert(chance.randrange(count), LedgerEntry("box:BTCUSDT", "trades", LedgerKind.GAP, T0 + sent))
        events.insert(chance.randrange(count), Quote("box:BTCUSDT", T0, T0, sent, 1.0, 2.0, 3.0, 4.0))
        writer.commit({"market.box": events})
        writer.commit({"raw.box": frames(sent, count)})
        sent += count
        archiver = Archiver(log, crashing(Lake(tmp_path / "lake")), batch_rows=chance.randrange(1, 50), batch_s=0.0)
        try:
            while archiver.pump():
                pass
        except Crash:
            continue
    Archiver(log, Lake(tmp_path / "lake")).close()
    assert_all_archived(log, Lake(tmp_path / "lake"))


def kill_and_resume(home: Path, seed: int, kills: int) -> None:
    """Write to the log while an archiver runs that is killed -9 at random instants; then compare lake and log."""
    chance = random.Random(seed)
    log = open_log("sqlite", folder=home / "log")
    writer = log.writer("recorder.box")
    sent = 0
    for _ in range(kills):
        command = [
            sys.executable,
            "-m",
            "tests.services.archiver_process",
            str(home),
            str(chance.choice([7, 50, 1000])),
        ]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            end = time.monotonic() + chance.uniform(0.0, 0.5)
            while time.monotonic() < end:
                count = chance.randrange(1, 60)
                events = [*trades(sent, count), LedgerEntry("box:BTCUSDT", "trades", LedgerKind.LATE, T0 + sent)]
                writer.commit({"raw.box": frames(sent, count), "market.box": events})
                sent += count
                time.sleep(0.002)
        finally:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
    lake = Lake(home / "lake")
    Archiver(log, lake).close()
    assert sum(1 for event in on_tape(log, "market.box").values() if type(event) is not LedgerEntry) == sent
    assert_all_archived(log, lake)
    log.close()


@pytest.mark.parametrize("seed", [1])
def test_kill_9_loses_and_doubles_nothing(tmp_path: Path, seed: int) -> None:
    kill_and_resume(tmp_path, seed, kills=3)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(100, 120))
def test_kill_9_many_times(tmp_path: Path, seed: int) -> None:
    kill_and_resume(tmp_path, seed, kills=10)


# ---- the log's end of it


def test_another_log_is_refused(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    for name, start in (("log", 0), ("other", 7000)):
        log = open_log("sqlite", folder=tmp_path / name)
        log.writer("recorder.box").commit({"market.box": trades(start, 20)})
        if name == "log":
            Archiver(log, lake).close()
        else:
            with pytest.raises(StoreError, match="not the one that filled the lake"):
                Archiver(log, lake).pump()
        log.close()
    shutil.rmtree(tmp_path / "log")
    log = open_log("sqlite", folder=tmp_path / "log")
    log.writer("recorder.box").commit({"market.box": trades(0, 5)})
    with pytest.raises(StoreError, match="not the one that filled the lake"):
        Archiver(log, lake).pump()
    log.close()


def test_what_was_trimmed_before_it_was_archived_is_a_gap_in_the_ledger(log: Log, tmp_path: Path) -> None:
    writer = log.writer("recorder.box")
    for k in range(5):
        writer.commit({"market.box": trades(k * 10, 10)})
    log.trim("market.box", 20)
    lake = Lake(tmp_path / "lake")
    Archiver(log, lake).close()
    Archiver(log, lake).close()
    assert lake.table("trades").size()[0] == 30
    (gap,) = lake.scan("ledger").collect().to_dicts()
    assert (gap["venue"], gap["kind"], gap["first"], gap["last"], gap["count"]) == ("box", LedgerKind.GAP, 0, 19, 20)


class Trimming:
    """A log of 1,000 trades, one a millisecond, in micro-batches of 10; all archived."""

    def __init__(self, log: Log, home: Path, readers: Mapping[str, list[str]] | None = None, keep: int = 0) -> None:
        self.log, self.clock, self.lake = log, Clock(), Lake(home / "lake")
        writer = log.writer("recorder.box")
        for k in range(100):
            writer.commit({"market.box": trades(k * 10, 10)})
        writer.commit({"bars.box": [Bar("box:BTCUSDT", T0, T0 + 1, 1.0, 1.0, 1.0, 1.0, 1.0)]})
        half = T0 + 500 * 10**6
        self.archiver = Archiver(
            log, self.lake, batch_s=0.0, retain_ns=10**9, retain_events=keep, readers=readers,
            clock_ns=lambda: half + 10**9, timer_s=self.clock,
        )  # fmt: skip
        self.archiver.pump()

    def upkeep(self) -> int:
        """The first offset that is held afterwards."""
        self.clock.now_s += 61
        self.archiver.pump()
        return self.log.bounds("market.box")[0]


def test_old_market_data_leaves_the_log_once_it_is_archived(log: Log, tmp_path: Path) -> None:
    trimming = Trimming(log, tmp_path)
    assert log.bounds("market.box")[0] == 0
    assert trimming.upkeep() == 490 or log.bounds("market.box")[0] == 500  # whole micro-batches, never one too many
    assert log.bounds("bars.box") == (0, 1)
    trimming.archiver.close()
    Archiver(log, trimming.lake).close()
    assert trimming.lake.table("trades").size()[0] == 1000


def test_a_reader_that_is_behind_holds_the_log(log: Log, tmp_path: Path) -> None:
    trimming = Trimming(log, tmp_path, {"market.box": ["barmaker.box"]})
    assert trimming.upkeep() == 0  # it has never committed
    log.writer("barmaker.box").commit({}, {"market.box": 205})
    assert trimming.upkeep() == 200
    trimming.archiver.close()


def test_some_events_stay_however_old(log: Log, tmp_path: Path) -> None:
    trimming = Trimming(log, tmp_path, keep=900)
    assert trimming.upkeep() == 100
    trimming.archiver.close()


def test_closed_days_are_compacted_in_passing(log: Log, tmp_path: Path) -> None:
    writer, clock, lake = log.writer("recorder.box"), Clock(), Lake(tmp_path / "lake")
    archiver = Archiver(log, lake, batch_s=0.0, timer_s=clock, clock_ns=lambda: T0 + 86_400 * 10**9)
    for k in range(3):
        writer.commit({"market.box": trades(k * 10, 10)})
        archiver.pump()
    assert lake.table("trades").size()[2] == 3
    clock.now_s += 61
    archiver.pump()
    assert lake.table("trades").size()[2] == 1
    archiver.close()
    assert_all_archived(log, lake)
