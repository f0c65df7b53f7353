"""The parts of ccxt's unified structures that are read."""

from __future__ import annotations

from hashlib import blake2b
from typing import Annotated

import msgspec
from msgspec import Meta

TIE_BITS = 20  # for trades of one millisecond
MADE_FROM_TIME = 1 << 60  # numbers from here on are; a venue's own have at most 18 digits

# What the tape may hold: no NaN, no infinity, nothing below zero, no time beyond int64.
Ms = Annotated[int, Meta(ge=0, le=9_000_000_000_000)]
Price = Annotated[float, Meta(gt=0, le=1e300)]
Quantity = Annotated[float, Meta(ge=0, le=1e300)]
Sequence = Annotated[int, Meta(ge=-(2**62), le=2**62)]


class UnifiedTrade(msgspec.Struct):
    """A public trade."""

    price: Price
    amount: Quantity
    side: str | None = None
    id: str | None = None
    timestamp: Ms | None = None


class UnifiedBook(msgspec.Struct):
    """A book; `nonce` is the venue's sequence number where it has one."""

    bids: list[tuple[Price, Quantity]]
    asks: list[tuple[Price, Quantity]]
    nonce: Sequence | None = None
    timestamp: Ms | None = None


class UnifiedTicker(msgspec.Struct):
    """A best bid and offer."""

    bid: Quantity | None = None
    ask: Quantity | None = None
    bid_volume: Quantity | None = msgspec.field(name="bidVolume", default=None)
    ask_volume: Quantity | None = msgspec.field(name="askVolume", default=None)
    timestamp: Ms | None = None


def whole(text: str | None) -> int:
    """An id that is a number; -1 for any other."""
    return int(text) if text is not None and text.isdecimal() and len(text) < 19 else -1


def order_number(text: str | None) -> int:
    """An order's id as an int64: itself, or made from it; -1 where there is none."""
    number = whole(text)
    return number if number >= 0 or not text else _digest(text)


def own_trade_number(text: str | None, time_ms: int) -> int:
    """An own trade's id as an int64 that grows with time: itself where it is a number, else made from the trade's time."""
    number = whole(text)
    return number if number >= 0 else (time_ms << TIE_BITS) | _digest(text or "") % (1 << TIE_BITS)


def time_of_trade_number(number: int) -> int | None:
    """The time in ms of a number that was made from one; None for the venue's own."""
    return number >> TIE_BITS if number >= MADE_FROM_TIME else None


def _digest(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) >> 2


def trade_number(trade: UnifiedTrade) -> int:
    """The trade's id as an int64; without one, made from what the trade is."""
    number = whole(trade.id)
    if number >= 0:
        return number
    return _digest(trade.id or f"{trade.timestamp}/{trade.price!r}/{trade.amount!r}/{trade.side}")
