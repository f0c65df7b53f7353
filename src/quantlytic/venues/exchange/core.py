"""The exchange itself, without clock, file or socket: orders in, trades and balances out."""

from __future__ import annotations

from collections.abc import Iterable

from quantlytic.venues.exchange import rejects, render
from quantlytic.venues.exchange.accounts import CROWD, Accounts
from quantlytic.venues.exchange.events import Happened, OwnTrade, Print
from quantlytic.venues.exchange.instruments import MAX_OPEN_ORDERS, Listing
from quantlytic.venues.exchange.matching import BUY, SELL, Book, Match, Order


class Desk:
    """What trades one symbol: its listing, its book and its counters."""

    def __init__(self, listing: Listing) -> None:
        assert listing.price_decimals + listing.lot_decimals <= 8, "a notional must be a whole number of e8 units"
        self.listing = listing
        self.book = Book(frozenset((CROWD,)))
        self.trade_id = 0
        self.agg_id = 0
        self.last_price = 0

    def asset_of(self, side: int) -> str:
        """What an order of `side` pays with."""
        return self.listing.quote if side == BUY else self.listing.base

    def cost_e8(self, side: int, price: int, lots: int) -> int:
        """What an order of `side` pays for `lots` at `price`."""
        return price * lots * self.listing.notional_e8 if side == BUY else lots * self.listing.lot_e8


