"""What the account is worth."""

from quantlytic.model.event import Event, InstrumentId, dtype_of


class Equity(Event, frozen=True, tag=12):
    """The account after the bar at `bar_offset`: marked at its close. One a bar: it also says "this bar has been executed".

    `position` and `price` are those of the bar's instrument; `cash` and `equity` are the account's, in its currency.
    """

    run: str
    instrument: InstrumentId
    event_time: int
    equity: float
    cash: float
    position: float
    price: float
    bar_offset: int


EQUITY = dtype_of(Equity)


class Decided(Event, frozen=True, tag=13):
    """The strategist has decided on the bar at `bar_offset`; its orders, if any, precede this event in the stream."""

    run: str
    bar_offset: int
