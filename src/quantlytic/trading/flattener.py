"""Balances to market orders towards flat, one at a time, each known to be done before the next."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import msgspec

from quantlytic.model.instrument import Instrument
from quantlytic.model.order import Order, OrderStatus, OrderType, TimeInForce
from quantlytic.model.side import Side
from quantlytic.trading.holdings import whole_lots
from quantlytic.trading.killreport import FlattenOrder
from quantlytic.venues.port import Balance, OrderEntry, OrderState

T = TypeVar("T")
MAX_TRIES = 4  # refused orders in a row an instrument, each half of the one before
ENDED = (OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.REJECTED, OrderStatus.EXPIRED)
_TINY = 1e-12
_TOO_SMALL = re.compile(r"notional|minim|too small", re.IGNORECASE)

Ask = Callable[[Callable[[], Awaitable[T]]], Awaitable[T | None]]


class Flattener:
    """Turns balances into market orders towards flat, and never has two of one instrument under way.

    An order whose answer was not heard is asked about until the venue knows it, or can no longer take it
    (`OrderEntry.void_after_s`); only then is the next one sent. So nothing is sold twice.
    """

    def __init__(self, keep: Mapping[str, float], prices: Mapping[str, float], prefix: str) -> None:
        self.instruments: list[Instrument] = []
        self.rows: list[FlattenOrder] = []
        self.dust: dict[str, str] = {}  # by asset, too little for an order
        self.stuck: dict[str, str] = {}  # by asset, enough for an order and yet not to be had
        self._keep, self._prices, self._prefix = keep, prices, prefix
        self._sent_s: dict[str, float] = {}
        self._unsettled: dict[str, Order] = {}
        self._tries: dict[str, int] = {}
        self._given_up: dict[str, str] = {}  # by instrument, the venue's last word

    def wanted(self, held: Mapping[str, Balance]) -> list[tuple[Order, str]]:
        """The orders that would make it flat, with their ids; what cannot be ordered goes into `dust` or `stuck`."""
        orders: list[tuple[Order, str]] = []
        self.dust, self.stuck = {}, {}
        for asset, excess in above(held, self._keep, sorted({each.base for each in self.instruments})).items():
            free = min(excess, held[asset].free) if excess > 0 else -excess
            order = self._order(asset, free, Side.SELL if excess > 0 else Side.BUY)
            if order is not None:
                orders.append((order, f"{self._prefix}-{len(self.rows) + len(orders) + 1}"))
            if excess > 0 and held[asset].free < excess - _TINY * excess:
                self.stuck[asset] = f"{excess - free:.10g} {asset} are bound at the venue"
        return orders

    def _order(self, asset: str, quantity: float, side: Side) -> Order | None:
        """A market order in the first instrument that can take it; one quoted in what is itself to be sold comes last."""
        bases, under_way = {each.base for each in self.instruments}, {o.instrument for o in self._unsettled.values()}
        if any(each.base == asset and each.id in under_way for each in self.instruments):
            self.stuck[asset] = f"{quantity:.10g} {asset}: the venue has not said what became of the last order"
            return None
        ways = sorted((each for each in self.instruments if each.base == asset), key=lambda each: each.quote in bases)
        for way in ways:
            whole = whole_lots(quantity / 2 ** self._tries.get(way.id, 0), way.lot_size)
            if way.id not in self._given_up and whole > 0 and self._is_enough(way, whole):
                number = len(self.rows) + 1
                return Order("kill", number, way.id, 0, side, OrderType.MARKET, TimeInForce.GTC, whole, math.nan)
        for way in ways:
            whole = whole_lots(quantity, way.lot_size)
            words = self._given_up.get(way.id, "")
            if whole > 0 and words and not (way.id not in self._prices and _TOO_SMALL.search(words)):
                self.stuck[asset] = f"{quantity:.10g} {asset}: the venue refuses to trade them: {words}"
                return None
        self.dust[asset] = f"{quantity:.10g} {asset}: less than the venue takes an order for"
        return None

    def _is_enough(self, way: Instrument, quantity: float) -> bool:
        """Where no price is known the venue is asked."""
        return quantity * self._prices.get(way.id, math.inf) >= way.min_notional

    async def send(self, entry: OrderEntry, ask: Ask[OrderState], order: Order, client_order_id: str) -> None:
        """Send one order and note what came of it."""
        self._sent_s[client_order_id] = time.monotonic()
        self._unsettled[client_order_id] = order
        state = await ask(lambda: entry.submit(order, client_order_id))
        self._sent_s[client_order_id] = time.monotonic()  # the last moment at which it can have been asked for
        self.rows.append(_flatten_row(order, client_order_id, state))
        if state is not None:
            self._note(client_order_id, state)

    async def settle(self, entry: OrderEntry, ask: Ask[OrderState | None]) -> None:
        """Ask the venue about the orders of which it is not known what became of them."""
        for client_order_id, order in list(self._unsettled.items()):
            is_void = time.monotonic() - self._sent_s[client_order_id] > entry.void_after_s
            heard = False

            async def status(order: Order = order, client_order_id: str = client_order_id) -> OrderState | None:
                nonlocal heard
                state = await entry.status(order.instrument, client_order_id)
                heard = True
                return state

            state = await ask(status)
            if state is not None:
                self._note(client_order_id, state)
            elif heard and is_void:
                self._forget(client_order_id, "REJECTED", "it never reached the venue")

    @property
    def is_settled(self) -> bool:
        """Whether it is known of every order what became of it."""
        return not self._unsettled

    def younger_than(self, age_s: float) -> frozenset[str]:
        """Orders sent so short a time ago that they may still be filled by themselves."""
        now_s = time.monotonic()
        return frozenset(name for name, sent_s in self._sent_s.items() if now_s - sent_s < age_s)

    def _note(self, client_order_id: str, state: OrderState) -> None:
        order = self._unsettled[client_order_id]
        self._replace(client_order_id, _flatten_row(order, client_order_id, state))
        if state.status not in ENDED:
            return
        del self._unsettled[client_order_id]
        tries = self._tries.get(order.instrument, 0)
        if state.filled_quantity > 0:
            self._tries[order.instrument] = 0
        elif tries + 1 >= MAX_TRIES:
            self._given_up[order.instrument] = state.reason or f"{state.status.name.lower()} {MAX_TRIES} times"
        else:
            self._tries[order.instrument] = tries + 1

    def _forget(self, client_order_id: str, status: str, reason: str) -> None:
        del self._unsettled[client_order_id]
        row = next(each for each in self.rows if each.client_order_id == client_order_id)
        self._replace(client_order_id, msgspec.structs.replace(row, status=status, reason=reason))

    def _replace(self, client_order_id: str, row: FlattenOrder) -> None:
        self.rows = [row if each.client_order_id == client_order_id else each for each in self.rows]


def above(held: Mapping[str, Balance], keep: Mapping[str, float], assets: Sequence[str]) -> dict[str, float]:
    """By asset, what is held beyond what is kept; what is short is negative, whatever is to be kept."""
    found = {}
    for asset in assets:
        row = held.get(asset)
        total = 0.0 if row is None else row.free + row.locked
        excess = total if total < 0 else max(0.0, total - keep.get(asset, 0.0))
        if abs(excess) > _TINY * max(1.0, abs(total)):
            found[asset] = excess
    return found


def _flatten_row(order: Order, client_order_id: str, state: OrderState | None) -> FlattenOrder:
    status, filled, quote, reason = "UNRESOLVED", 0.0, 0.0, "no answer; it is asked about"
    if state is not None:
        status, filled, quote, reason = state.status.name, state.filled_quantity, state.quote_filled, state.reason
    return FlattenOrder(
        client_order_id, order.instrument, order.side.name, order.quantity, status, filled, quote, reason
    )  # fmt: skip
