"""The parts of ccxt's unified structures that are read."""

from __future__ import annotations

from hashlib import blake2b

import msgspec


class UnifiedTrade(msgspec.Struct):
    """A public or own trade."""

    price: float
    amount: float
    side: str | None = None
    id: str | None = None
    timestamp: int | None = None


class UnifiedBook(msgspec.Struct):
    """A book; `nonce` is the venue's sequence number where it has one."""

    bids: list[tuple[float, float]]
    asks: list[tuple[float, float]]
    nonce: int | None = None
    timestamp: int | None = None


class UnifiedTicker(msgspec.Struct):
    """A best bid and offer."""

    bid: float | None = None
    ask: float | None = None
    bid_volume: float | None = msgspec.field(name="bidVolume", default=None)
    ask_volume: float | None = msgspec.field(name="askVolume", default=None)
    timestamp: int | None = None


def whole(text: str | None) -> int:
    """An id that is a number; -1 for any other."""
    return int(text) if text is not None and text.isdecimal() and len(text) < 19 else -1


def trade_number(trade: UnifiedTrade) -> int:
    """The trade's id as an int64; without one, made from what the trade is."""
    number = whole(trade.id)
    if number >= 0:
        return number
    text = trade.id or f"{trade.timestamp}/{trade.price!r}/{trade.amount!r}/{trade.side}"
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) >> 2
