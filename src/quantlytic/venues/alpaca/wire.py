"""Alpaca's messages as msgspec structs.

Market data streams carry MessagePack arrays of maps, each with its kind as `T`; times are MessagePack timestamps of ns.
Source: Alpaca's documentation, "Real-time stock data", "Real-time crypto data", "Orders at Alpaca", "Account activities".
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta, field

from quantlytic.model.time import NS_PER_S

Price = Annotated[float, Meta(ge=0, le=1e300)]
NO_PRICE = frozenset("CNRHPV47WUZQM")
LAST_NS = 9_000_000_000 * NS_PER_S
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)")


class StreamMessage(msgspec.Struct, gc=False):
    """One message of a market data stream: a trade (t), quote (q), minute bar (b), correction (c), cancel (x), or control.

    `c` holds a trade's conditions or a bar's close; `taker` is "B" or "S" at crypto trades alone.
    """

    kind: str = field(name="T")
    symbol: str = field(name="S", default="")
    time: msgspec.msgpack.Ext | None = field(name="t", default=None)
    id: int = field(name="i", default=0)
    exchange: str = field(name="x", default="")
    price: Price = field(name="p", default=0.0)
    size: Price = field(name="s", default=0.0)
    taker: str = field(name="tks", default="")
    bid: Price = field(name="bp", default=0.0)
    bid_size: Price = field(name="bs", default=0.0)
    ask: Price = field(name="ap", default=0.0)
    ask_size: Price = field(name="as", default=0.0)
    open: Price = field(name="o", default=0.0)
    high: Price = field(name="h", default=0.0)
    low: Price = field(name="l", default=0.0)
    close: float | list[str] | str | None = field(name="c", default=None)
    volume: Price = field(name="v", default=0.0)
    tape: str = field(name="z", default="")
    count: int = field(name="n", default=0)
    vwap: Price = field(name="vw", default=0.0)
    original_id: int = field(name="oi", default=0)
    code: int = 0
    msg: str = ""


class HistoricalTrade(msgspec.Struct, gc=False):
    """A trade in a REST reply."""

    time: str = field(name="t")
    price: Price = field(name="p")
    size: Price = field(name="s")
    id: int = field(name="i", default=0)
    exchange: str = field(name="x", default="")
    taker: str = field(name="tks", default="")
    conditions: list[str] | str | None = field(name="c", default=None)
    tape: str | None = field(name="z", default=None)


class OrderRow(msgspec.Struct):
    """An order, in an answer or a trade update. Quantities are decimal strings."""

    id: str
    client_order_id: str
    status: str
    symbol: str = ""
    asset_class: str = ""
    side: str = "buy"
    qty: float | None = None
    filled_qty: float | None = None
    filled_avg_price: float | None = None
    limit_price: float | None = None
    updated_at: str | None = None
    submitted_at: str | None = None
    replaced_by: str | None = None


class TradeUpdate(msgspec.Struct):
    """What the account's stream says of an order."""

    event: str
    order: OrderRow
    timestamp: str = ""


class AccountMessage(msgspec.Struct):
    """A message of the account's stream."""

    stream: str = ""
    data: msgspec.Raw = msgspec.Raw()


class FillRow(msgspec.Struct):
    """An account activity of type FILL. `id` is the time of day and a UUID."""

    id: str
    transaction_time: str
    price: float
    qty: float
    side: str
    symbol: str
    order_id: str


class AccountRow(msgspec.Struct):
    """The account's money and whether it may trade."""

    cash: float = 0.0
    currency: str = "USD"
    status: str = ""
    non_marginable_buying_power: float | None = None
    trading_blocked: bool = False
    account_blocked: bool = False
    trade_suspended_by_user: bool = False


class PositionRow(msgspec.Struct):
    """A holding; negative for a short one. Crypto symbols come without their slash."""

    symbol: str
    qty: float
    asset_class: str = ""
    qty_available: float | None = None
    avg_entry_price: float = 0.0


class AssetRow(msgspec.Struct):
    """What can be traded."""

    symbol: str
    status: str
    tradable: bool
    asset_class: str = field(name="class", default="us_equity")
    fractionable: bool = False
    min_order_size: float | None = None
    min_trade_increment: float | None = None
    price_increment: float | None = None


message = msgspec.msgpack.Decoder(StreamMessage)
messages = msgspec.msgpack.Decoder(list[StreamMessage])
raw_messages = msgspec.msgpack.Decoder(list[msgspec.Raw])
account_message = msgspec.json.Decoder(AccountMessage)
trade_update = msgspec.json.Decoder(TradeUpdate, strict=False)


def without_price(conditions: object, tape: str | None) -> str:
    """Those of a trade's conditions by which it was made apart from the market of its moment, and so makes no price:
    cash, next day and seller's option (C, N, R), price variation and prior reference price (H, P), contingent, derivatively
    priced and qualified contingent (V, 4, 7), average price (W; B on tapes A and B), reported late (U, Z), and the official
    opening and closing prints (Q, M), which repeat trades. Source: CTA and UTP specifications, "sale conditions"."""
    codes = NO_PRICE | {"B"} if tape in ("A", "B") else NO_PRICE
    return "".join(code for code in conditions if code in codes) if isinstance(conditions, list) else ""


def stamp_ns(stamp: msgspec.msgpack.Ext | None) -> int:
    """A MessagePack timestamp (extension -1: 4, 8 or 12 bytes) as ns since 1970. Raises ValidationError for none."""
    if stamp is None or stamp.code != -1:
        raise msgspec.ValidationError("a message without a time")
    data = bytes(stamp.data)
    if len(data) == 4:
        ns = int.from_bytes(data) * NS_PER_S
    elif len(data) == 8:
        both = int.from_bytes(data)
        ns = (both & (2**34 - 1)) * NS_PER_S + (both >> 34)
    elif len(data) == 12:
        ns = int.from_bytes(data[4:], signed=True) * NS_PER_S + int.from_bytes(data[:4])
    else:
        raise msgspec.ValidationError(f"a time of {len(data)} bytes")
    return _believable(ns)


def time_ns(text: str | None) -> int:
    """RFC 3339 text with up to nine decimals as ns since 1970; 0 for none. Raises ValidationError for what is no time."""
    if not text:
        return 0
    found = _TIME.fullmatch(text)
    if found is None:
        raise msgspec.ValidationError(f"{text[:40]!r} is not a time")
    try:
        moment = datetime.fromisoformat(found[1] + found[3].replace("Z", "+00:00"))
    except ValueError as error:
        raise msgspec.ValidationError(str(error)) from None
    return _believable(int(moment.timestamp()) * NS_PER_S + int((found[2] or "").ljust(9, "0")))


def time_text(ns: int) -> datetime:
    """The time as alpaca-py takes it: whole microseconds, not later than `ns`."""
    return datetime.fromtimestamp(ns // NS_PER_S, UTC).replace(microsecond=ns % NS_PER_S // 1000)


def _believable(ns: int) -> int:
    if not 0 <= ns <= LAST_NS:
        raise msgspec.ValidationError("a time beyond what a tape holds")
    return ns
