"""The recorder on a real log: everything once, in one transaction, over restarts; nothing lost when the store fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from tests.venues.captures import CAPTURES, frames_of, kind_of

from quantlytic.model.book import BookDelta
from quantlytic.model.codec import encode_batch
from quantlytic.model.errors import Fenced, StoreError, VenueError
from quantlytic.model.event import Event
from quantlytic.model.frame import RawFrame
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.model.quote import Quote
from quantlytic.model.trade import Trade
from quantlytic.services.recorder import FrameQueue, Recorder
from quantlytic.store.log import open_log
from quantlytic.store.log.port import Log
from quantlytic.venues.binance.market import spot
from quantlytic.venues.binance.normaliser import BinanceNormaliser
from quantlytic.venues.clock import GuardedClock
from quantlytic.venues.port import STARTED, Inbox, Request


class TapeFeed:
    """A `MarketFeed` that delivers given frames, then waits (or fails)."""

    def __init__(self, frames: Sequence[RawFrame], error: Exception | None = None) -> None:
        self.frames = frames
        self.error = error
        self.requested: list[Request] = []

    async def run(self, inbox: Inbox) -> None:
        for frame in self.frames:
            await inbox.put(frame)
        if self.error is not None:
            raise self.error
        await asyncio.Event().wait()

    def request(self, request: Request) -> None:
        self.requested.append(request)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = open_log("sqlite", folder=tmp_path / "log")
    yield log
    log.close()


def make(log: Log, feed: TapeFeed, now: int = 0) -> Recorder:
    market = spot("box")
    clock = GuardedClock(lambda: now)
    return Recorder(log, "box", feed, BinanceNormaliser(market), clock)


def pump_until(recorder: Recorder, frames: int) -> None:
    deadline = time.monotonic() + 20
    while recorder.stats.frames < frames:
        assert time.monotonic() < deadline, recorder.stats
        if not recorder.pump():
            recorder.wait(0.05)


def everything(log: Log, stream: str) -> list[Event]:
    events: list[Event] = []
    at = 0
    while batch := log.read(stream, at):
        if not batch.events:
            return events
        events += batch.events
        at = batch.next_offset
    return events


def test_a_capture_is_recorded_whole_and_rebuilds_to_the_same_bytes(log: Log, market_data: Path) -> None:
    frames = frames_of(market_data, CAPTURES[0], 6000)
    feed = TapeFeed(frames)
    recorder = make(log, feed)
    pump_until(recorder, len(frames) + 1)
    recorder.close()
    raw = everything(log, "raw.box")
    assert raw[0].channel == STARTED
    assert raw[1:] == frames
    events = everything(log, "market.box")
    kinds = [kind_of(frame) for frame in frames]
    assert sum(isinstance(e, Trade) for e in events) == kinds.count("trade")
    assert sum(isinstance(e, Quote) for e in events) == kinds.count("bookTicker")
    assert sum(isinstance(e, BookDelta) for e in events) == kinds.count("depth") + kinds.count("snapshot")
    assert not any(isinstance(e, LedgerEntry) for e in events)
    normaliser = BinanceNormaliser(spot("box"))
    rebuilt = [event for frame in raw for event in normaliser.feed(frame)]
    assert encode_batch(rebuilt) == encode_batch(events)
    assert [request.path for request in feed.requested] == ["/api/v3/depth?symbol=BTCUSDT&limit=1000"]


def test_restarts_go_on_where_the_last_commit_was_and_a_rebuild_agrees(log: Log, market_data: Path) -> None:
    frames = frames_of(market_data, CAPTURES[0], 3000)
    for part in range(5):
        chunk = frames[part * 600 : part * 600 + 590]  # ten frames lost at each restart
        recorder = make(log, TapeFeed(chunk))
        pump_until(recorder, len(chunk) + 1)
        recorder.close()
    raw, events = everything(log, "raw.box"), everything(log, "market.box")
    assert [frame.channel for frame in raw].count(STARTED) == 5
    normaliser = BinanceNormaliser(spot("box"))
    assert encode_batch([e for frame in raw for e in normaliser.feed(frame)]) == encode_batch(events)
    reconnects = [e for e in events if isinstance(e, LedgerEntry) and e.kind == LedgerKind.RECONNECT]
    assert len(reconnects) == 4


def test_receive_times_do_not_go_back_over_a_restart_with_the_clock_set_back(log: Log) -> None:
    for now in (1_000_000, 400):
        recorder = make(log, TapeFeed([]), now)
        pump_until(recorder, 1)
        recorder.close()
    first, second = everything(log, "raw.box")
    assert (first.receive_time, second.receive_time) == (1_000_000, 1_000_001)


def test_close_commits_what_had_been_delivered(log: Log, market_data: Path) -> None:
    frames = frames_of(market_data, CAPTURES[0], 3000)
    recorder = make(log, TapeFeed(frames))
    recorder.pump()
    deadline = time.monotonic() + 10
    while len(recorder._queue) < len(frames) and time.monotonic() < deadline:
        time.sleep(0.01)
    recorder.close()
    recorder.close()
    assert len(everything(log, "raw.box")) == len(frames) + 1


def test_an_unreachable_venue_is_one_error_after_what_came_before_is_safe(log: Log) -> None:
    frame = RawFrame("ws-0", 5, "", b"{}")
    recorder = make(log, TapeFeed([frame], VenueError("binance cannot be reached")))
    with pytest.raises(VenueError, match="cannot be reached"):
        pump_until(recorder, 3)
    recorder.close()
    assert everything(log, "raw.box")[1:] == [frame]


def test_the_newer_recorder_wins_and_the_older_one_stops(log: Log, tmp_path: Path, market_data: Path) -> None:
    frames = frames_of(market_data, CAPTURES[0], 50)
    older = make(log, TapeFeed(frames))
    pump_until(older, 51)
    other = open_log("sqlite", folder=tmp_path / "log")
    newer = make(other, TapeFeed([]))
    pump_until(newer, 1)
    older._queue._frames.append(frames[-1])
    with pytest.raises(Fenced):
        older.pump()
    older.close()
    newer.close()
    other.close()
    assert len(everything(log, "raw.box")) == 52


class FullDisk:
    """A log whose commits fail for a while."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.full = False

    def writer(self, name: str) -> FullDisk:
        self._writer = self._log.writer(name)
        return self

    @property
    def snapshot(self) -> bytes | None:
        return self._writer.snapshot

    def commit(self, outputs: Mapping[str, Sequence[Event]], snapshot: bytes | None = None) -> object:
        if self.full:
            raise StoreError("no space left on the device")
        return self._writer.commit(outputs, snapshot=snapshot)

    def close(self) -> None:
        self._writer.close()


