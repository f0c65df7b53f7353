"""What Alpaca says about orders, fills and holdings, in our words."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import msgspec

from quantlytic.model.order import OrderStatus
from quantlytic.model.side import Side
from quantlytic.model.time import NS_PER_MS, NS_PER_S
from quantlytic.venues.alpaca.wire import AccountRow, FillRow, OrderRow, PositionRow, time_ns
from quantlytic.venues.port import Balance, OrderState, VenueFill

TIE_BITS = 20
"""A fill's number is its millisecond with this many bits of its id behind: rising with time, equal for equal fills."""
STATUS = {
    "pending_new": OrderStatus.PENDING_NEW,
    "accepted": OrderStatus.NEW,
    "accepted_for_bidding": OrderStatus.NEW,
    "new": OrderStatus.NEW,
    "held": OrderStatus.NEW,
    "pending_cancel": OrderStatus.NEW,
    "pending_replace": OrderStatus.NEW,
    "pending_review": OrderStatus.PENDING_NEW,
    "stopped": OrderStatus.NEW,
    "suspended": OrderStatus.NEW,
    "done_for_day": OrderStatus.NEW,
    "calculated": OrderStatus.NEW,
    "partially_filled": OrderStatus.PARTIALLY_FILLED,
    "filled": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELED,
    "replaced": OrderStatus.CANCELED,
    "expired": OrderStatus.EXPIRED,
    "rejected": OrderStatus.REJECTED,
}


def order_state(venue: str, row: OrderRow) -> OrderState:
    """The order's state. Raises ValidationError for a status that is not documented or an id that is none."""
    if row.status not in STATUS:
        raise msgspec.ValidationError(f"an order of unknown status {row.status[:40]!r}")
    status = STATUS[row.status]
    filled = row.filled_qty or 0.0
    if status in (OrderStatus.NEW, OrderStatus.PENDING_NEW) and filled:
        status = OrderStatus.FILLED if filled == row.qty else OrderStatus.PARTIALLY_FILLED
    return OrderState(
        client_order_id=row.client_order_id,
        instrument=f"{venue}:{row.symbol}",
        status=status,
        venue_order_id=uuid_number(row.id),
        side=Side.SELL if row.side.startswith("sell") else Side.BUY,
        quantity=row.qty or 0.0,
        price=row.limit_price or 0.0,
        filled_quantity=filled,
        quote_filled=filled * (row.filled_avg_price or 0.0),
        event_time=time_ns(row.updated_at or row.submitted_at),
        reason=f"replaced by {row.replaced_by}" if row.status == "replaced" else "",
    )


def uuid_number(text: str) -> int:
    """62 bits of a UUID: Alpaca's ids are no numbers, ours are. Raises ValidationError for what is no UUID."""
    try:
        return UUID(text).int >> 66
    except ValueError:
        raise msgspec.ValidationError(f"{text[:40]!r} is not an id") from None


def fill_of(instrument: str, row: FillRow) -> VenueFill:
    """One of our trades. Alpaca takes no commission; what regulators and crypto venues take is booked apart, later."""
    time = time_ns(row.transaction_time)
    return VenueFill(
        trade_id=(time // NS_PER_MS << TIE_BITS) | (uuid_number(row.id.rpartition("::")[2]) & (2**TIE_BITS - 1)),
        venue_order_id=uuid_number(row.order_id),
        instrument=instrument,
        event_time=time,
        side=Side.SELL if row.side.startswith("sell") else Side.BUY,
        quantity=row.qty,
        price=row.price,
        fee=0.0,
        fee_asset="",
    )


def after_text(trade_id: int) -> str:
    """A time just before that fill, as a query takes it."""
    ms = (trade_id >> TIE_BITS) - 1
    moment = datetime.fromtimestamp(ms * NS_PER_MS // NS_PER_S, UTC).replace(microsecond=ms % 1000 * 1000)
    return moment.isoformat().replace("+00:00", "Z")


def balances_of(account: AccountRow, positions: list[PositionRow]) -> dict[str, Balance]:
    """Cash under its currency, holdings under their base asset (AAPL, BTC); short ones are negative.

    Cash is locked as far as it cannot buy what is not marginable: open buy orders, and sales that are not settled.
    """
    found: dict[str, Balance] = {}
    power = account.non_marginable_buying_power
    locked = 0.0 if power is None else min(max(account.cash - power, 0.0), max(account.cash, 0.0))
    if account.cash:
        found[account.currency] = Balance(account.currency, account.cash - locked, locked)
    for row in positions:
        name = base_of(row.symbol, row.asset_class)
        free = row.qty if row.qty_available is None else row.qty_available
        found[name] = Balance(name, free, row.qty - free)
    return found


def base_of(symbol: str, asset_class: str) -> str:
    """`BTC` of BTCUSD or BTC/USD, which a position writes without its slash; the symbol itself for a share."""
    if asset_class != "crypto":
        return symbol
    head, slash, _ = symbol.partition("/")
    if slash:
        return head
    for quote in ("USDT", "USDC", "USD", "BTC"):
        if symbol.endswith(quote) and symbol != quote:
            return symbol.removesuffix(quote)
    return symbol
