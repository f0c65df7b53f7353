"""Orders to Alpaca.

The rule for an answer that never came: ask by our own id; while the venue does not know it, send the same id again.
Alpaca takes an id once in an account's life ("client_order_id must be unique"), so at no time can there be two orders.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncIterator, Callable, Sequence
from types import TracebackType
from typing import Any, TypeVar

import msgspec

from quantlytic.model.errors import InputError, VenueError
from quantlytic.model.order import Order, OrderStatus, OrderType, TimeInForce
from quantlytic.venues.alpaca import wire
from quantlytic.venues.alpaca.keys import AlpacaKeys
from quantlytic.venues.alpaca.library import AlpacaRest, load, repeated
from quantlytic.venues.alpaca.market import AlpacaMarket, is_crypto
from quantlytic.venues.alpaca.order_rows import after_text, balances_of, fill_of, order_state
from quantlytic.venues.alpaca.stream import AccountStream
from quantlytic.venues.answers import Refused, Throttled, Unheard
from quantlytic.venues.port import Balance, Difference, OrderState, VenueFill
from quantlytic.venues.reconcile import ask_differences

MAX_ID = 128
PAGE = 100
OPEN_PAGE = 500
VOID_S = 300.0
"""Alpaca states no time after which a request cannot be accepted any more; five minutes after our last try none is."""
TIME_IN_FORCE = {
    TimeInForce.GTC: "gtc",
    TimeInForce.IOC: "ioc",
    TimeInForce.FOK: "fok",
    TimeInForce.DAY: "day",
    TimeInForce.AT_OPEN: "opg",
    TimeInForce.AT_CLOSE: "cls",
}
Row = TypeVar("Row")


class AlpacaTimings(msgspec.Struct, frozen=True, kw_only=True):
    """In seconds. `request`: for an answer. `poll`: between two questions about an unanswered order, and the first
    back-off. `settle`: how long a cancel is waited for. `tie`: after which fills of one instant are all listed.
    `patience`: until a submit gives up as UNRESOLVED."""

    request: float = 5.0
    poll: float = 0.5
    settle: float = 5.0
    tie: float = 0.3
    patience: float = 60.0


class AlpacaOrders:
    """The `OrderEntry` of Alpaca; an async context manager. Orders wait for regular hours: `extended_hours` is never set."""

    def __init__(
        self, market: AlpacaMarket, keys: AlpacaKeys, *, timings: AlpacaTimings | None = None, seed: int = 0
    ) -> None:
        self._market = market
        self._keys = keys
        self._timings = timings or AlpacaTimings()
        self._random = random.Random(seed)
        self._rest = AlpacaRest(market, keys, self._timings.request)
        self._open: dict[str, str] = {}
        self._ids: dict[str, str] = {}
        self._newest: dict[str, int] = {}
        self.connected: Callable[[], None] = _ignore
        self.void_after_s = self._timings.patience + VOID_S

    async def __aenter__(self) -> AlpacaOrders:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rest.close()

    async def check(self) -> None:
        """Is the key accepted, and may the account trade? Raises VenueError with the reason if not."""
        account = self._convert(await self._ask(self._rest.trading.get_account), wire.AccountRow)
        blocks = ("trading_blocked", "account_blocked", "trade_suspended_by_user")
        if found := [name for name in blocks if getattr(account, name)]:
            raise VenueError(f"{self._market.venue}: the account may not trade: {', '.join(found)}")

    async def submit(self, order: Order, client_order_id: str) -> OrderState:
        """See `OrderEntry.submit`. Raises VenueError for a key that is not accepted, InputError for an overlong id."""
        request = self._request(order, client_order_id)
        loop = asyncio.get_running_loop()
        until = loop.time() + self._timings.patience
        reason = "no answer"
        while loop.time() < until:
            try:
                return self._state(await self._rest.call(self._rest.trading.submit_order, request))
            except Throttled as error:
                reason = str(error)
                await asyncio.sleep(min(error.wait_s, max(0.0, until - loop.time())))
            except Refused as error:
                if not _is_repeated_id(error):
                    self._raise_for_key(error)
                    return self._note(self._unplaced(order, client_order_id, OrderStatus.REJECTED, str(error)))
                reason = str(error)
            except Unheard as error:
                reason = str(error)
            state = await self._heard(order.instrument, client_order_id)
            if state is not None:
                return state
            await asyncio.sleep(self._timings.poll)
        return self._note(self._unplaced(order, client_order_id, OrderStatus.UNRESOLVED, reason))

    async def cancel(self, instrument: str, client_order_id: str) -> OrderState:
        """See `OrderEntry.cancel`. Raises VenueError when the venue does not know the order or cannot be asked.

        An order that is still being cancelled after `settle` seconds is returned as open.
        """
        row = await self._known_row(instrument, client_order_id)
        loop = asyncio.get_running_loop()
        until = loop.time() + self._timings.settle
        if self._state(row).is_open:
            try:
                await self._ask(self._rest.trading.cancel_order_by_id, row["id"])
            except Refused as error:  # 422: filled or cancelled meanwhile; 404: gone from the open ones
                if error.status not in (404, 422):
                    raise
                until = loop.time()
        while True:
            row = await self._row(instrument, client_order_id) or row
            state = self._state(row)
            if not state.is_open or loop.time() >= until:
                return state
            await asyncio.sleep(self._timings.poll)

    async def replace(
        self,
        instrument: str,
        client_order_id: str,
        new_client_order_id: str,
        quantity: float | None = None,
        price: float | None = None,
    ) -> OrderState:
        """Change an open order: Alpaca makes a new one of it, under the new id. Only whole quantities can be changed.

        Returns the new order, or the old one's state when it was done before. Raises Refused in the venue's words.
        """
        if quantity is not None and quantity != int(quantity):
            raise InputError(f"order {client_order_id}: {self._market.venue} changes quantities to whole numbers only")
        row = await self._known_row(instrument, client_order_id)
        request = load("trading.requests").ReplaceOrderRequest(
            qty=None if quantity is None else int(quantity), limit_price=price, client_order_id=new_client_order_id
        )
        try:
            return self._state(await self._rest.call(self._rest.trading.replace_order_by_id, row["id"], request))
        except Refused as error:
            known = await self.status(instrument, new_client_order_id) if _is_repeated_id(error) else None
            state = known or await self.status(instrument, client_order_id)
            if state is None or state.is_open:
                raise
            return state
        except (Unheard, Throttled):
            known = await self.status(instrument, new_client_order_id)
            if known is None:
                raise
            return known

    async def status(self, instrument: str, client_order_id: str) -> OrderState | None:
        """See `OrderEntry.status`."""
        row = await self._row(instrument, client_order_id)
        return None if row is None else self._state(row)

    async def open_orders(self) -> list[OrderState]:
        """See `OrderEntry.open_orders`."""
        requests = load("trading.requests")
        rows: dict[str, wire.OrderRow] = {}
        after = None
        while True:
            listing = requests.GetOrdersRequest(
                status="open", limit=OPEN_PAGE, direction="asc", nested=False, after=after
            )
            page = self._convert(await self._ask(self._rest.trading.get_orders, listing), list[wire.OrderRow])
            known = len(rows)
            rows |= {row.id: row for row in page if row.symbol}
            if len(page) < OPEN_PAGE or len(rows) == known:
                return [self._state_of(row) for row in rows.values()]
            after = wire.time_text(wire.time_ns(page[-1].submitted_at))

    async def balances(self) -> dict[str, Balance]:
        """See `OrderEntry.balances`."""
        account = self._convert(await self._ask(self._rest.trading.get_account), wire.AccountRow)
        rows = self._convert(await self._ask(self._rest.trading.get_all_positions), list[wire.PositionRow])
        return balances_of(account, rows)

    async def my_trades(self, instrument: str, from_id: int = 0) -> list[VenueFill]:
        """See `OrderEntry.my_trades`. Fills of one millisecond have no order that Alpaca states; so that none shows up behind
        one handed out before, news are asked for a second time, `tie` seconds later, and only that answer is given."""
        fills = await self._fills(instrument, from_id)
        if fills and fills[-1].trade_id > self._newest.get(instrument, -1):
            await asyncio.sleep(self._timings.tie)
            fills = await self._fills(instrument, from_id)
            self._newest[instrument] = fills[-1].trade_id
        return fills

    async def updates(self) -> AsyncIterator[OrderState]:
        """See `OrderEntry.updates`. After a reconnect the orders that were open are asked about and handed out first."""
        failures = 0
        connected = False
        stream = AccountStream(self._market, self._keys, self._timings.request)
        try:
            while True:
                try:
                    await stream.open()
                    failures = 0
                    self.connected()
                    for client_order_id, instrument in list(self._open.items()) if connected else ():
                        state = await self.status(instrument, client_order_id)
                        if state is not None:
                            yield state
                    connected = True
                    while True:
                        row = await stream.next()
                        if row is not None:
                            yield self._state_of(row)
                except Refused:
                    raise
                except VenueError:
                    await stream.close()
                failures += 1
                pause = min(30.0, self._timings.poll * 2 ** min(failures - 1, 16))
                await asyncio.sleep(pause * (0.5 + self._random.random()))
        finally:
            await stream.close()

    async def reconcile(
        self, orders: Sequence[OrderState], balances: dict[str, float] | None = None
    ) -> list[Difference]:
        """See `OrderEntry.reconcile`."""
        return await ask_differences(self, orders, balances)

    async def _fills(self, instrument: str, from_id: int) -> list[VenueFill]:
        symbol = self._symbol(instrument)
        params: dict[str, Any] = {"direction": "asc", "page_size": PAGE}
        if from_id:
            params["after"] = after_text(from_id)
        fills: list[VenueFill] = []
        while True:
            reply = await self._ask(self._rest.trading.get, "/account/activities/FILL", dict(params))
            rows = self._convert(reply, list[wire.FillRow])
            fills += [fill_of(instrument, row) for row in rows if row.symbol in (symbol, symbol.replace("/", ""))]
            if len(rows) < PAGE:
                return sorted((each for each in fills if each.trade_id >= from_id), key=lambda each: each.trade_id)
            params["page_token"] = rows[-1].id

    async def _heard(self, instrument: str, client_order_id: str) -> OrderState | None:
        """The order if the venue knows it and can be asked right now."""
        try:
            reply = await self._rest.call(self._rest.trading.get_order_by_client_id, client_order_id)
            return self._state(reply)
        except (Refused, Unheard, Throttled):
            return None

    async def _known_row(self, instrument: str, client_order_id: str) -> Any:
        row = await self._row(instrument, client_order_id)
        if row is None:
            raise VenueError(f"{self._market.venue} does not know the order {client_order_id}")
        return row

    async def _row(self, instrument: str, client_order_id: str) -> Any | None:
        """By the venue's own id where it is known: a listing by ours may lag behind."""
        self._symbol(instrument)
        trading = self._rest.trading
        own_id = self._ids.get(client_order_id)
        try:
            if own_id is not None:
                return await self._ask(trading.get_order_by_id, own_id)
            return await self._ask(trading.get_order_by_client_id, client_order_id)
        except Refused as error:
            if error.status == 404:
                return None
            raise

    async def _ask(self, what: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return await repeated(self._rest, what, *arguments, pause_s=self._timings.poll)
        except Refused as error:
            self._raise_for_key(error)
            raise

    def _raise_for_key(self, error: Refused) -> None:
        if error.status == 401 or (error.status == 403 and not error.code):
            text = f"{self._market.venue} does not accept the key: paper and live accounts have keys of their own ({error})"
            raise Refused(text, error.status, error.code) from None

    def _state(self, row: Any) -> OrderState:
        return self._state_of(self._convert(row, wire.OrderRow))

    def _state_of(self, row: wire.OrderRow) -> OrderState:
        try:
            state = self._note(order_state(self._market.venue, row))
        except msgspec.ValidationError as error:
            raise Unheard(f"{self._market.venue}: an answer that cannot be read: {error}") from None
        if state.is_open:
            self._ids[state.client_order_id] = row.id
        return state

    def _convert(self, reply: Any, kind: type[Row]) -> Row:
        try:
            return msgspec.convert(reply, kind, strict=False)
        except msgspec.ValidationError as error:
            raise Unheard(f"{self._market.venue}: an answer that cannot be read: {error}") from None

    def _note(self, state: OrderState) -> OrderState:
        """Remember what is open: it is asked about after a reconnect."""
        if state.is_open or state.status == OrderStatus.UNRESOLVED:
            self._open[state.client_order_id] = state.instrument
        else:
            self._open.pop(state.client_order_id, None)
            self._ids.pop(state.client_order_id, None)
        return state

    def _request(self, order: Order, client_order_id: str) -> Any:
        if not 0 < len(client_order_id) <= MAX_ID:
            raise InputError(f"order id {client_order_id!r} must have 1 to {MAX_ID} signs: use a shorter run name")
        symbol = self._symbol(order.instrument)
        if order.time_in_force not in TIME_IN_FORCE or order.post_only or order.reduce_only or order.group_id:
            raise InputError(
                f"order {client_order_id}: {self._market.venue} knows no GTD, post-only, reduce-only or OCO"
            )
        if order.parent_id:
            raise InputError(f"order {client_order_id}: an order that waits for another is not sent to a venue")
        needed = [order.quantity]
        needed += [order.price] if order.type in (OrderType.LIMIT, OrderType.STOP_LIMIT) else []
        needed += [order.stop_price] if order.type in (OrderType.STOP, OrderType.STOP_LIMIT) else []
        if not all(0 < value < math.inf for value in needed):
            raise InputError(f"order {client_order_id}: quantity and prices must be numbers above 0")
        time_in_force = TIME_IN_FORCE[order.time_in_force]
        if order.type == OrderType.MARKET and time_in_force == "gtc" and not is_crypto(symbol):
            time_in_force = "day"  # the same for an order that fills at once, and all that fractions of a share may be
        fields: dict[str, Any] = {
            "symbol": symbol,
            "qty": order.quantity,
            "side": order.side.name.lower(),
            "time_in_force": time_in_force,
            "client_order_id": client_order_id,
        }
        requests = load("trading.requests")
        if order.type == OrderType.MARKET:
            return requests.MarketOrderRequest(**fields)
        if order.type == OrderType.LIMIT:
            return requests.LimitOrderRequest(**fields, limit_price=order.price)
        if order.type == OrderType.STOP:
            return requests.StopOrderRequest(**fields, stop_price=order.stop_price)
        if order.type == OrderType.STOP_LIMIT:
            return requests.StopLimitOrderRequest(**fields, limit_price=order.price, stop_price=order.stop_price)
        if order.type == OrderType.TRAILING_STOP:
            trail = {"trail_percent" if order.trail_percent else "trail_price": order.trail}
            return requests.TrailingStopOrderRequest(**fields, **trail)
        raise InputError(f"order {client_order_id}: {self._market.venue} knows no orders of type {order.type.name}")

    def _unplaced(self, order: Order, client_order_id: str, status: OrderStatus, reason: str) -> OrderState:
        return OrderState(
            client_order_id=client_order_id,
            instrument=order.instrument,
            status=status,
            side=order.side,
            quantity=order.quantity,
            price=order.price,
            event_time=order.event_time,
            reason=reason,
        )

    def _symbol(self, instrument: str) -> str:
        venue, _, symbol = instrument.partition(":")
        if venue != self._market.venue or not symbol:
            raise InputError(f"{instrument!r} is not traded at {self._market.venue}")
        return symbol


def _ignore() -> None:
    """Nobody wants to know."""


def _is_repeated_id(error: Refused) -> bool:
    return error.status == 422 and "client_order_id must be unique" in str(error)
