"""The orders of an account that have not ended, and who placed those that have. Pure: no clock, no socket.

A decision's order is one `Working`; at the venue it is a `Leg`, or several after each other: an amendment is a cancel, and, once
the venue has confirmed it, a new leg with what is left. So two legs are never open together, and never more than was intended.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import msgspec

from quantlytic.model.order import Order, OrderAmend, OrderStatus, OrderUpdate, Reason, client_order_id
from quantlytic.trading.tracker import LAST_DIGIT, Leg
from quantlytic.trading.working import Working
from quantlytic.venues.port import VenueFill

_SUFFIX = re.compile(r"-a\d+$")
REMEMBERED = 1_000  # orders that have ended and may still be heard of


class Placed(msgspec.Struct, array_like=True):
    """Whose order it was, and how much of it may still be traded: a trade counts after the end, never beyond the quantity."""

    run: str
    order_id: int
    client_order_id: str
    left: float = math.inf


class OrderBook(msgspec.Struct):
    """`working` by the order's first client order id; `placed` by instrument and venue order id, ended orders too; `gone`: when
    a leg, by its client order id, was left behind (a listing asked for before may still show it)."""

    working: dict[str, Working] = {}
    placed: dict[str, Placed] = {}
    gone: dict[str, int] = {}

    def add(self, order: Order) -> Working:
        working = Working.of(order)
        self.working[working.key] = working
        return working

    def find(self, client_id: str) -> Working | None:
        """The order whose present leg has that id."""
        working = self.working.get(_SUFFIX.sub("", client_id))
        return working if working and working.leg and working.leg.client_order_id == client_id else None

    def of(self, run: str, order_id: int) -> Working | None:
        return self.working.get(client_order_id(run, order_id))

    def legs(self) -> Iterator[tuple[Working, Leg]]:
        """All that is, or may be, at the venue."""
        for working in list(self.working.values()):
            if working.leg is not None:
                yield working, working.leg

    def group(self, member: Working) -> list[Working]:
        """The other orders of its group."""
        order = member.order
        if not order.group_id:
            return []
        return [
            other
            for other in self.working.values()
            if other.order.group_id == order.group_id and other.order.run == order.run and other is not member
        ]

    def _children(self, parent: Working) -> list[Working]:
        """The orders that sleep until it trades."""
        order = parent.order
        return [
            other
            for other in self.working.values()
            if other.order.parent_id == order.order_id and other.order.run == order.run
        ]

    # ---- trades

    def note_place(self, working: Working) -> None:
        """Remember the venue's own id of the leg, so that trades find their order."""
        leg = working.leg
        if leg is None or leg.venue_order_id < 0:
            return
        key = _place(leg.instrument, leg.venue_order_id)
        if key not in self.placed:
            self.placed[key] = Placed(
                working.order.run, working.order.order_id, leg.client_order_id, leg.quantity * (1 + LAST_DIGIT)
            )
            while len(self.placed) > REMEMBERED:
                self.placed.pop(next(iter(self.placed)))

    def owner(self, trade: VenueFill) -> Placed | None:
        """Whose order a trade belongs to; None: nobody's here, as far as is known."""
        return self.placed.get(_place(trade.instrument, trade.venue_order_id))

    def claim(self, trade: VenueFill) -> VenueFill:
        """The trade; as nobody's when it is more than was left of its order: listed twice, or not of that order."""
        owner = self.owner(trade)
        if owner is None:
            return trade
        if trade.quantity > owner.left:
            return msgspec.structs.replace(trade, venue_order_id=-1)
        owner.left -= trade.quantity
        return trade

    def is_undecided(self, instrument: str) -> bool:
        """Whether an order may be at the venue under an id of the venue's that we do not know."""
        return any(leg.instrument == instrument and leg.venue_order_id < 0 and leg.is_waiting for _, leg in self.legs())

    def book(self, working: Working, client_id: str, quantity: float, price: float) -> None:
        """A trade of one of its legs: its children wake by as much, the others of its group shrink by as much."""
        if working.leg is not None and working.leg.client_order_id == client_id:
            working.leg.book(quantity)
        else:  # of a leg that was replaced already
            working.done += quantity
        for child in self._children(working):
            child.awake += quantity
            if child.watch is not None and child.watch.trail:
                child.watch.follow(price)
        for other in self.group(working):
            left = max(other.order.quantity - quantity, 0.0)
            other.order = msgspec.structs.replace(other.order, quantity=left)
            other.awake = max(other.awake - quantity, 0.0)

    # ---- ends

    def end(self, working: Working, status: OrderStatus, reason: str, now_ns: int) -> list[OrderUpdate]:
        """It is over, and with it what hangs on it."""
        if self.working.pop(working.key, None) is None:
            return []  # it ended with another one just now
        self._leave(working, now_ns)
        updates = [working.update(status, reason, now_ns)]
        for child in self._children(working):
            child.is_orphan = True
            if child.leg is None and child.left <= LAST_DIGIT * child.order.quantity:
                over = (OrderStatus.FILLED, "") if child.done > 0.0 else (OrderStatus.CANCELED, Reason.PARENT.text)
                updates += self.end(child, *over, now_ns)
        for other in self.group(working):
            if status == OrderStatus.FILLED or other.order.quantity <= 0.0:
                updates += self.withdraw(other, OrderStatus.CANCELED, Reason.OCO.text, now_ns)
        return updates

    def withdraw(self, working: Working, status: OrderStatus, reason: str, now_ns: int) -> list[OrderUpdate]:
        """It is to end: at once while nothing of it is at the venue; else its leg is to be withdrawn first."""
        working.is_withdrawn, working.ending = True, (status, reason)
        return [] if working.leg is not None else self.end(working, status, reason, now_ns)

    def amend(self, working: Working, amend: OrderAmend, now_ns: int) -> list[OrderUpdate]:
        """The strategist changes an order: at once while nothing of it is at the venue, else once its leg is withdrawn. Of two
        amendments the later one counts."""
        working.amend = amend
        return [] if working.leg is not None else self._replace(working, now_ns)

    def news(self, working: Working, now_ns: int) -> list[OrderUpdate]:
        """What the strategist is to be told of it now. Never more than the trades that are known bear out: told that an order
        has filled while its position is not there yet, a strategy would order again."""
        leg = working.leg
        if leg is None or leg.lacks_trades:
            return []
        if leg.is_ended:
            return self._leg_over(working, leg, now_ns)
        booked = working.done + leg.booked
        status = OrderStatus.PARTIALLY_FILLED if booked > 0.0 else leg.status
        if leg.is_waiting or (status == working.told and booked <= working.told_booked):
            return []
        working.told, working.told_booked = status, booked
        return [working.update(status, "", now_ns)]

    def _leg_over(self, working: Working, leg: Leg, now_ns: int) -> list[OrderUpdate]:
        """A leg has ended, and all its trades are known."""
        if leg.status == OrderStatus.FILLED and working.has_more_to_come:
            self._leave(working, now_ns)
            working.drop_leg()
            working.told = OrderStatus.PARTIALLY_FILLED
            return [working.update(working.told, "", now_ns)]
        if leg.status != OrderStatus.CANCELED:
            return self.end(working, leg.status, leg.reason, now_ns)
        if working.is_withdrawn:
            return self.end(working, *working.ending, now_ns)
        if working.amend is not None:
            self._leave(working, now_ns)
            working.drop_leg()
            return self._replace(working, now_ns)
        if working.is_recalled:
            self._leave(working, now_ns)
            working.drop_leg()
            working.is_recalled = False
            if working.watch is not None:
                working.watch.is_fired = False
            return self.empty(working, now_ns)
        return self.end(working, leg.status, leg.reason, now_ns)

    def _leave(self, working: Working, now_ns: int) -> None:
        if working.leg is not None:
            self.gone[working.leg.client_order_id] = now_ns
            while len(self.gone) > REMEMBERED // 10:
                self.gone.pop(next(iter(self.gone)))

    def empty(self, working: Working, now_ns: int) -> list[OrderUpdate]:
        """End an order that waits and of which nothing is left: its group has traded all of it, or its parent no more."""
        over = working.order.quantity - working.done <= LAST_DIGIT * max(working.order.quantity, working.done)
        if working.leg is None and over:
            return self.end(working, OrderStatus.CANCELED, Reason.OCO.text, now_ns)
        return []

    def _replace(self, working: Working, now_ns: int) -> list[OrderUpdate]:
        """Nothing is at the venue: the amended terms come into force."""
        assert working.amend is not None
        if working.replace(working.amend):
            return [working.amended(now_ns)]
        return self.end(working, OrderStatus.CANCELED, "", now_ns)


def decision_of(client_id: str) -> tuple[str, int]:
    """The run and order id that a client order id of ours is made of; the order id is 0 where there is none in it."""
    run, _, number = _SUFFIX.sub("", client_id).rpartition(".")
    return run, int(number) if number.isdecimal() else 0


def _place(instrument: str, venue_order_id: int) -> str:
    return f"{instrument} {venue_order_id}"
