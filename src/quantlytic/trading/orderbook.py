"""The orders of an account that have not ended, and who placed those that have. Pure: no clock, no socket.

A decision's order is one `Working`; at the venue it is a `Leg`, or several after each other: an amendment is a cancel, and, once
the venue has confirmed it, a new leg with what is left. So two legs are never open together, and never more than was intended.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import msgspec

from quantlytic.model.command import CommandKind, VenueCommand
from quantlytic.model.order import Order, OrderAmend, OrderStatus, OrderUpdate, Reason, client_order_id
from quantlytic.trading.tracker import LAST_DIGIT, Leg
from quantlytic.venues.port import VenueFill

_SUFFIX = re.compile(r"-a\d+$")
REMEMBERED = 2_000  # orders that have ended and may still be heard of


class Working(msgspec.Struct):
    """An order of a run that has not ended.

    `order` is as amended; `leg` is at the venue, None while nothing of it is. `done`: what earlier legs traded; `told`: the
    strategist's knowledge. `decided_ns`: the event time of the decision, or of the last amendment.
    """

    order: Order
    decided_ns: int
    leg: Leg | None = None
    legs: int = 0
    done: float = 0.0
    told: OrderStatus = OrderStatus.PENDING_NEW
    told_booked: float = 0.0
    is_withdrawn: bool = False
    amend: OrderAmend | None = None

    @property
    def key(self) -> str:
        return client_order_id(self.order.run, self.order.order_id)

    @property
    def next_client_order_id(self) -> str:
        """The id of the leg that is made next."""
        return f"{self.key}-a{self.legs}" if self.legs else self.key

    @property
    def left(self) -> float:
        """What is still to be traded."""
        return max(self.order.quantity - self.done - (self.leg.booked if self.leg else 0.0), 0.0)

    @property
    def wants_cancel(self) -> bool:
        """Whether the leg at the venue is to be withdrawn, for good or to be replaced."""
        return (self.is_withdrawn or self.amend is not None) and self.leg is not None and not self.leg.is_ended

    def make_leg(self, quantity: float, price: float, now_ns: int) -> Leg:
        """The leg that is about to be sent."""
        order = self.order
        self.leg = Leg(self.next_client_order_id, order.instrument, order.side, quantity, price, now_ns)
        return self.leg

    def command(self, account: str, kind: CommandKind, now_ns: int, reason: str = "") -> VenueCommand:
        """What is asked of the venue about the present leg, as the log keeps it."""
        order, leg = self.order, self.leg
        assert leg is not None, self.key
        return VenueCommand(
            account, order.run, order.order_id, leg.client_order_id, kind, order.instrument, now_ns, order.side, order.type,
            order.time_in_force, leg.quantity, leg.price, reason,
        )  # fmt: skip


class Placed(msgspec.Struct, array_like=True):
    """Whose order it was."""

    run: str
    order_id: int
    client_order_id: str


class OrderBook(msgspec.Struct):
    """`working` by the order's first client order id; `placed` by instrument and venue order id, ended orders too."""

    working: dict[str, Working] = {}
    placed: dict[str, Placed] = {}

    def add(self, order: Order) -> Working:
        working = Working(order, order.event_time)
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

    def note_place(self, working: Working) -> None:
        """Remember the venue's own id of the leg, so that trades find their order."""
        leg = working.leg
        if leg is None or leg.venue_order_id < 0:
            return
        key = _place(leg.instrument, leg.venue_order_id)
        if key not in self.placed:
            self.placed[key] = Placed(working.order.run, working.order.order_id, leg.client_order_id)
            while len(self.placed) > REMEMBERED:
                self.placed.pop(next(iter(self.placed)))

    def owner(self, trade: VenueFill) -> Placed | None:
        """Whose order a trade belongs to; None: nobody's here, as far as is known."""
        return self.placed.get(_place(trade.instrument, trade.venue_order_id))

    def is_undecided(self, instrument: str) -> bool:
        """Whether an order may be at the venue under an id of the venue's that we do not know."""
        return any(leg.instrument == instrument and leg.venue_order_id < 0 and leg.is_waiting for _, leg in self.legs())

    def end(self, working: Working, status: OrderStatus, reason: str, now_ns: int) -> OrderUpdate:
        """It is over."""
        self.working.pop(working.key, None)
        return _update(working, status, reason, now_ns)

    def news(self, working: Working, now_ns: int) -> list[OrderUpdate]:
        """What the strategist is to be told of it now. Never more than the trades that are known bear out: told that an order
        has filled while its position is not there yet, a strategy would order again."""
        leg = working.leg
        if leg is None or leg.lacks_trades:
            return []
        booked = working.done + leg.booked
        if leg.is_ended:
            if working.amend is not None and leg.status == OrderStatus.CANCELED and not working.is_withdrawn:
                return self._replace(working, working.amend, now_ns)
            return [self.end(working, leg.status, leg.reason, now_ns)]
        if leg.is_waiting or (leg.status == working.told and booked <= working.told_booked):
            return []
        status = OrderStatus.PARTIALLY_FILLED if booked > 0.0 else leg.status
        if status == working.told and booked <= working.told_booked:
            return []
        working.told, working.told_booked = status, booked
        return [_update(working, status, "", now_ns)]

    def amend(self, working: Working, amend: OrderAmend, now_ns: int) -> list[OrderUpdate]:
        """The strategist changes an order: at once while nothing of it is at the venue, else once its leg is withdrawn. Of two
        amendments the later one counts."""
        working.amend = amend
        return [] if working.leg is not None else self._replace(working, amend, now_ns)

    def _replace(self, working: Working, amend: OrderAmend, now_ns: int) -> list[OrderUpdate]:
        """The old leg is gone: what is left becomes a new one, under the amended terms."""
        order, leg = working.order, working.leg
        if leg is not None:
            working.done += leg.booked
            working.legs += 1
        changed = {
            name: value for name in ("quantity", "price", "stop_price") if not math.isnan(value := getattr(amend, name))
        }
        working.leg, working.amend = None, None
        working.order = msgspec.structs.replace(order, **changed)
        working.decided_ns = max(working.decided_ns, amend.event_time)
        if working.left <= LAST_DIGIT * order.quantity:  # it had traded more by then than it was to be reduced to
            working.order = order
            return [self.end(working, OrderStatus.CANCELED, "", now_ns)]
        return [_update(working, working.told, Reason.AMENDED.text, now_ns)]


def decision_of(client_id: str) -> tuple[str, int]:
    """The run and order id that a client order id of ours is made of; the order id is 0 where there is none in it."""
    run, _, number = _SUFFIX.sub("", client_id).rpartition(".")
    return run, int(number) if number.isdecimal() else 0


def _place(instrument: str, venue_order_id: int) -> str:
    return f"{instrument} {venue_order_id}"


def _update(working: Working, status: OrderStatus, reason: str, now_ns: int) -> OrderUpdate:
    order = working.order
    return OrderUpdate(order.run, order.order_id, order.instrument, now_ns, status, reason)