class Core:
    """Desks, accounts and open orders. Each call leaves what it changed in `happened`, until `take()` hands it over."""

    def __init__(self, listings: Iterable[Listing], maker_ppm: int = 1000, taker_ppm: int = 1000) -> None:
        self.desks = {listing.symbol: Desk(listing) for listing in listings}
        self.accounts = Accounts()
        self.maker_ppm = maker_ppm
        self.taker_ppm = taker_ppm
        self.next_order_id = 1
        self.open_orders: dict[int, Order] = {}
        self.open_counts: dict[tuple[str, str], int] = {}
        self.happened = Happened()

    def desk(self, symbol: str) -> Desk:
        """Raises Reject for a symbol that is not listed."""
        desk = self.desks.get(symbol)
        if desk is None:
            raise rejects.bad_symbol()
        return desk

    def take(self) -> Happened:
        """What happened since the last call."""
        happened, self.happened = self.happened, Happened()
        return happened

    def place(self, order: Order) -> list[OwnTrade]:
        """Give the order an id, match it, and let the rest wait or expire by its time in force. Returns its own fills.

        Raises Reject, with nothing changed, when the account cannot pay, a post-only order would trade, or the
        account has too many open orders here.
        """
        desk = self.desk(order.symbol)
        if order.quote_order_e8:
            order.quantity = self._lots_for(desk, order)
        need = self._check(desk, order)
        order.order_id, self.next_order_id = self.next_order_id, self.next_order_id + 1
        order.update_ms = order.time_ms
        asset = desk.asset_of(order.side)
        self.accounts.lock(order.account, asset, need)
        order.reserved_e8 = need
        self._report(order, "NEW")
        fills = [] if self._unfillable(desk, order) else self._match(desk, order)
        if order.remaining and order.time_in_force == "GTC" and order.type != "MARKET":
            desk.book.rest(order)
            self.open_orders[order.order_id] = order
            self._count(order, 1)
        else:
            if order.remaining:
                order.status = "EXPIRED"
                self._report(order, "EXPIRED")
            self._release(desk, order)
        self._tell_balances(order.account, desk, order.time_ms)
        return fills

    def cancel(self, order: Order, time_ms: int, cancel_id: str = "") -> None:
        """Withdraw an open order."""
        desk = self.desks[order.symbol]
        desk.book.remove(order)
        order.cancel_id = cancel_id
        self._close(desk, order, "CANCELED", "CANCELED", time_ms)
        self._tell_balances(order.account, desk, time_ms)

    def restore(self, order: Order) -> None:
        """Put an order that was open when the exchange stopped back into its book; its balance is still locked."""
        self.desks[order.symbol].book.rest(order)
        self.open_orders[order.order_id] = order
        self._count(order, 1)

    def _check(self, desk: Desk, order: Order) -> int:
        """What the order must lock. Raises Reject when it cannot be taken."""
        book, key = desk.book, (order.account, order.symbol)
        if order.account != CROWD and order.type != "MARKET" and self.open_counts.get(key, 0) >= MAX_OPEN_ORDERS:
            raise rejects.filtered("MAX_NUM_ORDERS")
        if order.type == "LIMIT_MAKER":
            best = book.ladder(-order.side).best
            if best is not None and (order.price - best) * order.side >= 0:
                raise rejects.would_take()
        if order.price or order.side == SELL:
            need = desk.cost_e8(order.side, order.price, order.quantity)
        else:
            need = book.reach(BUY, 0, order.quantity, order.account)[1] * desk.listing.notional_e8
        if self.accounts.free(order.account, desk.asset_of(order.side)) < need:
            raise rejects.unfunded()
        return need

    def _lots_for(self, desk: Desk, order: Order) -> int:
        """Lots that the present book sells for `quote_order_e8`, or that must be sold to it to receive so much."""
        budget = order.quote_order_e8 // desk.listing.notional_e8
        lots = 0
        for price, there in desk.book.ladder(-order.side).top(1000):
            part = min(there, budget // price)
            lots += part
            budget -= part * price
            if part < there:
                break
        if lots == 0:
            raise rejects.filtered("NOTIONAL")
        return lots

    def _unfillable(self, desk: Desk, order: Order) -> bool:
        if order.time_in_force != "FOK":
            return False
        return desk.book.reach(order.side, order.price, order.quantity, order.account)[0] < order.quantity

    def _match(self, desk: Desk, order: Order) -> list[OwnTrade]:
        fills: list[OwnTrade] = []
        last_price = -1
        for match in desk.book.matches(order):
            if match.lots == 0:
                self._close(desk, match.maker, "EXPIRED_IN_MATCH", "TRADE_PREVENTION", order.time_ms)
                continue
            if match.price != last_price:
                desk.agg_id += 1
                last_price = match.price
            fills.append(self._trade(desk, order, match))
        return fills

    def _trade(self, desk: Desk, taker: Order, match: Match) -> OwnTrade:
        maker, lots = match.maker, match.lots
        desk.trade_id += 1
        desk.last_price = match.price
        self.happened.prints.append(
            Print(
                desk.listing.symbol,
                desk.trade_id,
                desk.agg_id,
                match.price * desk.listing.tick_e8,
                lots * desk.listing.lot_e8,
                taker.time_ms,
                maker.side == BUY,
            )
        )
        self._fill(desk, maker, match, time_ms=taker.time_ms, is_maker=True, other=taker.account)
        fill = self._fill(desk, taker, match, time_ms=taker.time_ms, is_maker=False, other=maker.account)
        if not maker.remaining:
            self._release(desk, maker)
            self._forget(maker)
        if maker.account != CROWD:
            self._tell_balances(maker.account, desk, taker.time_ms)
        return fill

    def _fill(self, desk: Desk, order: Order, match: Match, *, time_ms: int, is_maker: bool, other: str) -> OwnTrade:
        """Book one side of a match: what `order` pays goes to `other`, who bears the fee on it."""
        listing, lots = desk.listing, match.lots
        paid = desk.cost_e8(order.side, match.price, lots)
        ppm = 0 if other == CROWD else (self.taker_ppm if is_maker else self.maker_ppm)
        self.accounts.pay(order.account, other, desk.asset_of(order.side), paid, ppm)
        order.reserved_e8 -= paid
        if order.side == BUY and order.price > match.price:
            better = (order.price - match.price) * lots * listing.notional_e8
            self.accounts.unlock(order.account, listing.quote, better)
            order.reserved_e8 -= better
        quote = match.price * lots * listing.notional_e8
        order.filled += lots
        order.filled_quote_e8 += quote
        order.status = "PARTIALLY_FILLED" if order.remaining else "FILLED"
        order.update_ms = time_ms
        own_ppm = 0 if order.account == CROWD else (self.maker_ppm if is_maker else self.taker_ppm)
        received = quote if order.side == SELL else lots * listing.lot_e8
        fill = OwnTrade(
            order.account,
            listing.symbol,
            desk.trade_id,
            order.order_id,
            match.price * listing.tick_e8,
            lots * listing.lot_e8,
            quote,
            received * own_ppm // 1_000_000,
            desk.asset_of(-order.side),
            time_ms,
            order.side == BUY,
            is_maker,
        )
        if order.account != CROWD:
            self.happened.own_trades.append(fill)
            self._report(order, "TRADE", fill)
        return fill

    def _close(self, desk: Desk, order: Order, status: str, execution: str, time_ms: int) -> None:
        """End an order that waited in the book (and was taken out of it)."""
        order.status = status
        order.update_ms = time_ms
        self._release(desk, order)
        self._forget(order)
        self._report(order, execution)

    def _release(self, desk: Desk, order: Order) -> None:
        if order.reserved_e8:
            self.accounts.unlock(order.account, desk.asset_of(order.side), order.reserved_e8)
            order.reserved_e8 = 0

    def _forget(self, order: Order) -> None:
        del self.open_orders[order.order_id]
        self._count(order, -1)

    def _count(self, order: Order, change: int) -> None:
        key = (order.account, order.symbol)
        self.open_counts[key] = self.open_counts.get(key, 0) + change

    def _report(self, order: Order, execution: str, fill: OwnTrade | None = None) -> None:
        if order.account != CROWD:
            self.happened.orders[order.order_id] = order
            message = render.execution_report(self.desks[order.symbol].listing, order, execution, fill)
            self.happened.messages.append((order.account, message))

    def _tell_balances(self, account: str, desk: Desk, time_ms: int) -> None:
        if account != CROWD:
            assets = (desk.listing.base, desk.listing.quote)
            message = render.account_position(self.accounts, account, assets, time_ms)
            self.happened.messages.append((account, message))
