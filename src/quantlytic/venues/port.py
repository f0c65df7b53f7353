"""What a venue is to the rest of Quantlytic: market data in (a feed and a normaliser), orders out.

The feed meets the world and only moves bytes. The normaliser gives them meaning and is pure: fed the same frames from
the beginning it gives the same events, live or years later. Whatever it has to know about the world outside the venue's
own messages (the recorder started, a connection was made or lost, a request was given up) is therefore put on the raw
tape too, as a *marker*: a `RawFrame` whose channel starts with `recorder:`.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

import msgspec

from quantlytic.model.event import Event
from quantlytic.model.frame import RawFrame
from quantlytic.model.order import Order, OrderStatus
from quantlytic.model.side import Side
from quantlytic.venues.answers import Unheard

STARTED = "recorder:started"
"""A recorder took over: every connection is new, books and open requests of its predecessor are gone."""
CONNECTED = "recorder:connected"
"""`connection` was made (again); the payload is a JSON list of the streams asked for."""
LOST = "recorder:lost"
"""`connection` was lost; the payload says why."""
FAILED = "recorder:failed "
"""Followed by a request's path: it was given up; the payload says why."""


class Request(msgspec.Struct, frozen=True):
    """A REST call that a normaliser needs made. The reply comes back as a RawFrame with `path` as its channel.

    `weight` is what the call costs of the venue's request budget.
    """

    path: str
    weight: int = 1


class Normaliser(Protocol):
    """Frames in, events out: deterministic, without clock, socket or hash order. Never raises on what a venue sends."""

    def feed(self, frame: RawFrame) -> Sequence[Event]:
        """The events that this frame gives: `Trade`, `Quote`, `BookDelta`, `LedgerEntry`."""

    def requests(self) -> list[Request]:
        """What is to be fetched now; each request is handed out once."""

    def save(self) -> bytes:
        """The state that outlives a restart. Small: books are fetched anew instead."""

    def restore(self, state: bytes) -> None:
        """Go on from `save`; the next frame must be a STARTED marker."""


class Inbox(Protocol):
    """Where a feed puts its frames."""

    async def put(self, frame: RawFrame) -> None:
        """Take a frame; waits while the reader is behind, so that sockets are read slower and nothing is dropped."""


class MarketFeed(Protocol):
    """The connections to a venue's public data. Reconnects by itself, for ever, and says so by markers."""

    async def run(self, inbox: Inbox) -> None:
        """Connect and deliver until cancelled.

        Raises VenueError when the venue cannot be reached at the start (within a bounded time), InputError for a symbol
        it does not know; afterwards nothing but cancellation ends it.
        """

    def request(self, request: Request) -> None:
        """Fetch it when the budget allows; called in the event loop's thread. Answered or given up, a frame says so."""


def _check(what: str, *numbers: float) -> None:
    """An answer with a NaN or an infinity in it is none: books that take one in agree with everything from then on."""
    if not all(map(math.isfinite, numbers)):
        raise Unheard(f"{what}: the venue's numbers are {', '.join(f'{number:g}' for number in numbers)}")


class OrderState(msgspec.Struct, frozen=True, kw_only=True):
    """An order as the venue knows it. Quantities in base units; `quote_filled` is the value of its fills.

    It, a trade and a balance raise Unheard when made of numbers that are none; a market order's price may be NaN."""

    client_order_id: str
    instrument: str
    status: OrderStatus
    venue_order_id: int = -1
    side: Side = Side.BUY
    quantity: float = 0.0
    price: float = 0.0
    filled_quantity: float = 0.0
    quote_filled: float = 0.0
    event_time: int = 0
    reason: str = ""

    def __post_init__(self) -> None:
        _check(f"order {self.client_order_id}", self.quantity, self.filled_quantity, self.quote_filled)

    @property
    def is_open(self) -> bool:
        return self.status in (OrderStatus.PENDING_NEW, OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED)


class VenueFill(msgspec.Struct, frozen=True, kw_only=True):
    """One of our trades as the venue reports it. `fee` is in `fee_asset`."""

    trade_id: int
    venue_order_id: int
    instrument: str
    event_time: int
    side: Side
    quantity: float
    price: float
    fee: float
    fee_asset: str

    def __post_init__(self) -> None:
        _check(f"trade {self.trade_id} of {self.instrument}", self.quantity, self.price, self.fee)
        if self.quantity < 0.0 or self.price < 0.0:
            raise Unheard(f"trade {self.trade_id}: {self.quantity:g} at {self.price:g} is no trade")


class Balance(msgspec.Struct, frozen=True):
    """What the account holds of an asset; `locked` is bound in open orders."""

    asset: str
    free: float
    locked: float

    def __post_init__(self) -> None:
        _check(f"balance of {self.asset}", self.free, self.locked)


class Difference(msgspec.Struct, frozen=True):
    """Something we believe and the venue does not, or the other way round. `what`: "order" or "balance"."""

    what: str
    name: str
    ours: str
    venue: str


class OrderEntry(Protocol):
    """Orders to a venue. An unheard answer is never taken for a yes or a no: the venue is asked until it is known."""

    void_after_s: float
    """Seconds after the call of `submit` from which on "the venue does not know it" is final: nothing that was sent may be
    accepted later. `math.inf`: it is never final (the venue gives no such promise)."""

    connected: Callable[[], None]
    """Called, in the event loop, each time the private stream behind `updates` has been made, the first time too. What
    happened before may have been missed: the owner reconciles. Does nothing until the owner sets it."""

    async def submit(self, order: Order, client_order_id: str) -> OrderState:
        """Send the order, once: whatever gets lost on the way, the venue takes at most one order of that id.

        A refusal is a state (REJECTED, with the venue's reason); UNRESOLVED: the venue could not be asked in time.
        """

    async def cancel(self, instrument: str, client_order_id: str) -> OrderState:
        """Withdraw it and return what became of it (it may have been filled before)."""

    async def status(self, instrument: str, client_order_id: str) -> OrderState | None:
        """The order as the venue knows it; None when it has never heard of it."""

    async def open_orders(self) -> list[OrderState]:
        """All that is open."""

    async def balances(self) -> dict[str, Balance]:
        """By asset; zero balances left out."""

    async def my_trades(self, instrument: str, from_id: int = 0) -> list[VenueFill]:
        """All of our trades from that trade id on, oldest first."""

    def updates(self) -> AsyncIterator[OrderState]:
        """Order states as they change, from the venue's private stream; reconnects by itself. After a reconnect call
        `reconcile`: what happened in between is not repeated by the venue."""

    async def reconcile(
        self, orders: Sequence[OrderState], balances: dict[str, float] | None = None
    ) -> list[Difference]:
        """Compare what we believe (orders by id; totals by asset) with the venue; [] when both agree."""
