"""A trade of ours."""

from quantlytic.model.event import Event, InstrumentId, dtype_of
from quantlytic.model.side import Side


class Fill(Event, frozen=True, tag=10):
    """Part or all of an order, done. `quantity` is positive; `fee` is in quote currency; `fill_id` counts from 1 in a run.

    `slippage` is what the price cost against the one before any slippage model, in quote currency (part of `price` already).
    `maker`: it had rested.
    """

    run: str
    fill_id: int
    order_id: int
    instrument: InstrumentId
    event_time: int
    side: Side
    quantity: float
    price: float
    fee: float
    bar_offset: int = -1
    slippage: float = 0.0
    maker: bool = False


FILL = dtype_of(Fill)
