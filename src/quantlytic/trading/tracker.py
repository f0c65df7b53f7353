"""The life of one order at a venue, in FIX words. Pure: reports and trades in, what is known out; no clock, no socket.

    PENDING_NEW -> NEW -> PARTIALLY_FILLED -> FILLED | CANCELED | REJECTED | EXPIRED
    PENDING_NEW -> UNRESOLVED (an answer was not heard) -> any of the above, once the venue has been asked

Reports may come late, twice, in any order, and may contradict each other. Whatever comes: totals only grow, what has ended
stays ended, and a trade is a fact that counts also after the end. A refusal counts only for an order that was never taken.
"""

from __future__ import annotations

import msgspec

from quantlytic.model.order import OrderStatus, OrderType, TimeInForce
from quantlytic.model.side import Side

ENDED = (OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.REJECTED, OrderStatus.EXPIRED)
WAITING = (OrderStatus.PENDING_NEW, OrderStatus.UNRESOLVED)
LAST_DIGIT = 1e-9  # of the quantity: sums of decimal quantities differ by less than this, lots by more


class Leg(msgspec.Struct):
    """One order at the venue, under one client order id.

    `filled` and `quote_filled` are what reports said, `booked` what the venue's trades add up to: reports come sooner, trades are
    exact. `sent_ns`: when the command was written to the log.
    """

    client_order_id: str
    instrument: str
    side: Side
    quantity: float
    price: float
    sent_ns: int
    type: OrderType = OrderType.LIMIT
    time_in_force: TimeInForce = TimeInForce.GTC
    status: OrderStatus = OrderStatus.PENDING_NEW
    venue_order_id: int = -1
    filled: float = 0.0
    quote_filled: float = 0.0
    booked: float = 0.0
    reason: str = ""

    @property
    def is_waiting(self) -> bool:
        """Whether the venue has not been heard yet."""
        return self.status in WAITING

    @property
    def is_ended(self) -> bool:
        return self.status in ENDED

    @property
    def lacks_trades(self) -> bool:
        """Whether more was reported filled than there are trades."""
        return self.filled > self.booked + LAST_DIGIT * self.quantity

    @property
    def is_immediate(self) -> bool:
        """Whether it ends, or is meant to, with the answer to it."""
        return self.type == OrderType.MARKET or self.time_in_force in (TimeInForce.IOC, TimeInForce.FOK)

    @property
    def is_settled(self) -> bool:
        """Ended, and all its trades are known."""
        return self.is_ended and not self.lacks_trades

    def hear(
        self, status: OrderStatus, filled: float, quote_filled: float, venue_order_id: int = -1, reason: str = ""
    ) -> bool:
        """Take in a report (totals of the order so far). True when it told something new."""
        before = (self.status, self.filled, self.quote_filled, self.venue_order_id)
        self.filled = max(self.filled, filled)
        self.quote_filled = max(self.quote_filled, quote_filled)
        self.venue_order_id = max(self.venue_order_id, venue_order_id)
        if not self.is_ended:
            self._move(status, reason)
        return before != (self.status, self.filled, self.quote_filled, self.venue_order_id)

    def book(self, quantity: float) -> None:
        """A trade of this order at the venue; each one is to be given once."""
        self.booked += quantity
        self.filled = max(self.filled, self.booked)
        if not self.is_ended:
            self._move(OrderStatus.PARTIALLY_FILLED, "")

    def _move(self, status: OrderStatus, reason: str) -> None:
        if status == OrderStatus.UNRESOLVED:
            if self.status == OrderStatus.PENDING_NEW:
                self.status, self.reason = status, reason
            return
        if status == OrderStatus.REJECTED and not self.is_waiting:
            return  # the venue has taken it: this is the refusal of a repeat
        if status == OrderStatus.PENDING_NEW:
            if self.venue_order_id < 0:
                return
            status = OrderStatus.NEW
        if status in ENDED:
            self.status, self.reason = status, reason
        elif self.filled >= self.quantity * (1 - LAST_DIGIT):
            self.status, self.reason = OrderStatus.FILLED, ""
        elif self.filled > 0.0:
            self.status, self.reason = OrderStatus.PARTIALLY_FILLED, ""
        else:
            self.status, self.reason = OrderStatus.NEW, ""
