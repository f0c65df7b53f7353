"""A public print."""

from quantlytic.model.event import Event, InstrumentId, dtype_of
from quantlytic.model.side import Side


class Trade(Event, frozen=True, tag=1):
    """A public trade. `side` is the aggressor's. Times are int64 ns UTC: `event_time` the venue's, `receive_time` ours."""

    instrument: InstrumentId
    event_time: int
    receive_time: int
    trade_id: int
    price: float
    quantity: float
    side: Side


TRADE = dtype_of(Trade)
