"""What would happen at a close: tried on copies of a session's bytes."""

# mypy: disable-error-code="no-any-return"
# Rows are fields of a buffer, not objects: their types are known when compiled.

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.account.account import BAR_ROW, CELL, CELL_BYTES, ORDER_BYTES, ORDER_ROW
from quantlytic.engine.account.broker import BROKER
from quantlytic.engine.account.codes import FAULT_NONE, NEW, PENDING_NEW
from quantlytic.engine.account.outbox import AMENDS, CANCELS, ORDERS, SIGNALS, UPDATES
from quantlytic.engine.compiler.explain import blame
from quantlytic.engine.compiler.record import Bytes, Layout, at, call_run, copy_in, layout_of
from quantlytic.engine.compiler.runaddress import run_address
from quantlytic.engine.run.journal import JOURNAL, SAMPLES
from quantlytic.model.bar import blank_bars
from quantlytic.model.errors import InputError, StrategyError
from quantlytic.model.order import OrderStatus, OrderType, TimeInForce
from quantlytic.model.side import Side

if TYPE_CHECKING:
    from quantlytic.engine.session import Session

_SPLIT = 32  # closes tried at once between two that differ
_FINE = 1e-9  # where the instrument has no tick, an edge is found to this share of the price


@dataclass(frozen=True)
class Intent:
    """Something that the strategy would do if the bar that ends at `time`, `horizon` bars ahead, closed from `price_low`
    to `price_high` (both included; at the ends of what was tried it may go on).

    `action`: "order", "cancel" or "amend". `quantity` and `order_price` (NaN for none) are those at the close in the band
    that is nearest to the last one, `close`; `target_quantity` is the signed position that it wants (NaN for cancels).
    `side` is that of the order that is sent or changed. `parent_id`: it sleeps until that order has filled (0: none).
    """

    instrument: str
    horizon: int
    time: int
    price_low: float
    price_high: float
    close: float
    action: str
    order_id: int
    side: Side | None = None
    order_type: OrderType | None = None
    time_in_force: TimeInForce | None = None
    quantity: float = math.nan
    order_price: float = math.nan
    target_quantity: float = math.nan
    parent_id: int = 0