def test_a_full_disk_is_reported_and_nothing_is_lost_when_there_is_room_again(log: Log, market_data: Path) -> None:
    frames = frames_of(market_data, CAPTURES[0], 2500)
    disk = FullDisk(log)
    recorder = make(disk, TapeFeed(frames))  # type: ignore[arg-type]
    recorder.pump()
    disk.full = True
    failures = 0
    deadline = time.monotonic() + 10
    while failures < 3 and time.monotonic() < deadline:
        try:
            recorder.pump()
        except StoreError:
            failures += 1
    assert failures == 3
    disk.full = False
    pump_until(recorder, len(frames) + 1)
    recorder.close()
    assert everything(log, "raw.box")[1:] == frames
    assert sum(isinstance(e, Trade) for e in everything(log, "market.box")) == len(
        [f for f in frames if kind_of(f) == "trade"]
    )


def test_a_feed_ahead_of_the_log_waits_and_nothing_is_dropped() -> None:
    frames = [RawFrame("ws-0", number, "", b"") for number in range(100)]

    async def scenario() -> tuple[int, list[RawFrame]]:
        queue = FrameQueue(asyncio.get_running_loop(), capacity=10)

        async def fill() -> None:
            for frame in frames:
                await queue.put(frame)

        filling = asyncio.create_task(fill())
        await asyncio.sleep(0.01)
        most, taken = len(queue), list[RawFrame]()
        while len(taken) < len(frames):
            taken += queue.take(7)
            await asyncio.sleep(0)
        await filling
        return most, taken

    most, taken = asyncio.run(scenario())
    assert most == 10
    assert taken == frames
