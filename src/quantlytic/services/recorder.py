"""The recorder: a venue's messages, verbatim, and the market events they mean, on to the tape in one transaction."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec

from quantlytic.model.book import BookDelta
from quantlytic.model.errors import Fenced, StoreError
from quantlytic.model.event import Event
from quantlytic.model.frame import RawFrame
from quantlytic.model.ledger import LedgerEntry
from quantlytic.model.trade import Trade
from quantlytic.store.log.port import Log
from quantlytic.venues.clock import GuardedClock
from quantlytic.venues.port import STARTED, MarketFeed, Normaliser

MAX_BATCH = 1000
MAX_QUEUED = 20_000
JOIN_S = 10.0


@dataclass
class RecorderStats:
    """For the screen; counts since this recorder started. `lag_ns`: receive minus event time of the newest trade or book
    change. `ledger` counts its entries by kind."""

    frames: int = 0
    events: int = 0
    last_receive_time: int = 0
    lag_ns: int = 0
    queued: int = 0
    ledger: Counter[str] = field(default_factory=Counter)


class _Saved(msgspec.Struct, array_like=True):
    last_receive_time: int
    normaliser: bytes


_SAVED = msgspec.msgpack.Decoder(_Saved)


class FrameQueue:
    """From the feed's event loop to the recorder's thread. Bounded: a feed that is ahead waits; nothing is dropped."""

    def __init__(self, loop: asyncio.AbstractEventLoop, capacity: int = MAX_QUEUED) -> None:
        self._loop = loop
        self._capacity = capacity
        self._frames: deque[RawFrame] = deque()
        self._filled = threading.Event()
        self._room = asyncio.Event()

    def __len__(self) -> int:
        return len(self._frames)

    async def put(self, frame: RawFrame) -> None:
        """See `Inbox.put`."""
        self._frames.append(frame)
        if not self._filled.is_set():
            self._filled.set()
        while len(self._frames) >= self._capacity:
            self._room.clear()
            if len(self._frames) >= self._capacity:
                await self._room.wait()

    def take(self, limit: int) -> list[RawFrame]:
        """Up to `limit` frames, at once."""
        self._filled.clear()
        frames = self._frames
        was_full = len(frames) >= self._capacity
        batch = [frames.popleft() for _ in range(min(len(frames), limit))]
        if frames:
            self._filled.set()
        if was_full:
            with suppress(RuntimeError):  # the loop has ended meanwhile
                self._loop.call_soon_threadsafe(self._room.set)
        return batch

    def wait(self, timeout_s: float) -> bool:
        """Sleep until there is a frame."""
        return self._filled.wait(timeout_s)

    def wake(self) -> None:
        """End a `wait`."""
        self._filled.set()


class Recorder:
    """One venue's recorder. A thread of its own runs the feed; `pump` normalises what has come and commits it."""

    def __init__(
        self, log: Log, venue: str, feed: MarketFeed, normaliser: Normaliser, clock: GuardedClock | None = None
    ) -> None:
        """`clock` is the one the feed stamps with. The feed starts at the first `pump`."""
        self.name = f"recorder.{venue}"
        self.stats = RecorderStats()
        self._raw, self._market = f"raw.{venue}", f"market.{venue}"
        self._feed = feed
        self._normaliser = normaliser
        self._clock = clock or GuardedClock()
        self._writer = log.writer(self.name)
        self._loop = asyncio.new_event_loop()
        self._queue = FrameQueue(self._loop)
        self._thread = threading.Thread(target=self._run_feed, name=self.name, daemon=True)
        self._task: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None
        self._pending: tuple[list[RawFrame], list[Event]] | None = None
        self._started = self._closed = self._fenced = False

    def pump(self) -> int:
        """See `Service.pump`. Raises Fenced, StoreError (the batch is kept and tried again), or what ended the feed."""
        if not self._started:
            self._start()
        if self._pending is None:
            frames = self._queue.take(MAX_BATCH)
            if not frames:
                if self._failure is not None:
                    raise self._failure
                return 0
            self._pending = self._normalise(frames)
        return self._commit()

    def wait(self, timeout_s: float) -> None:
        """See `Service.wait`."""
        if self._pending is None:
            self._queue.wait(timeout_s)

    def close(self) -> None:
        """See `Service.close`: the feed is stopped first, then what it had delivered is committed."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._started:
                self._stop_feed()
                while not self._fenced and (self._pending is not None or len(self._queue)):
                    self._pending = self._pending or self._normalise(self._queue.take(MAX_BATCH))
                    self._commit()
        finally:
            self._loop.close()
            self._writer.close()

    def _start(self) -> None:
        state = self._writer.snapshot
        if state is not None:
            try:
                saved = _SAVED.decode(state)
            except msgspec.MsgspecError as error:
                raise StoreError(f"{self.name}: the saved state cannot be read: {error}") from None
            self._clock.advance_to(saved.last_receive_time)
            self._normaliser.restore(saved.normaliser)
        self._started = True
        marker = RawFrame("recorder", self._clock.now(), STARTED, b"")
        self._pending = self._normalise([marker])
        self._thread.start()

    def _normalise(self, frames: list[RawFrame]) -> tuple[list[RawFrame], list[Event]]:
        feed = self._normaliser.feed
        events: list[Event] = []
        extend = events.extend
        for frame in frames:
            extend(feed(frame))
        return frames, events

    def _commit(self) -> int:
        assert self._pending is not None
        frames, events = self._pending
        last = frames[-1].receive_time
        snapshot = msgspec.msgpack.encode(_Saved(last, self._normaliser.save()))
        try:
            self._writer.commit({self._raw: frames, self._market: events}, snapshot=snapshot)
        except Fenced:
            self._fenced = True
            raise
        self._pending = None
        for request in self._normaliser.requests():
            with suppress(RuntimeError):  # the loop has ended: the next recorder asks again
                self._loop.call_soon_threadsafe(self._feed.request, request)
        self._count(frames, events)
        return len(frames)

    def _count(self, frames: list[RawFrame], events: list[Event]) -> None:
        stats = self.stats
        stats.frames += len(frames)
        stats.events += len(events)
        stats.queued = len(self._queue)
        stats.last_receive_time = frames[-1].receive_time
        for event in events:
            if type(event) is LedgerEntry:
                stats.ledger[event.kind.name] += 1
        newest = next((event for event in reversed(events) if type(event) in (Trade, BookDelta)), None)
        if newest is not None:
            stats.lag_ns = newest.receive_time - newest.event_time  # type: ignore[attr-defined]

    def _run_feed(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._task = self._loop.create_task(self._feed.run(self._queue))
            self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            self._failure = error
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._queue.wake()

    def _stop_feed(self) -> None:
        def cancel() -> None:
            if self._task is not None:
                self._task.cancel()

        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(cancel)
        self._thread.join(JOIN_S)
        if self._thread.is_alive():
            raise StoreError(f"{self.name}: the feed did not stop within {JOIN_S:g} s")
