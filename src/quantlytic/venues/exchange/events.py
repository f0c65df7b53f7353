"""What happened in the exchange since the last commit: written to the journal first, told to the world after."""

from __future__ import annotations

from typing import Any

import msgspec

from quantlytic.venues.exchange.matching import Order


class Print(msgspec.Struct, frozen=True):
    """A public trade. `agg_id` counts runs of one taker at one price; `buyer_is_maker`: the seller was the taker."""

    symbol: str
    trade_id: int
    agg_id: int
    price_e8: int
    quantity_e8: int
    time_ms: int
    buyer_is_maker: bool

    @property
    def quote_e8(self) -> int:
        """What it was worth, in e8 quote units (exact for listed steps)."""
        return self.price_e8 * self.quantity_e8 // 100_000_000


class OwnTrade(msgspec.Struct, frozen=True):
    """One account's side of a trade."""

    account: str
    symbol: str
    trade_id: int
    order_id: int
    price_e8: int
    quantity_e8: int
    quote_e8: int
    fee_e8: int
    fee_asset: str
    time_ms: int
    is_buyer: bool
    is_maker: bool


class Happened(msgspec.Struct):
    """All changes of one step. `messages` go to the accounts' own streams, in order."""

    prints: list[Print] = []
    orders: dict[int, Order] = {}
    own_trades: list[OwnTrade] = []
    messages: list[tuple[str, dict[str, Any]]] = []
