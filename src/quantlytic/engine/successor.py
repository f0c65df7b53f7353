"""A session that takes over the account of one that runs: other parameters or other code, the same money and orders."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.account.broker import BROKER
from quantlytic.engine.account.outbox import CANCELS, FILLS, ORDERS, SIGNALS
from quantlytic.engine.held import HeldSession
from quantlytic.engine.session import Session
from quantlytic.model.errors import DataError
from quantlytic.model.order import ORDER, ORDER_AMEND, ORDER_CANCEL, OrderType
from quantlytic.model.signal import SIGNAL
from quantlytic.model.strategychange import CLOSE, GUARD

Array = NDArray[Any]
_STOPS = (OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP)
_OWN = (
    "state_bytes", "states_at", "outbox_at", "fills_at", "updates_at", "new_orders_at", "signals_at", "cancels_at",
    "amends_at", "flows_at",
)  # fmt: skip
"""What in an account tells of its arena: where things lie behind the strategy's states, whose size is the strategy's."""


class Successor(HeldSession):
    """`learn` what came before, `take_over` at an event, `wind_up` what the other left open; then it goes on as any session.

    While it `waits`, because what it has learnt from was too short for its indicators, its handlers are called with the account
    as it is, and what they wish for comes to nothing. That ends with the bar that makes every indicator ready: orders at that bar
    are sent. What it keeps besides indicators is then as at first if it had wished for something, since that may tell of orders
    that never were. Waiting is part of the state.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.waits = self._has_wished = False

    def learn(self, bars: Array) -> None:
        """Go through bars (BAR rows, as they were taken) as a backtest does. More may follow."""
        super().run_as_taken(bars)
        self.forget()

    def learnt(self) -> bytes:
        """The strategy's states after what it has learnt, with which `take_over` begins: whole, if it has sent no order on the
        way, else its indicators and other parts alone. To be asked for once, at the end."""
        self._begin_anew(self._first, is_whole=not self.orders_sent)
        return self._arena[int(self._account.states_at) : self.state_bytes].tobytes()

    def take_over(self, other: Session, states: bytes | None = None) -> None:
        """Have the account, positions and orders of another session of the same instruments and market as they are, and these
        states, or its own. Raises DataError for states of another strategy or version of the engine."""
        account = self._account
        start, end = int(account.states_at), self.state_bytes
        if states is not None and len(states) != end - start:
            raise DataError(
                f"what {type(self.strategy).__name__} had learnt is kept as {len(states):,} bytes, and here it has "
                f"{end - start:,}: it was kept by another version; start a new run"
            )
        assert int(other._account.states_at) == start, "sessions of other instruments or another market"
        own = {name: getattr(account, name) for name in _OWN}
        self._arena[:start] = other._arena[:start]
        for name, value in own.items():
            setattr(account, name, value)
        self._outbox.counts[:] = 0  # fills of this very bar were the other's to hear of
        self.release()
        if states is not None:
            self._arena[start:end] = np.frombuffer(states, np.uint8)
            self.waits, self._has_wished = not self.is_ready, False

    def wind_up(self, position: str) -> tuple[Array, Array, Array, Array]:
        """Withdraw open orders, with "guard" all but those that can only make a position smaller, and with "close" close all
        positions at market. Returns what comes of it, as `decide` does: (signals, orders, cancels, amends)."""
        broker: Any = BROKER.view(self._arena)
        account = broker.account
        current, price = account.current, account.price
        for instrument in range(len(self.instruments)):
            broker.on(instrument)
            kept = self._guards(instrument) if position == GUARD else frozenset()
            for row in range(account.position(instrument).orders):
                order = account.order(instrument, row)
                if not order.cancel and int(order.order_id) not in kept:
                    account.withdraw(instrument, row)
            if position == CLOSE:
                broker.close()
        account.current, account.price = current, price
        take = self._outbox.take
        return take(SIGNALS), take(ORDERS), take(CANCELS), np.zeros(0, ORDER_AMEND)

    def _guards(self, instrument: int) -> frozenset[int]:
        """The ids of the orders that guard what is held, and can never turn it, whichever of them fill: stops before what takes
        a profit, each in order of priority, as many as take no more than is held. Of a pair one is filled at most. Orders that
        are reduce-only take no more anyway, but what they have taken an order beside them would take again."""
        account: Any = self._account
        held = float(account.position(instrument).quantity)
        orders = [account.order(instrument, row) for row in range(account.position(instrument).orders)]
        guards = [
            one for one in orders if one.side * held < 0.0 and one.quantity > 0.0 and not one.cancel and _waits(one)
        ]
        left, pairs, found, all_reduce = abs(held), set[int](), set[int](), True
        for order in sorted(guards, key=lambda one: one.type not in _STOPS):
            needed = 0.0 if int(order.group_id) in pairs else float(order.quantity)
            if needed > left and not (order.reduce_only and all_reduce):
                continue
            left = max(left - needed, 0.0)
            found.add(int(order.order_id))
            pairs |= {int(order.group_id)} - {0}
            all_reduce = all_reduce and bool(order.reduce_only)
        return frozenset(found)

    def decide(self, event: Any) -> tuple[Array, Array, Array, Array]:
        if not self.waits:
            return super().decide(event)
        start = int(self._account.states_at)
        before = self._arena[: self.state_bytes].copy()
        wishes = super().decide(event)
        if self.is_ready:
            self._arena[: self.state_bytes] = before
            self.waits = False
            if self._has_wished:
                kept = [(place, self._arena[place].copy()) for place in self._parts()]
                self._arena[start : self.state_bytes] = self._first[start:]
                for place, part in kept:
                    self._arena[place] = part
            return super().decide(event)
        self._arena[:start] = before[:start]
        self._outbox.counts[FILLS] = 0
        self._has_wished = self._has_wished or any(len(rows) for rows in wishes)
        return np.zeros(0, SIGNAL), np.zeros(0, ORDER), np.zeros(0, ORDER_CANCEL), np.zeros(0, ORDER_AMEND)

    def save(self) -> bytes:
        return super().save() + bytes((self.waits, self._has_wished))

    def restore(self, state: bytes) -> None:
        super().restore(state[:-2])
        self.waits, self._has_wished = bool(state[-2]), bool(state[-1])


def _waits(order: Any) -> bool:
    """Whether an order is one that people place to get out: a stop, a take-profit, one of a pair, or reduce-only."""
    return order.type in (*_STOPS, OrderType.TAKE_PROFIT) or bool(order.reduce_only) or int(order.group_id) > 0
