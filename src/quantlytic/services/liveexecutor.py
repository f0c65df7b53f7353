"""Orders to a venue, with money: one account, its live runs, and every word spoken in the log before it counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import msgspec

from quantlytic.model.equity import Decided, Equity
from quantlytic.model.errors import StoreError, VenueError
from quantlytic.model.event import Event
from quantlytic.model.order import Order, OrderAmend, OrderCancel
from quantlytic.model.quote import Quote
from quantlytic.model.run import Run
from quantlytic.model.trade import Trade
from quantlytic.research.runs.paper import BarEvent, Rows
from quantlytic.services.inbox import Inbox
from quantlytic.store.log.port import Log
from quantlytic.trading.account import Account
from quantlytic.trading.accountstate import AccountState, RunState
from quantlytic.trading.dispatcher import Dispatcher, withdraw
from quantlytic.trading.heartbeat import Heartbeat
from quantlytic.trading.latch import Latch
from quantlytic.trading.link import Link
from quantlytic.trading.risk import RiskGate
from quantlytic.trading.rules import LiveRules

SLICE_S = 0.02  # the log and the link cannot be waited for at once
LAST_WORDS_S = 2.0  # so long a close waits for answers that are under way
BEAT_NS = 500_000_000
BEHIND = 20_000  # market events; a reader further behind goes on at the end: only the last price counts


class LiveStats(msgspec.Struct, frozen=True, kw_only=True):
    """`reconciled_ns`: when our books were last compared with the venue's; `error`: why the last try failed, "" if it did not.
    Orders: `at_venue`, `unresolved` (sent, not heard of yet), `held` here. `suspects`: assets whose balance is in doubt."""

    is_ready: bool
    reconciled_ns: int
    error: str
    at_venue: int
    unresolved: int
    held: int
    suspects: tuple[str, ...]


class _Snapshot(msgspec.Struct, array_like=True):
    account: AccountState
    gate: bytes


_SNAPSHOT = msgspec.msgpack.Decoder(_Snapshot)


class _Lane:
    """A run's two inputs, in lock-step: a bar, then the decision on it."""

    def __init__(self, log: Log, run: Run, state: RunState) -> None:
        self.run, self.state = run, state
        self.wants = Rows(run).wants
        self.bars = Inbox(log, run.bars_stream, state.bars_position)
        self._decisions = Inbox(log, run.decisions_stream, state.decisions_position)
        self._wishes: list[Event] = []

    def decision(self) -> list[Event] | None:
        """The orders, cancels and amendments that follow the last executed bar; None while they are not all there."""
        while self.state.executed >= 0 and self._decisions.peek() is not None:
            _, event = self._decisions.take()
            if isinstance(event, Decided):
                assert event.bar_offset == self.state.executed, f"{self.run.run_id}: {event.bar_offset} out of turn"
                wishes, self._wishes = self._wishes, []
                self.state.executed, self.state.decisions_position = -1, self._decisions.position
                return wishes
            self._wishes.append(event)
        return None

    def next_bar(self) -> tuple[int, BarEvent] | None:
        """The run's next bar, left in its place."""
        while (ahead := self.bars.peek()) is not None:
            offset, event = ahead
            if self.wants(event):
                return offset, event
            self.bars.take()
        return None

    @property
    def awaited(self) -> tuple[str, int]:
        inbox = self.bars if self.state.executed < 0 else self._decisions
        return inbox.stream, inbox.read_position


