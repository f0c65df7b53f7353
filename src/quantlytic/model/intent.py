"""What a strategy would do next, said before it does it."""

import math

from quantlytic.model.event import Event, InstrumentId
from quantlytic.model.side import Side


class Intent(Event, frozen=True, tag=23):
    """If the bar that ends at `until` closes from `price_low` to `price_high`, the strategy does `action` ("order", "cancel",
    "amend"). An open end is infinite. `seen_price` is the last close when it was said; `intent_id` counts from 1 in a run.

    `horizon` counts bars ahead. `probability` is a forecast's, NaN without one. `target_quantity` is signed, NaN for none.
    """

    run: str
    intent_id: int
    instrument: InstrumentId
    event_time: int
    until: int
    horizon: int
    action: str
    side: Side
    price_low: float
    price_high: float
    seen_price: float
    quantity: float
    target_quantity: float = math.nan
    probability: float = math.nan
    bar_offset: int = -1


class IntentOutcome(Event, frozen=True, tag=24):
    """What became of an intent when its bar had closed. `lead_ns`: how long before it had been said."""

    run: str
    intent_id: int
    instrument: InstrumentId
    event_time: int
    came_true: bool
    price: float
    lead_ns: int
