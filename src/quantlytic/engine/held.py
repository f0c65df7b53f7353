"""A session that begins with warm indicators, and whose orders are held until they are ready."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.account.account import UPDATE_ROW
from quantlytic.engine.account.outbox import FILLS
from quantlytic.engine.compiler.record import Bytes, Layout
from quantlytic.engine.indicators.indicator import Indicator
from quantlytic.engine.session import Session
from quantlytic.model.equity import EQUITY
from quantlytic.model.errors import StrategyError
from quantlytic.model.fill import FILL
from quantlytic.model.order import ORDER, ORDER_AMEND, ORDER_CANCEL
from quantlytic.model.signal import SIGNAL

Array = NDArray[Any]


class HeldSession(Session):
    """A session that can be warmed with history, and held: until its indicators are ready it sees bars and sends nothing.

    While it is held, each bar leaves the account as it was before, so what it orders comes to nothing; fills of what it has not
    ordered (a position that is adopted) count. It ends with the bar that makes every indicator that has been given anything
    ready, for every instrument: orders at that bar are sent. The strategy's state stays as it is if it has wished for nothing so
    far; else only its indicators, and other parts that it is made of, do: what it keeps besides may tell of orders that never
    were.

    `hold` and `warm` are for a fresh session; without them it is a session like any. Both replicas of a run, and its replay, are
    held for the same bars: the bars alone decide. Being held is part of the state: the smallest order allowed is infinite.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._first = self._arena[: self.state_bytes].copy()

    @property
    def is_held(self) -> bool:
        """Whether orders are held."""
        return float(self._positions["min_notional"][0]) == math.inf

    @property
    def is_ready(self) -> bool:
        """Whether every indicator that has been given anything is ready."""
        return all(view.ready for view in self._indicators())

    def hold(self) -> None:
        """Hold orders until the indicators are ready. Nothing is held where there are none, or what is not bar by bar."""
        handlers = self.strategy.handlers()
        if self._layout.nested and "on_bar" in handlers and handlers.isdisjoint({"on_slice", "on_timer"}):
            self._positions["min_notional"] = np.inf

    def warm(self, bars: Array) -> bool:
        """Go through history (BAR rows in order) as a backtest does, then begin as if there had been none, but for what the
        indicators know. Returns whether they are ready; if not, orders are held."""
        desk = b"" if self._desk_bytes is None else self._desk_bytes.tobytes()
        super().run_as_taken(bars)
        ready = self.is_ready
        self._begin_anew(self._first, is_whole=not self.orders_sent)
        self._restore_desk(desk)
        self.forget()
        if not ready:
            self.hold()
        return ready

    def release(self) -> None:
        """Orders are held no more, whatever is ready, because another strategy takes over; the account goes on as it is."""
        if self.is_held:
            self._allow_orders()
            self._account.next_order_id = 1

    # ---- the halves, while it is held: both replicas do the same

    def execute(self, event: Any, source: int | None = None) -> tuple[Array, Array, Any]:
        if not self.is_held:
            return super().execute(event, source)
        before = self._arena[: self.state_bytes].copy()
        try:
            if not self._stays_held(event):
                return super().execute(event, source)
        except StrategyError:  # the strategist's to tell of; a broker counts the bar
            self._arena[: self.state_bytes] = before
            self._account.bars += 1
            self._account.time = np.atleast_1d(event)[0]["close_time"]
        bar, row = np.atleast_1d(event)[0], np.zeros(1, EQUITY)
        number = int(self._account.bars) - 1
        row[0] = bar["instrument"], bar["close_time"], self.cash, self.cash, 0.0, bar["close"], number
        return np.zeros(0, UPDATE_ROW.dtype), np.zeros(0, FILL), row[0]

    def apply(self, updates: Array, fills: Array, event: Any, source: int | None = None) -> None:
        if not self.is_held:
            return super().apply(updates, fills, event, source)
        if len(fills):
            bars, time = int(self._account.bars), int(self._account.time)
            super().apply(updates, fills, event, source)
            self._outbox.take(FILLS)
            self._account.bars, self._account.time = bars, time  # the bar itself is taken by `decide`
        return None

    def decide(self, event: Any) -> tuple[Array, Array, Array, Array]:
        if self.is_held:
            if self._stays_held(event):
                return np.zeros(0, SIGNAL), np.zeros(0, ORDER), np.zeros(0, ORDER_CANCEL), np.zeros(0, ORDER_AMEND)
            super().apply(np.zeros(0, UPDATE_ROW.dtype), np.zeros(0, FILL), event)
        return super().decide(event)

    def run_as_taken(self, bars: Array) -> None:
        at = 0
        while at < len(bars) and self._stays_held(bars[at : at + 1]):
            at += 1
        self._equity.extend(np.full(at, self.cash))
        if at < len(bars):
            super().run_as_taken(bars[at:])

    # ---- inside

    def _stays_held(self, event: Any) -> bool:
        """Whether it is held with this bar as well; then it has seen it. If not, the bar is still to be taken."""
        if not self.is_held:
            return False
        before = self._arena[: self.state_bytes].copy()
        logs = [len(rows.array) for rows in (self._equity, *self._logs)]
        self._allow_orders()
        try:
            super().run_as_taken(np.atleast_1d(event))
        finally:
            for rows, count in zip((self._equity, *self._logs), logs, strict=True):
                rows.count = count
        if self.is_ready:
            self._arena[: self.state_bytes] = before
            self._begin_anew(before, is_whole=not self.orders_sent)
            self._allow_orders()
            return False
        bars, time, has_wished = int(self._account.bars), int(self._account.time), self.orders_sent > 0
        self._begin_anew(before, is_whole=True)
        self._account.bars, self._account.time, self._account.next_order_id = bars, time, 1 + has_wished
        return True

    def _allow_orders(self) -> None:
        self._positions["min_notional"] = [one.min_notional for one in self.instruments]

    def _begin_anew(self, account: Bytes, is_whole: bool) -> None:
        """Have that account and no order sent; keep the strategy's states, or their parts alone: the rest is as at first."""
        kept = [(place, self._arena[place].copy()) for place in (self._whole_states() if is_whole else self._parts())]
        states_at = int(self._account.states_at)
        self._arena[:states_at] = account[:states_at]
        self._arena[states_at : self.state_bytes] = self._first[states_at:]
        for place, state in kept:
            self._arena[place] = state
        self._account.next_order_id = 1

    def _states(self) -> Iterator[int]:
        """Where the strategy's states begin."""
        count = 1 if "on_slice" in self.strategy.handlers() else len(self.instruments)
        first, size = int(self._account.states_at), int(self._account.state_bytes)
        for k in range(count):
            yield first + k * size

    def _whole_states(self) -> Iterator[slice]:
        for state in self._states():
            yield slice(state, state + self._layout.size)

    def _parts(self) -> Iterator[slice]:
        fields = self._layout.dtype.fields
        assert fields is not None
        for state in self._states():
            for name, part in self._layout.nested.items():
                start = state + fields[name][1]
                yield slice(start, start + part.size)

    def _indicators(self) -> Iterator[Any]:
        """Those that have been given something."""
        for state in self._states():
            yield from self._within(self._layout, state)

    def _within(self, layout: Layout, start: int) -> Iterator[Any]:
        fields = layout.dtype.fields
        assert fields is not None
        for name, part in layout.nested.items():
            at = start + fields[name][1]
            place = slice(at, at + part.size)
            if not issubclass(part.cls, Indicator):
                yield from self._within(part, at)
            elif not np.array_equal(self._arena[place], self._first[place]):
                yield part.view(self._arena, at)
