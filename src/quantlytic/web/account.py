"""One run's account: equity, positions, what it wanted, ordered and got. Runs are never added up."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from quantlytic.model.equity import Equity
from quantlytic.model.event import Event
from quantlytic.model.fill import Fill
from quantlytic.model.intent import Intent, IntentOutcome
from quantlytic.model.order import Order, OrderCancel, OrderStatus, OrderUpdate
from quantlytic.model.run import Run
from quantlytic.model.signal import Signal
from quantlytic.model.strategychange import NOBODY, StrategyChange
from quantlytic.model.time import NS_PER_MS
from quantlytic.web.curve import EquityCurve
from quantlytic.web.intents import IntentView
from quantlytic.web.models import file_name, params_of
from quantlytic.web.position import PositionBook

Row = dict[str, Any]
"""One line of a table on the page, ready for JSON. Times are ms UTC."""

RECENT = 200
MARKED_FILLS = 2000
_BAD_STATUSES = (OrderStatus.REJECTED, OrderStatus.UNRESOLVED)


class RunView:
    """Folds `decisions.RUN`, `executions.RUN` and `intents.RUN`: the last signals, orders and fills, the whole curve thinned.

    `bar_time(instrument, offset)`: open time (ns) of a bar by its offset in the bars stream, None when it is not held.
    """

    def __init__(self, run_id: str, bar_time: Callable[[str, int], int | None]) -> None:
        self.run_id = run_id
        self.run: Run | None = None
        self.last_time = 0
        self.active_since = 0
        self._bar_time = bar_time
        self._curve = EquityCurve()
        self._intents = IntentView()
        self._positions: dict[str, PositionBook] = {}
        self._signals: deque[Row] = deque(maxlen=RECENT)
        self._fills: deque[Row] = deque(maxlen=MARKED_FILLS)
        self._orders: dict[int, Row] = {}
        self._successor: StrategyChange | None = None
        self._counts = {"signals": 0, "orders": 0, "fills": 0, "bars": 0, "rejected": 0}
        self._bars: dict[str, int] = {}
        self._fees = 0.0
        self._next_fill_id = 1
        self._new_signals: list[Row] = []
        self._new_fills: list[Row] = []
        self._changed_orders: dict[int, Row] = {}
        self._sent: Row = {}
        self._handlers: dict[type[Event], Callable[[Any], None]] = {
            Signal: self._signal, Order: self._order, OrderCancel: self._cancel, OrderUpdate: self._update,
            Fill: self._fill, Equity: self._equity, Intent: self._intents.apply, IntentOutcome: self._intents.apply,
            StrategyChange: self._strategy,
        }  # fmt: skip

    @property
    def activity(self) -> tuple[int, int]:
        """What tells which run is the current one: when it was last seen to move, then its own last time."""
        return self.active_since, self.last_time

    @property
    def rejected(self) -> int:
        """How many orders were rejected or are unresolved."""
        return self._counts["rejected"]

    def apply(self, event: Event) -> None:
        """Take in one event of the run; events of other kinds are passed over."""
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def holdings(self) -> dict[str, float]:
        """Instrument -> quantity held, signed."""
        return {name: book.quantity for name, book in self._positions.items() if book.quantity}

    def warning(self) -> str:
        """That its strategy has raised, and what is held without one; "" where one decides."""
        last = self._successor
        if last is None or last.new != NOBODY:
            return ""
        held = ", ".join(f"{quantity:g} {name}" for name, quantity in sorted(self.holdings().items())) or "nothing"
        what = f"`quantlytic swap {self.run_id} ...` has another one decide" if last.state else "start a new run"
        return f"{file_name(last.old)} has raised: nobody decides {self.run_id}, which holds {held}; {what}"

    def state(self, marks: Mapping[str, float]) -> Row:
        """Everything the page shows of the run; `marks` are the market's last prices by instrument."""
        return {
            **self.summary(marks),
            "signals": list(self._signals),
            "orders": list(self._orders.values()),
            "fills": list(self._fills),
            "curve": self._curve.points(),
        }

    def drain(self, marks: Mapping[str, float]) -> Row:
        """What changed since the last call: new signals and fills, changed orders, curve points and summary values."""
        summary = self.summary(marks)
        changes = {key: value for key, value in summary.items() if self._sent.get(key) != value}
        self._sent = summary
        replace, points = self._curve.drain()
        if points:
            changes["curve_replace" if replace else "curve"] = points
        for key, rows in (("signals", self._new_signals), ("fills", self._new_fills)):
            if rows:
                changes[key] = list(rows)
                rows.clear()
        if self._changed_orders:
            changes["orders"] = list(self._changed_orders.values())
            self._changed_orders.clear()
        return changes

    def summary(self, marks: Mapping[str, float]) -> Row:
        """What there is to say of the run without its lists; `marks` as in `state`."""
        positions = [self._position_row(name, book, marks) for name, book in sorted(self._positions.items())]
        run = self.run
        if run is not None:
            self._intents.describe(run)
        start = (run.cash if run else None) or (self._curve.first[1] if self._curve.first else None)
        return {
            "mode": run.mode if run else None,
            **self._decides(),
            "bar_ms": run.bar_size_ns // NS_PER_MS if run else None,
            "counts": dict(self._counts),
            "fees": self._fees,
            "equity": self._curve.last[1] if self._curve.last else None,
            "equity_ms": self._curve.last[0] if self._curve.last else None,
            "start": start,
            "start_ms": self._curve.first[0] if self._curve.first else None,
            "drawdown": self._curve.drawdown,
            "max_drawdown": self._curve.max_drawdown,
            "positions": positions,
            "intents": self._intents.rows(),
            "intent_record": self._intents.record(),
        }

    def _position_row(self, instrument: str, book: PositionBook, marks: Mapping[str, float]) -> Row:
        mark = marks.get(instrument, book.price)
        return {
            "instrument": instrument,
            "quantity": book.quantity,
            "average_price": _or_none(book.average_price),
            "mark": _or_none(mark),
            "value": _or_none(book.quantity * mark),
            "unrealised": _or_none(book.unrealised(mark)),
            "realised": _or_none(book.realised),
        }

    def _signal(self, event: Signal) -> None:
        row = {"id": event.signal_id, **self._where(event), "side": event.side.name, "price": _or_none(event.price)}
        row["target_quantity"] = event.target_quantity
        self._counts["signals"] += 1
        self._signals.append(row)
        self._new_signals.append(row)
        self.last_time = max(self.last_time, event.event_time)

    def _order(self, event: Order) -> None:
        row = {"id": event.order_id, **self._where(event), "side": event.side.name, "type": event.type.name}
        row |= {"quantity": event.quantity, "price": _or_none(event.price), "status": "PENDING_NEW", "reason": ""}
        self._counts["orders"] += 1
        self._orders[event.order_id] = self._changed_orders[event.order_id] = row
        if len(self._orders) > RECENT:
            del self._orders[next(iter(self._orders))]

    def _cancel(self, event: OrderCancel) -> None:
        self._amend(event.order_id, reason="cancel asked for")

    def _update(self, event: OrderUpdate) -> None:
        if event.status in _BAD_STATUSES:
            self._counts["rejected"] += 1
        self._amend(event.order_id, status=event.status.name, reason=event.reason)

    def _amend(self, order_id: int, **changes: str) -> None:
        row = self._orders.get(order_id)
        if row is not None:
            self._orders[order_id] = self._changed_orders[order_id] = row | changes

    def _strategy(self, event: StrategyChange) -> None:
        if not event.refusal:
            self._successor = event

    def _decides(self) -> Row:
        """The strategy that decides now: the run's own, or the last that took over."""
        if (last := self._successor) is not None:
            return {"strategy": last.new, "params": params_of(last.new_params)}
        return {"strategy": self.run.strategy if self.run else None, "params": self.run.params if self.run else None}

    def _fill(self, event: Fill) -> None:
        book = self._positions.setdefault(event.instrument, PositionBook())
        if event.fill_id != self._next_fill_id:
            for other in self._positions.values():
                other.distrust()
        self._next_fill_id = event.fill_id + 1
        book.apply(event)
        row = {"id": event.fill_id, **self._where(event), "side": event.side.name, "quantity": event.quantity}
        row |= {"price": event.price, "fee": event.fee, "order_id": event.order_id}
        bar_time = self._bar_time(event.instrument, event.bar_offset)
        row["bar_ms"] = (event.event_time if bar_time is None else bar_time) / NS_PER_MS
        self._counts["fills"] += 1
        self._fees += event.fee
        self._fills.append(row)
        self._new_fills.append(row)

    def _equity(self, event: Equity) -> None:
        self._positions.setdefault(event.instrument, PositionBook()).report(event.position, event.price)
        self._curve.add(event.event_time, event.equity)
        self._bars[event.instrument] = self._bars.get(event.instrument, 0) + 1
        self._counts["bars"] = max(self._counts["bars"], self._bars[event.instrument])
        self.last_time = max(self.last_time, event.event_time)

    @staticmethod
    def _where(event: Signal | Order | Fill) -> Row:
        return {"instrument": event.instrument, "time_ms": event.event_time / NS_PER_MS}


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
