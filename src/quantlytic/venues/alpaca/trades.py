"""One instrument's trades at Alpaca: each once, and what was missed fetched before what came after."""

from __future__ import annotations

from collections.abc import Sequence

from quantlytic.model.event import Event
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.model.side import Side
from quantlytic.model.trade import Trade
from quantlytic.venues.aggressor import SavedSide, SideRule
from quantlytic.venues.alpaca.wire import HistoricalTrade, time_ns, without_price
from quantlytic.venues.port import Request

PAGE = 10_000
MAX_PAGES = 100
MAX_HELD = 20_000
WINDOW = 256
NS_PER_US = 1000

Key = tuple[str, int]
"""An id is an exchange's own, so both together name a trade."""
Print = tuple[int, int, str, int, float, float, str, str]
"""event_time, receive_time, exchange, id, price, size, taker, and the conditions by which it makes no price."""
SavedPrints = tuple[int, list[Key], list[Print], SavedSide]


class TradePrints:
    """Ids name trades but do not number them: a hole cannot be seen. It is known only that a connection was lost; what
    was printed meanwhile is then fetched from the last trade on, and newer trades wait for it, so that order is kept.
    A repeat of one of the last 256 trades is a DUPLICATE. What cannot be fetched is stated as a GAP of unknown size."""

    def __init__(self, instrument: str, symbol: str) -> None:
        self.instrument = instrument
        self.sides = SideRule()
        self.wanted: Request | None = None
        self._symbol = symbol
        self._last_time = 0
        self._recent: dict[Key, None] = {}
        self._newest: dict[
            Key, None
        ] = {}  # those that a request from the last one on, by whole microseconds, brings again
        self._held: dict[Key, Print] = {}
        self._is_waiting = False
        self._pages = 0
        self._fetched = 0

    def on_print(self, one: Print) -> Sequence[Event]:
        """A live trade."""
        key = one[2], one[3]
        if key in self._recent or key in self._held:
            return (self._entry(LedgerKind.DUPLICATE, one[3]),)
        if not self._is_waiting:
            return (self._trade(one, is_live=True),)
        self._held[key] = one
        return self._give_up(f"{MAX_HELD} newer trades are waiting") if len(self._held) > MAX_HELD else ()

    def on_resumed(self) -> None:
        """The stream goes on after an interruption."""
        self.sides.forget_quote()
        if self._last_time:
            self._is_waiting = True
            self._pages = self._fetched = 0
            self._ask(self._last_time)

    def on_history(self, reply: list[HistoricalTrade], receive_time: int) -> Sequence[Event]:
        """A page of what was missed, oldest first."""
        if not self._is_waiting:
            return ()
        self._pages += 1
        before = self._last_time
        events: list[Event] = []
        for item in reply:
            time, key = time_ns(item.time), (item.exchange, item.id)
            if key in self._held:
                events.append(self._trade(self._held.pop(key), is_live=False))
            elif key not in self._recent:
                odd = without_price(item.conditions, item.tape)
                one = (time, receive_time, item.exchange, item.id, item.price, item.size, item.taker, odd)
                events.append(self._trade(one, is_live=False))
                self._fetched += 1
        if len(reply) >= PAGE:
            if self._pages >= MAX_PAGES or self._last_time == before:
                return [*events, *self._give_up(f"more than {self._fetched} trades were missed")]
            self._ask(self._last_time)
            return events
        return [*events, *self._caught_up()]

    def on_failed(self, reason: str) -> Sequence[Event]:
        """The request was given up: state the hole and go on."""
        return self._give_up(reason) if self._is_waiting else ()

    def on_started(self) -> None:
        """A new recorder: requests of the one before are gone. What it held back waits for the stream to go on."""
        self._is_waiting = self._is_waiting or bool(self._held)
        self.wanted = None
        self.sides.forget_quote()
        self._recent = dict(self._newest)

    def save(self) -> SavedPrints:
        """What outlives a restart."""
        return self._last_time, list(self._newest), list(self._held.values()), self.sides.save()

    def restore(self, saved: SavedPrints) -> None:
        """Take over what `save` gave."""
        self._last_time, recent, held, sides = saved
        self._newest = dict.fromkeys(recent)
        self._recent = dict(self._newest)
        self._held = {(one[2], one[3]): one for one in held}
        self.sides.restore(sides)

    def _caught_up(self) -> Sequence[Event]:
        events: list[Event] = []
        if self._fetched:
            detail = "trades since the last one before the interruption"
            events.append(self._entry(LedgerKind.BACKFILL, 0, self._fetched, detail))
        return [*events, *self._release()]

    def _give_up(self, reason: str) -> Sequence[Event]:
        detail = f"an unknown number of trades: {reason}"[:200]
        return [self._entry(LedgerKind.GAP, 0, 1, detail), *self._release()]

    def _release(self) -> list[Event]:
        self._is_waiting = False
        held, self._held = self._held, {}
        return [self._trade(one, is_live=False) for one in held.values()]

    def _trade(self, one: Print, is_live: bool) -> Event:
        time, receive_time, exchange, number, price, size, taker, odd = one
        if time // NS_PER_US > self._last_time // NS_PER_US:
            self._newest = {}
        self._last_time = max(self._last_time, time)
        if time // NS_PER_US == self._last_time // NS_PER_US:
            self._newest[exchange, number] = None
        self._recent[exchange, number] = None
        if len(self._recent) > WINDOW:
            del self._recent[next(iter(self._recent))]
        if not price or not size:
            return self._entry(LedgerKind.INVALID, number, detail="a print without price or size")
        if odd:
            return self._entry(LedgerKind.INVALID, number, detail=f"a print that makes no price (sale condition {odd})")
        if taker in ("B", "S"):
            side = Side.BUY if taker == "B" else Side.SELL
        else:
            side = self.sides.side(price, is_live)
        return Trade(self.instrument, time, receive_time, number, price, size, side)

    def _ask(self, start_ns: int) -> None:
        self.wanted = Request(f"trades?symbol={self._symbol}&start={start_ns}&limit={PAGE}")

    def _entry(self, kind: LedgerKind, number: int = 0, count: int = 1, detail: str = "") -> LedgerEntry:
        return LedgerEntry(self.instrument, "trades", kind, self._last_time, number, number, count, detail)
