"""What the completeness ledger is made of."""

from enum import IntEnum

from quantlytic.model.event import Event, InstrumentId


class LedgerKind(IntEnum):
    """GAP: sequence numbers that never came. BACKFILL: numbers fetched afterwards. DUPLICATE: came again and was dropped.
    LATE: came after its bar had closed. RECONNECT: a connection was lost and made anew. CROSSED: the book crossed.
    RESYNC: the book was rebuilt from a snapshot. INVALID: a message that could not be read.
    CORRECTED: the venue took back or changed a trade that it had sent; the trade stays on the tape as it came.
    REPAIRED: a source's value that a stated rule changed; `detail` says from what to what."""

    GAP = 1
    BACKFILL = 2
    DUPLICATE = 3
    LATE = 4
    RECONNECT = 5
    CROSSED = 6
    RESYNC = 7
    INVALID = 8
    CORRECTED = 9
    REPAIRED = 10


class LedgerEntry(Event, frozen=True, tag=6):
    """Something about completeness that a user of the data must be able to see. Counts are of messages or trades.

    `stream` is the data kind it is about: "trades", "quotes", "book", "bars" or "raw"; `first`..`last` the sequence numbers.
    """

    instrument: InstrumentId
    stream: str
    kind: LedgerKind
    event_time: int
    first: int = 0
    last: int = 0
    count: int = 1
    detail: str = ""
