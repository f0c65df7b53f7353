"""Orders that wait for a price, for another order, or for a time: what venues are not asked for. Pure: prices in, firing out.

They are kept here and sent as plain orders when their time comes, so the same strategy trades on every venue. The rules:

- STOP, STOP_LIMIT and TRAILING_STOP fire when the price is at their level or worse, TAKE_PROFIT when it is there or better.
  What fires becomes a market order, a STOP_LIMIT a limit order at its price. A trailing stop's level follows the best price.
- A child sleeps until its parent trades, and is then as large as what the parent has traded; a parent that ends without a trade
  takes its children along.
- Of a group (OCO) only one member is at the venue at a time: a limit in it waits for its price here, too; when another member
  fires meanwhile, it is withdrawn first. What one trades is taken off the others; when one has filled, the others end.
- Prices are trades and the middle of quotes as they are recorded, and the extremes of bars that began after the decision.
"""

from __future__ import annotations

import math

import msgspec

from quantlytic.model.order import Order, OrderType, TimeInForce
from quantlytic.model.side import Side

DAY_NS = 86_400_000_000_000
STOPS = (OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP)
AT_ONCE = (TimeInForce.IOC, TimeInForce.FOK)


class Watch(msgspec.Struct):
    """A level that is waited for. `way` 1: fires at the level and above, -1: at it and below. `trail`: distance from `best`."""

    level: float
    way: int
    trail: float = 0.0
    is_percent: bool = False
    best: float = math.nan
    is_fired: bool = False

    def see(self, price: float) -> bool:
        """A price was seen. True when it fires now."""
        if self.is_fired or not price > 0.0:
            return False
        if self.trail:
            self.follow(price)
        self.is_fired = (price - self.level) * self.way >= 0.0
        return self.is_fired

    def follow(self, price: float) -> None:
        """A trailing stop's level keeps its distance from the best price."""
        best = price if math.isnan(self.best) else self.best
        self.best = min(best, price) if self.way > 0 else max(best, price)
        self.level = self.best + self.way * (self.best * self.trail / 100.0 if self.is_percent else self.trail)


def watch_of(order: Order) -> Watch | None:
    """What the order waits for; None when it may be sent at once."""
    side = int(order.side)
    if order.type == OrderType.TRAILING_STOP:
        return Watch(math.nan, side, order.trail, order.trail_percent)
    if order.type in STOPS:
        return Watch(order.stop_price, side)
    if order.type == OrderType.TAKE_PROFIT:
        return Watch(order.stop_price, -side)
    if order.type == OrderType.LIMIT and order.group_id:
        return Watch(order.price, -side)
    return None


def expiry_ns(order: Order) -> int:
    """When it ends if it is still there, 0 for never: DAY at the end of its UTC day."""
    if order.time_in_force == TimeInForce.GTD:
        return order.expire_time
    if order.time_in_force == TimeInForce.DAY:
        return (order.event_time // DAY_NS + 1) * DAY_NS
    return 0


def plain_of(order: Order) -> Order:
    """What is sent once nothing is waited for any more."""
    kind = OrderType.LIMIT if order.type in (OrderType.LIMIT, OrderType.STOP_LIMIT) else OrderType.MARKET
    return msgspec.structs.replace(
        order, type=kind, time_in_force=order.time_in_force if order.time_in_force in AT_ONCE else TimeInForce.GTC,
        price=order.price if kind == OrderType.LIMIT else math.nan, stop_price=math.nan, trail=0.0, trail_percent=False,
        expire_time=0, reduce_only=False, parent_id=0, group_id=0,
    )  # fmt: skip


def fault_of(order: Order) -> str:  # noqa: PLR0911 - one reason a line
    """Why an order makes no sense, or cannot be kept here; "" for none."""
    if order.side not in (Side.BUY, Side.SELL) or not 0.0 < order.quantity < math.inf:
        return f"invalid-quantity: {order.quantity!r} is no quantity"
    if order.type in (OrderType.LIMIT, OrderType.STOP_LIMIT) and not 0.0 < order.price < math.inf:
        return f"invalid-price: {order.price!r} is no price"
    waits = order.type in (OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT)
    if waits and not 0.0 < order.stop_price < math.inf:
        return f"invalid-price: {order.stop_price!r} is no stop price"
    if order.type == OrderType.TRAILING_STOP and not 0.0 < order.trail < (100.0 if order.trail_percent else math.inf):
        return f"invalid-price: a trail of {order.trail!r}"
    if order.time_in_force in (TimeInForce.AT_OPEN, TimeInForce.AT_CLOSE):
        return "invalid-order: auctions are traded on paper only"
    if order.time_in_force == TimeInForce.GTD and order.expire_time <= order.event_time:
        return "contradictory: it expires before it was decided"
    if order.time_in_force in AT_ONCE and order.type not in (OrderType.MARKET, OrderType.LIMIT):
        return "contradictory: what waits for a price cannot be filled at once"
    return ""