class Tries:
    """A copy of the session's bytes to start from, and one more to try closes on."""

    def __init__(self, session: Session, instrument: int, size_ns: int, forecast: float) -> None:
        self._session, self._machine = session, session._machine
        self._instrument = session.instruments[instrument]
        self._index = instrument
        self._now = _aligned_copy(session._arena)  # as the session was; `_base` may be some bars further
        self._base, self._room, self._size = _aligned_copy(self._now), _aligned_copy(self._now), session.state_bytes
        account = self._account
        if session._outbox.counts.any():
            raise InputError("a session is forked between bars: it is in the middle of one")
        self._answer(account)
        self._close = float(account.position(instrument).price)
        self._now[: self._size] = self._base[: self._size]
        self._bar, self._forming = blank_bars(1), blank_bars(1)
        self._journal = session._journal  # empty between runs, and left so
        self._equity = np.zeros(1)
        self._size_ns, self._forecast = size_ns, forecast
        self._compiled = session.compiled
        self._tick = self._instrument.tick_size
        self.last = self._close

    @property
    def _account(self) -> Any:
        broker: Any = BROKER.view(self._base)
        return broker.account

    @property
    def finest(self) -> float:
        """How exact an edge is."""
        return self._tick or _FINE * self.last

    def begin(self, forming: Any, before: Sequence[Any] = ()) -> None:
        """Go back to the session's own moment, before a bar that is forming, or one of which nothing is known. `before`: other
        instruments' bars that come first, taken to close where they are."""
        self._base[: self._size] = self._now[: self._size]
        account = self._account
        for row in before:
            self._bar[0] = row
            account.time = min(int(account.time), int(row["close_time"]))
            self._advance(self._base)
            self._clear()
        if forming is None:
            if not self._close > 0.0:
                raise InputError(f"{self._instrument.id} has had no bar yet: there is no price to look ahead from")
            self._next_bar(int(account.time), self._close, self._forecast)
            return
        self._forming[0] = forming
        self.last = float(forming["close"])
        account.time = min(int(account.time), int(forming["close_time"]))  # other instruments may be further

    def closes(self, span: float, steps: int, tick: float | None) -> NDArray[np.float64]:
        """The closes to try, ascending, the last one among them, on the grid of ticks where there is one."""
        self._tick = self._instrument.tick_size if tick is None else float(tick)
        if not self._tick >= 0.0:
            raise InputError(f"tick is 0 or more, not {tick!r}")
        spread = np.linspace(self.last * (1.0 - span), self.last * (1.0 + span), steps)
        return np.unique(np.append(self._on_grid(spread), self.last))

    def bands(self, closes: NDArray[np.float64]) -> list[tuple[float, float, int]]:
        """(lowest, highest, kind) of each stretch of closes at which the strategy does one thing, edges to a tick."""
        kinds = self.kinds(closes)
        found, low = [], float(closes[0])
        for last in np.flatnonzero(np.diff(kinds)).tolist():
            left, right = closes[last], closes[last + 1]
            high, after, kind = self._edge(left, right, int(kinds[last]))
            found.append((low, high, int(kinds[last])))
            low = after if kind == kinds[last + 1] else self._edge(right, high, int(kinds[last + 1]))[0]
        found.append((low, float(closes[-1]), int(kinds[-1])))
        return found

    def kinds(self, closes: NDArray[np.float64]) -> NDArray[np.int64]:
        """For each close a number that tells apart what the strategy would do: 0 for nothing."""
        found = np.zeros(len(closes), np.int64)
        at_of = self._session._at
        self._bar[0] = self._forming[0]
        try:
            done = self._try_closes()(
                self._run(), at_of(self._base), self._size, at_of(self._room), at_of(self._bar.view(np.uint8)),
                at_of(closes.view(np.uint8)), len(closes), at_of(found.view(np.uint8)), at_of(self._journal.buffer),
                at_of(self._equity.view(np.uint8)), self._machine.step,
            )  # fmt: skip
        except Exception as error:
            self._clear()
            raise self._blame(error) from error
        if done < len(closes):
            raise StrategyError(
                f"{type(self._session.strategy).__name__} sends too much at a close of {closes[done]:g}"
            )
        return found

    def intents(self, low: float, high: float, horizon: int) -> Iterator[Intent]:
        """What the strategy would do in the band from `low` to `high`."""
        near = float(min(max(self.last, low), high))
        orders, signals, cancels, amends = self._decision(near)
        shared: dict[str, Any] = {
            "instrument": self._instrument.id, "horizon": horizon, "time": int(self._forming["close_time"][0]),
            "price_low": low, "price_high": high, "close": near,
        }  # fmt: skip
        targets = {int(row["signal_id"]): float(row["target_quantity"]) for row in signals}
        for row in orders:
            yield Intent(
                **shared, action="order", order_id=int(row["order_id"]), side=Side(int(row["side"])),
                order_type=OrderType(int(row["type"])), time_in_force=TimeInForce(int(row["time_in_force"])),
                quantity=float(row["quantity"]), order_price=_price_of(row),
                target_quantity=targets.get(int(row["order_id"]), math.nan), parent_id=int(row["parent_id"]),
            )  # fmt: skip
        sides = self._open_sides() | {int(row["order_id"]): Side(int(row["side"])) for row in orders}
        for row in cancels:
            order_id = int(row["order_id"])
            yield Intent(**shared, action="cancel", order_id=order_id, side=sides.get(order_id))
        for row in amends:
            order_id, quantity = int(row["order_id"]), float(row["quantity"])
            yield Intent(
                **shared, action="amend", order_id=order_id, side=sides.get(order_id), quantity=quantity,
                order_price=_price_of(row),
            )  # fmt: skip

    def wait(self) -> None:
        """One bar passes in which neither the price nor the forecast moves from where it is."""
        self._set_close(self.last)
        self._advance(self._base)
        self._clear()
        self._next_bar(int(self._forming["close_time"][0]), self.last, float(self._forming["forecast"][0]))

    # ---- inside ----

    def _answer(self, account: Any) -> None:
        """What was sent and not yet answered counts as accepted, what was withdrawn as gone."""
        for instrument in range(len(self._session.instruments)):
            for row in range(int(account.position(instrument).orders) - 1, -1, -1):
                order = account.order(instrument, row)
                if order.cancel:
                    account.remove(instrument, row)
                elif order.status == PENDING_NEW:
                    order.status = NEW

    def _open_sides(self) -> dict[int, Side]:
        """Order id -> side of the instrument's open orders."""
        account = self._account
        rows = [account.order(self._index, k) for k in range(int(account.position(self._index).orders))]
        return {int(row.order_id): Side(int(row.side)) for row in rows}

    def _edge(self, inside: float, outside: float, kind: int) -> tuple[float, float, int]:
        """The last close towards `outside` at which the strategy does `kind`, as at `inside`, to a tick; the close next to
        it, and what it does there."""
        beyond = -1
        while beyond < 0 or abs(outside - inside) > self.finest * 1.5:
            between = self._on_grid(np.linspace(inside, outside, _SPLIT + 1))
            between[0], between[-1] = inside, outside
            kinds = self.kinds(between)
            other = int(np.argmax(kinds != kind))
            beyond = int(kinds[other])
            if between[other - 1] == inside and between[other] == outside:
                break
            inside, outside = between[other - 1], between[other]
        return float(inside), float(outside), beyond

    def _on_grid(self, closes: NDArray[np.float64]) -> NDArray[np.float64]:
        if not self._tick:
            return closes
        return np.array([self._nearest_tick(one) for one in closes])

    def _nearest_tick(self, close: float) -> float:
        count, per_unit = round(close / self._tick), round(1.0 / self._tick)
        decimal = abs(per_unit * self._tick - 1.0) < _FINE and per_unit > 0
        return max(count, 1) / per_unit if decimal else max(count, 1) * self._tick

    def _decision(self, close: float) -> tuple[NDArray[Any], ...]:
        """The orders that are not refused at once, signals, cancels and amendments at that close."""
        self._room[: self._size] = self._base[: self._size]
        self._set_close(close)
        self._advance(self._room)
        boxes = {box: self._journal.take(box).copy() for box in (ORDERS, SIGNALS, CANCELS, AMENDS, UPDATES)}
        self._clear()
        refused = boxes[UPDATES]["order_id"][boxes[UPDATES]["status"] == OrderStatus.REJECTED]
        orders = boxes[ORDERS][~np.isin(boxes[ORDERS]["order_id"], refused)]
        return orders, boxes[SIGNALS], boxes[CANCELS], boxes[AMENDS]

    def _advance(self, arena: Bytes) -> None:
        at_of = self._session._at
        try:
            self._machine.run(
                at_of(arena), at_of(self._bar.view(np.uint8)), 0, 1, at_of(self._equity.view(np.uint8)),
                at_of(self._journal.buffer), self._machine.step,
            )  # fmt: skip
        except Exception as error:
            self._clear()
            raise self._blame(error) from error

    def _clear(self) -> None:
        for box in range(SAMPLES + 1):
            self._journal.take(box)

    def _next_bar(self, time: int, price: float, forecast: float) -> None:
        self.last = price
        self._forming[0] = (self._index, time, time + self._size_ns, *([price] * 4), 0.0, 0.0, 0, forecast)

    def _set_close(self, close: float) -> None:
        bar = self._bar
        bar[0] = self._forming[0]
        bar["close"], bar["high"], bar["low"] = close, max(close, bar["high"][0]), min(close, bar["low"][0])

    def _try_closes(self) -> Any:
        return _compiled_tries() if self._compiled else np.errstate(all="ignore")(try_closes)

    def _run(self) -> Any:
        return run_address() if self._compiled else self._machine.run

    def _blame(self, error: Exception) -> StrategyError:
        return blame(error, type(self._session.strategy), int(self._account.bars), int(self._bar["close_time"][0]))


