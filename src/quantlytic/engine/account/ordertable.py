"""Positions and open orders: a row an instrument, and some rows of orders for each, dense, in order of priority."""

# mypy: disable-error-code="no-any-return"
# Rows are fields of a buffer, not objects: their types are known when compiled.

from __future__ import annotations

import math
from typing import Any

import numpy as np

from quantlytic.engine.account.codes import (
    GTC,
    LIMIT,
    MARKET,
    NEW,
    PARTIALLY_FILLED,
    PENDING_NEW,
    SELL,
    STOP_LIMIT,
    TAKE_PROFIT,
    TRAILING_STOP,
)
from quantlytic.engine.account.position import POSITION
from quantlytic.engine.compiler.record import Record, address_of, at, copy_in, layout_of

FAVOURABLE, ADVERSE = 1, -1


class OpenOrder(Record):
    """An order at the broker.

    `quantity` is what is still to be filled now; `dormant` what waits for the parent to fill. `best`: the best price a
    trailing stop has seen. `active_at`: when it reaches the broker, `cancel_at` and `amend_at` (0: none) when the wish to
    change it does. `resting`: it has met the market already; `cancel`: the strategy withdrew it, to be confirmed.
    `triggered`: a stop or take-profit has become a market or limit order. `fresh`: it came to life inside the bar, at
    the price `reference`. `met`: the number of the last event that had its try at it.
    """

    def __init__(self) -> None:
        self.order_id = 0
        self.side = 0
        self.type = 0
        self.time_in_force = 0
        self.status = 0
        self.parent_id = 0
        self.group_id = 0
        self.quantity = 0.0
        self.dormant = 0.0
        self.filled = 0.0
        self.price = 0.0
        self.stop_price = 0.0
        self.trail = 0.0
        self.best = 0.0
        self.reference = 0.0
        self.fees = 0.0
        self.sent_at = 0
        self.active_at = 0
        self.expire_at = 0
        self.cancel_at = 0
        self.amend_at = 0
        self.amend_quantity = 0.0
        self.amend_price = 0.0
        self.amend_stop = 0.0
        self.met = 0
        self.trail_percent = False
        self.post_only = False
        self.reduce_only = False
        self.has_children = False
        self.triggered = False
        self.fresh = False
        self.resting = False
        self.cancel = False

    @property
    def live(self) -> bool:
        """Accepted, awake and not finished. Whether it has arrived (`active_at`) is another question."""
        return (self.status in (NEW, PARTIALLY_FILLED)) and self.quantity > 0.0

    @property
    def aim(self) -> int:
        """0: takes any price; FAVOURABLE: waits for `level` or better; ADVERSE: waits for `level` or worse."""
        if self.type == LIMIT or (self.type == STOP_LIMIT and self.triggered):
            return FAVOURABLE
        if self.type == MARKET or self.triggered:
            return 0
        return FAVOURABLE if self.type == TAKE_PROFIT else ADVERSE

    @property
    def level(self) -> float:
        """The price it waits for."""
        if self.type == LIMIT or (self.type == STOP_LIMIT and self.triggered):
            return self.price
        return self.stop_price

    def meets(self, price: float) -> bool:
        """Whether it goes at this price."""
        aim = self.aim
        return aim == 0 or aim * self.side * (self.level - price) >= 0.0

    @property
    def has_limit(self) -> bool:
        """Whether it is never filled at a price worse than `price`."""
        return self.type in (LIMIT, STOP_LIMIT)

    def follow(self, price: float) -> None:
        """Let a trailing stop see a price."""
        self.best = max(self.best, price) if self.side == SELL else min(self.best, price)
        distance = self.best * self.trail / 100.0 if self.trail_percent else self.trail
        self.stop_price = self.best + self.side * distance


OPEN_ORDER = layout_of(OpenOrder())
POSITION_BYTES, OPEN_ORDER_BYTES = POSITION.size, OPEN_ORDER.size


