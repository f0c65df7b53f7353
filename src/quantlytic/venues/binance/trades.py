"""One instrument's trades, each once and in the order of their ids, whatever the wire did to them."""

from __future__ import annotations

from collections.abc import Sequence

from quantlytic.model.event import Event
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.model.losses import CAME_LATE
from quantlytic.model.side import Side
from quantlytic.model.time import NS_PER_MS, NS_PER_S
from quantlytic.model.trade import Trade
from quantlytic.venues.binance.wire import HistoricalTrade, TradeMessage
from quantlytic.venues.gaps import Gaps
from quantlytic.venues.port import Request

PAGE = 1000
MAX_HELD = 10_000
MAX_TRIES = 3
RESTART_NS = NS_PER_S
"""An id at or below the last one, on a trade later than the last one by more than this: the venue counts anew."""

SavedTrades = tuple[int, int, list[Trade]]


class TradeSequence:
    """Ids are contiguous. A trade beyond the next id is held back while the missing ones are fetched by REST.

    With `history_path` None (futures), and when the venue has not got them, the hole is stated as a GAP. At most
    `max_backfill` trades are fetched at a jump; what is older is a GAP as well.
    """

    def __init__(self, instrument: str, history_path: str | None, weight: int, max_backfill: int) -> None:
        self.instrument = instrument
        self._history_path = history_path
        self._weight = weight
        self._max_backfill = max_backfill
        self._last = -1
        self._last_time = 0
        self._held: dict[int, Trade] = {}
        self._asked = False
        self._tries = 0
        self._gaps = Gaps()
        self._fetched = Gaps()
        self.wanted: Request | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether newer trades are held back."""
        return bool(self._held)

    def on_message(self, message: TradeMessage, receive_time: int) -> Sequence[Event]:
        """A live trade."""
        trade_id = message.trade_id
        event_time = message.trade_ms * NS_PER_MS
        side = Side.SELL if message.buyer_is_maker else Side.BUY
        trade = Trade(self.instrument, event_time, receive_time, trade_id, message.price, message.quantity, side)
        if trade_id == self._last + 1 and not self._held:
            self._last = trade_id
            self._last_time = event_time
            return (trade,) if message.price and message.quantity else (self._empty(trade),)
        return self._out_of_turn(trade)

    def on_history(self, reply: list[HistoricalTrade], receive_time: int) -> Sequence[Event]:
        """The answer to a request: emit what is missing, state what does not exist, ask for the next page."""
        self._asked = False
        if not self._held:
            return ()
        events: list[Event] = []
        first, count = self._last + 1, 0
        beyond = min(self._held)
        for item in reply:
            if self._last < item.trade_id < beyond:
                if item.trade_id > self._last + 1:
                    events.append(self._gap(self._last + 1, item.trade_id - 1, "not in the venue's history"))
                side = Side.SELL if item.buyer_is_maker else Side.BUY
                time = item.time_ms * NS_PER_MS
                fetched = (time, receive_time, item.trade_id, item.price, item.quantity, side)
                self._emit(Trade(self.instrument, *fetched), events)
                count += 1
        if count:
            self._tries = 0
            self._fetched.add(first, self._last)
            events.append(self._entry(LedgerKind.BACKFILL, first, self._last, count, "historicalTrades"))
        else:
            self._tries += 1
        self._drain(events)
        if self._held and self._tries >= MAX_TRIES:
            self._give_up("not in the venue's history", events)
        self._ask()
        return events

    def on_failed(self, reason: str) -> Sequence[Event]:
        """The request was given up: state the hole and go on."""
        self._asked = False
        events: list[Event] = []
        if self._held:
            self._give_up(reason, events)
            self._ask()
        return events

    def on_started(self) -> None:
        """A new recorder: requests of the one before are gone; what is missing is asked for again."""
        self._asked = False
        self._tries = 0
        self._gaps.clear()
        self._fetched.clear()
        self.wanted = None
        self._ask()

    def save(self) -> SavedTrades:
        """What outlives a restart."""
        return self._last, self._last_time, list(self._held.values())

    def restore(self, saved: SavedTrades) -> None:
        """Take over what `save` gave."""
        self._last, self._last_time, held = saved
        self._held = {trade.trade_id: trade for trade in held}

    def _out_of_turn(self, trade: Trade) -> Sequence[Event]:
        events: list[Event] = []
        trade_id = trade.trade_id
        if self._last < 0:
            self._emit(trade, events)
        elif trade_id <= self._last:
            self._behind(trade, events)
        elif trade_id in self._held:
            events.append(self._entry(LedgerKind.DUPLICATE, trade_id, trade_id))
        else:
            self._ahead(trade, events)
        return events

    def _behind(self, trade: Trade, events: list[Event]) -> None:
        trade_id = trade.trade_id
        if self._gaps.take(trade_id, trade_id):
            events.append(trade)
            events.append(self._entry(LedgerKind.BACKFILL, trade_id, trade_id, detail=CAME_LATE))
        elif trade.event_time > self._last_time + RESTART_NS:
            while self._held:
                self._give_up("the venue began to count anew", events)
            detail = f"the venue began to count anew after {self._last}"
            events.append(self._entry(LedgerKind.GAP, trade_id, trade_id, 0, detail))
            self._gaps.clear()
            self._emit(trade, events)
        else:
            detail = "came late, after it had been fetched" if self._fetched.take(trade_id, trade_id) else ""
            events.append(self._entry(LedgerKind.DUPLICATE, trade_id, trade_id, detail=detail))

    def _ahead(self, trade: Trade, events: list[Event]) -> None:
        self._held[trade.trade_id] = trade
        missing = trade.trade_id - self._last - 1
        if self._history_path is None:
            if missing:
                events.append(self._gap(self._last + 1, trade.trade_id - 1, "no history to fetch from"))
        elif missing > self._max_backfill and len(self._held) == 1:
            detail = f"farther back than {self._max_backfill} trades"
            events.append(self._gap(self._last + 1, trade.trade_id - 1 - self._max_backfill, detail))
        elif len(self._held) > MAX_HELD:
            self._give_up(f"{MAX_HELD} newer trades are waiting", events)
        self._drain(events)
        self._ask()

    def _emit(self, trade: Trade, events: list[Event]) -> None:
        self._last = trade.trade_id
        self._last_time = trade.event_time
        events.append(trade if trade.price and trade.quantity else self._empty(trade))

    def _drain(self, events: list[Event]) -> None:
        while (trade := self._held.pop(self._last + 1, None)) is not None:
            self._emit(trade, events)

    def _give_up(self, reason: str, events: list[Event]) -> None:
        events.append(self._gap(self._last + 1, min(self._held) - 1, reason))
        self._tries = 0
        self._drain(events)

    def _ask(self) -> None:
        """Request the oldest missing page, if anything is missing and nothing is asked for yet."""
        if not self._held or self._asked:
            return
        limit = min(PAGE, min(self._held) - self._last - 1)
        self._asked = True
        self.wanted = Request(f"{self._history_path}&fromId={self._last + 1}&limit={limit}", self._weight)

    def _gap(self, first: int, last: int, detail: str) -> LedgerEntry:
        self._gaps.add(first, last)
        self._last = last
        return self._entry(LedgerKind.GAP, first, last, last - first + 1, detail)

    def _empty(self, trade: Trade) -> LedgerEntry:
        detail = "a print without price or quantity"
        return self._entry(LedgerKind.INVALID, trade.trade_id, trade.trade_id, detail=detail)

    def _entry(self, kind: LedgerKind, first: int, last: int, count: int = 1, detail: str = "") -> LedgerEntry:
        return LedgerEntry(self.instrument, "trades", kind, self._last_time, first, last, count, detail)
