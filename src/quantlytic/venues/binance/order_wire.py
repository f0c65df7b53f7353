"""What Binance says about orders, fills and balances, as msgspec structs, and their translation into ours."""

from __future__ import annotations

import msgspec
from msgspec import field

from quantlytic.model.order import OrderStatus
from quantlytic.model.side import Side
from quantlytic.model.time import NS_PER_MS
from quantlytic.venues.port import Balance, OrderState, VenueFill

STATUS = {
    "NEW": OrderStatus.NEW,
    "PENDING_NEW": OrderStatus.PENDING_NEW,
    "PARTIALLY_FILLED": OrderStatus.PARTIALLY_FILLED,
    "FILLED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELED,
    "PENDING_CANCEL": OrderStatus.CANCELED,
    "REJECTED": OrderStatus.REJECTED,
    "EXPIRED": OrderStatus.EXPIRED,
    "EXPIRED_IN_MATCH": OrderStatus.EXPIRED,
}


class OrderRow(msgspec.Struct, rename="camel"):
    """The answer to a new order, a query or a cancel. A cancel has its own id and names the order's beside it."""

    symbol: str
    order_id: int
    client_order_id: str
    status: str
    side: str
    price: float
    orig_qty: float
    executed_qty: float
    cummulative_quote_qty: float
    orig_client_order_id: str = ""
    transact_time: int = 0
    update_time: int = 0

    def state(self, venue: str) -> OrderState:
        return OrderState(
            client_order_id=self.orig_client_order_id or self.client_order_id,
            instrument=f"{venue}:{self.symbol}",
            status=STATUS.get(self.status, OrderStatus.UNRESOLVED),
            venue_order_id=self.order_id,
            side=Side[self.side],
            quantity=self.orig_qty,
            price=self.price,
            filled_quantity=self.executed_qty,
            quote_filled=self.cummulative_quote_qty,
            event_time=max(self.transact_time, self.update_time) * NS_PER_MS,
        )


class ExecutionReport(msgspec.Struct):
    """An order's change, from the account's own stream. A canceled order's own id is in `C`."""

    symbol: str = field(name="s")
    client_id: str = field(name="c")
    original_id: str = field(name="C")
    side: str = field(name="S")
    quantity: float = field(name="q")
    price: float = field(name="p")
    status: str = field(name="X")
    reason: str = field(name="r")
    order_id: int = field(name="i")
    filled: float = field(name="z")
    quote_filled: float = field(name="Z")
    time_ms: int = field(name="T")

    def state(self, venue: str) -> OrderState:
        return OrderState(
            client_order_id=self.original_id if self.original_id not in ("", "null") else self.client_id,
            instrument=f"{venue}:{self.symbol}",
            status=STATUS.get(self.status, OrderStatus.UNRESOLVED),
            venue_order_id=self.order_id,
            side=Side[self.side],
            quantity=self.quantity,
            price=self.price,
            filled_quantity=self.filled,
            quote_filled=self.quote_filled,
            event_time=self.time_ms * NS_PER_MS,
            reason="" if self.reason == "NONE" else self.reason,
        )


class TradeRow(msgspec.Struct, rename="camel"):
    """One of `/myTrades`."""

    id: int
    order_id: int
    price: float
    qty: float
    commission: float
    commission_asset: str
    time: int
    is_buyer: bool

    def fill(self, instrument: str) -> VenueFill:
        return VenueFill(
            trade_id=self.id,
            venue_order_id=self.order_id,
            instrument=instrument,
            event_time=self.time * NS_PER_MS,
            side=Side.BUY if self.is_buyer else Side.SELL,
            quantity=self.qty,
            price=self.price,
            fee=self.commission,
            fee_asset=self.commission_asset,
        )


class AccountRow(msgspec.Struct):
    """The part of `/account` that is read."""

    balances: list[Balance]


class ServerTime(msgspec.Struct, rename="camel"):
    """The reply of `/time`."""

    server_time: int


class StreamMessage(msgspec.Struct):
    """A frame of the private socket: an event, or the answer to the subscription."""

    event: msgspec.Raw = msgspec.Raw()
    status: int = 0
    error: msgspec.Raw = msgspec.Raw()


class EventName(msgspec.Struct):
    """What kind of event it is."""

    name: str = field(name="e", default="")


order_row = msgspec.json.Decoder(OrderRow, strict=False)
order_rows = msgspec.json.Decoder(list[OrderRow], strict=False)
execution_report = msgspec.json.Decoder(ExecutionReport, strict=False)
trade_rows = msgspec.json.Decoder(list[TradeRow], strict=False)
account_row = msgspec.json.Decoder(AccountRow, strict=False)
server_time = msgspec.json.Decoder(ServerTime)
stream_message = msgspec.json.Decoder(StreamMessage)
event_name = msgspec.json.Decoder(EventName)