class OrderTable(Record):
    """Where the rows are (`..._at`: bytes from this record's first), and what is done with them."""

    def __init__(self) -> None:
        self.instruments = 0
        self.order_capacity = 0
        self.positions_at = 0
        self.orders_at = 0

    def position(self, instrument: int) -> Any:
        return at(self, self.positions_at + instrument * POSITION_BYTES, POSITION)

    def order(self, instrument: int, row: int) -> Any:
        distance = (instrument * (self.order_capacity + 1) + row) * OPEN_ORDER_BYTES
        return at(self, self.orders_at + distance, OPEN_ORDER)

    def find(self, instrument: int, order_id: int) -> int:
        """The row of an open order, or -1."""
        count = self.position(instrument).orders
        for row in range(count):
            if self.order(instrument, row).order_id == order_id:
                return row
        return -1

    def enter(self, new: Any) -> None:
        """Put a new order (an ORDER row) into the table as PENDING_NEW. Where there is no room it is left out, and
        `accept` rejects it."""
        instrument = new.instrument
        position = self.position(instrument)
        if position.orders >= self.order_capacity:
            return
        market = new.type == MARKET and new.time_in_force == GTC and not new.reduce_only and new.parent_id == 0
        position.plain = (position.plain or position.orders == 0) and market
        order = self.order(instrument, position.orders)
        position.orders += 1
        order.order_id = new.order_id
        order.side = new.side
        order.type = new.type
        order.time_in_force = new.time_in_force
        order.status = PENDING_NEW
        order.parent_id = new.parent_id
        order.group_id = new.group_id
        order.quantity = new.quantity
        order.dormant = 0.0
        order.filled = 0.0
        order.price = new.price
        order.stop_price = new.stop_price
        order.trail = new.trail
        order.best = math.nan
        order.reference = math.nan
        order.fees = 0.0
        order.sent_at = new.event_time
        order.active_at = new.event_time
        order.expire_at = new.expire_time
        order.cancel_at = 0
        order.amend_at = 0
        order.met = -1
        order.trail_percent = new.trail_percent
        order.post_only = new.post_only
        order.reduce_only = new.reduce_only
        order.has_children = False
        order.triggered = False
        order.fresh = False
        order.resting = False
        order.cancel = False
        if new.parent_id > 0:
            order.dormant = new.quantity
            order.quantity = 0.0
            parent = self.find(instrument, new.parent_id)
            if parent >= 0:
                self.order(instrument, parent).has_children = True
        elif new.type == TRAILING_STOP:
            order.best = position.price
            order.follow(position.price)

    def remove(self, instrument: int, row: int) -> None:
        """Close the gap: rows stay in order of priority."""
        position = self.position(instrument)
        position.orders -= 1
        for k in range(row, position.orders):
            source, target = address_of(self.order(instrument, k + 1)), address_of(self.order(instrument, k))
            copy_in(source, target, OPEN_ORDER_BYTES)

    def to_back(self, instrument: int, row: int) -> None:
        """An order loses its priority. The spare row past the last one keeps it meanwhile."""
        count = self.position(instrument).orders
        source, spare = address_of(self.order(instrument, row)), address_of(self.order(instrument, self.order_capacity))
        copy_in(source, spare, OPEN_ORDER_BYTES)
        self.remove(instrument, row)
        copy_in(spare, address_of(self.order(instrument, count - 1)), OPEN_ORDER_BYTES)
        self.position(instrument).orders = count

    def expected(self, instrument: int) -> float:
        """The position once the market orders already sent have filled."""
        position = self.position(instrument)
        quantity = position.quantity
        for row in range(position.orders):
            order = self.order(instrument, row)
            if order.type == MARKET and not order.cancel:
                quantity += order.side * order.quantity
        return quantity

    def round_levels(self, instrument: int, order: Any) -> None:
        """Bring a trailing stop's level to the tick that triggers later."""
        if np.isfinite(order.stop_price):
            order.stop_price = self.position(instrument).round_price(order.stop_price, -order.side)
