"""Trades to time bars. Pure: bars close by the events' own times, never by a clock, so the same tape gives the same bars."""

from __future__ import annotations

import math
from enum import IntEnum

import msgspec

from quantlytic.model.bar import Bar
from quantlytic.model.errors import InputError
from quantlytic.model.trade import Trade

DAY_NS = 86_400_000_000_000
MINUTE_NS = 60_000_000_000


class Placement(IntEnum):
    """What became of a trade. TAKEN is false, all others true: `closed, refused = builder.on_trade(trade)`.

    LATE: its bar had closed. LEAP: its time is not believed (yet). INVALID: price or quantity is not a positive number.
    """

    TAKEN = 0
    LATE = 1
    LEAP = 2
    INVALID = 3


class _Partial(msgspec.Struct, array_like=True):
    """A bar being built. `first` and `last` are (event_time, trade_id) of the trades that gave open and close."""

    instrument: str
    open_time: int
    first: tuple[int, int]
    last: tuple[int, int]
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float
    trades: int


class _State(msgspec.Struct, array_like=True):
    size_ns: int
    grace_ns: int
    watermark: int | None = None
    confirmed: bool = False
    candidate: int | None = None
    partials: list[_Partial] = []
    own: dict[str, int] = {}
    held: list[str] = []
    lead: int | None = None
    told: int | None = None


_STATE = msgspec.msgpack.Decoder(_State)


