"""What a strategy asks a venue to do, in FIX words."""

from enum import IntEnum

from quantlytic.model.event import Event, InstrumentId, dtype_of
from quantlytic.model.side import Side


class OrderType(IntEnum):
    MARKET = 1
    LIMIT = 2


class TimeInForce(IntEnum):
    GTC = 1
    IOC = 2
    FOK = 3


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


class Order(Event, frozen=True, tag=7):
    """A new order. `order_id` counts from 1 within the run; `bar_offset` is the input that caused it.

    `quantity` is positive, in base units; `price` is the limit price, NaN for a market order.
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


class OrderCancel(Event, frozen=True, tag=8):
    """The strategy withdraws an order."""

    run: str
    order_id: int
    instrument: InstrumentId
    event_time: int
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


def client_order_id(run: str, order_id: int) -> str:
    """The id the venue sees. The same decision gives the same id, so a repeat is recognised."""
    return f"{run}.{order_id}"
