"""Binance's messages as msgspec structs, decoded straight from the wire's bytes.

Prices and quantities come as decimal strings; msgspec's lax mode parses them to the float that `float(text)` gives.
The bounds keep out what the tape could not hold: NaN, infinities, negative numbers, times and ids beyond int64.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, field

from quantlytic.model.errors import VenueError
from quantlytic.model.instrument import Instrument

Ms = Annotated[int, Meta(ge=0, le=9_000_000_000_000)]
Id = Annotated[int, Meta(ge=0, le=2**62)]
Price = Annotated[float, Meta(gt=0, le=1e300)]
Quantity = Annotated[float, Meta(ge=0, le=1e300)]
Levels = tuple[tuple[Price, Quantity], ...]


class TradeMessage(msgspec.Struct, gc=False):
    """`@trade`. Futures may announce prints without price or quantity, which use up an id."""

    symbol: str = field(name="s")
    trade_id: Id = field(name="t")
    price: Quantity = field(name="p")
    quantity: Quantity = field(name="q")
    trade_ms: Ms = field(name="T")
    buyer_is_maker: bool = field(name="m")


class QuoteMessage(msgspec.Struct, gc=False):
    """`@bookTicker`. Spot states no time. An empty side has price 0."""

    symbol: str = field(name="s")
    update_id: Id = field(name="u")
    bid: Quantity = field(name="b")
    bid_quantity: Quantity = field(name="B")
    ask: Quantity = field(name="a")
    ask_quantity: Quantity = field(name="A")
    transaction_ms: Ms = field(name="T", default=0)


class DepthMessage(msgspec.Struct, gc=False):
    """`@depth`: changed levels. Futures add `pu`, the `u` of the message before, and the transaction time."""

    symbol: str = field(name="s")
    event_ms: Ms = field(name="E")
    first_id: Id = field(name="U")
    last_id: Id = field(name="u")
    bids: Levels = field(name="b")
    asks: Levels = field(name="a")
    previous_id: Annotated[int, Meta(ge=-1, le=2**62)] = field(name="pu", default=-1)
    transaction_ms: Ms = field(name="T", default=0)


class SnapshotMessage(msgspec.Struct, gc=False):
    """The reply of `/depth`. Only futures state a time."""

    last_id: Id = field(name="lastUpdateId")
    bids: Levels = field(name="bids")
    asks: Levels = field(name="asks")
    transaction_ms: Ms = field(name="T", default=0)


class HistoricalTrade(msgspec.Struct, gc=False):
    """One item of `/historicalTrades`."""

    trade_id: Id = field(name="id")
    price: Quantity
    quantity: Quantity = field(name="qty")
    time_ms: Ms = field(name="time")
    buyer_is_maker: bool = field(name="isBuyerMaker")


class TradeFrame(msgspec.Struct, gc=False):
    """A combined stream's envelope; its `stream` is known before decoding."""

    data: TradeMessage


class QuoteFrame(msgspec.Struct, gc=False):
    """The same around a quote."""

    data: QuoteMessage


class DepthFrame(msgspec.Struct, gc=False):
    """The same around a depth change."""

    data: DepthMessage


class Probe(msgspec.Struct):
    """As much of any frame as tells what it is."""

    stream: str = ""
    data: msgspec.Raw = msgspec.Raw()
    event: str = field(name="e", default="")
    symbol: str = field(name="s", default="")
    error: msgspec.Raw = msgspec.Raw()
    request_id: int | str | None = field(name="id", default=None)


class Filter(msgspec.Struct):
    """A trading rule; which fields it has depends on its type."""

    kind: str = field(name="filterType")
    tick_size: Quantity = field(name="tickSize", default=0.0)
    step_size: Quantity = field(name="stepSize", default=0.0)
    min_notional: Quantity = field(name="minNotional", default=0.0)
    notional: Quantity = 0.0


class SymbolRules(msgspec.Struct, kw_only=True):
    """One symbol of `/exchangeInfo`. `status` BREAK: it is not traded any more."""

    symbol: str
    status: str = "TRADING"
    base: str = field(name="baseAsset")
    quote: str = field(name="quoteAsset")
    filters: list[Filter] = []


class ExchangeInfo(msgspec.Struct):
    """The reply of `/exchangeInfo`."""

    symbols: list[SymbolRules]


class ApiError(msgspec.Struct):
    """What Binance says no with."""

    code: int = 0
    msg: str = ""


probe = msgspec.json.Decoder(Probe)
trade_frame = msgspec.json.Decoder(TradeFrame, strict=False)
quote_frame = msgspec.json.Decoder(QuoteFrame, strict=False)
depth_frame = msgspec.json.Decoder(DepthFrame, strict=False)
trade = msgspec.json.Decoder(TradeMessage, strict=False)
quote = msgspec.json.Decoder(QuoteMessage, strict=False)
depth = msgspec.json.Decoder(DepthMessage, strict=False)
snapshot = msgspec.json.Decoder(SnapshotMessage, strict=False)
historical = msgspec.json.Decoder(list[HistoricalTrade], strict=False)
api_error = msgspec.json.Decoder(ApiError)
_exchange_info = msgspec.json.Decoder(ExchangeInfo, strict=False)


def closed_symbols(venue: str, payload: bytes) -> set[str]:
    """The symbols of an `/exchangeInfo` reply that are listed, but not traded any more. Raises as `instruments`."""
    return {rules.symbol for rules in _rules(venue, payload) if rules.status == "BREAK"}


def _rules(venue: str, payload: bytes) -> list[SymbolRules]:
    try:
        return _exchange_info.decode(payload).symbols
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise VenueError(f"{venue}: the exchangeInfo reply cannot be read: {error}") from None


def instruments(venue: str, payload: bytes) -> list[Instrument]:
    """The instruments of an `/exchangeInfo` reply, in its order. Raises VenueError when it cannot be read."""
    found = []
    for rules in _rules(venue, payload):
        by_kind = {rule.kind: rule for rule in rules.filters}
        price, lot = by_kind.get("PRICE_FILTER"), by_kind.get("LOT_SIZE")
        notional = by_kind.get("NOTIONAL") or by_kind.get("MIN_NOTIONAL")
        found.append(
            Instrument(
                id=f"{venue}:{rules.symbol}",
                base=rules.base,
                quote=rules.quote,
                tick_size=price.tick_size if price else 0.0,
                lot_size=lot.step_size if lot else 0.0,
                min_notional=max(notional.min_notional, notional.notional) if notional else 0.0,
            )
        )
    return found
