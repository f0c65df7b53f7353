"""One instrument's best bids and offers, each once."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from quantlytic.model.event import Event
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.model.quote import Quote
from quantlytic.model.time import NS_PER_MS
from quantlytic.venues.binance.wire import QuoteMessage

WINDOW = 256


class QuoteSequence:
    """Update ids rise but have holes, so a loss cannot be seen here (a RECONNECT entry tells where there may be one).

    A message that repeats one of the last 256 ids is a DUPLICATE; one that is only late goes out late.
    """

    def __init__(self, instrument: str) -> None:
        self.instrument = instrument
        self._last = -1
        self._recent: deque[int] = deque(maxlen=WINDOW)

    def on_message(self, message: QuoteMessage, receive_time: int) -> Sequence[Event]:
        """A change of the best bid or offer. Spot states no time: `event_time` is then `receive_time`."""
        sequence = message.update_id
        event_time = message.transaction_ms * NS_PER_MS or receive_time
        if sequence > self._last:
            self._last = sequence
        elif sequence in self._recent:
            duplicate = LedgerKind.DUPLICATE
            return (LedgerEntry(self.instrument, "quotes", duplicate, event_time, sequence, sequence),)
        self._recent.append(sequence)
        sides = (message.bid, message.bid_quantity, message.ask, message.ask_quantity)
        return (Quote(self.instrument, event_time, receive_time, sequence, *sides),)

    def reset(self) -> None:
        """A new connection repeats nothing, and the venue may count anew."""
        self._last = -1
        self._recent.clear()
