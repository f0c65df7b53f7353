"""The words of the model as plain integers, which compiled code compares with the fields of records."""

from __future__ import annotations

from quantlytic.model.action import ActionKind
from quantlytic.model.cashflow import CashFlowKind
from quantlytic.model.order import OrderStatus, OrderType, Reason, TimeInForce
from quantlytic.model.side import Side

BUY, SELL = int(Side.BUY), int(Side.SELL)
MARKET, LIMIT, STOP = int(OrderType.MARKET), int(OrderType.LIMIT), int(OrderType.STOP)
STOP_LIMIT, TRAILING_STOP = int(OrderType.STOP_LIMIT), int(OrderType.TRAILING_STOP)
TAKE_PROFIT = int(OrderType.TAKE_PROFIT)
GTC, IOC, FOK = int(TimeInForce.GTC), int(TimeInForce.IOC), int(TimeInForce.FOK)
DAY, GTD = int(TimeInForce.DAY), int(TimeInForce.GTD)
AT_OPEN, AT_CLOSE = int(TimeInForce.AT_OPEN), int(TimeInForce.AT_CLOSE)
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
CONTRADICTORY, POST_ONLY_WOULD_TAKE = int(Reason.CONTRADICTORY), int(Reason.POST_ONLY_WOULD_TAKE)
REDUCE_ONLY, EXPIRED_DAY, EXPIRED_GTD = int(Reason.REDUCE_ONLY), int(Reason.EXPIRED_DAY), int(Reason.EXPIRED_GTD)
OCO, PARENT, INSUFFICIENT_MARGIN = int(Reason.OCO), int(Reason.PARENT), int(Reason.INSUFFICIENT_MARGIN)
LIQUIDATED, DELISTED = int(Reason.LIQUIDATED), int(Reason.DELISTED)
SPLIT_TO_NOTHING, AMENDED = int(Reason.SPLIT), int(Reason.AMENDED)
SPLIT, DIVIDEND, DELISTING = int(ActionKind.SPLIT), int(ActionKind.DIVIDEND), int(ActionKind.DELISTING)
FUNDING, SESSION_OPEN, SESSION_CLOSE = int(ActionKind.FUNDING), int(ActionKind.OPEN), int(ActionKind.CLOSE)
FLOW_DIVIDEND, FLOW_FUNDING = int(CashFlowKind.DIVIDEND), int(CashFlowKind.FUNDING)
FLOW_BORROW, FLOW_LIQUIDATION_FEE = int(CashFlowKind.BORROW), int(CashFlowKind.LIQUIDATION_FEE)

WORST, OPEN_HIGH_LOW_CLOSE, OPEN_LOW_HIGH_CLOSE = 0, 1, 2
CASH_ACCOUNT, CROSS, ISOLATED = 0, 1, 2
NO_SLIPPAGE, FIXED, SPREAD, VOLUME_SHARE, SQUARE_ROOT = 0, 1, 2, 3, 4
NO_LATENCY, CONSTANT, SAMPLED = 0, 1, 2
QUEUES = ("risk-averse", "proportional", "none")
RISK_AVERSE, PROPORTIONAL, NO_QUEUE = 0, 1, 2
DAY_NS = 86_400_000_000_000

FAULT_NONE, FAULT_TOO_MANY_REQUESTS, FAULT_UNKNOWN_INSTRUMENT = 0, 1, 2
