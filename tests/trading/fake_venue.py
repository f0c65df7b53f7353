"""A venue in memory that can be slow, fail, lose answers and let orders arrive late."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from types import TracebackType

from quantlytic.model.errors import VenueError
from quantlytic.model.order import Order, OrderStatus
from quantlytic.model.side import Side
from quantlytic.venues.answers import Refused, Unheard
from quantlytic.venues.port import Balance, Difference, OrderState, VenueFill


class FakeVenue:
    """One account. `fail`: the share of requests that fail before anything is done; `lose`: that are done, but not answered."""

    def __init__(
        self, balances: dict[str, float], *, fail: float = 0.0, lose: float = 0.0, delay_s: float = 0.0, seed: int = 0
    ) -> None:
        self.totals = dict(balances)
        self.orders: dict[str, OrderState] = {}
        self.fail, self.lose, self.delay_s = fail, lose, delay_s
        self.price, self.min_notional, self.max_quantity = 100.0, 5.0, float("inf")
        self.refuses_all = False
        self.random = random.Random(seed)
        self.asked: list[str] = []
        self.on_request: Callable[[str], None] = lambda _: None
        self.void_after_s = 0.05
        self.connected: Callable[[], None] = lambda: None

    async def __aenter__(self) -> FakeVenue:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def rest(self, name: str, side: Side = Side.BUY, quantity: float = 1.0, base: str = "BTC") -> None:
        """An order in the book."""
        self.orders[name] = OrderState(
            client_order_id=name, instrument=f"box:{base}USDT", status=OrderStatus.NEW, side=side, quantity=quantity,
            price=90.0 if side is Side.BUY else 110.0,
        )  # fmt: skip

    async def _begin(self, what: str) -> None:
        self.asked.append(what)
        self.on_request(what)
        await asyncio.sleep(self.delay_s)
        if self.refuses_all:
            raise Refused("box: 401 Invalid API-key", 401, -2015)
        if self.random.random() < self.fail:
            raise Unheard("no answer from box")

    def _end(self) -> None:
        if self.random.random() < self.lose:
            raise Unheard("the answer was lost")

    async def submit(self, order: Order, client_order_id: str) -> OrderState:
        await self._begin(f"submit {order.side.name} {order.instrument} {order.quantity!r}")
        base = order.instrument.partition(":")[2].removesuffix("USDT")
        status, filled, reason = OrderStatus.FILLED, order.quantity, ""
        if order.quantity * self.price < self.min_notional:
            status, filled, reason = OrderStatus.REJECTED, 0.0, "Filter failure: NOTIONAL"
        elif order.quantity > self.max_quantity:
            status, filled, reason = OrderStatus.REJECTED, 0.0, "Filter failure: MARKET_LOT_SIZE"
        elif order.side is Side.SELL and order.quantity > self.free(base) + 1e-9:
            status, filled, reason = OrderStatus.REJECTED, 0.0, "insufficient balance"
        self.totals[base] = self.totals.get(base, 0.0) + order.side * filled
        state = OrderState(
            client_order_id=client_order_id, instrument=order.instrument, status=status, side=order.side,
            quantity=order.quantity, filled_quantity=filled, quote_filled=filled * self.price, reason=reason,
        )  # fmt: skip
        if status is OrderStatus.FILLED:
            self.orders[client_order_id] = state
        self._end()
        return state

    def free(self, base: str) -> float:
        return self.totals.get(base, 0.0) - self._locked(base)

    def _locked(self, base: str) -> float:
        resting = (
            o for o in self.orders.values() if o.is_open and o.side is Side.SELL and f":{base}USDT" in o.instrument
        )
        return sum(order.quantity for order in resting)

    async def cancel(self, instrument: str, client_order_id: str) -> OrderState:
        await self._begin(f"cancel {client_order_id}")
        state = self.orders.get(client_order_id)
        if state is None:
            raise Refused("Unknown order sent.", 400, -2011)
        if state.is_open:
            fields = {name: getattr(state, name) for name in state.__struct_fields__}
            state = self.orders[client_order_id] = OrderState(**fields | {"status": OrderStatus.CANCELED})
        self._end()
        return state

    async def status(self, instrument: str, client_order_id: str) -> OrderState | None:
        await self._begin(f"status {client_order_id}")
        return self.orders.get(client_order_id)

    async def open_orders(self) -> list[OrderState]:
        await self._begin("open_orders")
        return [order for order in self.orders.values() if order.is_open]

    async def balances(self) -> dict[str, Balance]:
        await self._begin("balances")
        return {
            base: Balance(base, total - self._locked(base), self._locked(base))
            for base, total in self.totals.items()
            if total
        }

    async def my_trades(self, instrument: str, from_id: int = 0) -> list[VenueFill]:
        raise VenueError("not asked for by a kill")

    def updates(self) -> AsyncIterator[OrderState]:
        raise NotImplementedError

    async def reconcile(
        self, orders: Sequence[OrderState], balances: dict[str, float] | None = None
    ) -> list[Difference]:
        raise NotImplementedError


def later(seconds: float) -> Callable[[], bool]:
    """True once that time has passed."""
    at = time.monotonic() + seconds
    return lambda: time.monotonic() >= at