class TimeBars:
    """Builds bars over [k * size_ns, (k + 1) * size_ns) for all instruments of one venue, which share its clock.

    The *watermark* is the latest event time seen, of trades and of what `on_watermark` is told. A bar closes when the
    watermark reaches its close_time + `grace_ns`; a trade that comes after that is late and changes nothing. Within the
    grace, trades may come in any order: the open is the earliest's price by (event_time, trade_id), the close the latest's.
    A stretch without trades has no bar.

    After an interruption (`on_interruption`) what was missed of an instrument may still be fetched, while the watermark goes
    on: until a trade of its own has caught up with the watermark, its own trades alone close its bars.

    An event time more than `leap_ns` ahead of the watermark, or more than a minute further ahead of our own receive time
    than any before it, is not believed, so that one lie does not close everything, until the very next event agrees with
    it: then it was a pause. The first event of all is believed, unless the next one is `leap_ns` behind it.
    """

    def __init__(self, size_ns: int, grace_ns: int = 0, leap_ns: int = DAY_NS) -> None:
        if size_ns <= 0 or grace_ns < 0 or leap_ns <= 0:
            raise InputError(f"bars need a size above 0 and a grace of 0 or more, not {size_ns} and {grace_ns} ns")
        self._size, self._grace, self._leap = size_ns, grace_ns, leap_ns
        self._watermark: int | None = None
        self._confirmed = False
        self._candidate: int | None = None
        self._partials: dict[tuple[int, str], _Partial] = {}
        self._own: dict[str, int] = {}  # instrument -> its latest trade's time
        self._held: set[str] = set()
        self._lead: int | None = None  # the largest event time - receive time believed
        self._next_close = 0  # close_time of the earliest partial; 0: there is none
        self._told: int | None = None  # the last time that `newly_complete` has given

    @property
    def watermark(self) -> int | None:
        """The latest event time believed; None before the first."""
        return self._watermark

    def on_trade(self, trade: Trade) -> tuple[list[Bar], Placement]:
        """Take a trade. Returns the bars that it closed, in (close_time, instrument) order, and what became of it."""
        if not (0.0 < trade.price < math.inf and 0.0 < trade.quantity < math.inf):
            return [], Placement.INVALID
        if not self._advance(trade.event_time, trade.receive_time):
            return [], Placement.LEAP
        self._own[trade.instrument] = max(trade.event_time, self._own.get(trade.instrument, trade.event_time))
        closed = self._close()
        open_time = trade.event_time // self._size * self._size
        if open_time + self._size + self._grace <= self._mark(trade.instrument):
            return closed, Placement.LATE
        self._add(trade, open_time)
        return closed, Placement.TAKEN

    def on_watermark(self, event_time: int, receive_time: int | None = None) -> list[Bar]:
        """Another event of the venue: time has come this far. Returns the bars that it closed, as `on_trade` does."""
        return self._close() if self._advance(event_time, receive_time) else []

    def forming(self, instrument: str) -> Bar | None:
        """The instrument's next bar to close, as far as it has come; None while no trade is in it."""
        times = [open_time for open_time, owner in self._partials if owner == instrument]
        return self._bar(self._partials[min(times), instrument]) if times else None

    def newly_complete(self) -> int | None:
        """The latest close time of which no bar can come any more (one that comes is late), once; None: no later one than
        before, or the first of all, which may be only half known. An instrument that may still have trades to be fetched holds
        it back."""
        if not self._confirmed or self._watermark is None:
            return None
        if self._told is not None and self._watermark - self._grace < self._told + self._size:
            return None
        behind = (own for one in self._held if (own := self._own[one]) + self._grace < self._watermark)
        complete = (min(behind, default=self._watermark) - self._grace) // self._size * self._size
        before, self._told = self._told, complete if self._told is None else max(complete, self._told)
        return None if before is None or complete <= before else complete

    def on_interruption(self) -> None:
        """The connection was lost for a while: what was missed may come yet, behind what comes now."""
        self._held.update(self._own)

    def save(self) -> bytes:
        """The whole state."""
        partials = list(self._partials.values())
        state = _State(self._size, self._grace, self._watermark, self._confirmed, self._candidate, partials)
        state.own, state.held, state.lead, state.told = self._own, sorted(self._held), self._lead, self._told
        return msgspec.msgpack.encode(state)

    def restore(self, state: bytes) -> None:
        """Go on from `save`. InputError when it was saved by a builder of another size or grace, or is damaged."""
        try:
            saved = _STATE.decode(state)
        except msgspec.DecodeError as error:
            raise InputError(f"the bar builder's saved state cannot be read: {error}") from None
        if (saved.size_ns, saved.grace_ns) != (self._size, self._grace):
            raise InputError(
                f"the bar builder's saved state is for bars of {saved.size_ns} ns with {saved.grace_ns} ns of grace, not "
                f"{self._size} and {self._grace}: set them back, or start with an empty folder"
            )
        self._watermark, self._confirmed, self._candidate = saved.watermark, saved.confirmed, saved.candidate
        self._partials = {(partial.open_time, partial.instrument): partial for partial in saved.partials}
        self._own, self._held, self._lead, self._told = saved.own, set(saved.held), saved.lead, saved.told
        self._find_next_close()

    def _mark(self, instrument: str) -> int:
        """The time up to which the instrument's bars are finished, but for the grace."""
        assert self._watermark is not None
        if instrument in self._held:
            own = self._own[instrument]
            if own + self._grace < self._watermark:
                return own
            self._held.discard(instrument)
        return self._watermark

    def _advance(self, time: int, receive_time: int | None) -> bool:
        """Move the watermark; false when the time is not believed."""
        believed = self._believe(time, receive_time)
        if believed and receive_time is not None:
            lead = time - receive_time
            self._lead = lead if self._lead is None else max(self._lead, lead)
        return believed

    def _believe(self, time: int, receive_time: int | None) -> bool:
        if self._watermark is None:
            self._watermark = time
            return True
        agreement = self._doubt(time, receive_time)
        if agreement:
            if self._candidate is None or abs(time - self._candidate) > agreement:
                self._candidate = time
                return False
            self._watermark = max(time, self._watermark)
        elif time > self._watermark:
            self._watermark = time
        elif not self._confirmed and time < self._watermark - self._leap:
            self._watermark = time
            self._partials = {key: one for key, one in self._partials.items() if key[0] <= time + self._leap}
            self._find_next_close()
            return True
        self._candidate = None
        self._confirmed = True
        return True

    def _doubt(self, time: int, receive_time: int | None) -> int:
        """0 for a time like others; else how near the next event has to come for it to be believed."""
        assert self._watermark is not None
        if time > self._watermark + self._leap:
            return self._leap
        is_ahead = receive_time is not None and self._lead is not None and time - receive_time > self._lead + MINUTE_NS
        return MINUTE_NS if is_ahead else 0

    def _add(self, trade: Trade, open_time: int) -> None:
        key, price = (trade.event_time, trade.trade_id), trade.price
        partial = self._partials.get((open_time, trade.instrument))
        if partial is None:
            partial = _Partial(trade.instrument, open_time, key, key, price, price, price, price, 0.0, 0.0, 0)
            self._partials[open_time, trade.instrument] = partial
            self._find_next_close()
        elif key < partial.first:
            partial.first, partial.open = key, price
        elif key > partial.last:
            partial.last, partial.close = key, price
        partial.high = max(partial.high, price)
        partial.low = min(partial.low, price)
        partial.volume += trade.quantity
        partial.quote_volume += trade.quantity * price
        partial.trades += 1

    def _close(self) -> list[Bar]:
        assert self._watermark is not None
        if not self._next_close or self._next_close + self._grace > self._watermark:
            return []
        closed = []
        for open_time, instrument in sorted(self._partials):
            close_time = open_time + self._size
            if close_time + self._grace > self._mark(instrument):
                continue
            closed.append(self._bar(self._partials.pop((open_time, instrument))))
        self._find_next_close()
        return closed

    def _bar(self, one: _Partial) -> Bar:
        return Bar(
            one.instrument, one.open_time, one.open_time + self._size, one.open, one.high, one.low, one.close,
            one.volume, one.quote_volume, one.trades,
        )  # fmt: skip

    def _find_next_close(self) -> None:
        self._next_close = min(self._partials)[0] + self._size if self._partials else 0
