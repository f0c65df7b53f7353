"""Watches an account from outside its executor: halts it when it hangs or the data is old, and tells of every halt."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from quantlytic.model.book import BookDelta
from quantlytic.model.codec import decode_batch, encode_batch
from quantlytic.model.equity import Decided, Equity
from quantlytic.model.errors import Fenced, StoreError
from quantlytic.model.event import Event
from quantlytic.model.halt import Halt
from quantlytic.model.quote import Quote
from quantlytic.model.run import Run
from quantlytic.model.trade import Trade
from quantlytic.store.log.port import Log
from quantlytic.trading.deadman import DeadMan
from quantlytic.trading.heartbeat import Heartbeat
from quantlytic.trading.latch import Latch

EXECUTOR = "the executor"
LOOK_EVERY_S = 0.5
TAIL = 500  # events that are looked at of a stream that is new to us, or that has run away


class Watchdog:
    """Runs in a process of its own, best on the side of the recorder: what hangs with the executor watches nobody.

    Looks twice a second at the executor's sign of life, at what the strategists owe, and at the age of the market data.
    What is wrong shuts the latch (cause "dead-man"); what is well again opens it, if the rules say "auto". Each change of
    the latch, whoever made it, becomes one `Halt` in `account.NAME`: that is what people are told. `on_silence` is called
    with the reason, once each time the executor falls silent: it may cancel at the venue through the kill switch.
    A log that is locked or broken keeps nothing from being halted: the latch is a file; what is to be told waits. Several may
    watch one account (that of `up`, and one by itself): whichever has something to tell takes the pen.
    """

    def __init__(
        self, log: Log, account: str, runs: Iterable[Run], latch: Latch, heartbeat: Heartbeat, deadman: DeadMan,
        *, on_silence: Callable[[str], None] | None = None, clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:  # fmt: skip
        self.name = f"watchdog.{account}"
        self._log, self._latch, self._heartbeat, self._deadman = log, latch, heartbeat, deadman
        self._on_silence, self._clock_ns = on_silence, clock_ns
        self._told: set[Halt] = set()
        self._take_pen()
        self._runs = list(runs)
        self._account_stream = f"account.{account}"
        self._positions: dict[str, int] = {}
        self._bars = {run.run_id: [-1, -1] for run in self._runs}  # the newest executed, and the newest decided on
        self._was_silent = False
        self.trouble = ""
        """Why the log or the latch could not be used at the last look; "" when they could."""
        self._began_ns = clock_ns()
        for run in self._runs:
            deadman.data(f"market.{run.venue}", self._began_ns, self._began_ns)
        deadman.is_halted = latch.read_dead_man() is not None

    def pump(self) -> int:
        """See `Service.pump`."""
        now_ns = self._clock_ns()
        self._listen()
        self.trouble = ""
        try:
            count = self._read(now_ns)
        except StoreError as error:
            self.trouble, count = str(error), 0
        count += self._look(now_ns)
        self._tell()
        return count

    def wait(self, timeout_s: float) -> None:
        """See `Service.wait`: it comes round by the clock, since what it looks for is that nothing happens."""
        time.sleep(min(timeout_s, LOOK_EVERY_S))

    def close(self) -> None:
        """See `Service.close`."""
        self._writer.close()

    def _take_pen(self) -> None:
        """Become the one who writes; what was told by whoever was it before is known."""
        self._writer = self._log.writer(self.name)
        told = decode_batch(self._writer.snapshot) if self._writer.snapshot else []
        self._told.update(word for word in told if isinstance(word, Halt))

    def _listen(self) -> None:
        beat_ns = self._heartbeat.last_ns()
        if beat_ns is None:
            self._deadman.stopped(EXECUTOR)
        else:  # one that died before our time has the usual time to come back: both may just have been started
            self._deadman.beat(EXECUTOR, max(beat_ns, self._began_ns))

    def _read(self, now_ns: int) -> int:
        count = 0
        for stream in sorted({f"market.{run.venue}" for run in self._runs}):
            events = self._new(stream)
            newest = next((each for each in reversed(events) if isinstance(each, Trade | Quote | BookDelta)), None)
            if newest is not None:
                self._deadman.data(stream, newest.event_time, newest.receive_time)
            count += len(events)
        for run in self._runs:
            bars = self._bars[run.run_id]
            for event in (*self._new(run.executions_stream), *self._new(run.decisions_stream)):
                if isinstance(event, Equity | Decided):
                    which = int(isinstance(event, Decided))
                    bars[which] = max(bars[which], event.bar_offset)
            if bars[0] > bars[1]:
                self._deadman.asked(run.run_id, bars[0], now_ns)
            else:
                self._deadman.answered(run.run_id)
        self._told.update(event for event in self._new(self._account_stream) if isinstance(event, Halt))
        return count

    def _new(self, stream: str) -> list[Event]:
        first, end = self._log.bounds(stream)
        position = max(self._positions.get(stream, 0), first, end - TAIL)
        if position >= end:
            return []
        batch = self._log.read(stream, position)
        self._positions[stream] = batch.next_offset
        return list(batch.events)

    def _look(self, now_ns: int) -> int:
        if self._deadman.is_halted and self._latch.read_dead_man() is None:
            self._deadman.released()
        change = self._deadman.look(now_ns)
        if change is not None:
            self._follow(change, now_ns)
        is_silent = self._deadman.is_silent(EXECUTOR, now_ns)
        if is_silent and not self._was_silent and self._on_silence is not None:
            self._on_silence("; ".join(self._deadman.troubles(now_ns)))
        self._was_silent = is_silent
        return int(change is not None)

    def _follow(self, change: Halt, now_ns: int) -> None:
        try:
            if change.is_halted:
                self._latch.engage(change.cause, change.by, change.text, now_ns)
            else:
                self._latch.release_dead_man(change.by, change.text, now_ns)
        except StoreError as error:
            self.trouble = str(error)
            self._deadman.is_halted = not change.is_halted  # to be tried again at the next look

    def _tell(self) -> None:
        """Write the words of the latch that nobody has written yet. Of what was released before our time nothing is said."""
        try:
            try:
                self._write()
            except Fenced:  # another watchdog has the pen: it may hang
                self._writer.close()
                self._take_pen()
                self._write()
        except StoreError as error:
            self.trouble = str(error)

    def _write(self) -> None:
        new = [word for word in self._latch.words() if word not in self._told and (word.is_halted or self._told)]
        if new:
            self._writer.commit({self._account_stream: new}, None, encode_batch(self._latch.words()))
            self._told.update(new)
