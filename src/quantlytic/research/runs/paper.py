"""A run's session, and its rows as events: what the services, and parity, need to advance a recorded run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeGuard, TypeVar

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.data.bars import Bars
from quantlytic.engine.data.tape import Tape
from quantlytic.engine.held import HeldSession
from quantlytic.engine.market.fees import Fees
from quantlytic.engine.strategy import Strategy
from quantlytic.model.bar import BAR, Bar, bar_row
from quantlytic.model.equity import Equity
from quantlytic.model.event import Event
from quantlytic.model.fill import FILL, Fill
from quantlytic.model.forecast import Forecast
from quantlytic.model.order import (
    ORDER,
    ORDER_AMEND,
    ORDER_CANCEL,
    ORDER_UPDATE,
    Order,
    OrderAmend,
    OrderCancel,
    OrderStatus,
    OrderType,
    OrderUpdate,
    Reason,
    TimeInForce,
)
from quantlytic.model.run import Run
from quantlytic.model.side import Side
from quantlytic.model.signal import Signal
from quantlytic.strategies.catalogue import find

Array = NDArray[Any]
S = TypeVar("S", bound=HeldSession)
BarEvent = Bar | Forecast
"""A bar on the tape: as it is, or with what a model expects after it."""


def paper_session(run: Run, compiled: bool = True, strategy: type[Strategy] | None = None) -> HeldSession:
    """The session that a paper run, and its replay, advance; `beginning.py` brings it to where the run begins. `strategy`: the
    class, where it is not what the run's name stands for now. StrategyError for a strategy that does not look at bars."""
    return session_of(HeldSession, run, (strategy or find(run.strategy)).of_numbers(run.params), compiled)


def session_of(kind: type[S], run: Run, strategy: Strategy, compiled: bool = True) -> S:
    """A session of that kind, of a strategy on the run's account."""
    fees = Fees(maker_bps=run.fee_bps, taker_bps=run.fee_bps)
    session = kind(strategy, run.instruments, cash=run.cash, fees=fees, compiled=compiled)
    session.expect(Tape(bars=Bars(np.zeros(0, BAR), run.instruments)))
    return session


def forecast_of(bar: BarEvent) -> float:
    """What a model expects after it; NaN for nothing."""
    return bar.value if isinstance(bar, Forecast) else math.nan


