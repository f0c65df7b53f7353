"""The loops over more than bars: `run_trades` over an array of trades, `run_tape` over several inputs in event-time order.

Ties, at one time: actions, then book changes, quotes, trades, then bars (the finest first), each in the order of the tape's
inputs and of their rows; then `on_slice`; then `on_timer`. A time is over when an event of a later one comes, or the run
ends. Inputs are merged as they lie: nothing is copied or sorted.
"""

# mypy: disable-error-code="no-any-return"
# Rows are fields of a buffer, not objects: their types are known when compiled.

from __future__ import annotations

from typing import Any

import numpy as np

from quantlytic.engine.account.account import ACTION_ROW, BAR_ROW
from quantlytic.engine.account.broker import BROKER
from quantlytic.engine.account.codes import FAULT_NONE, SPLIT
from quantlytic.engine.account.cold import MATCH_BOOK, MATCH_QUOTE, MATCH_TRADE, MEET_TRADE, consult
from quantlytic.engine.compiler.record import Record, address_of, at, call, layout_of
from quantlytic.engine.matching.barmatch import match_bar
from quantlytic.engine.matching.orderbook import LEVEL
from quantlytic.engine.matching.tickmatch import change_level, forget_prices
from quantlytic.engine.run.desk import BARS, BOOKS, DESK, NEVER, QUOTES, TRADES
from quantlytic.engine.run.journal import JOURNAL, SAMPLES
from quantlytic.engine.run.loop import (
    ON_BAR,
    ON_BOOK,
    ON_QUOTE,
    ON_SLICE,
    ON_TIMER,
    ON_TRADE,
    face,
    fault_of,
    flush,
    has_news,
    is_bar,
    state_of,
    tell_fills,
)
from quantlytic.engine.run.step import QUOTE_ROW, TRADE_ROW
from quantlytic.model.trade import TRADE

TRADE_BYTES = TRADE.itemsize
LEVEL_ROW = layout_of(LEVEL)

# Columns of `heads`, one row an input: what it holds, rows, rows taken, bytes a row, where in a row its time is.
KIND, COUNT, CURSOR, SIZE, TIME_AT = 0, 1, 2, 3, 4


class Stamp(Record):
    """The time in a row of any kind."""

    def __init__(self) -> None:
        self.time = 0


STAMP = layout_of(Stamp())


def run_trades(arena: Any, table: Any, trades: Any, first: int, count: int, journal: Any, step: Any) -> int:
    """Advance over trades[first:count] of any instruments, for a strategy without `on_slice` and `on_timer`.

    Returns the first trade not run, as `loop.run` does. `table` is the address of the desk.
    """
    account, desk, log = at(arena, 0, BROKER).account, at(table, 0, DESK), at(journal, 0, JOURNAL)
    for index in range(first, count):
        event = trades + index * TRADE_BYTES
        trade = at(event, 0, TRADE_ROW)
        instrument, time = trade.instrument, trade.event_time
        if not (0 <= instrument < account.instruments and time >= desk.time and is_trade(trade)):
            account.fault = fault_of(account, instrument, time, desk.time)
            return index
        if time >= desk.next_sample:
            if log.is_full:
                return index
            sample(account, desk, time, log)
        desk.time = time
        account.begin(instrument, time)
        if account.restless or account.position(instrument).orders > 0:
            consult(MATCH_TRADE, address_of(account), event, address_of(desk))
        account.mark(instrument, trade.price)
        if account.fills > 0:
            tell_fills(account, arena, step)
        call(step, ON_TRADE, state_of(account, arena, instrument), event, arena)
        if has_news(account):
            account.accept()
            flush(account, arena, log)
            if log.is_full or account.fault != FAULT_NONE:
                return index + 1
    return count


def run_tape(
    arena: Any, table: Any, bases: Any, heads: Any, until: int, journal: Any, step: Any
) -> bool:  # fmt: skip
    """Advance over all inputs; true when done, false when the journal is full (call again) or at a fault.

    `bases` are the addresses of the inputs' first rows, `heads` says the rest of them and how far they are. In the end all
    that is due before `until` has been called, too; NEVER: the last time stays open.
    """
    account, desk, log = at(arena, 0, BROKER).account, at(table, 0, DESK), at(journal, 0, JOURNAL)
    while True:
        best, rival, bound = _first_two(bases, heads)
        if best < 0:
            break
        kind, size, offset = heads[best, KIND], heads[best, SIZE], heads[best, TIME_AT]
        desk.input = best
        while heads[best, CURSOR] < heads[best, COUNT]:
            event = bases[best] + heads[best, CURSOR] * size
            time = at(event + offset, 0, STAMP).time
            if time > bound or (time == bound and rival < best):
                break
            fault = tape_fault(account, desk, kind, event, time)
            if fault != FAULT_NONE:
                account.fault = fault
                return False
            if time > desk.time:
                if _close_time(account, desk, arena, table, time, log, step):
                    return False
                if desk.sample_ns > 0 and time >= desk.next_sample:
                    sample(account, desk, time, log)
            _take(account, desk, arena, kind, event, time, log, step)
            heads[best, CURSOR] += 1
            if _answer(account, arena, log) or log.box(SAMPLES).count >= log.box(SAMPLES).room:
                return False
    return until <= desk.time or desk.time == NEVER or not _close_time(account, desk, arena, table, until, log, step)


