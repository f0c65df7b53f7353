"""One conformance suite for all venues: what a venue's rig has to offer, and the helpers that its tests share.

`tests/venues/test_conformance_*.py` hold the cases. Each runs for each venue: what a venue declares is proven to work, what it
does not declare is proven to be refused. Nothing is skipped.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Self

from quantlytic.model.codec import encode_batch
from quantlytic.model.event import Event
from quantlytic.model.frame import RawFrame
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.model.order import Order, OrderType, TimeInForce
from quantlytic.model.side import Side
from quantlytic.venues.capabilities import Capabilities
from quantlytic.venues.clock import GuardedClock
from quantlytic.venues.port import STARTED, Normaliser, OrderEntry

SECRETS = ("not-a-key", "not-a-secret")
"""The wrong key: it may be in no message."""
FAULTS = ("html", "5xx", "throttle")
LOSSES = ("unanswered", "cut")
"""An order is accepted, and its answer is lost: it never comes, or the connection breaks."""


class Rig(ABC):
    """A venue's adapter and the world behind it, which can be told what to do. `name` is the word before the colon in ids."""

    name: str
    can: Capabilities
    symbol: str
    unknown = "NOPE"
    delisted = ""
    """A symbol that was traded once; "" where the world behind knows none."""
    base: str
    quote: str
    lot: float
    """A quantity that can be afforded many times."""
    too_little = 0.0
    """A quantity below the venue's minimum, at a price far from the market."""

    @property
    def instrument(self) -> str:
        return f"{self.name}:{self.symbol}"

    @abstractmethod
    def feed(
        self, clock: GuardedClock, symbols: list[str] | None = None, key: str = "good", is_dead: bool = False
    ) -> Any:
        """The feed; `key` "good" or "wrong"; `is_dead`: at an address where nobody listens."""

    @abstractmethod
    def normaliser(self) -> Normaliser: ...

    def orders(self, key: str = "good", skew_s: float = 0.0) -> AbstractAsyncContextManager[OrderEntry]:
        """`key` "good", "wrong" or "read-only"; `skew_s`: how far our clock is wrong."""
        raise AssertionError(f"{self.name} declares no orders")

    @abstractmethod
    def stir(self) -> None:
        """Let something of each declared kind of market data happen, seen by those who listen."""

    def stir_unseen(self) -> None:
        """Let trades happen while nobody listens."""
        return

    @abstractmethod
    def cut(self) -> None:
        """Break all WebSockets off."""

    @abstractmethod
    def strike(self, fault: str) -> None:
        """The fault happens once, to the next request it can happen to."""

    @abstractmethod
    def calm(self) -> None:
        """No more faults."""

    def mute_account(self) -> None:
        """The account's stream says nothing until `calm`."""
        raise AssertionError(f"{self.name} declares no orders")

    def price(self) -> float:
        """About what the market pays."""
        return 0.0

    def partial(self) -> Order:
        """An order that is filled in part at once."""
        raise AssertionError(f"{self.name} declares no orders")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def order(
        self, quantity: float, price: float | None = None, side: Side = Side.BUY, symbol: str = "", **more: Any
    ) -> Order:
        """A limit order, or a market order without a price."""
        kind = more.pop("type", OrderType.MARKET if price is None else OrderType.LIMIT)
        instrument = f"{self.name}:{symbol or self.symbol}"
        limit = float("nan") if price is None else price
        return Order("run", 1, instrument, 0, side, kind, TimeInForce.GTC, quantity, limit, **more)

    def away(self) -> float:
        """A bid that is not reached, always the same."""
        self._away = getattr(self, "_away", 0) or round(self.price() * 0.9)
        return float(self._away)


class Recording(list[RawFrame]):
    """An `Inbox` that normalises what comes, as the recorder does, and asks the feed for what the normaliser wants."""

    def __init__(self, rig: Rig, feed: Any) -> None:
        super().__init__()
        self._normaliser = rig.normaliser()
        self._feed = feed
        self.events: list[Event] = []

    async def put(self, frame: RawFrame) -> None:
        self.append(frame)
        self.events += self._normaliser.feed(frame)
        for request in self._normaliser.requests():
            self._feed.request(request)

    def of(self, *kinds: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kinds)]

    def ledger(self, *kinds: LedgerKind) -> list[LedgerEntry]:
        return [event for event in self.of(LedgerEntry) if not kinds or event.kind in kinds]


def record(rig: Rig, work: Callable[[Recording], Awaitable[None]], **how: Any) -> Recording:
    """Run the feed while `work` does its part; raises what the feed raises."""

    async def scenario() -> Recording:
        clock = GuardedClock()
        feed = rig.feed(clock, **how)
        recording = Recording(rig, feed)
        await recording.put(RawFrame("recorder", clock.now(), STARTED, b""))
        running = asyncio.create_task(feed.run(recording))
        working = asyncio.ensure_future(work(recording))
        try:
            async with asyncio.timeout(30):
                await asyncio.wait({running, working}, return_when=asyncio.FIRST_COMPLETED)
                if running.done():
                    working.cancel()
                    await running
                await working
        finally:
            for task in (running, working):
                task.cancel()
            await asyncio.gather(running, working, return_exceptions=True)
        again = rig.normaliser()
        rebuilt = [event for frame in recording for event in again.feed(frame)]
        assert encode_batch(rebuilt) == encode_batch(recording.events), "a rebuild differs from what was recorded"
        return recording

    return asyncio.run(scenario())


def trade(rig: Rig, work: Callable[[Any], Awaitable[None]], **how: Any) -> None:
    """Let `work` use the venue's order entry."""

    async def scenario() -> None:
        async with asyncio.timeout(40), rig.orders(**how) as entry:
            await work(entry)

    asyncio.run(scenario())


async def until(condition: Callable[[], Any]) -> None:
    """Wait for it; the caller's timeout ends it."""
    while not condition():
        await asyncio.sleep(0.01)


def is_one_line(error: BaseException) -> bool:
    text = str(error)
    return "\n" not in text and 0 < len(text) < 500 and not any(secret in text for secret in SECRETS)
