"""What a venue's message is, as far as its envelope tells: control or data, and of which channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CONTROL = frozenset(
    (
        *(
            "subscribe",
            "subscribed",
            "subscription_ack",
            "subscriptions",
            "subscriptionStatus",
            "bts:subscription_succeeded",
        ),
        *("systemStatus", "heartbeat", "info", "conf", "welcome", "ack", "ping", "pong"),
    )
)
_EVENT_KEYS = ("event", "type")
_CONTROL_KEYS = ("subbed", "ping", "pong", "success", "info")
_CHANNEL_KEYS = ("table", "subject", "channel", "ch", "type", "event", "e")
_BOOKS = ("book", "depth", "l2", "level2", "snapshot")
_CANDLES = ("kline", "candle")


OTHER_FORMATS = {
    ("kraken", "book-1000"): "the format before version 2 of Kraken's stream, which ccxt does not read",
    ("kraken", "ticker"): "the format before version 2 of Kraken's stream, which ccxt does not read",
    ("kraken", "trade"): "the format before version 2 of Kraken's stream, which ccxt does not read",
    ("gate", "spot.order_book_update"): "changes of books in a channel that ccxt has left: it takes spot.obu",
    ("htx", "depth.step0"): "whole books, which ccxt does not read of this venue: it takes changes (mbp)",
    ("coinbaseexchange", "last_match"): "the last trade before the subscription, which ccxt leaves out",
}
"""What ccxt's handlers pass over, by its exchange and the channel: why."""


def acknowledgement(message: Any) -> dict[str, Any] | None:
    """The venue's yes to a subscription, which some of ccxt's handlers need before they take a book; None: none is needed.

    A recording holds the answers to its own subscriptions, not to ccxt's.
    """
    if not isinstance(message, dict):
        return None
    if message.get("method") == "SUBSCRIBE":
        return {"result": None, "id": message.get("id")}
    if message.get("type") == "subscribe" and "topic" in message:
        return {"id": message.get("id"), "type": "ack"}
    return None


def is_control(message: Any) -> bool:
    """Whether it says something about the connection and holds no data."""
    if isinstance(message, list):
        return len(message) > 1 and message[1] == "hb"
    if not isinstance(message, dict):
        return False
    if any(message.get(key) in CONTROL for key in _EVENT_KEYS if isinstance(message.get(key), str)):
        return True
    if "result" in message and "id" in message and "channel" not in message:
        return True
    return any(key in message for key in _CONTROL_KEYS)


def channel_of(message: Any, numbered: Mapping[int, str]) -> str:
    """The channel without the instrument; "?" where the envelope names none. `numbered`: Bitfinex's, by their number."""
    name: Any = None
    if isinstance(message, list) and message:
        first = message[0]
        name = numbered.get(first) if isinstance(first, int) else None
        if name is None and len(message) > 3:
            name = message[-2]
    elif isinstance(message, dict):
        inner: dict[str, Any] = next(
            (message[key] for key in ("params", "arg") if isinstance(message.get(key), dict)), {}
        )
        name = inner.get("channel") or message.get("stream")
        name = name or next((message[key] for key in _CHANNEL_KEYS if message.get(key)), None)
    return _without_instrument(name)[:40] if isinstance(name, str) else "?"


def _without_instrument(name: str) -> str:
    if "@" in name:
        return name.partition("@")[2]
    if name.startswith("market."):
        return name.split(".", 2)[-1]
    if name.startswith(("book.", "ticker.", "trades.", "quote.")):
        return name.partition(".")[0]
    if name.startswith(("diff_order_book_", "live_trades_", "order_book_", "detail_order_book_", "live_orders_")):
        return name.rpartition("_")[0]
    return name


def is_of_books(channel: str) -> bool:
    """Whether the channel's messages are books or changes of books."""
    return any(word in channel for word in _BOOKS)


def is_of_candles(channel: str) -> bool:
    """Whether the channel's messages are candles."""
    return any(word in channel for word in _CANDLES)