def _price_of(row: Any) -> float:
    """The limit price, else the stop price, else NaN."""
    return next((float(row[name]) for name in ("price", "stop_price") if row[name] > 0.0), math.nan)


def try_closes(
    run: Any, base: Any, size: int, room: Any, bar: Any, closes: Any, count: int, kinds: Any, journal: Any, equity: Any,
    step: Any,
) -> int:  # fmt: skip
    """Give each close to a fresh copy of the state; write what follows, as a number, beside it. All but counts are
    addresses. Returns how many closes were tried: fewer than `count` where the strategy sent too much."""
    row, log = at(bar, 0, BAR_ROW), at(journal, 0, JOURNAL)
    account = at(room, 0, BROKER).account
    high, low = row.high, row.low
    for k in range(count):
        copy_in(base, room, size)
        close = at(closes, k * CELL_BYTES, CELL).value
        row.close = close
        row.high = max(close, high)
        row.low = min(close, low)
        call_run(run, room, bar, 0, 1, equity, journal, step)
        at(kinds, k * CELL_BYTES, KIND).value = kind_of(log)
        for box in range(log.boxes):
            log.box(box).count = 0
        if account.fault != FAULT_NONE:
            return k
    return count


def kind_of(log: Any) -> int:
    """A number for what was decided, quantities and prices left out; 0 for nothing."""
    orders, cancels, amends = log.box(ORDERS), log.box(CANCELS).count, log.box(AMENDS).count
    if orders.count + cancels + amends == 0:
        return 0
    kind = 1 + cancels * 1_000 + amends
    for k in range(orders.count):
        order = at(log, orders.start + k * ORDER_BYTES, ORDER_ROW)
        words = (int(order.side) + 2) * 10_000 + int(order.type) * 100 + int(order.time_in_force)
        kind = (kind * 1_000_003 + words) % 2_147_483_647
    return kind + 1


KIND: Layout = layout_of(np.dtype([("value", "i8")]))


@functools.cache
def _compiled_tries() -> Any:
    from quantlytic.engine.compiler.jit import compile_function

    assert isinstance(try_closes, FunctionType)
    return compile_function(try_closes, f"intp({', '.join(['intp'] * 11)})")


def _aligned_copy(arena: Bytes) -> Bytes:
    whole = np.zeros(len(arena) + 64, np.uint8)
    skip = -int(whole.__array_interface__["data"][0]) % 64
    whole[skip : skip + len(arena)] = arena
    return whole[skip : skip + len(arena)]
