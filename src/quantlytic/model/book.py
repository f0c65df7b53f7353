"""A change of the order book, or the whole of it."""

from quantlytic.model.event import Event, InstrumentId


class BookDelta(Event, frozen=True, tag=3):
    """Levels that changed between `first_sequence` and `last_sequence`; quantity 0 deletes a level.

    With `snapshot` true the levels are the whole book as of `last_sequence`. Prices and quantities are parallel lists,
    bids and asks in the order the venue sent them.
    """

    instrument: InstrumentId
    event_time: int
    receive_time: int
    first_sequence: int
    last_sequence: int
    bid_prices: tuple[float, ...]
    bid_quantities: tuple[float, ...]
    ask_prices: tuple[float, ...]
    ask_quantities: tuple[float, ...]
    snapshot: bool = False
