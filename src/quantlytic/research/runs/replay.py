"""A paper run as a backtest of the bars that it took: with every strategy that took over on the way."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from quantlytic.engine.held import HeldSession
from quantlytic.engine.session import Session
from quantlytic.engine.successor import Successor
from quantlytic.model.equity import Equity
from quantlytic.model.event import Event
from quantlytic.model.order import OrderUpdate
from quantlytic.model.run import Run
from quantlytic.model.strategychange import StrategyChange
from quantlytic.research.runs.paper import Array, BarEvent, Rows
from quantlytic.research.runs.succession import succeed


class Replay:
    """`session` is as at the run's beginning; `bars` are those to be gone through, with their offsets. The last one is executed,
    but only decided on if it `is_decided`, and its orders only answered if that `is_answered`."""

    def __init__(
        self, session: Session, run: Run, bars: Sequence[tuple[int, BarEvent]], *, is_decided: bool = True,
        is_answered: bool = True,
    ) -> None:  # fmt: skip
        self._session, self._run, self._bars = session, run, bars
        self._undecided_at = len(bars) if is_decided else len(bars) - 1
        self._unanswered_at = len(bars) if is_decided and is_answered else len(bars) - 1
        self._rows = Rows(run)
        self._array = self._rows.bars([bar for _, bar in bars])
        self._offsets = [offset for offset, _ in bars]
        self._broker: Session | None = None  # a replica of its own, while the orders of a new strategy are held
        self._answers: Array = np.zeros(0)

    def events(self, changes: Sequence[StrategyChange] = (), until: int | None = None) -> Iterator[Event]:
        """All that happens, kind by kind in order; of an Equity without cash and position. Changes at bars that are not
        there are left out. `until`: time goes on till then, ns UTC, without bars."""
        at = 0
        for change in changes:
            end = bisect.bisect_left(self._offsets, change.bar_offset)
            if end == len(self._bars):
                break
            yield from self._go(at, end)
            yield from self._give_way(change, end)
            at = end + 1
        yield from self._go(at, len(self._bars))
        if until is not None:
            self._session.forget()
            self._session.pass_time(until)
            yield from self._results(0, 0)

    def _go(self, at: int, end: int) -> Iterator[Event]:
        """From one bar up to another, at once, as far as that can be."""
        while self._broker is not None and at < end:
            yield from self._step(self._broker, at)
            at += 1
        whole = min(end, self._unanswered_at)
        if at < whole:
            self._session.run_as_taken(self._array[at:whole])
            yield from self._results(at, whole)
        if at < end and whole < end:
            yield from self._break_off(whole)

    def _break_off(self, at: int) -> Iterator[Event]:
        """The last bar, with which not all was done."""
        before = self._session.save()
        updates, fills, equity = self._session.execute(self._array[at])
        if at == self._undecided_at:
            yield from self._reports(updates, fills, equity, at)
            return
        self._session.restore(before)
        self._session.run_as_taken(self._array[at:])
        events = list(self._results(at, at + 1))
        answers = [event for event in events if isinstance(event, OrderUpdate)][len(updates) :]
        yield from (event for event in events if event not in answers)

    def _results(self, at: int, end: int) -> Iterator[Event]:
        """What the session has kept; dropped there."""
        session, rows, offset_of = self._session, self._rows, self._offsets.__getitem__
        yield from rows.signal_events(session.signals, offset_of)
        yield from rows.order_events(session.orders, offset_of)
        yield from rows.cancel_events(session.cancels, offset_of)
        yield from rows.amend_events(session.amends, offset_of)
        yield from rows.fill_events(session.fills, offset_of)
        yield from rows.update_events(session.updates)
        equity = session.equity.tolist()
        for number, value in zip(range(at, end), equity[: end - at], strict=True):
            yield self._equity(number, value)
        session.forget()

    def _give_way(self, change: StrategyChange, at: int) -> Iterator[Event]:
        """The bar at which one strategy takes over from another."""
        broker, row = self._broker or self._session, self._array[at]
        updates, fills, equity = broker.execute(row)
        yield from self._reports(updates, fills, equity, at)
        if self._broker is not None:
            self._session.apply(_joined(self._answers, updates), fills, row)
        self._session, wishes = succeed(self._run, change, self._session)
        if isinstance(broker, HeldSession):
            broker.release()
        yield from self._decision(wishes, broker, at)

    def _step(self, broker: Session, at: int) -> Iterator[Event]:
        row = self._array[at]
        updates, fills, equity = broker.execute(row)
        yield from self._reports(updates, fills, equity, at)
        if at == self._undecided_at:
            return
        self._session.apply(_joined(self._answers, updates), fills, row)
        yield from self._decision(self._session.decide(row), broker, at)

    def _decision(self, wishes: tuple[Array, Array, Array, Array], broker: Session, at: int) -> Iterator[Event]:
        """What is decided, and the broker's answers; then both replicas are one again, where they can be."""
        rows, (signals, orders, cancels, amends) = self._rows, wishes
        yield from rows.signal_events(signals, lambda _: self._offsets[at])
        yield from rows.order_events(orders, lambda _: self._offsets[at])
        yield from rows.cancel_events(cancels, lambda _: self._offsets[at])
        yield from rows.amend_events(amends, lambda _: self._offsets[at])
        if at == self._unanswered_at:
            return
        self._answers = broker.accept(orders, cancels, amends)
        yield from rows.update_events(self._answers)
        assert isinstance(self._session, Successor)
        self._broker = broker
        if not self._session.waits:
            self._session.take_over(broker)
            self._broker = None

    def _reports(self, updates: Array, fills: Array, equity: Any, at: int) -> Iterator[Event]:
        yield from self._rows.update_events(updates)
        yield from self._rows.fill_events(fills, lambda _: self._offsets[at])
        yield self._equity(at, float(equity["equity"]))

    def _equity(self, number: int, value: float) -> Equity:
        offset, bar = self._bars[number]
        return Equity(self._run.run_id, bar.instrument, bar.close_time, value, 0.0, 0.0, bar.close, offset)


def _joined(answers: Array, updates: Array) -> Array:
    return np.append(answers, updates) if len(answers) else updates
