"""A strategy's wish."""

from quantlytic.model.event import Event, InstrumentId, dtype_of
from quantlytic.model.side import Side


class Signal(Event, frozen=True, tag=11):
    """A strategy wants to change its position: by `side`, to `target_quantity` (signed, base units), seen at `price`."""

    run: str
    signal_id: int
    instrument: InstrumentId
    event_time: int
    side: Side
    target_quantity: float
    price: float
    bar_offset: int = -1


SIGNAL = dtype_of(Signal)
