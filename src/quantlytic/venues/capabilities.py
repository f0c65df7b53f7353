"""What each venue can do, as its adapter does it. The conformance tests hold every line: what is said here works, what is not
said here is refused."""

from __future__ import annotations

import msgspec


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """`trade_ids`: "contiguous" (a hole is seen, and fetched where `backfill`), "unique" (a repeat is seen), or "none".

    `backfill`: trades missed while a connection was lost are fetched. `amend`: an open order can be changed in one step.
    `post_only`: an order that would take can be refused by the venue. `signed_time`: requests carry our clock, which the venue
    compares with its own. `order_types`: what `submit` takes. `key_names`: the variables of the environment that hold the key
    for orders (or, without orders, for data).
    """

    trades: bool = True
    quotes: bool = True
    book: bool = False
    news: bool = False
    trade_ids: str = "unique"
    backfill: bool = False
    orders: bool = True
    amend: bool = False
    post_only: bool = False
    signed_time: bool = False
    read_only_keys: bool = False
    order_types: tuple[str, ...] = ("MARKET", "LIMIT")
    key_names: tuple[str, ...] = ()
    data_needs_key: bool = False


_SPOT = Capabilities(
    book=True, trade_ids="contiguous", backfill=True, post_only=True, signed_time=True, read_only_keys=True
)
_NATIVE = {
    "box": msgspec.structs.replace(_SPOT, key_names=("QUANTLYTIC_BOX_KEY", "QUANTLYTIC_BOX_SECRET")),
    "binance": msgspec.structs.replace(_SPOT, key_names=("BINANCE_API_KEY", "BINANCE_API_SECRET")),
    "binance-testnet": msgspec.structs.replace(
        _SPOT, key_names=("BINANCE_TESTNET_API_KEY", "BINANCE_TESTNET_API_SECRET")
    ),
    "binance-demo": msgspec.structs.replace(_SPOT, key_names=("BINANCE_DEMO_API_KEY", "BINANCE_DEMO_API_SECRET")),
    "binance-usdm": Capabilities(book=True, trade_ids="contiguous", orders=False, order_types=()),
    "alpaca": Capabilities(
        backfill=True,
        amend=True,
        order_types=("MARKET", "LIMIT", "STOP", "STOP_LIMIT", "TRAILING_STOP"),
        key_names=("ALPACA_API_KEY", "ALPACA_API_SECRET"),
        data_needs_key=True,
    ),
    "finnhub": Capabilities(
        quotes=False,
        news=True,
        trade_ids="none",
        orders=False,
        order_types=(),
        key_names=("FINNHUB_API_KEY",),
        data_needs_key=True,
    ),
}
NATIVE = tuple(_NATIVE)
"""The venues with an adapter of their own; every other name is one of ccxt's exchanges."""


def capabilities_of(venue: str) -> Capabilities:
    """Of the venue of that id; of any of ccxt's exchanges, what its general adapter does."""
    if venue in _NATIVE:
        return _NATIVE[venue]
    prefix = venue.upper().replace("-", "_")
    names = (f"{prefix}_API_KEY", f"{prefix}_API_SECRET")
    return Capabilities(book=True, post_only=True, signed_time=True, read_only_keys=True, key_names=names)