def _first_two(bases: Any, heads: Any) -> tuple[int, int, int]:
    """The input whose next row comes first, the one that comes next after it, and that one's time."""
    best, rival = -1, -1
    first, bound = 2**63 - 1, 2**63 - 1
    for k in range(len(heads)):
        if heads[k, CURSOR] < heads[k, COUNT]:
            time = at(bases[k] + heads[k, CURSOR] * heads[k, SIZE] + heads[k, TIME_AT], 0, STAMP).time
            if best < 0 or time < first:
                best, rival, first, bound = k, best, time, first
            elif rival < 0 or time < bound:
                rival, bound = k, time
    return best, rival if rival >= 0 else len(heads), bound


def tape_fault(account: Any, desk: Any, kind: int, event: Any, time: int) -> int:
    """Why a row cannot be taken, or FAULT_NONE."""
    instrument = at(event, 0, ACTION_ROW).instrument  # the first field of a row of any kind
    good = 0 <= instrument < account.instruments and time >= desk.time
    if good:
        if kind == TRADES:
            good = is_trade(at(event, 0, TRADE_ROW))
        elif kind == BARS:
            good = is_bar(at(event, 0, BAR_ROW))
        elif kind == QUOTES:
            good = is_quote(at(event, 0, QUOTE_ROW))
        elif kind == BOOKS:
            good = is_level(at(event, 0, LEVEL_ROW))
    return FAULT_NONE if good else fault_of(account, instrument, time, desk.time)


def _take(account: Any, desk: Any, arena: Any, kind: int, event: Any, time: int, log: Any, step: Any) -> None:
    """Let one event happen."""
    begin(account, desk, event, time)
    meet(account, desk, kind, event, True)
    if kind == BARS and desk.sample_ns == 0:
        bar = at(event, 0, BAR_ROW)
        if desk.feed(bar.instrument).finest == desk.input:
            log.sample(bar.close_time, account.equity)
    tell(account, desk, arena, kind, event, step)


def begin(account: Any, desk: Any, event: Any, time: int) -> None:
    """It is the time of this event, and it is about its instrument."""
    desk.time = time
    desk.events += 1
    account.begin(at(event, 0, ACTION_ROW).instrument, time)


def meet(account: Any, desk: Any, kind: int, event: Any, matching: bool) -> None:
    """The account sees an event: orders meet it, the position is valued. Not `matching`: what it did to the orders is known."""
    if kind == TRADES:
        _meet_trade(account, desk, event, matching)
    elif kind == BARS:
        _meet_bar(account, desk, event, matching)
    elif kind == QUOTES:
        _meet_quote(account, desk, event, matching)
    elif kind == BOOKS:
        _meet_level(account, desk, event, matching)
    else:
        action = at(event, 0, ACTION_ROW)
        account.act(action)
        if action.kind == SPLIT:
            forget_prices(desk, action.instrument)


def tell(account: Any, desk: Any, arena: Any, kind: int, event: Any, step: Any) -> None:
    """Call the handlers: `on_fill` for what it has filled, then that of the event itself."""
    if kind == BOOKS:
        level = at(event, 0, LEVEL_ROW)
        if level.last:
            tell_fills(account, arena, step)
            book = address_of(desk.book(level.instrument))
            call(step, ON_BOOK, state_of(account, arena, level.instrument), book, arena)
        return
    tell_fills(account, arena, step)
    instrument = at(event, 0, ACTION_ROW).instrument
    if kind == TRADES:
        call(step, ON_TRADE, state_of(account, arena, instrument), event, arena)
    elif kind == BARS:
        call(step, ON_BAR, state_of(account, arena, instrument), event, arena)
    elif kind == QUOTES:
        call(step, ON_QUOTE, state_of(account, arena, instrument), event, arena)


def _has_work(account: Any, instrument: int) -> bool:
    return account.restless or account.position(instrument).orders > 0


def _meet_trade(account: Any, desk: Any, event: Any, matching: bool) -> None:
    trade = at(event, 0, TRADE_ROW)
    instrument = trade.instrument
    if desk.feed(instrument).source == TRADES:
        if matching and _has_work(account, instrument):
            consult(MATCH_TRADE, address_of(account), event, address_of(desk))
        account.mark(instrument, trade.price)
    else:
        if matching and _has_work(account, instrument):
            consult(MEET_TRADE, address_of(account), event, address_of(desk))
        account.remark(instrument)


def _meet_bar(account: Any, desk: Any, event: Any, matching: bool) -> None:
    bar = at(event, 0, BAR_ROW)
    instrument = bar.instrument
    feed = desk.feed(instrument)
    finest = feed.finest == desk.input
    if finest and feed.source == BARS:
        if matching and _has_work(account, instrument):
            match_bar(account, bar)
        account.mark(instrument, bar.close)
    else:
        face(account, instrument)
    if finest and desk.slice_at > 0:
        _enter_slice(desk, bar)


