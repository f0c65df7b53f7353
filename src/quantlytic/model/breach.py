"""An order that was refused by our own limits."""

from quantlytic.model.event import Event, InstrumentId


class RiskBreach(Event, frozen=True, tag=21):
    """`limit` is the setting's name, `allowed` and `asked` its value and what the order would have made of it; `text` one line.

    `order_id` 0: the account itself is in breach (a daily loss, a drawdown), not one order.
    """

    account: str
    run: str
    order_id: int
    instrument: InstrumentId
    event_time: int
    limit: str
    allowed: float
    asked: float
    text: str
