"""The account half of the REST API: orders, balances, own trades."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Collection
from typing import Any

from quantlytic.venues.exchange import params, rejects, render
from quantlytic.venues.exchange.access import Access, Limits
from quantlytic.venues.exchange.instruments import ORDER_TYPES
from quantlytic.venues.exchange.matching import BUY, SELL, Order
from quantlytic.venues.exchange.params import Params
from quantlytic.venues.exchange.rejects import Reject
from quantlytic.venues.exchange.synthetic import SyntheticMarket
from quantlytic.venues.exchange.units import E8, e8, e8_text

CLIENT_ID = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")
DAY_MS = 86_400_000


class TradingApi:
    """Answers for one account. `publish` commits what was done and tells the world; it is called before any answer.

    A client order id is good for one order of the account, for ever: a repeat is refused (-2010), also when the first
    one has long been filled. (Binance refuses it only while the first is open; one rule that never trades twice is
    safer to test against.)
    """

    def __init__(
        self,
        market: SyntheticMarket,
        access: Access,
        limits: Limits,
        publish: Callable[[], None],
        delisted: Collection[str] = (),
    ) -> None:
        self.market = market
        self._delisted = frozenset(delisted)
        self.core = market.core
        self._access = access
        self._limits = limits
        self._publish = publish

    def new_order(self, account: str, sent: Params) -> Any:
        """Place an order and answer with what became of it (ACK, RESULT or FULL)."""
        self._limits.order(account)
        order = self._read(account, sent)
        if order.symbol in self._delisted:
            raise Reject(-1013, "Market is closed.")
        market = order.type == "MARKET"
        kind = params.choice(sent, "newOrderRespType", ("ACK", "RESULT", "FULL"), "FULL" if market else "RESULT")
        if order.type == "LIMIT" and not sent.get("newOrderRespType"):
            kind = "FULL"
        fills = self.market.place(order)
        self._publish()
        return render.placed(self.market.listing(order.symbol), order, fills, kind)

    def test_order(self, account: str, sent: Params) -> Any:
        """Check an order's parameters and filters without placing it."""
        self._read(account, sent)
        return {}

    def query_order(self, account: str, sent: Params) -> Any:
        """One order by orderId or origClientOrderId."""
        listing = self.market.listing(params.text(sent, "symbol"))
        order = self._find(account, sent)
        if order is None or order.symbol != listing.symbol:
            raise rejects.unknown_order()
        return render.order_row(listing, order)

    def cancel_order(self, account: str, sent: Params) -> Any:
        """Cancel one open order by orderId or origClientOrderId."""
        listing = self.market.listing(params.text(sent, "symbol"))
        found = self._find(account, sent)
        order = self.core.open_orders.get(found.order_id) if found else None
        if order is None or order.symbol != listing.symbol:
            raise rejects.unknown_cancel()
        return self._cancel([order], sent.get("newClientOrderId", ""))[0]

    def cancel_all(self, account: str, sent: Params) -> Any:
        """Cancel all open orders of a symbol."""
        symbol = self.market.listing(params.text(sent, "symbol")).symbol
        orders = self._open(account, symbol)
        if not orders:
            raise rejects.unknown_cancel()
        return self._cancel(orders)

    def open_orders(self, account: str, sent: Params) -> Any:
        """Open orders, of one symbol or of all."""
        symbol = self.market.listing(sent["symbol"]).symbol if sent.get("symbol") else None
        return [render.order_row(self.market.listing(order.symbol), order) for order in self._open(account, symbol)]

    def all_orders(self, account: str, sent: Params) -> Any:
        """Orders of a symbol, open or not, from orderId on or the last ones, oldest first."""
        listing = self.market.listing(params.text(sent, "symbol"))
        from_id, limit = params.integer(sent, "orderId") or 0, params.limit(sent, 500, 1000)
        start, end = params.integer(sent, "startTime") or 0, params.integer(sent, "endTime")
        found = self.market.journal.orders(account, listing.symbol, from_id, limit)
        return [
            render.order_row(listing, order)
            for order in found
            if order.time_ms >= start and (end is None or order.time_ms <= end)
        ]

    def account(self, account: str, sent: Params) -> Any:
        """Balances and commission rates."""
        accounts = self.core.accounts
        maker, taker = e8_text(self.core.maker_ppm * 100), e8_text(self.core.taker_ppm * 100)
        rows = [
            {"asset": asset, "free": e8_text(free), "locked": e8_text(locked)}
            for asset, (free, locked) in sorted(accounts.balances.get(account, {}).items())
            if free or locked or sent.get("omitZeroBalances") != "true"
        ]
        return {
            "makerCommission": self.core.maker_ppm // 100,
            "takerCommission": self.core.taker_ppm // 100,
            "buyerCommission": 0,
            "sellerCommission": 0,
            "commissionRates": {"maker": maker, "taker": taker, "buyer": render.ZERO, "seller": render.ZERO},
            "canTrade": True,
            "canWithdraw": False,
            "canDeposit": False,
            "brokered": False,
            "requireSelfTradePrevention": False,
            "preventSor": False,
            "updateTime": self.market.time_ms,
            "accountType": "SPOT",
            "balances": rows,
            "permissions": ["SPOT"],
            "uid": 1,
        }

    def my_trades(self, account: str, sent: Params) -> Any:
        """The account's own trades of a symbol, oldest first."""
        symbol = self.market.listing(params.text(sent, "symbol")).symbol
        from_id, order_id = params.integer(sent, "fromId") or 0, params.integer(sent, "orderId")
        start, end = params.integer(sent, "startTime") or 0, params.integer(sent, "endTime")
        found = self.market.journal.own_trades(account, symbol, from_id, order_id, params.limit(sent, 500, 1000))
        return [
            render.own_trade(fill) for fill in found if fill.time_ms >= start and (end is None or fill.time_ms <= end)
        ]

    def _read(self, account: str, sent: Params) -> Order:
        """An order from parameters, through the filters. Raises Reject."""
        listing = self.market.listing(params.text(sent, "symbol"))
        side = BUY if params.choice(sent, "side", ("BUY", "SELL")) == "BUY" else SELL
        kind = params.choice(sent, "type", ORDER_TYPES)
        if sent.get("selfTradePreventionMode", "EXPIRE_MAKER") != "EXPIRE_MAKER":
            raise rejects.Reject(-2010, "This symbol does not allow the specified self-trade prevention mode.")
        for name in ("stopPrice", "icebergQty", "trailingDelta"):
            if sent.get(name):
                raise rejects.unwanted(name)
        client_id = sent.get("newClientOrderId", "") or secrets.token_hex(11)
        if not CLIENT_ID.fullmatch(client_id):
            raise rejects.illegal("newClientOrderId")
        if self.market.journal.order(account, None, client_id) is not None:
            raise rejects.duplicate_order()
        order = Order(0, account, listing.symbol, side, kind, "GTC", 0, 0, self.market.time_ms, client_id)
        if kind == "MARKET":
            self._read_market(listing.symbol, order, sent)
            return order
        if kind == "LIMIT":
            order.time_in_force = params.choice(sent, "timeInForce", ("GTC", "IOC", "FOK"))
        order.price = listing.ticks(params.text(sent, "price"))
        order.quantity = listing.lots(params.text(sent, "quantity"))
        listing.check_band(order.price, self.core.desks[listing.symbol].last_price)
        listing.check_notional(order.price, order.quantity)
        return order

    def _read_market(self, symbol: str, order: Order, sent: Params) -> None:
        listing = self.market.listing(symbol)
        for name in ("price", "timeInForce"):
            if sent.get(name):
                raise rejects.unwanted(name)
        if sent.get("quoteOrderQty"):
            if sent.get("quantity"):
                raise rejects.unwanted("quoteOrderQty")
            value = e8(sent["quoteOrderQty"])
            if value is None or value > 9_000_000 * E8:
                raise rejects.illegal("quoteOrderQty")
            if value < listing.min_notional_e8:
                raise rejects.filtered("NOTIONAL")
            order.quote_order_e8 = value
            return
        order.quantity = listing.lots(params.text(sent, "quantity"), market=True)
        listing.check_notional(self.core.desks[symbol].last_price, order.quantity)

    def _find(self, account: str, sent: Params) -> Order | None:
        order_id, client_id = params.integer(sent, "orderId"), sent.get("origClientOrderId", "")
        if order_id is None and not client_id:
            raise rejects.Reject(
                -1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"
            )
        return self.market.journal.order(account, order_id, client_id)

    def _open(self, account: str, symbol: str | None) -> list[Order]:
        orders = self.core.open_orders.values()
        return [order for order in orders if order.account == account and symbol in (None, order.symbol)]

    def _cancel(self, orders: list[Order], cancel_id: str = "") -> list[Any]:
        for order in orders:
            self.core.cancel(order, self.market.time_ms, cancel_id or secrets.token_hex(11))
            self.market.settle()
        self._publish()
        return [render.canceled(self.market.listing(order.symbol), order) for order in orders]
