"""An order of a run until it has ended: what the strategist asked for, what of it is at the venue, what it waits for. Pure."""

from __future__ import annotations

import math

import msgspec

from quantlytic.model.command import CommandKind, VenueCommand
from quantlytic.model.order import Order, OrderAmend, OrderStatus, OrderUpdate, Reason, client_order_id
from quantlytic.trading.tracker import LAST_DIGIT, Leg
from quantlytic.trading.triggers import Watch, expiry_ns, watch_of


class Working(msgspec.Struct):
    """`order` is as amended; `leg` is at the venue, None while nothing of it is. `done`: what earlier legs traded; `told`,
    `told_booked`: the strategist's knowledge. `decided_ns`: when it was decided, amended or fired, whatever was last.

    `watch`: the price it waits for. `awake`: what a child's parent has traded; `is_orphan`: the parent has ended. `ending`: how
    it ends when its leg has been withdrawn (as cancelled if nothing else is said). `is_recalled`: its leg is withdrawn because
    another member of its group fired; it goes on waiting.
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
    watch: Watch | None = None
    awake: float = 0.0
    is_orphan: bool = False
    ending: tuple[OrderStatus, str] = (OrderStatus.CANCELED, "")
    is_recalled: bool = False

    @classmethod
    def of(cls, order: Order) -> Working:
        return cls(order, order.event_time, watch=watch_of(order))

    @property
    def key(self) -> str:
        return client_order_id(self.order.run, self.order.order_id)

    @property
    def next_client_order_id(self) -> str:
        """The id of the leg that is made next."""
        return f"{self.key}-a{self.legs}" if self.legs else self.key

    @property
    def left(self) -> float:
        """What is still to be traded, as far as it is awake."""
        whole = min(self.order.quantity, self.awake) if self.order.parent_id else self.order.quantity
        return max(whole - self.done - (self.leg.booked if self.leg else 0.0), 0.0)

    @property
    def has_more_to_come(self) -> bool:
        """Whether its parent may still wake more of it."""
        traded = self.done + (self.leg.booked if self.leg else 0.0)
        is_child = self.order.parent_id > 0 and not self.is_orphan
        return is_child and self.order.quantity - traded > LAST_DIGIT * self.order.quantity

    @property
    def waits(self) -> bool:
        """Whether it is to be kept here for now: for its price, or for its parent."""
        if self.order.parent_id and self.left <= LAST_DIGIT * self.order.quantity:
            return True
        return self.watch is not None and not self.watch.is_fired

    @property
    def is_kept(self) -> bool:
        """Whether it is an order that is kept here until something happens: it counts as taken while it waits."""
        return self.watch is not None or self.order.parent_id > 0

    @property
    def wants_cancel(self) -> bool:
        """Whether the leg at the venue is to be withdrawn, for good, to be replaced, or to wait here again."""
        wants = self.is_withdrawn or self.is_recalled or self.amend is not None
        return wants and self.leg is not None and not self.leg.is_ended

    @property
    def expires_ns(self) -> int:
        """0: never."""
        return expiry_ns(self.order)

    def make_leg(self, plain: Order, now_ns: int) -> Leg:
        """The leg that is about to be sent: as this plain order."""
        self.leg = Leg(
            self.next_client_order_id, plain.instrument, plain.side, plain.quantity, plain.price, now_ns, plain.type,
            plain.time_in_force,
        )  # fmt: skip
        return self.leg

    def drop_leg(self) -> None:
        """The leg has ended and the order goes on: what it traded is kept."""
        assert self.leg is not None, self.key
        self.done += self.leg.booked
        self.legs += 1
        self.leg = None

    def replace(self, amend: OrderAmend) -> bool:
        """Take over amended terms while nothing is at the venue. False: it has traded by now what it was to be reduced to."""
        changed = {
            name: value for name in ("quantity", "price", "stop_price") if not math.isnan(value := getattr(amend, name))
        }
        order, self.amend = self.order, None
        self.order = msgspec.structs.replace(order, **changed)
        self.decided_ns = max(self.decided_ns, amend.event_time)
        if self.order.quantity - self.done <= LAST_DIGIT * order.quantity:
            self.order = order
            return False
        if self.watch is not None and not self.watch.is_fired and not self.watch.trail:
            self.watch = watch_of(self.order)
        return True

    def update(self, status: OrderStatus, reason: str, now_ns: int) -> OrderUpdate:
        """Word of it for the strategist."""
        order = self.order
        return OrderUpdate(order.run, order.order_id, order.instrument, now_ns, status, reason)

    def amended(self, now_ns: int) -> OrderUpdate:
        """Word that the amended terms are in force."""
        return self.update(self.told, Reason.AMENDED.text, now_ns)

    def command(self, account: str, kind: CommandKind, now_ns: int, reason: str = "") -> VenueCommand:
        """What is asked of the venue about the present leg, as the log keeps it."""
        order, leg = self.order, self.leg
        assert leg is not None, self.key
        return VenueCommand(
            account, order.run, order.order_id, leg.client_order_id, kind, order.instrument, now_ns, order.side, leg.type,
            leg.time_in_force, leg.quantity, leg.price, reason,
        )  # fmt: skip