class Rows:
    """Between a run's events and the engine's rows. In rows an instrument is its index in `run.instruments`."""

    def __init__(self, run: Run) -> None:
        self.run_id = run.run_id
        self.bar_size_ns = run.bar_size_ns
        self._kind = Forecast if run.forecasts else Bar
        self._ids = [instrument.id for instrument in run.instruments]
        self.index = {one: index for index, one in enumerate(self._ids)}

    def wants(self, event: Event) -> TypeGuard[BarEvent]:
        """Whether it is a bar that the run sees: one of its instruments, of its size; with a forecast, if it is given them."""
        if not isinstance(event, self._kind):
            return False
        return event.instrument in self.index and event.close_time - event.open_time == self.bar_size_ns

    # ---- events to rows

    def bars(self, bars: Sequence[BarEvent]) -> Array:
        """BAR rows, in the order given."""
        index = self.index
        return np.array([bar_row(bar, index[bar.instrument], forecast_of(bar)) for bar in bars], BAR)

    def orders(self, events: Iterable[Event]) -> Array:
        """The orders among the events."""
        index = self.index
        found = [
            (
                e.order_id, index[e.instrument], e.event_time, e.side, e.type, e.time_in_force,
                e.quantity, e.price, e.bar_offset, e.stop_price, e.trail, e.trail_percent, e.expire_time,
                e.post_only, e.reduce_only, e.parent_id, e.group_id,
            )
            for e in events
            if isinstance(e, Order)
        ]  # fmt: skip
        return np.array(found, ORDER)

    def cancels(self, events: Iterable[Event]) -> Array:
        """The cancels among the events."""
        index = self.index
        found = [
            (e.order_id, index[e.instrument], e.event_time, e.bar_offset) for e in events if isinstance(e, OrderCancel)
        ]
        return np.array(found, ORDER_CANCEL)

    def amends(self, events: Iterable[Event]) -> Array:
        """The amendments among the events."""
        index = self.index
        found = [
            (e.order_id, index[e.instrument], e.event_time, e.quantity, e.price, e.stop_price, e.bar_offset)
            for e in events
            if isinstance(e, OrderAmend)
        ]
        return np.array(found, ORDER_AMEND)

    def wishes(self, events: Sequence[Event]) -> tuple[Array, Array, Array]:
        """What a strategist decided, as `Session.accept` takes it: orders, cancels, amendments."""
        return self.orders(events), self.cancels(events), self.amends(events)

    def fills(self, events: Iterable[Event]) -> Array:
        """The fills among the events."""
        index = self.index
        found = [
            (
                e.fill_id, e.order_id, index[e.instrument], e.event_time, e.side,
                e.quantity, e.price, e.fee, e.bar_offset, e.slippage, e.maker,
            )
            for e in events
            if isinstance(e, Fill)
        ]  # fmt: skip
        return np.array(found, FILL)

    def updates(self, events: Iterable[Event]) -> Array:
        """The order updates among the events."""
        index = self.index
        found = [
            (e.order_id, index[e.instrument], e.event_time, e.status, Reason.of(e.reason))
            for e in events
            if isinstance(e, OrderUpdate)
        ]
        return np.array(found, ORDER_UPDATE)

    # ---- rows to events; `offset_of` turns the session's number of a bar into its offset on the tape

    def signal_events(self, rows: Array, offset_of: Callable[[int], int]) -> list[Event]:
        run, ids = self.run_id, self._ids
        return [
            Signal(run, number, ids[instrument], time, Side(side), target, price, offset_of(bar))
            for number, instrument, time, side, target, price, bar in rows.tolist()
        ]

    def order_events(self, rows: Array, offset_of: Callable[[int], int]) -> list[Event]:
        run, ids = self.run_id, self._ids
        return [
            Order(
                run, number, ids[instrument], time, Side(side), OrderType(kind), TimeInForce(force), quantity, price,
                offset_of(bar), *rest,
            )
            for number, instrument, time, side, kind, force, quantity, price, bar, *rest in rows.tolist()
        ]  # fmt: skip

    def cancel_events(self, rows: Array, offset_of: Callable[[int], int]) -> list[Event]:
        run, ids = self.run_id, self._ids
        return [
            OrderCancel(run, number, ids[instrument], time, offset_of(bar))
            for number, instrument, time, bar in rows.tolist()
        ]

    def amend_events(self, rows: Array, offset_of: Callable[[int], int]) -> list[Event]:
        run, ids = self.run_id, self._ids
        return [
            OrderAmend(run, number, ids[instrument], time, quantity, price, stop_price, offset_of(bar))
            for number, instrument, time, quantity, price, stop_price, bar in rows.tolist()
        ]

    def update_events(self, rows: Array) -> list[Event]:
        run, ids = self.run_id, self._ids
        return [
            OrderUpdate(run, number, ids[instrument], time, OrderStatus(status), Reason(reason).text)
            for number, instrument, time, status, reason in rows.tolist()
        ]

    def fill_events(self, rows: Array, offset_of: Callable[[int], int]) -> list[Event]:
        run, ids = self.run_id, self._ids
        return [
            Fill(run, number, order, ids[instrument], time, Side(side), quantity, price, fee, offset_of(bar), *rest)
            for number, order, instrument, time, side, quantity, price, fee, bar, *rest in rows.tolist()
        ]

    def equity_event(self, row: Any, offset: int) -> Equity:
        instrument, time, equity, cash, position, price, _ = row.tolist()
        return Equity(self.run_id, self._ids[instrument], time, equity, cash, position, price, offset)
