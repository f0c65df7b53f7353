"""Orders through ccxt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec

from quantlytic.model.errors import InputError, VenueError
from quantlytic.model.order import Order, OrderStatus, OrderType
from quantlytic.model.side import Side
from quantlytic.model.time import NS_PER_MS
from quantlytic.venues.answers import Refused, Unheard
from quantlytic.venues.ccxt.library import errors, one_line
from quantlytic.venues.ccxt.unified import order_number, own_trade_number, time_of_trade_number
from quantlytic.venues.port import Balance, Difference, OrderState, VenueFill
from quantlytic.venues.reconcile import ask_differences

STATUS = {
    "open": OrderStatus.NEW,
    "closed": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELED,
    "canceling": OrderStatus.CANCELED,
    "expired": OrderStatus.EXPIRED,
    "rejected": OrderStatus.REJECTED,
}


class CcxtOrders:
    """The `OrderEntry` over ccxt. An order that was not answered is looked for, and never sent again: what a repeated
    id means differs from venue to venue. If it cannot be found it is UNRESOLVED, and may be asked about later."""

    def __init__(
        self,
        venue: str,
        exchange: Any,
        *,
        poll_s: float = 0.5,
        patience_s: float = 30.0,
        void_after_s: float = 300.0,
    ) -> None:
        """`void_after_s`: see `OrderEntry`. No venue promises it through ccxt; five minutes are far beyond the receive windows
        there are (Binance's and Bybit's a minute at most, Coinbase's tokens two). `math.inf` leaves it to a person.
        """
        self._venue = venue
        self.void_after_s = void_after_s
        self.connected: Callable[[], None] = _ignore
        self._exchange = exchange
        exchange.options["warnOnFetchOpenOrdersWithoutSymbol"] = False  # all of the account's is what is asked for
        self._poll_s = poll_s
        self._patience_s = patience_s

    async def submit(self, order: Order, client_order_id: str) -> OrderState:
        """See `OrderEntry.submit`."""
        if not msgspec.structs.replace(order, post_only=False).is_plain:
            raise InputError(
                f"order {client_order_id}: only plain market and limit orders (GTC, IOC, FOK, post-only) are sent to a venue"
            )
        price = order.price if order.type == OrderType.LIMIT else None
        params: dict[str, str | bool] = {"clientOrderId": client_order_id}
        if order.post_only:
            params["postOnly"] = True
        elif price is not None:
            params["timeInForce"] = order.time_in_force.name
        call = (self._symbol(order.instrument), order.type.name.lower(), order.side.name.lower(), order.quantity, price)
        try:
            reply = await self._exchange.create_order(*call, params)
            return await self._look(order.instrument, client_order_id) or self._state(reply)
        except (
            errors().InvalidOrder,
            errors().InsufficientFunds,
            errors().BadRequest,
            errors().PermissionDenied,
        ) as error:
            status, reason = OrderStatus.REJECTED, one_line(error)
        except errors().AuthenticationError as error:
            raise Refused(f"{self._venue}: {one_line(error)}", 401) from None
        except errors().BaseError as error:
            status, reason = OrderStatus.UNRESOLVED, one_line(error)
        loop = asyncio.get_running_loop()
        until = loop.time() + self._patience_s
        while status == OrderStatus.UNRESOLVED and loop.time() < until:
            found = await self._look(order.instrument, client_order_id)
            if found is not None:
                return found
            await asyncio.sleep(self._poll_s)
        return OrderState(
            client_order_id=client_order_id,
            instrument=order.instrument,
            status=status,
            side=order.side,
            quantity=order.quantity,
            price=order.price,
            reason=reason,
        )

    async def cancel(self, instrument: str, client_order_id: str) -> OrderState:
        """See `OrderEntry.cancel`."""
        known = await self.status(instrument, client_order_id)
        if known is None:
            raise VenueError(f"{self._venue} does not know the order {client_order_id}")
        if known.is_open:
            row = await self._find(instrument, client_order_id)
            try:
                await self._exchange.cancel_order(row["id"], self._symbol(instrument))
            except errors().BaseError as error:
                known = await self.status(instrument, client_order_id) or known
                if known.is_open:
                    raise VenueError(f"{self._venue}: {client_order_id} not canceled: {one_line(error)}") from None
            known = await self.status(instrument, client_order_id) or known
        return known

    async def status(self, instrument: str, client_order_id: str) -> OrderState | None:
        """See `OrderEntry.status`. Raises Unheard while the venue cannot be asked."""
        row = await self._find(instrument, client_order_id)
        return None if row is None else self._state(row)

    async def open_orders(self) -> list[OrderState]:
        """See `OrderEntry.open_orders`."""
        return [self._state(row) for row in await self._ask(self._exchange.fetch_open_orders)]

    async def balances(self) -> dict[str, Balance]:
        """See `OrderEntry.balances`."""
        reply = await self._ask(self._exchange.fetch_balance)
        rows = [
            Balance(name, reply["free"].get(name) or 0.0, reply["used"].get(name) or 0.0) for name in reply["total"]
        ]
        return {row.asset: row for row in rows if row.free or row.locked}

    async def my_trades(self, instrument: str, from_id: int = 0) -> list[VenueFill]:
        """See `OrderEntry.my_trades`. ccxt has no common way to ask from an id on: the venue's last trades are asked for, or
        those since the time that `from_id` was made from; more than it gives in one answer cannot be had."""
        since = time_of_trade_number(from_id)
        rows = await self._ask(self._exchange.fetch_my_trades, self._symbol(instrument), since)
        fills = [
            VenueFill(
                trade_id=own_trade_number(row.get("id"), row.get("timestamp") or 0),
                venue_order_id=order_number(row.get("order")),
                instrument=instrument,
                event_time=(row.get("timestamp") or 0) * NS_PER_MS,
                side=Side.SELL if row["side"] == "sell" else Side.BUY,
                quantity=row["amount"],
                price=row["price"],
                fee=(row.get("fee") or {}).get("cost") or 0.0,
                fee_asset=(row.get("fee") or {}).get("currency") or "",
            )
            for row in rows
        ]
        return sorted((each for each in fills if each.trade_id >= from_id), key=lambda each: each.trade_id)

    async def updates(self) -> AsyncIterator[OrderState]:
        """See `OrderEntry.updates`. ccxt does not say when it has connected: `connected` is called before the first
        question, and with the first answer after an error."""
        self.connected()
        is_broken = False
        while True:
            try:
                rows = await self._exchange.watch_orders()
                if is_broken:
                    self.connected()
                    is_broken = False
                for row in rows:
                    yield self._state(row)
            except errors().AuthenticationError as error:
                raise Refused(f"{self._venue}: {one_line(error)}", 401) from None
            except KeyError as error:  # ccxt's own clean-up after a refused key hides the refusal
                refusal = error.__context__
                if not isinstance(refusal, errors().AuthenticationError):
                    raise
                raise Refused(f"{self._venue}: {one_line(refusal)}", 401) from None
            except errors().BaseError:
                is_broken = True
                await asyncio.sleep(self._poll_s)

    async def reconcile(
        self, orders: Sequence[OrderState], balances: dict[str, float] | None = None
    ) -> list[Difference]:
        """See `OrderEntry.reconcile`."""
        return await ask_differences(self, orders, balances)

    async def _look(self, instrument: str, client_order_id: str) -> OrderState | None:
        """The order, if it is found now."""
        try:
            return await self.status(instrument, client_order_id)
        except VenueError:
            return None

    async def _find(self, instrument: str, client_order_id: str) -> Any:
        symbol = self._symbol(instrument)
        listings = (
            ("fetchOrders",) if self._exchange.has.get("fetchOrders") else ("fetchOpenOrders", "fetchClosedOrders")
        )
        for name in listings:
            try:
                rows = await getattr(self._exchange, name)(symbol)
            except errors().BaseError as error:
                raise Unheard(f"{self._venue}: {one_line(error)}") from None
            for row in rows:
                if row.get("clientOrderId") == client_order_id:
                    return row
        return None

    async def _ask(self, call: Any, *arguments: Any) -> Any:
        try:
            return await call(*arguments)
        except errors().AuthenticationError as error:
            raise Refused(f"{self._venue}: {one_line(error)}", 401) from None
        except errors().BaseError as error:
            raise Unheard(f"{self._venue}: {one_line(error)}") from None

    def _state(self, row: Any) -> OrderState:
        status = STATUS.get(row.get("status") or "", OrderStatus.UNRESOLVED)
        filled = row.get("filled") or 0.0
        if status == OrderStatus.NEW and filled:
            status = OrderStatus.PARTIALLY_FILLED
        return OrderState(
            client_order_id=row.get("clientOrderId") or "",
            instrument=f"{self._venue}:{row['symbol']}",
            status=status,
            venue_order_id=order_number(row.get("id")),
            side=Side.SELL if row.get("side") == "sell" else Side.BUY,
            quantity=row.get("amount") or 0.0,
            price=row.get("price") or 0.0,
            filled_quantity=filled,
            quote_filled=row.get("cost") or 0.0,
            event_time=(row.get("lastUpdateTimestamp") or row.get("timestamp") or 0) * NS_PER_MS,
        )

    def _symbol(self, instrument: str) -> str:
        venue, _, symbol = instrument.partition(":")
        if venue != self._venue or not symbol:
            raise InputError(f"{instrument!r} is not traded at {self._venue}")
        return symbol


def _ignore() -> None:
    """Nobody wants to know."""
