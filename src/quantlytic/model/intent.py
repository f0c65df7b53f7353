"""What a strategy would do next, said before it does it."""

import math

from quantlytic.model.event import Event, InstrumentId
from quantlytic.model.side import Side


class Intent(Event, frozen=True, tag=23):
    """If the bar that ends at `until` closes from `price_low` to `price_high`, the strategy does `action` ("order", "cancel",
    "amend"). An open end is infinite. `seen_price` is the last price when it was said; `intent_id` counts from 1 in a run.

    An intent may be said again with another band, under the same id: the last one counts. Both prices NaN: it is withdrawn.
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
    bar_size_ns: int = 0

    @property
    def is_withdrawn(self) -> bool:
        return math.isnan(self.price_low)

    def holds_at(self, price: float) -> bool:
        """Whether the band, its ends included, has that price in it."""
        return self.price_low <= price <= self.price_high


class IntentOutcome(Event, frozen=True, tag=24):
    """What became of an intent when its bar had closed, at `price`; NaN when there was no bar then.

    `came_true`: it closed inside the band, and the strategy did it. `lead_ns`: how long before the bar's end it had been said
    and never been taken back, for that close; 0 where it did not come true.
    """

    run: str
    intent_id: int
    instrument: InstrumentId
    event_time: int
    came_true: bool
    price: float
    lead_ns: int