def _enter_slice(desk: Any, bar: Any) -> None:
    if not desk.open_slice:
        desk.open_slice = True
        desk.slice().time = bar.close_time
        desk.slice().count = 0
    desk.slice().count += 1
    last = desk.last_bar(bar.instrument)  # field by field: the bytes between fields are no state
    last.open_time = bar.open_time
    last.close_time = bar.close_time
    last.open = bar.open
    last.high = bar.high
    last.low = bar.low
    last.close = bar.close
    last.volume = bar.volume
    last.quote_volume = bar.quote_volume
    last.trades = bar.trades
    last.forecast = bar.forecast


def _meet_quote(account: Any, desk: Any, event: Any, matching: bool) -> None:
    quote = at(event, 0, QUOTE_ROW)
    instrument = quote.instrument
    feed = desk.feed(instrument)
    if feed.source == QUOTES:
        feed.bid = quote.bid
        feed.ask = quote.ask
        feed.quoted = True
        if matching and _has_work(account, instrument):
            consult(MATCH_QUOTE, address_of(account), event, address_of(desk))
        account.mark(instrument, 0.5 * (quote.bid + quote.ask))
    else:
        face(account, instrument)


def _meet_level(account: Any, desk: Any, event: Any, matching: bool) -> None:
    """A level of a book changes; the message's last one makes the book whole."""
    level = at(event, 0, LEVEL_ROW)
    instrument = level.instrument
    book = desk.book(instrument)
    change_level(account, desk, book, level)
    if level.last:
        if matching and _has_work(account, instrument):
            consult(MATCH_BOOK, address_of(account), event, address_of(desk))
        if book.bids > 0 and book.asks > 0:
            account.mark(instrument, book.mid)
        else:
            account.remark(instrument)


def _close_time(account: Any, desk: Any, arena: Any, table: Any, until: int, log: Any, step: Any) -> bool:
    """All that happens before `until`: the open slice, then the timers. True when a log is full or at a fault."""
    start_timers(desk, until)
    while True:
        what = due(desk, until)
        if what == 0:
            return False
        enter_moment(account, desk, what)
        tell_moment(account, arena, table, what, step)
        if _answer(account, arena, log):
            return True


def start_timers(desk: Any, time: int) -> None:
    """The first timer is at the first event, or after it."""
    if desk.period > 0 and desk.next_timer == NEVER:
        desk.next_timer = -(-time // desk.period) * desk.period


def due(desk: Any, until: int) -> int:
    """What is to be called next before an event at `until` (a later time than the last event's): ON_SLICE, ON_TIMER or 0."""
    if desk.open_slice:
        return ON_SLICE
    return ON_TIMER if desk.period > 0 and NEVER < desk.next_timer < until else 0


def enter_moment(account: Any, desk: Any, what: int) -> None:
    """It is the moment of the slice, or of the timer, that is due."""
    if what == ON_SLICE:
        desk.open_slice = False
        account.time = desk.time
    else:
        desk.timer = desk.next_timer
        desk.next_timer += desk.period
        account.time = desk.timer


def tell_moment(account: Any, arena: Any, table: Any, what: int, step: Any) -> None:
    """Call `on_slice`, or `on_timer` for each instrument."""
    if what == ON_SLICE:
        face(account, 0)
        call(step, ON_SLICE, state_of(account, arena, 0), table + at(table, 0, DESK).slice_at, arena)
    else:
        for k in range(account.instruments if account.state_bytes > 0 else 1):
            face(account, k)
            call(step, ON_TIMER, state_of(account, arena, k), table, arena)


def _answer(account: Any, arena: Any, log: Any) -> bool:
    """Take what a handler sent; true when a log is full or at a fault."""
    if not has_news(account):
        return account.fault != FAULT_NONE
    account.accept()
    flush(account, arena, log)
    return log.is_full or account.fault != FAULT_NONE


def sample(account: Any, desk: Any, time: int, log: Any) -> None:
    """The interval before `time` is over: what the account was worth after its last event."""
    if desk.time != NEVER:
        log.sample(desk.time, account.equity)
    desk.next_sample = (time // desk.sample_ns + 1) * desk.sample_ns


def is_trade(trade: Any) -> bool:
    """Price and quantity positive and finite. NaN fails every comparison."""
    return 0.0 < trade.price < np.inf and 0.0 < trade.quantity < np.inf


def is_quote(quote: Any) -> bool:
    """Prices positive and finite, quantities not negative, the bid not above the ask."""
    sizes = 0.0 <= quote.bid_quantity < np.inf and 0.0 <= quote.ask_quantity < np.inf
    return 0.0 < quote.bid <= quote.ask < np.inf and sizes


def is_level(level: Any) -> bool:
    """A side, a price positive and finite, a quantity not negative."""
    side = level.side == 1 or level.side == -1  # noqa: PLR1714 - the compiler knows no sets of numbers
    return side and 0.0 < level.price < np.inf and 0.0 <= level.quantity < np.inf
