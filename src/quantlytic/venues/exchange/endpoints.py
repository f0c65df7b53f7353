"""The table of what can be asked: REST paths, WebSocket API methods, their weights and what answers them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from quantlytic.venues.exchange import rejects
from quantlytic.venues.exchange.access import Access
from quantlytic.venues.exchange.params import Params
from quantlytic.venues.exchange.public import PublicApi
from quantlytic.venues.exchange.trading import TradingApi

Answer = Callable[[str, Params], Any]
"""(account, parameters) -> the answer; the account is "" where none is asked for."""


class Endpoint(msgspec.Struct, frozen=True):
    """`access`: "" for all, "key" for a known API key, "signed" for a signature. `order`: answers a new order.

    `trades`: needs the right to trade.
    """

    answer: Answer
    weight: Callable[[Params], int]
    access: str = ""
    order: bool = False
    trades: bool = False


def public_endpoints(api: PublicApi) -> dict[tuple[str, str], Endpoint]:
    """Market data: (method, path) -> endpoint."""

    def of(answer: Callable[[Params], Any], weight: int | Callable[[Params], int]) -> Endpoint:
        return Endpoint(lambda _, sent: answer(sent), weight if callable(weight) else lambda _: weight)

    base = "/api/v3/"
    table = {
        base + "ping": of(api.ping, 1),
        base + "time": of(api.time, 1),
        base + "exchangeInfo": of(api.exchange_info, 20),
        base + "depth": of(api.depth, _depth_weight),
        base + "trades": of(api.trades, 25),
        base + "historicalTrades": of(api.historical_trades, 25),
        base + "aggTrades": of(api.agg_trades, 4),
        base + "klines": of(api.klines, 2),
        base + "ticker/24hr": of(api.ticker_day, lambda sent: 2 if sent.get("symbol") else 80),
        base + "ticker/price": of(api.ticker_price, lambda sent: 2 if sent.get("symbol") else 4),
        base + "ticker/bookTicker": of(api.ticker_book, lambda sent: 2 if sent.get("symbol") else 4),
        "/sapi/v1/margin/allPairs": of(api.nothing, 1),
        "/sapi/v1/margin/isolated/allPairs": of(api.nothing, 1),
    }
    return {("GET", path): endpoint for path, endpoint in table.items()}


def futures_endpoints(api: PublicApi) -> dict[tuple[str, str], Endpoint]:
    """What a recorder of USD-M futures asks for, where it asks for it: a recorded tape may be one of theirs."""
    names = ("ping", "time", "exchangeInfo", "depth")
    public = public_endpoints(api)
    return {("GET", f"/fapi/v1/{name}"): public["GET", f"/api/v3/{name}"] for name in names}


def trading_endpoints(api: TradingApi) -> dict[tuple[str, str], Endpoint]:
    """Orders and balances: (method, path) -> endpoint."""

    def of(answer: Answer, weight: int, order: bool = False, trades: bool = False) -> Endpoint:
        return Endpoint(answer, lambda _: weight, "signed", order, trades)

    base = "/api/v3/"
    open_orders = Endpoint(api.open_orders, lambda sent: 6 if sent.get("symbol") else 80, "signed")
    return {
        ("POST", base + "order"): of(api.new_order, 1, order=True, trades=True),
        ("POST", base + "order/test"): of(api.test_order, 1, trades=True),
        ("GET", base + "order"): of(api.query_order, 4),
        ("DELETE", base + "order"): of(api.cancel_order, 1, trades=True),
        ("GET", base + "openOrders"): open_orders,
        ("DELETE", base + "openOrders"): of(api.cancel_all, 1, trades=True),
        ("GET", base + "allOrders"): of(api.all_orders, 20),
        ("GET", base + "account"): of(api.account, 20),
        ("GET", base + "myTrades"): of(api.my_trades, 20),
    }


def listen_key_endpoints(access: Access) -> dict[tuple[str, str], Endpoint]:
    """The older way to the account's own stream: listen keys."""

    def create(account: str, _: Params) -> Any:
        return {"listenKey": access.open_listen_key(account)}

    def keep(_: str, sent: Params) -> Any:
        access.keep_listen_key(sent.get("listenKey", ""))
        return {}

    def close(_: str, sent: Params) -> Any:
        access.close_listen_key(sent.get("listenKey", ""))
        return {}

    answers: dict[str, Answer] = {"POST": create, "PUT": keep, "DELETE": close}
    return {(method, "/api/v3/userDataStream"): Endpoint(answers[method], lambda _: 2, "key") for method in answers}


def closed_endpoints() -> dict[tuple[str, str], Endpoint]:
    """What a replay says to those who want to trade."""

    def refuse(_: str, __: Params) -> Any:
        raise rejects.market_closed()

    paths = ("order", "order/test", "openOrders", "allOrders", "account", "myTrades", "userDataStream")
    refusal = Endpoint(refuse, lambda _: 1)
    return {(method, "/api/v3/" + path): refusal for method in ("GET", "POST", "PUT", "DELETE") for path in paths}


SOCKET_METHODS = {
    "ping": ("GET", "/api/v3/ping"),
    "time": ("GET", "/api/v3/time"),
    "exchangeInfo": ("GET", "/api/v3/exchangeInfo"),
    "depth": ("GET", "/api/v3/depth"),
    "trades.recent": ("GET", "/api/v3/trades"),
    "trades.historical": ("GET", "/api/v3/historicalTrades"),
    "trades.aggregate": ("GET", "/api/v3/aggTrades"),
    "klines": ("GET", "/api/v3/klines"),
    "ticker.24hr": ("GET", "/api/v3/ticker/24hr"),
    "ticker.price": ("GET", "/api/v3/ticker/price"),
    "ticker.book": ("GET", "/api/v3/ticker/bookTicker"),
    "order.place": ("POST", "/api/v3/order"),
    "order.test": ("POST", "/api/v3/order/test"),
    "order.status": ("GET", "/api/v3/order"),
    "order.cancel": ("DELETE", "/api/v3/order"),
    "openOrders.status": ("GET", "/api/v3/openOrders"),
    "openOrders.cancelAll": ("DELETE", "/api/v3/openOrders"),
    "allOrders": ("GET", "/api/v3/allOrders"),
    "account.status": ("GET", "/api/v3/account"),
    "myTrades": ("GET", "/api/v3/myTrades"),
}
"""Methods of the WebSocket API and the REST request that each is."""


def _depth_weight(sent: Params) -> int:
    limit = sent.get("limit", "100")
    size = int(limit) if limit.isdecimal() else 100
    return 5 if size <= 100 else 25 if size <= 500 else 50 if size <= 1000 else 250
