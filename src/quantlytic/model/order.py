"""What a strategy asks a venue to do, in FIX words."""

import math
from enum import IntEnum

import numpy as np

from quantlytic.model.event import Event, InstrumentId, dtype_of
from quantlytic.model.side import Side


class OrderType(IntEnum):
    """A STOP becomes a market order when its stop price trades, a TAKE_PROFIT (market if touched) when the better price does.

    A STOP_LIMIT becomes a limit order; a TRAILING_STOP is a stop whose price follows the best one seen.
    """

    MARKET = 1
    LIMIT = 2
    STOP = 3
    STOP_LIMIT = 4
    TRAILING_STOP = 5
    TAKE_PROFIT = 6


class TimeInForce(IntEnum):
    """DAY ends with the session (the UTC day where no sessions are known), GTD at `expire_time`; the last two are auctions."""

    GTC = 1
    IOC = 2
    FOK = 3
    DAY = 4
    GTD = 5
    AT_OPEN = 6
    AT_CLOSE = 7


class OrderStatus(IntEnum):
    """FIX OrdStatus. UNRESOLVED: sent, and the venue has not been heard: it is asked, never assumed."""

    PENDING_NEW = 1
    NEW = 2
    PARTIALLY_FILLED = 3
    FILLED = 4
    CANCELED = 5
    REJECTED = 6
    EXPIRED = 7
    UNRESOLVED = 8


class Reason(IntEnum):
    """Why an order was rejected, cancelled, expired or changed. Arrays hold the number, `OrderUpdate.reason` the `text`."""

    NONE = 0
    INVALID_QUANTITY = 1
    INVALID_PRICE = 2
    INVALID_ORDER = 3
    MIN_NOTIONAL = 4
    TOO_MANY_OPEN_ORDERS = 5
    INSUFFICIENT_CASH = 6
    SHORT_NOT_ALLOWED = 7
    INSUFFICIENT_COLLATERAL = 8
    NOT_FILLED_AT_ONCE = 9
    CONTRADICTORY = 10
    POST_ONLY_WOULD_TAKE = 11
    REDUCE_ONLY = 12
    EXPIRED_DAY = 13
    EXPIRED_GTD = 14
    OCO = 15
    PARENT = 16
    INSUFFICIENT_MARGIN = 17
    LIQUIDATED = 18
    DELISTED = 19
    SPLIT = 20
    AMENDED = 21
    VENUE = 22  # the venue's, or the executor's, own words

    @property
    def text(self) -> str:
        """`insufficient-cash`; "" for none."""
        return "" if self is Reason.NONE else self.name.lower().replace("_", "-")

    @classmethod
    def of(cls, text: str) -> "Reason":
        """The reason whose `text` this is, or begins (`min-notional: worth 3`); VENUE for other words."""
        name = text.partition(":")[0].upper().replace("-", "_")
        return cls.__members__.get(name, cls.VENUE) if text else cls.NONE


class Order(Event, frozen=True, tag=7):
    """A new order. `order_id` counts from 1 within the run; `bar_offset` is the input that caused it.

    `quantity` is positive, in base units; `price` is the limit price, NaN where there is none; `stop_price` triggers STOP,
    STOP_LIMIT and TAKE_PROFIT. `trail` is a TRAILING_STOP's distance, in price or (with `trail_percent`) percent.
    `expire_time` (ns UTC) ends a GTD order. `parent_id`: it sleeps until that order has filled. `group_id`: of the orders with
    one group (not 0), the first to fill cancels the others (OCO).
    """

    run: str
    order_id: int
    instrument: InstrumentId
    event_time: int
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    quantity: float
    price: float
    bar_offset: int = -1
    stop_price: float = math.nan
    trail: float = 0.0
    trail_percent: bool = False
    expire_time: int = 0
    post_only: bool = False
    reduce_only: bool = False
    parent_id: int = 0
    group_id: int = 0

    @property
    def is_plain(self) -> bool:
        """A market or limit order, GTC, IOC or FOK, with no condition besides: what every venue can be asked for."""
        return (
            self.type in (OrderType.MARKET, OrderType.LIMIT)
            and self.time_in_force in (TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK)
            and not (self.post_only or self.reduce_only or self.parent_id or self.group_id)
        )


class OrderCancel(Event, frozen=True, tag=8):
    """The strategy withdraws an order."""

    run: str
    order_id: int
    instrument: InstrumentId
    event_time: int
    bar_offset: int = -1


class OrderAmend(Event, frozen=True, tag=15):
    """The strategy changes an open order (FIX: cancel/replace). NaN leaves a field as it is."""

    run: str
    order_id: int
    instrument: InstrumentId
    event_time: int
    quantity: float = math.nan
    price: float = math.nan
    stop_price: float = math.nan
    bar_offset: int = -1


class OrderUpdate(Event, frozen=True, tag=9):
    """The venue (or the simulated one) reports an order's status; fills come as `Fill` besides."""

    run: str
    order_id: int
    instrument: InstrumentId
    event_time: int
    status: OrderStatus
    reason: str = ""


ORDER = dtype_of(Order)
ORDER_CANCEL = dtype_of(OrderCancel)
ORDER_AMEND = dtype_of(OrderAmend)
ORDER_UPDATE = np.dtype(
    [("order_id", "i8"), ("instrument", "i4"), ("event_time", "i8"), ("status", "i1"), ("reason", "i1")], align=True
)
"""An OrderUpdate in arrays: its fields, and the reason as the number of a `Reason`."""


def client_order_id(run: str, order_id: int) -> str:
    """The id the venue sees. The same decision gives the same id, so a repeat is recognised."""
    return f"{run}.{order_id}"
