"""The best bid and offer."""

from quantlytic.model.event import Event, InstrumentId, dtype_of


class Quote(Event, frozen=True, tag=2):
    """Best bid and ask. `sequence` is the venue's update id. `event_time` is `receive_time` where the venue states none."""

    instrument: InstrumentId
    event_time: int
    receive_time: int
    sequence: int
    bid: float
    bid_quantity: float
    ask: float
    ask_quantity: float


QUOTE = dtype_of(Quote)
