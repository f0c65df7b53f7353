"""Look-ahead: what a running strategy would do at which close of its next bars.

The session's bytes are copied and given a hypothetical bar: it opens at the last close, goes straight to the close that is
tried, and has no volume. It takes the way of any bar: open orders meet it first, fills are told, then the strategy decides.
A horizon of k bars means that the price has not moved in the k - 1 bars before.

The session itself is not touched. Between two closes that are tried nothing is known: a band narrower than a step may be
missed. Where a band begins or ends is found by trying closes between, to a tick.
"""

# mypy: disable-error-code="no-any-return"
# Rows are fields of a buffer, not objects: their types are known when compiled.

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.account.account import BAR_ROW, CELL, CELL_BYTES, ORDER_BYTES, ORDER_ROW
from quantlytic.engine.account.broker import BROKER
from quantlytic.engine.account.codes import FAULT_NONE, NEW, PENDING_NEW
from quantlytic.engine.account.outbox import AMENDS, CANCELS, ORDERS, SIGNALS, UPDATES
from quantlytic.engine.compiler.explain import blame
from quantlytic.engine.compiler.record import Bytes, Layout, at, call_run, copy_in, layout_of
from quantlytic.engine.compiler.runaddress import run_address
from quantlytic.engine.plain import PythonStrategy
from quantlytic.engine.run.journal import JOURNAL, SAMPLES
from quantlytic.engine.session import Session
from quantlytic.model.bar import BAR
from quantlytic.model.errors import InputError, StrategyError
from quantlytic.model.order import OrderStatus, OrderType, TimeInForce
from quantlytic.model.side import Side
from quantlytic.model.time import duration_ns

_SPLIT = 32  # closes tried at once between two that differ
_FINE = 1e-9  # where the instrument has no tick, an edge is found to this share of the price


