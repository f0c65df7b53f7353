"""Positions and open orders: a row an instrument, and some rows of orders for each, dense, in the order they were sent."""

# mypy: disable-error-code="no-any-return"
# Rows are fields of a buffer, not objects: their types are known when compiled.

from __future__ import annotations

from typing import Any

from quantlytic.engine.codes import EXPIRED, FILLED, MARKET, PENDING_NEW
from quantlytic.engine.position import POSITION
from quantlytic.engine.record import Record, address_of, at, copy_in, layout_of


class OpenOrder(Record):
    """An order at the broker. `resting`: it has met a bar already; `cancel`: the strategy withdrew it, to be confirmed."""

    def __init__(self) -> None:
        self.order_id = 0
        self.side = 0
        self.type = 0
        self.time_in_force = 0
        self.status = 0
        self.quantity = 0.0
        self.price = 0.0
        self.resting = False
        self.cancel = False


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
        distance = (instrument * self.order_capacity + row) * OPEN_ORDER_BYTES
        return at(self, self.orders_at + distance, OPEN_ORDER)

    def find(self, instrument: int, order_id: int) -> int:
        """The row of an open order, or -1."""
        count = self.position(instrument).orders
        for row in range(count):
            if self.order(instrument, row).order_id == order_id:
                return row
        return -1

    def enter(
        self, instrument: int, order_id: int, side: int, type: int, time_in_force: int, quantity: float, price: float
    ) -> None:
        """Put a new order into the table as PENDING_NEW. Where there is no room it is left out, and `accept` rejects it."""
        position = self.position(instrument)
        if position.orders >= self.order_capacity:
            return
        order = self.order(instrument, position.orders)
        position.orders += 1
        order.order_id = order_id
        order.side = side
        order.type = type
        order.time_in_force = time_in_force
        order.status = PENDING_NEW
        order.quantity = quantity
        order.price = price
        order.resting = False
        order.cancel = False

    def remove(self, instrument: int, row: int) -> None:
        """Close the gap: rows stay in the order in which orders were sent."""
        position = self.position(instrument)
        position.orders -= 1
        for k in range(row, position.orders):
            source, target = address_of(self.order(instrument, k + 1)), address_of(self.order(instrument, k))
            copy_in(source, target, OPEN_ORDER_BYTES)

    def settle_rows(self, instrument: int) -> None:
        """Drop finished orders; the rest have met a bar now."""
        position = self.position(instrument)
        for row in range(position.orders - 1, -1, -1):
            order = self.order(instrument, row)
            if FILLED <= order.status <= EXPIRED:
                self.remove(instrument, row)
            else:
                order.resting = True

    def expected(self, instrument: int) -> float:
        """The position once the market orders already sent have filled."""
        position = self.position(instrument)
        quantity = position.quantity
        for row in range(position.orders):
            order = self.order(instrument, row)
            if order.type == MARKET and not order.cancel:
                quantity += order.side * order.quantity
        return quantity