class LiveExecutor:
    """Trades the live `runs` of one account through its `link`, in lock-step with their strategists (docs/ARCHITECTURE.md).

    For a run's bar at offset k: once the decision on the bar before is in, and the venue has said what became of its orders
    (or `answer_wait_s` is over), the bar is marked and `Equity(k)` written; updates and fills go to the run's executions as
    they are heard. Whatever is asked of the venue is committed to `account.NAME` first, and all state with it. While it lives
    it gives signs of life (`heartbeat`), and takes them away when it ends cleanly.
    """

    def __init__(
        self, log: Log, account: str, runs: Sequence[Run], link: Link, gate: RiskGate, latch: Latch,
        *, rules: LiveRules | None = None, heartbeat: Heartbeat | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:  # fmt: skip
        self.name = f"executor.{account}"
        self._log, self._link, self._gate, self._latch = log, link, gate, latch
        self._stream, self._clock_ns = f"account.{account}", clock_ns
        rules = rules or LiveRules()
        self._writer = log.writer(self.name)
        state = self._restore()
        self._account = Account(account, runs, state, gate, rules)
        self._dispatcher = Dispatcher(self._account, link, rules)
        self._lanes = [_Lane(log, run, state.runs[run.run_id]) for run in runs]
        self._markets = {f"market.{run.venue}": 0 for run in runs}
        self._heartbeat, self._beaten_ns = heartbeat, 0
        self._is_started = self._was_open = False
        self._pardoned: dict[str, int] = {}  # by run, the first bar after a release: losses before it are forgiven

    def _restore(self) -> AccountState:
        if self._writer.snapshot is None:
            return AccountState()
        try:
            saved = _SNAPSHOT.decode(self._writer.snapshot)
        except msgspec.MsgspecError as error:
            raise StoreError(f"{self.name}: the saved state cannot be read: {error}") from None
        self._gate.restore(saved.gate)
        return saved.account

    @property
    def stats(self) -> LiveStats:
        """How it stands, for a screen."""
        legs = [leg for _, leg in self._account.book.legs()]
        return LiveStats(
            is_ready=self._dispatcher.is_ready,
            reconciled_ns=self._dispatcher.swept_ns,
            error=self._dispatcher.sweep_error,
            at_venue=sum(not leg.is_waiting for leg in legs),
            unresolved=sum(leg.is_waiting for leg in legs),
            held=len(self._account.book.working) - len(legs),
            suspects=tuple(sorted(self._account.state.suspects)),
        )

    # ---- the service

    def pump(self) -> int:
        """See `Service.pump`. Raises VenueError when the venue refuses the account (wrong keys), Fenced, StoreError."""
        if not self._is_started:
            self._link.start()
            self._is_started = True
        now_ns = self._clock_ns()
        self._beat(now_ns)
        count = self._hear(now_ns)
        if self._dispatcher.failure:
            raise VenueError(f"account {self._account.name}: {self._dispatcher.failure}")
        if self._link.failure is not None:
            raise self._link.failure
        self._read_prices()
        for lane in self._lanes:
            wishes = lane.decision()
            if wishes is not None:
                self._take(wishes, now_ns)
                count += 1
        self._forgive()
        self._dispatcher.work(self._latch.read(), now_ns)
        count += sum(self._execute(lane, now_ns) for lane in self._lanes)
        self._halt(now_ns)
        self._commit()
        return count

    def wait(self, timeout_s: float) -> None:
        """See `Service.wait`."""
        ends_s = time.monotonic() + timeout_s
        while not self._link.has_heard and (left_s := ends_s - time.monotonic()) > 0:
            if self._dispatcher.has_under_way:
                self._link.wait(min(left_s, SLICE_S))
                return
            if self._log.wait(dict(lane.awaited for lane in self._lanes), min(left_s, SLICE_S)):
                return

    def close(self) -> None:
        """See `Service.close`. Orders stay at the venue; answers under way are waited for a little."""
        try:
            if self._is_started:
                ends_s = time.monotonic() + LAST_WORDS_S
                while self._dispatcher.has_under_way and time.monotonic() < ends_s:
                    self._link.wait(SLICE_S)
                    self._hear(self._clock_ns())
                self._link.stop()
                self._hear(self._clock_ns())
                self._commit()
                if self._heartbeat is not None:
                    self._heartbeat.stop()
        finally:
            self._link.stop()
            self._writer.close()

    # ---- one pump

    def _beat(self, now_ns: int) -> None:
        if self._heartbeat is not None and now_ns - self._beaten_ns >= BEAT_NS:
            self._heartbeat.beat(now_ns)
            self._beaten_ns = now_ns

    def _hear(self, now_ns: int) -> int:
        heard = self._link.take()
        for each in heard:
            self._dispatcher.hear(each, now_ns)
        return len(heard)

    def _read_prices(self) -> None:
        """The newest prices of the market streams."""
        for stream, position in self._markets.items():
            first, end = self._log.bounds(stream)
            batch = self._log.read(stream, max(position, first, end - BEHIND) if position else max(first, end - 1000))
            for event in batch.events:
                if isinstance(event, Trade) and event.instrument in self._account.instruments:
                    self._price(event.instrument, event.price, event.event_time)
                elif isinstance(event, Quote) and event.instrument in self._account.instruments:
                    if not (event.bid > 0.0 and event.ask > 0.0):
                        continue  # an empty side has no middle
                    self._price(event.instrument, (event.bid + event.ask) / 2, event.event_time)
            self._markets[stream] = batch.next_offset

    def _price(self, instrument: str, price: float, event_time: int) -> None:
        if event_time >= self._dispatcher.prices.get(instrument, (0.0, 0))[1]:
            self._dispatcher.prices[instrument] = price, event_time
            self._account.see(instrument, (price,), event_time, self._clock_ns())
        self._gate.price(instrument, price, event_time)

    def _take(self, wishes: Sequence[Event], now_ns: int) -> None:
        """A decision: its orders are held from now on, its cancels and amendments are wanted."""
        account = self._account
        for wish in wishes:
            if isinstance(wish, Order):
                account.book.add(wish)
            elif isinstance(wish, OrderCancel):
                withdraw(account, wish, now_ns)
            elif isinstance(wish, OrderAmend) and (working := account.book.of(wish.run, wish.order_id)):
                account.tell_all(account.book.amend(working, wish, now_ns))

    def _execute(self, lane: _Lane, now_ns: int) -> int:
        state = lane.state
        if state.executed >= 0 or not self._dispatcher.is_ready or self._dispatcher.is_awaited(lane.run.run_id, now_ns):
            return 0
        found = lane.next_bar()
        if found is None:
            return 0
        offset, bar = found
        lane.bars.take()
        holdings, holding = state.holdings, state.holdings.of[bar.instrument]
        holding.price = bar.close
        self._account.see(bar.instrument, (bar.low, bar.high, bar.close), bar.open_time, now_ns)
        self._price(bar.instrument, bar.close, bar.close_time)
        self._account.adopt(bar.instrument, bar.close_time)
        state.bars_position, state.executed, state.last_bar, state.fills_since_bar = (
            lane.bars.position,
            offset,
            offset,
            0,
        )
        run, equity = lane.run.run_id, holdings.equity
        self._account.told.setdefault(run, []).append(
            Equity(run, bar.instrument, bar.close_time, equity, holdings.cash, holding.held, bar.close, offset)
        )
        self._forgive()
        breach = self._gate.worth(run, equity, bar.close_time)
        if run in self._pardoned:  # what was lost while it was halted, or while we were down, has been looked at
            self._gate.forgive()
            if offset >= self._pardoned[run]:
                del self._pardoned[run]
        elif breach is not None and self._latch.read() is None:
            self._account.out += [breach, self._latch.engage("risk", "executor", breach.text, now_ns)]
        return 1

    def _halt(self, now_ns: int) -> None:
        """Stop when a reconciliation asks for it."""
        if self._account.halt_text and self._latch.read() is None:
            halt = self._latch.engage("reconciliation", "executor", self._account.halt_text, now_ns)
            self._account.out.append(halt)
        self._account.halt_text = ""

    def _forgive(self) -> None:
        """Begin to count losses anew when a person has let go, whatever it was shut for, also while we were down."""
        state, released_ns = self._account.state, self._latch.released_ns()
        if released_ns not in (0, state.forgiven_ns):
            state.forgiven_ns = released_ns
            self._gate.forgive()
            self._pardoned = {lane.run.run_id: self._log.bounds(lane.run.bars_stream)[1] for lane in self._lanes}

    def _commit(self) -> None:
        """Everything that follows from what was taken in, as one; then what may be asked of the venue."""
        account, state = self._account, self._account.state
        if account.out or account.told or state.is_open != self._was_open:
            streams = {lane.run.run_id: lane.run.executions_stream for lane in self._lanes}
            outputs = {streams.get(run, f"executions.{run}"): events for run, events in account.told.items()}
            positions: dict[str, int] = {}
            for lane in self._lanes:
                bars, decisions = lane.run.bars_stream, lane.run.decisions_stream
                positions[bars] = min(positions.get(bars, lane.state.bars_position), lane.state.bars_position)
                positions[decisions] = lane.state.decisions_position
            snapshot = msgspec.msgpack.encode(_Snapshot(state, self._gate.save()))
            self._writer.commit({self._stream: account.out, **outputs}, positions, snapshot)
            account.out, account.told, self._was_open = [], {}, state.is_open
        for call in self._dispatcher.take_calls():
            call()
