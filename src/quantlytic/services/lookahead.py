"""Bars and trades to intents: says what the run's strategy will do at which close, before it does it."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from quantlytic.engine.data.barbuilder import TimeBars
from quantlytic.engine.fork import Fork, why_not
from quantlytic.engine.fork import Intent as Band
from quantlytic.engine.session import Session
from quantlytic.engine.successor import Successor
from quantlytic.model.bar import Bar
from quantlytic.model.book import BookDelta
from quantlytic.model.codec import decode, encode
from quantlytic.model.errors import InputError, StrategyError
from quantlytic.model.event import Event
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.model.run import Run
from quantlytic.model.side import Side
from quantlytic.model.strategychange import StrategyChange
from quantlytic.model.time import NS_PER_MS, NS_PER_S
from quantlytic.model.trade import Trade
from quantlytic.research.runs.paper import BarEvent, Rows, forecast_of
from quantlytic.research.runs.succession import mark, restored, succeed
from quantlytic.services.announcements import Announcements, Deed, merged
from quantlytic.services.followed import Followed
from quantlytic.services.inbox import Inbox
from quantlytic.services.lookaheadstate import LookaheadState
from quantlytic.store.log.port import Log

CHECK_EVERY_NS = 250 * NS_PER_MS
STEPS = 401
_CHECKS_OF_A_BAR = 1_000
_NARROWER = (1.0, 0.3, 0.1, 0.03)
_COMMIT_EVERY = 20_000  # market events: what lies between is read again after a crash
_AT_ONCE = 5_000  # market events a pump
_SPAN_OF_A_MINUTE, _WIDEST = 0.02, 0.5  # shares of the price that are looked at on either side
_MOVES, _MEMORY = 8.0, 0.1  # and no fewer than so many usual moves of a bar, an exponential average


class Lookahead:
    """Holds a replica of the strategist's session, advanced by the same bars and reports, and forks it: after each bar, and
    again while the next one forms, from the trades of `market.VENUE`, whenever that changes what is to be said. Writes
    `Intent`s, only when they are new or changed, and `IntentOutcome`s to `intents.RUN`.

    A forming bar is looked at every `check_every_ns` of event time at the most (a thousandth of the bar where that is longer),
    in the last stretch of that length at each trade, so that what is said last is exact. `check_every_ns=0`: after each bar
    alone, without the market's trades. A strategy that looks at its instruments' closes alone needs no more; one that looks at
    high, low or volume does.

    Of bars to come there is no forecast yet: they are tried with the last one. `forecast_task`: what the run's forecasts are; if
    "up", the chance of a rise, the intents tell it. Where another strategy takes over, the strategist has said so in its decision
    on that bar, which is waited for; while that one's orders are held nothing is said. `sources`: where its code is kept.

    The same tape gives the same intents: the market's own events say when a bar is over, and the bar is then waited for. A
    commit holds what is said with the state it was said from: nothing is said twice or left out after a crash.
    """

    def __init__(
        self,
        log: Log,
        run: Run,
        session: Session,
        grace_ns: int,
        *,
        horizons: int = 1,
        check_every_ns: int = CHECK_EVERY_NS,
        forecast_task: str = "",
        sources: Path | None = None,
        timer_s: Callable[[], float] = time.monotonic,
    ) -> None:
        if reason := why_not(session.strategy):
            raise InputError(reason)
        self.name = f"lookahead.{run.run_id}"
        self._log, self._run, self._session, self._timer_s = log, run, session, timer_s
        self._horizons, self._tells_chance = horizons, forecast_task == "up"
        self._every_ns = max(check_every_ns, run.bar_size_ns // _CHECKS_OF_A_BAR) if check_every_ns else 0
        self._rows = Rows(run)
        self._ticks = {one.id: one.tick_size for one in run.instruments}
        self._order = sorted(self._ticks)  # in which bars of one time close
        self._span: float = min(_WIDEST, _SPAN_OF_A_MINUTE * (run.bar_size_ns / (60 * NS_PER_S)) ** 0.5)
        self._writer = log.writer(self.name)
        self._told = Announcements(run.run_id, run.bar_size_ns)
        self._builder = TimeBars(run.bar_size_ns, grace_ns)
        self._closing: list[tuple[str, int]] = []
        self._decided: dict[str, tuple[BarEvent, int]] = {}
        self._looked: dict[str, list[Bar]] = {}
        self._checked: dict[str, int] = {}
        self._due: dict[str, int] = {}
        self._moves: dict[str, float] = {}
        self._watermark = 0
        self._forks: dict[str, Fork] = {}
        self._outputs: list[Event] = []
        self._uncommitted = 0
        self._quiet_since_s = timer_s()
        self._stream = f"intents.{run.run_id}"
        positions = self._writer.positions
        self._bars = Inbox(log, run.bars_stream, positions.get(run.bars_stream, run.first_bar_offset))
        self._followed = Followed(log, run, positions.get(run.executions_stream, 0), 0)
        self._change: StrategyChange | None = None
        self._sources = sources
        market = f"market.{run.venue}"
        self._market = Inbox(log, market, positions.get(market, self._market_start(market)))
        if self._writer.snapshot is not None:
            self._restore(self._writer.snapshot)
        elif self._every_ns:
            self._commit()  # where it began in the market is kept, whatever happens next

    # ---- the service

    def pump(self) -> int:
        if not self._every_ns:
            return int(self._decide_next())
        count = 0
        while count < _AT_ONCE:
            if self._closing:
                if not self._decide_next():
                    break
            elif (ahead := self._market.peek()) is None:
                self._check_silence()
                break
            else:
                self._take(ahead[1])
            count += 1
        if count:
            self._quiet_since_s = self._timer_s()
        return count

    def wait(self, timeout_s: float) -> None:
        awaited = self._followed.awaited
        if self._every_ns and not self._closing:
            awaited = {self._market.stream: self._market.read_position}
        if self._due and not self._closing:
            timeout_s = min(timeout_s, max(0.0, self._silence_s() - (self._timer_s() - self._quiet_since_s)))
        self._log.wait(awaited, timeout_s)

    def close(self) -> None:
        self._writer.close()

    # ---- the market

    def _market_start(self, stream: str) -> int:
        """Where the first bar of the run opens, as near as the stream is held and ordered; its end before that bar."""
        low, high = self._log.bounds(stream)
        first = self._next_bar()
        if first is None:
            return high
        while low < high:
            middle = (low + high) // 2
            batch = self._log.read(stream, middle, 1)
            if batch.events and getattr(batch.events[0], "event_time", 0) < first[1].open_time:
                low = middle + 1
            else:
                high = middle
        return low

    def _take(self, event: Event) -> None:
        """One market event: what is due before it is said, then it moves the forming bars on."""
        at = getattr(event, "event_time", 0)
        for instrument in [name for name, due in self._due.items() if due <= at]:
            self._check(instrument, self._due[instrument])
        self._market.take()
        self._uncommitted += 1
        closed: list[Bar] = []
        moved = ""
        if isinstance(event, Trade):
            closed, refused = self._builder.on_trade(event)
            moved = "" if refused else event.instrument
        elif isinstance(event, LedgerEntry) and event.kind is LedgerKind.RECONNECT:
            self._builder.on_interruption()
        elif isinstance(event, BookDelta) and not event.snapshot:
            closed = self._builder.on_watermark(event.event_time, event.receive_time)
        self._watermark = self._builder.watermark or 0
        ended = [(bar.instrument, bar.close_time) for bar in closed if bar.instrument in self._ticks]
        self._closing += [one for one in ended if not self._is_past(one)]
        if moved in self._ticks and not self._closing:  # else all are looked at when those are decided on
            for instrument in self._order[
                self._order.index(moved) :
            ]:  # what closes first changes what is left for the rest
                self._mark(instrument)
        if self._uncommitted >= _COMMIT_EVERY and not self._closing:
            self._commit()

    def _mark(self, instrument: str) -> None:
        """The instrument's bar has moved: check it now, or when it is time."""
        bar = self._builder.forming(instrument)
        if bar is None:
            return
        next_ns = self._checked.get(instrument, 0) + self._every_ns
        if self._watermark >= min(next_ns, bar.close_time - self._every_ns):
            self._check(instrument, self._watermark)
        else:
            self._due[instrument] = next_ns

    def _silence_s(self) -> float:
        return (min(self._due.values()) - self._watermark) / NS_PER_S

    def _check_silence(self) -> None:
        """Nothing has come for as long as a check was put off: it will not be any truer."""
        if self._due and self._timer_s() - self._quiet_since_s >= self._silence_s():
            for instrument, due in sorted(self._due.items()):
                self._check(instrument, due)

    def _check(self, instrument: str, at: int) -> None:
        """Look again if the forming bar has changed what there is to say."""
        self._due.pop(instrument, None)
        self._checked[instrument] = at
        bars = self._forming(instrument)
        if not bars:
            return
        looked = self._looked.get(instrument)
        *before, row = self._to_come(bars)
        is_new = looked is None or looked[-1].close_time != bars[-1].close_time
        if is_new or not self._holds(instrument, row, before):
            self._look(instrument, bars, at)
            self._commit()
        elif again := self._told.approach(instrument, time=at, price=bars[-1].close):
            self._outputs += again
            self._commit()

    # ---- the run's bars

    def _decide_next(self) -> bool:
        """Take over the run's next bar as soon as it is executed. When all that the market has closed are decided on: look
        ahead from there, for all instruments."""
        if (ahead := self._next_bar()) is None:
            return False
        offset, bar = ahead
        target, end = self._closing[0] if self._closing else (bar.instrument, bar.close_time)
        if bar.instrument == target and bar.close_time > end:
            self._closing.pop(0)  # that bar is in no stream: it began before this service did
        elif not self._followed.hear(offset):
            return False
        else:
            self._bars.take()
            self._decide(offset, bar)
            self._closing = [one for one in self._closing if not self._is_past(one)]
        if not self._closing:
            self._look_all(self._watermark if self._every_ns else bar.close_time)
        return True

    def _next_bar(self) -> tuple[int, BarEvent] | None:
        while (ahead := self._bars.peek()) is not None:
            offset, bar = ahead
            if self._rows.wants(bar):
                return offset, bar
            self._bars.take()
        return None

    def _is_past(self, bar: tuple[str, int]) -> bool:
        known = self._decided.get(bar[0])
        return known is not None and known[0].close_time >= bar[1]

    def _decide(self, offset: int, bar: BarEvent) -> None:
        rows, (heard, change) = self._rows, self._followed.take()
        row = rows.bars([bar])
        updates, fills = rows.updates(heard), rows.fills(heard)
        if change is not None:
            self._change = change
            mark(self._session, updates, fills, row)
            self._session, wishes = succeed(self._run, change, self._session, self._sources)
        else:
            self._session.apply(updates, fills, row)
            wishes = self._session.decide(row)
        signals, _, cancels, amends = wishes
        mine = signals["side"][signals["instrument"] == row["instrument"][0]]
        deeds: list[Deed] = [("order", Side(side)) for side in mine.tolist()]
        deeds += [("cancel", None)] * bool(len(cancels)) + [("amend", None)] * bool(len(amends))
        self._outputs += self._told.judge(bar.instrument, bar.close_time, bar.close, deeds)
        if bar.instrument in self._decided:
            move, usual = (
                abs(bar.close / self._decided[bar.instrument][0].close - 1.0),
                self._moves.get(bar.instrument, 0.0),
            )
            self._moves[bar.instrument] = usual + _MEMORY * (move - usual) if usual else move
        self._decided[bar.instrument] = bar, offset
        self._forks.clear()

    # ---- looking ahead

    def _look_all(self, at: int) -> None:
        for instrument in self._order:
            self._look(instrument, self._forming(instrument), at)
            self._checked[instrument] = at
        self._due.clear()
        self._commit()

    def _fork(self, instrument: str) -> Fork:
        fork = self._forks.get(instrument)
        if fork is None:
            fork = self._forks[instrument] = Fork(self._session, self._run.bar_size_ns, instrument)
            if instrument in self._looked:  # as before the restart
                *before, row = self._to_come(self._looked[instrument])
                self._ask(fork, row, before, 1, self._reach(instrument))
        return fork

    def _look(self, instrument: str, bars: list[Bar], at: int) -> None:
        """Fork over the closes of the next bars; what is new goes to the outputs."""
        last, offset = self._decided.get(instrument, (None, -1))
        bars = bars or ([self._empty(last, at)] if last else [])
        if not bars:
            return
        bar = bars[-1]
        self._looked.pop(instrument, None)
        fork = self._fork(instrument)
        self._looked[instrument] = bars
        *before, row = self._to_come(bars)
        is_held = isinstance(self._session, Successor) and self._session.waits
        found = [] if is_held else self._ask(fork, row, before, self._horizons, self._reach(instrument))
        bands = merged(found, fork.tried, fork.finest) if found else []
        for horizon in range(1, self._horizons + 1):
            until = bar.close_time + (horizon - 1) * self._run.bar_size_ns
            mine = [band for band in bands if band.horizon == horizon]
            self._outputs += self._told.revise(
                instrument, until, mine, time=at, price=bar.close, tick=self._ticks[instrument], offset=offset,
                probability=self._forecast(instrument) if self._tells_chance else math.nan,
            )  # fmt: skip

    @staticmethod
    def _ask(fork: Fork, row: Any, before: list[Any], horizons: int, span: float) -> list[Band]:
        """What a fork says; of fewer prices, or none, where the strategy raises at some that may never come."""
        for part in _NARROWER:
            with contextlib.suppress(StrategyError):
                return fork.look(row, before, horizons=horizons, span=span * part, steps=STEPS)
        return []

    def _holds(self, instrument: str, row: Any, before: list[Any]) -> bool:
        try:
            return self._fork(instrument).holds(row, before)
        except StrategyError:
            return False

    def _reach(self, instrument: str) -> float:
        usual = self._moves.get(instrument, 0.0)
        return min(_WIDEST, max(self._span, _MOVES * usual))

    def _forming(self, instrument: str) -> list[Bar]:
        """The instrument's next bar as far as it has come, after those of others that close at its time before it; [] while it
        has none."""
        bar = self._builder.forming(instrument)
        if bar is None:
            return []
        earlier = [self._builder.forming(name) for name in self._order[: self._order.index(instrument)]]
        return [*(one for one in earlier if one is not None and one.close_time == bar.close_time), bar]

    def _to_come(self, bars: list[Bar]) -> Any:
        """Rows of bars that are not over: each with what the model said last, for it has not spoken of them."""
        rows = self._rows.bars(bars)
        rows["forecast"] = [self._forecast(bar.instrument) for bar in bars]
        return rows

    def _forecast(self, instrument: str) -> float:
        """The last one; NaN where there is none."""
        known = self._decided.get(instrument)
        return math.nan if known is None else forecast_of(known[0])

    def _empty(self, last: BarEvent, at: int) -> Bar:
        """The bar after that one, or of this time if the instrument has been silent since, of which nothing is known."""
        size_ns, price = self._run.bar_size_ns, last.close
        start = max(last.close_time, at // size_ns * size_ns)
        return Bar(last.instrument, start, start + size_ns, price, price, price, price, 0.0)

    # ---- state

    def _commit(self) -> None:
        snapshot = LookaheadState(
            self._session.save(), self._builder.save(), self._watermark, self._told.open, self._told.next_id, self._closing,
            self._decided, self._looked, self._checked, self._due, self._moves, self._followed.decisions_position,
            b"" if self._change is None else encode(self._change),
        )  # fmt: skip
        positions = {self._bars.stream: self._bars.position}
        positions[self._run.executions_stream] = self._followed.reports_position
        if self._every_ns:
            positions[self._market.stream] = self._market.position
        self._writer.commit({self._stream: self._outputs}, positions, msgspec.msgpack.encode(snapshot))
        self._outputs, self._uncommitted = [], 0

    def _restore(self, snapshot: bytes) -> None:
        saved = LookaheadState.of(snapshot, self.name)
        if saved.change:
            change = decode(saved.change)
            assert isinstance(change, StrategyChange)
            self._change = change
            self._session = restored(self._run, change, self._sources, self._session.compiled)
        self._session.restore(saved.session)
        self._followed = Followed(self._log, self._run, self._followed.reports_position, saved.decisions)
        self._builder.restore(saved.builder)
        self._watermark, self._closing = saved.watermark, saved.closing
        self._told.open, self._told.next_id = saved.open, saved.next_id
        self._decided, self._looked = saved.decided, saved.looked
        self._checked, self._due, self._moves = saved.checked, saved.due, saved.moves
