"""What is said to a venue, and what it says: the two sides of an account's conversation, verbatim enough to replay it."""

from enum import IntEnum

from quantlytic.model.event import Event, InstrumentId
from quantlytic.model.order import OrderStatus, OrderType, TimeInForce
from quantlytic.model.side import Side


class CommandKind(IntEnum):
    """ASK is a question about an order whose answer was not heard."""

    SUBMIT = 1
    CANCEL = 2
    AMEND = 3
    ASK = 4


class VenueCommand(Event, frozen=True, tag=18):
    """What the executor is about to ask of the venue, written before it is asked: after a crash it is known what may be there.

    `run` and `order_id` name the decision behind it ("" and 0 for a command of an operator or the kill switch).
    """

    account: str
    run: str
    order_id: int
    client_order_id: str
    kind: CommandKind
    instrument: InstrumentId
    event_time: int
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    quantity: float
    price: float
    reason: str = ""


class VenueReport(Event, frozen=True, tag=19):
    """An order as the venue reported it: in an answer, on its private stream, or when it was asked.

    `filled_quantity` and `quote_filled` are totals of the order so far. `heard_as`: "answer", "stream", "asked", "listing".
    """

    account: str
    client_order_id: str
    venue_order_id: int
    instrument: InstrumentId
    event_time: int
    receive_time: int
    status: OrderStatus
    filled_quantity: float
    quote_filled: float
    reason: str = ""
    heard_as: str = "answer"
