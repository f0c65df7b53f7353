"""The words of the model as plain integers, which compiled code compares with the fields of records."""

from __future__ import annotations

from quantlytic.model.action import ActionKind
from quantlytic.model.cashflow import CashFlowKind
from quantlytic.model.order import OrderStatus, OrderType, Reason, TimeInForce
from quantlytic.model.side import Side

BUY, SELL = int(Side.BUY), int(Side.SELL)
MARKET, LIMIT = int(OrderType.MARKET), int(OrderType.LIMIT)
GTC, IOC, FOK = int(TimeInForce.GTC), int(TimeInForce.IOC), int(TimeInForce.FOK)
PENDING_NEW, NEW, FILLED = int(OrderStatus.PENDING_NEW), int(OrderStatus.NEW), int(OrderStatus.FILLED)
PARTIALLY_FILLED, CANCELED = int(OrderStatus.PARTIALLY_FILLED), int(OrderStatus.CANCELED)
REJECTED, EXPIRED = int(OrderStatus.REJECTED), int(OrderStatus.EXPIRED)
NO_REASON = int(Reason.NONE)
INVALID_QUANTITY, INVALID_PRICE = int(Reason.INVALID_QUANTITY), int(Reason.INVALID_PRICE)
INVALID_ORDER, MIN_NOTIONAL = int(Reason.INVALID_ORDER), int(Reason.MIN_NOTIONAL)
TOO_MANY_OPEN_ORDERS, INSUFFICIENT_CASH = int(Reason.TOO_MANY_OPEN_ORDERS), int(Reason.INSUFFICIENT_CASH)
SHORT_NOT_ALLOWED = int(Reason.SHORT_NOT_ALLOWED)
INSUFFICIENT_COLLATERAL = int(Reason.INSUFFICIENT_COLLATERAL)
NOT_FILLED_AT_ONCE = int(Reason.NOT_FILLED_AT_ONCE)

SPLIT, DIVIDEND, DELISTING = int(ActionKind.SPLIT), int(ActionKind.DIVIDEND), int(ActionKind.DELISTING)
FUNDING, SESSION_OPEN, SESSION_CLOSE = int(ActionKind.FUNDING), int(ActionKind.OPEN), int(ActionKind.CLOSE)
FLOW_DIVIDEND, FLOW_FUNDING = int(CashFlowKind.DIVIDEND), int(CashFlowKind.FUNDING)

FAULT_NONE, FAULT_TOO_MANY_REQUESTS, FAULT_UNKNOWN_INSTRUMENT = 0, 1, 2
