"""An order book kept from a snapshot and the changes to it."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heappush, nlargest, nsmallest
from itertools import islice

Level = tuple[float, float]
"""(price, quantity)."""


class LocalBook:
    """Bids and asks of one instrument, with the best of each at hand.

    Levels live in a dict per side. A heap per side holds exactly the dict's prices (bids negated); a level whose
    quantity became 0 stays in both until it comes to the top or a sweep removes it. So a change costs one dict
    update for all its levels together, and a heap push only for a price not seen before.
    """

    def __init__(self) -> None:
        self._bids: dict[float, float] = {}
        self._asks: dict[float, float] = {}
        self._bid_heap: list[float] = []
        self._ask_heap: list[float] = []
        self._sweep_at = 0
        self.load((), ())

    def load(self, bids: Iterable[Level], asks: Iterable[Level]) -> None:
        """Replace everything by these levels; quantities of 0 are left out."""
        self._bids = {price: quantity for price, quantity in bids if quantity}
        self._asks = {price: quantity for price, quantity in asks if quantity}
        self._bid_heap = [-price for price in self._bids]
        self._ask_heap = list(self._asks)
        heapify(self._bid_heap)
        heapify(self._ask_heap)
        self._sweep_at = 4 * (len(self._bids) + len(self._asks)) + 4000

    def apply(self, bids: tuple[Level, ...], asks: tuple[Level, ...]) -> bool:
        """Take over changed levels (quantity 0 deletes). Returns False when the book is crossed afterwards."""
        known = self._bids
        before = len(known)
        known.update(bids)
        if added := len(known) - before:
            for price in islice(reversed(known), added):  # a dict keeps its order: what is new is at its end
                heappush(self._bid_heap, -price)
        known = self._asks
        before = len(known)
        known.update(asks)
        if added := len(known) - before:
            for price in islice(reversed(known), added):
                heappush(self._ask_heap, price)
        if len(self._bids) + len(known) > self._sweep_at:
            self.load(self._bids.items(), self._asks.items())
        return self.best_bid < self.best_ask

    @property
    def best_bid(self) -> float:
        """The highest bid; minus infinity when there is none."""
        heap, levels = self._bid_heap, self._bids
        while heap:
            price = -heap[0]
            if levels[price]:
                return price
            heappop(heap)
            del levels[price]
        return float("-inf")

    @property
    def best_ask(self) -> float:
        """The lowest ask; infinity when there is none."""
        heap, levels = self._ask_heap, self._asks
        while heap:
            price = heap[0]
            if levels[price]:
                return price
            heappop(heap)
            del levels[price]
        return float("inf")

    def bids(self, depth: int) -> list[Level]:
        """The best `depth` bids, best first."""
        return nlargest(depth, ((price, quantity) for price, quantity in self._bids.items() if quantity))

    def asks(self, depth: int) -> list[Level]:
        """The best `depth` asks, best first."""
        return nsmallest(depth, ((price, quantity) for price, quantity in self._asks.items() if quantity))
