"""Price-time priority matching: one book a symbol, integers only (prices in ticks, quantities in lots).

The better price goes first; at one price the earlier order. A trade is done at the resting order's price. An
account's order that meets a resting order of the same account expires the resting one and goes on (Binance's
EXPIRE_MAKER), except for accounts that stand for many people (the synthetic crowd), which trade with themselves.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

import msgspec

BUY = 1
SELL = -1
OPEN = ("NEW", "PARTIALLY_FILLED")


class Order(msgspec.Struct):
    """An order and how far it got. `price` 0: at any price. `reserved_e8` is what it still locks of its account's
    balance; `filled_quote_e8` what its fills were worth. Times in ms.
    """

    order_id: int
    account: str
    symbol: str
    side: int
    type: str
    time_in_force: str
    price: int
    quantity: int
    time_ms: int
    client_order_id: str = ""
    status: str = "NEW"
    filled: int = 0
    filled_quote_e8: int = 0
    reserved_e8: int = 0
    update_ms: int = 0
    quote_order_e8: int = 0
    cancel_id: str = ""

    @property
    def remaining(self) -> int:
        """Lots still to be filled."""
        return self.quantity - self.filled

    @property
    def is_open(self) -> bool:
        """Whether it can still trade."""
        return self.status in OPEN


class Level:
    """The orders at one price, oldest first, and their lots in total."""

    __slots__ = ("lots", "orders")

    def __init__(self) -> None:
        self.lots = 0
        self.orders: dict[int, Order] = {}


class Ladder:
    """One side of a book. `keys` are prices with the side's sign turned so that the best is the first."""

    def __init__(self, side: int) -> None:
        self.side = side
        self.keys: list[int] = []
        self.levels: dict[int, Level] = {}

    @property
    def best(self) -> int | None:
        """The best price in ticks, None for an empty side."""
        return -self.side * self.keys[0] if self.keys else None

    def add(self, order: Order) -> None:
        """Queue an order behind those at its price."""
        level = self.levels.get(order.price)
        if level is None:
            level = self.levels[order.price] = Level()
            key = -self.side * order.price
            self.keys.insert(bisect_left(self.keys, key), key)
        level.orders[order.order_id] = order
        level.lots += order.remaining

    def take(self, order: Order, lots: int) -> None:
        """Remove `lots` of a queued order from the level, and the order with its last lot."""
        level = self.levels[order.price]
        level.lots -= lots
        if order.remaining == lots:
            del level.orders[order.order_id]
            if not level.orders:
                del self.levels[order.price]
                del self.keys[bisect_left(self.keys, -self.side * order.price)]

    def top(self, count: int) -> list[tuple[int, int]]:
        """The best `count` levels as (ticks, lots), best first."""
        prices = [-self.side * key for key in self.keys[:count]]
        return [(price, self.levels[price].lots) for price in prices]


class Match(msgspec.Struct, frozen=True):
    """A taker meets a resting order. `lots` 0: the resting order is of the same account and expires unfilled."""

    maker: Order
    price: int
    lots: int


class Book:
    """Both sides of one symbol. `update_id` grows by one with every change of a level."""

    def __init__(self, crowd: frozenset[str] = frozenset()) -> None:
        self.bids = Ladder(BUY)
        self.asks = Ladder(SELL)
        self.update_id = 0
        self.crowd = crowd
        self.changed: dict[tuple[int, int], None] = {}

    def ladder(self, side: int) -> Ladder:
        """The side where orders of `side` rest."""
        return self.bids if side == BUY else self.asks

    def matches(self, order: Order) -> Iterator[Match]:
        """Trade `order` against the other side until it is full or out of reach, one resting order at a time.

        The caller fills both orders with each match before it asks for the next. An order that carries `quote_order_e8`
        is limited by the caller, who sets its `quantity`.
        """
        other = self.ladder(-order.side)
        own_trades = order.account in self.crowd
        while order.remaining and other.keys:
            price = other.best
            assert price is not None
            if order.price and (order.price - price) * order.side < 0:
                return
            maker = next(iter(other.levels[price].orders.values()))
            if maker.account == order.account and not own_trades:
                self._take(other, maker, maker.remaining)
                yield Match(maker, price, 0)
                continue
            lots = min(order.remaining, maker.remaining)
            self._take(other, maker, lots)
            yield Match(maker, price, lots)

    def rest(self, order: Order) -> None:
        """Let the remainder of a limit order wait in the book."""
        self.ladder(order.side).add(order)
        self._touch(order)

    def remove(self, order: Order) -> None:
        """Take a resting order out."""
        self._take(self.ladder(order.side), order, order.remaining)

    def reach(self, side: int, price: int, lots: int, account: str = "") -> tuple[int, int]:
        """What `lots` of a taker of `side` could get now, no worse than `price` (0: any): (lots, sum of ticks * lots).

        Resting orders of `account` are passed over: they would expire, not trade.
        """
        other = self.ladder(-side)
        got = value = 0
        for key in other.keys:
            ticks = side * key
            if got >= lots or (price and (price - ticks) * side < 0):
                break
            level = other.levels[ticks]
            there = level.lots
            if account and account not in self.crowd:
                there -= sum(order.remaining for order in level.orders.values() if order.account == account)
            part = min(lots - got, there)
            got += part
            value += part * ticks
        return got, value

    def crossed(self) -> bool:
        """Whether the best bid is at or above the best ask: must never be."""
        bid, ask = self.bids.best, self.asks.best
        return bid is not None and ask is not None and bid >= ask

    def lots_at(self, side: int, price: int) -> int:
        """Lots waiting at a price."""
        level = self.ladder(side).levels.get(price)
        return level.lots if level else 0

    def _take(self, ladder: Ladder, order: Order, lots: int) -> None:
        ladder.take(order, lots)
        self._touch(order)

    def _touch(self, order: Order) -> None:
        self.update_id += 1
        self.changed[(order.side, order.price)] = None