@dataclass(frozen=True)
class Intent:
    """Something that the strategy would do if the bar that ends at `time`, `horizon` bars ahead, closed from `price_low`
    to `price_high` (both included; at the ends of what was tried it may go on).

    `action`: "order", "cancel" or "amend". `quantity` and `order_price` (NaN for none) are those at the close in the band
    that is nearest to the last one, `close`; `target_quantity` is the signed position that it wants (NaN for cancels).
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


def fork(
    session: Session,
    bar_size: int | str,
    *,
    instrument: str | None = None,
    horizons: int = 1,
    span: float = 0.05,
    steps: int = 401,
    tick: float | None = None,
) -> list[Intent]:
    """What the strategy would do at the closes of the instrument's next bar, and of those up to `horizons` bars ahead.

    Tries `steps` closes from `span` (a share) below the last one to as much above. `bar_size`: ns, or text such as "15m".
    `instrument`: its id; may be left out where the session has one. Edges are exact to `tick`, by default the instrument's
    tick size, or a billionth of the price where it has none. Bands come by horizon, then by price.

    Raises InputError for a session that has seen no bar, or whose strategy does not decide in `on_bar` alone;
    StrategyError when a handler raises on the way.
    """
    handlers = session.strategy.handlers()
    if isinstance(session.strategy, PythonStrategy):
        raise InputError(
            f"{type(session.strategy).__name__} is a PythonStrategy: its state cannot be copied, so no look-ahead"
        )
    if "on_bar" not in handlers or handlers & {"on_slice", "on_timer"}:
        raise InputError(f"{type(session.strategy).__name__} does not decide in on_bar alone: it cannot be forked")
    size_ns = duration_ns(bar_size) if isinstance(bar_size, str) else int(bar_size)
    if size_ns < 1 or horizons < 1 or steps < 2 or not 0.0 < span < 1.0:
        raise InputError("a fork needs bar_size of 1 ns or more, horizons of 1, steps of 2, and a span between 0 and 1")
    tries = _Tries(session, _index(session, instrument), size_ns)
    found: list[Intent] = []
    closes = tries.closes(span, steps, tick)
    for horizon in range(1, horizons + 1):
        kinds = tries.kinds(closes)
        for low, high, kind in _bands(kinds):
            if kind:
                found += tries.intents(closes, low, high, horizon)
        if horizon < horizons:
            tries.wait()
    return found


def _price_of(row: Any) -> float:
    """The limit price, else the stop price, else NaN."""
    return next((float(row[name]) for name in ("price", "stop_price") if row[name] > 0.0), math.nan)


def _index(session: Session, instrument: str | None) -> int:
    ids = [one.id for one in session.instruments]
    if instrument is None and len(ids) == 1:
        return 0
    if instrument not in ids:
        raise InputError(f"say which instrument to look ahead for, not {instrument!r}: there are {', '.join(ids)}")
    return ids.index(instrument)


def _bands(kinds: NDArray[np.int64]) -> Iterator[tuple[int, int, int]]:
    """(first, last, kind) of each run of equal numbers."""
    edges = np.flatnonzero(np.append(True, np.diff(kinds) != 0))
    for first, end in zip(edges, np.append(edges[1:], len(kinds)), strict=True):
        yield int(first), int(end) - 1, int(kinds[first])


class _Tries:
    """A copy of the session's bytes to start from, and one more to try closes on."""

    def __init__(self, session: Session, instrument: int, size_ns: int) -> None:
        self._session, self._machine = session, session._machine
        self._instrument = session.instruments[instrument]
        self._index = instrument
        base = _aligned_copy(session._arena)
        self._base, self._room, self._size = base, _aligned_copy(base), session.state_bytes
        broker: Any = BROKER.view(base)
        account = broker.account
        if session._outbox.counts.any():
            raise InputError("a session is forked between bars: it is in the middle of one")
        self._answer(account)
        self.last = float(account.position(instrument).price)
        if not self.last > 0.0:
            raise InputError(f"{self._instrument.id} has had no bar yet: there is no price to look ahead from")
        self.time = int(account.time)
        self._bar = np.zeros(1, BAR)
        self._journal = session._journal  # empty between runs, and left so
        self._equity = np.zeros(1)
        self._size_ns = size_ns
        self._next_bar()
        self._compiled = session.compiled

    def closes(self, span: float, steps: int, tick: float | None) -> NDArray[np.float64]:
        """The closes to try, ascending, the last one among them, on the grid of ticks where there is one."""
        self._tick = self._instrument.tick_size if tick is None else float(tick)
        if not self._tick >= 0.0:
            raise InputError(f"tick is 0 or more, not {tick!r}")
        spread = np.linspace(self.last * (1.0 - span), self.last * (1.0 + span), steps)
        return np.unique(np.append(self._on_grid(spread), self.last))

    def kinds(self, closes: NDArray[np.float64]) -> NDArray[np.int64]:
        """For each close a number that tells apart what the strategy would do: 0 for nothing."""
        found = np.zeros(len(closes), np.int64)
        at_of = self._session._at
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

    def intents(self, closes: NDArray[np.float64], first: int, last: int, horizon: int) -> Iterator[Intent]:
        """What the strategy would do in the band from closes[first] to closes[last]."""
        low, high = closes[first], closes[last]
        if first > 0:
            low = self._edge(low, closes[first - 1])
        if last < len(closes) - 1:
            high = self._edge(high, closes[last + 1])
        near = float(min(max(self.last, low), high))
        orders, signals, cancels, amends = self._decision(near)
        shared: dict[str, Any] = {
            "instrument": self._instrument.id, "horizon": horizon, "time": self.time + self._size_ns,
            "price_low": float(low), "price_high": float(high), "close": near,
        }  # fmt: skip
        targets = {int(row["signal_id"]): float(row["target_quantity"]) for row in signals}
        for row in orders:
            yield Intent(
                **shared, action="order", order_id=int(row["order_id"]), side=Side(int(row["side"])),
                order_type=OrderType(int(row["type"])), time_in_force=TimeInForce(int(row["time_in_force"])),
                quantity=float(row["quantity"]), order_price=_price_of(row),
                target_quantity=targets.get(int(row["order_id"]), math.nan),
            )  # fmt: skip
        for row in cancels:
            yield Intent(**shared, action="cancel", order_id=int(row["order_id"]))
        for row in amends:
            quantity = float(row["quantity"])
            yield Intent(
                **shared, action="amend", order_id=int(row["order_id"]), quantity=quantity, order_price=_price_of(row)
            )

    def wait(self) -> None:
        """One bar passes in which the price does not move."""
        self._set_close(self.last)
        self._advance(self._base)
        self._clear()
        self.time += self._size_ns
        self._next_bar()

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

    def _edge(self, inside: float, outside: float) -> float:
        """The last close towards `outside` at which the strategy does as it does at `inside`, to a tick."""
        finest = self._tick or _FINE * self.last
        while abs(outside - inside) > finest * 1.5:
            between = self._on_grid(np.linspace(inside, outside, _SPLIT + 1))
            between[0], between[-1] = inside, outside
            kinds = self.kinds(between)
            other = int(np.argmax(kinds != kinds[0]))
            if between[other - 1] == inside and between[other] == outside:
                break
            inside, outside = between[other - 1], between[other]
        return float(inside)

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

    def _next_bar(self) -> None:
        self._bar[0] = (
            self._index, self.time, self.time + self._size_ns, self.last, self.last, self.last, self.last, 0.0, 0.0, 0
        )  # fmt: skip

    def _set_close(self, close: float) -> None:
        bar = self._bar[0]
        bar["close"], bar["high"], bar["low"] = close, max(close, self.last), min(close, self.last)

    def _try_closes(self) -> Any:
        return _compiled_tries() if self._compiled else np.errstate(all="ignore")(try_closes)

    def _run(self) -> Any:
        return run_address() if self._compiled else self._machine.run

    def _blame(self, error: Exception) -> StrategyError:
        broker: Any = BROKER.view(self._base)
        account = broker.account
        return blame(error, type(self._session.strategy), int(account.bars), int(self._bar["close_time"][0]))


def try_closes(
    run: Any, base: Any, size: int, room: Any, bar: Any, closes: Any, count: int, kinds: Any, journal: Any, equity: Any,
    step: Any,
) -> int:  # fmt: skip
    """Give each close to a fresh copy of the state; write what follows, as a number, beside it. All but counts are
    addresses. Returns how many closes were tried: fewer than `count` where the strategy sent too much."""
    row, log = at(bar, 0, BAR_ROW), at(journal, 0, JOURNAL)
    account = at(room, 0, BROKER).account
    for k in range(count):
        copy_in(base, room, size)
        close = at(closes, k * CELL_BYTES, CELL).value
        row.close = close
        row.high = max(close, row.open)
        row.low = min(close, row.open)
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
