"""Open, high, low, close, volume of a stretch of trades."""

from quantlytic.model.event import Event, InstrumentId, dtype_of


class Bar(Event, frozen=True, tag=4):
    """A finished bar over [open_time, close_time), both ns UTC. `volume` is in base, `quote_volume` in quote currency.

    A stretch without trades has no bar: nothing is filled in.
    """

    instrument: InstrumentId
    open_time: int
    close_time: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float = 0.0
    trades: int = 0


BAR = dtype_of(Bar)
