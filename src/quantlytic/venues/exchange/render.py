"""The JSON shapes of Binance Spot, made from the exchange's own records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from quantlytic.venues.exchange.accounts import Accounts
from quantlytic.venues.exchange.events import OwnTrade, Print
from quantlytic.venues.exchange.instruments import Listing
from quantlytic.venues.exchange.matching import BUY, Order
from quantlytic.venues.exchange.units import e8_text

ZERO = "0.00000000"


def side_text(side: int) -> str:
    """BUY or SELL."""
    return "BUY" if side == BUY else "SELL"


def trade_row(trade: Print) -> dict[str, Any]:
    """A trade as /trades and /historicalTrades give it."""
    return {
        "id": trade.trade_id,
        "price": e8_text(trade.price_e8),
        "qty": e8_text(trade.quantity_e8),
        "quoteQty": e8_text(trade.quote_e8),
        "time": trade.time_ms,
        "isBuyerMaker": trade.buyer_is_maker,
        "isBestMatch": True,
    }


def trade_frame(trade: Print, event_ms: int) -> str:
    """A message of @trade."""
    return (
        f'{{"e":"trade","E":{event_ms},"s":"{trade.symbol}","t":{trade.trade_id},"p":"{e8_text(trade.price_e8)}",'
        f'"q":"{e8_text(trade.quantity_e8)}","T":{trade.time_ms},"m":{_bool(trade.buyer_is_maker)},"M":true}}'
    )


def agg_row(run: Sequence[Print]) -> dict[str, Any]:
    """Trades of one taker at one price, as /aggTrades gives them."""
    first, last = run[0], run[-1]
    return {
        "a": first.agg_id,
        "p": e8_text(first.price_e8),
        "q": e8_text(sum(trade.quantity_e8 for trade in run)),
        "f": first.trade_id,
        "l": last.trade_id,
        "T": first.time_ms,
        "m": first.buyer_is_maker,
        "M": True,
    }


def agg_frame(run: Sequence[Print], event_ms: int) -> dict[str, Any]:
    """A message of @aggTrade."""
    return {"e": "aggTrade", "E": event_ms, "s": run[0].symbol, **agg_row(run)}


def levels_text(levels: Iterable[tuple[int, int]]) -> str:
    """Levels in e8 units as JSON: `[["60000.00000000","1.00000000"],...]`."""
    return "[" + ",".join(f'["{e8_text(price)}","{e8_text(quantity)}"]' for price, quantity in levels) + "]"


def depth_text(update_id: int, bids: Iterable[tuple[int, int]], asks: Iterable[tuple[int, int]]) -> str:
    """The book as /depth and @depth5/10/20 give it."""
    return f'{{"lastUpdateId":{update_id},"bids":{levels_text(bids)},"asks":{levels_text(asks)}}}'


def diff_frame(
    symbol: str,
    event_ms: int,
    update_ids: tuple[int, int],
    bids: Iterable[tuple[int, int]],
    asks: Iterable[tuple[int, int]],
) -> str:
    """A message of @depth, of the updates from the first to the last of `update_ids`."""
    return (
        f'{{"e":"depthUpdate","E":{event_ms},"s":"{symbol}","U":{update_ids[0]},"u":{update_ids[1]},'
        f'"b":{levels_text(bids)},"a":{levels_text(asks)}}}'
    )


def book_ticker_frame(symbol: str, update_id: int, bid: tuple[int, int], ask: tuple[int, int]) -> str:
    """A message of @bookTicker; bid and ask are (price, quantity) in e8 units."""
    return (
        f'{{"u":{update_id},"s":"{symbol}","b":"{e8_text(bid[0])}","B":"{e8_text(bid[1])}",'
        f'"a":"{e8_text(ask[0])}","A":"{e8_text(ask[1])}"}}'
    )


def own_trade(fill: OwnTrade) -> dict[str, Any]:
    """A fill as /myTrades gives it."""
    return {
        "symbol": fill.symbol,
        "id": fill.trade_id,
        "orderId": fill.order_id,
        "orderListId": -1,
        "price": e8_text(fill.price_e8),
        "qty": e8_text(fill.quantity_e8),
        "quoteQty": e8_text(fill.quote_e8),
        "commission": e8_text(fill.fee_e8),
        "commissionAsset": fill.fee_asset,
        "time": fill.time_ms,
        "isBuyer": fill.is_buyer,
        "isMaker": fill.is_maker,
        "isBestMatch": True,
    }


def order_row(listing: Listing, order: Order) -> dict[str, Any]:
    """An order as /order, /openOrders and /allOrders give it."""
    return {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": order.client_order_id,
        "price": e8_text(order.price * listing.tick_e8),
        "origQty": e8_text(order.quantity * listing.lot_e8),
        "executedQty": e8_text(order.filled * listing.lot_e8),
        "cummulativeQuoteQty": e8_text(order.filled_quote_e8),
        "status": order.status,
        "timeInForce": order.time_in_force,
        "type": order.type,
        "side": side_text(order.side),
        "stopPrice": ZERO,
        "icebergQty": ZERO,
        "time": order.time_ms,
        "updateTime": order.update_ms,
        "isWorking": True,
        "workingTime": order.time_ms,
        "origQuoteOrderQty": e8_text(order.quote_order_e8),
        "selfTradePreventionMode": "EXPIRE_MAKER",
    }


def placed(listing: Listing, order: Order, fills: Sequence[OwnTrade], kind: str) -> dict[str, Any]:
    """The answer to a new order: newOrderRespType ACK, RESULT or FULL."""
    answer = {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": order.client_order_id,
        "transactTime": order.update_ms,
    }
    if kind == "ACK":
        return answer
    row = order_row(listing, order)
    for name in ("price", "origQty", "executedQty", "origQuoteOrderQty", "cummulativeQuoteQty", "status"):
        answer[name] = row[name]
    for name in ("timeInForce", "type", "side", "workingTime", "selfTradePreventionMode"):
        answer[name] = row[name]
    if kind == "FULL":
        answer["fills"] = [
            {
                "price": e8_text(fill.price_e8),
                "qty": e8_text(fill.quantity_e8),
                "commission": e8_text(fill.fee_e8),
                "commissionAsset": fill.fee_asset,
                "tradeId": fill.trade_id,
            }
            for fill in fills
        ]
    return answer


def canceled(listing: Listing, order: Order) -> dict[str, Any]:
    """The answer to a cancel: the order's own id in origClientOrderId, the cancel's in clientOrderId."""
    row = order_row(listing, order)
    for name in ("stopPrice", "icebergQty", "time", "isWorking", "workingTime", "updateTime"):
        del row[name]
    row["origClientOrderId"] = order.client_order_id
    row["clientOrderId"] = order.cancel_id
    row["transactTime"] = order.update_ms
    return row


def execution_report(listing: Listing, order: Order, execution: str, fill: OwnTrade | None) -> dict[str, Any]:
    """What the account's own stream says about an order."""
    cancel = execution == "CANCELED"
    return {
        "e": "executionReport",
        "E": order.update_ms,
        "s": order.symbol,
        "c": order.cancel_id if cancel else order.client_order_id,
        "S": side_text(order.side),
        "o": order.type,
        "f": order.time_in_force,
        "q": e8_text(order.quantity * listing.lot_e8),
        "p": e8_text(order.price * listing.tick_e8),
        "P": ZERO,
        "F": ZERO,
        "g": -1,
        "C": order.client_order_id if cancel else "",
        "x": execution,
        "X": order.status,
        "r": "NONE",
        "i": order.order_id,
        "l": e8_text(fill.quantity_e8) if fill else ZERO,
        "z": e8_text(order.filled * listing.lot_e8),
        "L": e8_text(fill.price_e8) if fill else ZERO,
        "n": e8_text(fill.fee_e8) if fill else "0",
        "N": fill.fee_asset if fill else None,
        "T": order.update_ms,
        "t": fill.trade_id if fill else -1,
        "I": order.order_id,
        "w": order.is_open,
        "m": fill.is_maker if fill else False,
        "M": fill is not None,
        "O": order.time_ms,
        "Z": e8_text(order.filled_quote_e8),
        "Y": e8_text(fill.quote_e8) if fill else ZERO,
        "Q": e8_text(order.quote_order_e8),
        "W": order.time_ms,
        "V": "EXPIRE_MAKER",
    }


def account_position(accounts: Accounts, account: str, assets: Iterable[str], time_ms: int) -> dict[str, Any]:
    """What the account's own stream says about balances that changed."""
    balances = [
        {"a": asset, "f": e8_text(accounts.free(account, asset)), "l": e8_text(accounts.locked(account, asset))}
        for asset in assets
    ]
    return {"e": "outboundAccountPosition", "E": time_ms, "u": time_ms, "B": balances}


def _bool(value: bool) -> str:
    return "true" if value else "false"
