"""Orders to Binance Spot, and to what speaks like it.

The rule for an answer that never came: ask by our own id until the venue knows the order, or until it cannot any more
accept it. A signed request is void once its time stamp is older than its receive window, so "unknown" is final only
after that; then the same id is sent again. So at no time can two orders of one id be accepted.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal
from types import TracebackType
from typing import TypeVar
from urllib.parse import urlencode

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from quantlytic.model.errors import InputError, VenueError
from quantlytic.model.order import Order, OrderStatus, OrderType
from quantlytic.model.time import NS_PER_MS
from quantlytic.venues.answers import Refused, Throttled, Unheard
from quantlytic.venues.binance import order_wire
from quantlytic.venues.binance.keys import Keys
from quantlytic.venues.binance.market import BinanceMarket
from quantlytic.venues.binance.rest import RestClient
from quantlytic.venues.budget import WeightBudget
from quantlytic.venues.port import Balance, Difference, OrderState, VenueFill
from quantlytic.venues.quiet import SILENT
from quantlytic.venues.reconcile import ask_differences

MAX_ID = 36
PAGE = 1000
TIMESTAMP, UNKNOWN_CANCEL, NO_SUCH_ORDER, NOT_TAKEN = -1021, -2011, -2013, -2010
KEY_ERRORS = (-1022, -2014, -2015)
Row = TypeVar("Row")


class OrderTimings(msgspec.Struct, frozen=True, kw_only=True):
    """In seconds. `request`: for an answer. `window`: how long a signed request stays valid. `poll`: between two
    questions about an unanswered order, and the first back-off. `skew`: how far our clock may be ahead of the venue's
    (Binance bears 1 s). `patience`: until a submit gives up as UNRESOLVED."""

    request: float = 5.0
    window: float = 5.0
    poll: float = 0.25
    skew: float = 1.0
    patience: float = 60.0


class BinanceOrders:
    """The `OrderEntry` of Binance; an async context manager."""

    def __init__(
        self,
        market: BinanceMarket,
        keys: Keys,
        *,
        timings: OrderTimings | None = None,
        seed: int = 0,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._market = market
        self._keys = keys
        self._timings = timings or OrderTimings()
        self._wall_ns = wall_ns
        self._offset_ms = 0
        self._random = random.Random(seed)
        self._open: dict[str, str] = {}
        self.connected: Callable[[], None] = _ignore
        self.void_after_s = self._timings.patience + self._timings.window + self._timings.skew
        self._rest = RestClient(
            market.rest_url,
            budget=WeightBudget(market.weight_per_minute),
            timeout_s=self._timings.request,
            backoff_s=self._timings.poll,
            seed=seed,
        )

    async def __aenter__(self) -> BinanceOrders:
        await self._rest.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._rest.__aexit__(kind, error, trace)

    async def submit(self, order: Order, client_order_id: str) -> OrderState:
        """See `OrderEntry.submit`. Raises VenueError for a key that is not accepted, InputError for an overlong id."""
        params = self._params(order, client_order_id)
        headers = {"X-MBX-APIKEY": self._keys.api_key}
        loop = asyncio.get_running_loop()
        sent_at = 0.0

        until = loop.time() + self._timings.patience

        def path() -> str:
            nonlocal sent_at
            if loop.time() > until:  # it waited for the request budget: nothing is stamped after this time
                raise Unheard(f"{self._market.venue}: not sent, the request budget was used up")
            sent_at = loop.time()
            return self._path("order", params)

        reason = "no answer"
        while loop.time() < until:
            try:
                reply = await self._rest.once("POST", path, 1, headers)
                return self._note(self._decode(order_wire.order_row, reply).state(self._market.venue))
            except Throttled as error:
                reason = str(error)
            except Refused as error:
                reason = str(error)
                state = await self._refused(error, order, client_order_id)
                if state is not None:
                    return self._note(state)
            except Unheard as error:
                reason = str(error)
                state = await self._look_for(order.instrument, client_order_id, sent_at, until)
                if state is not None:
                    return self._note(state)
        return self._note(self._unplaced(order, client_order_id, OrderStatus.UNRESOLVED, reason))

    async def cancel(self, instrument: str, client_order_id: str) -> OrderState:
        """See `OrderEntry.cancel`. Raises VenueError when the venue does not know the order or cannot be asked."""
        params = {"symbol": self._symbol(instrument), "origClientOrderId": client_order_id}
        try:
            reply = await self._repeat("DELETE", "order", params, 1)
            return self._note(self._decode(order_wire.order_row, reply).state(self._market.venue))
        except Refused as error:
            state = await self.status(instrument, client_order_id) if error.code == UNKNOWN_CANCEL else None
            if state is None:
                raise
            return self._note(state)

    async def status(self, instrument: str, client_order_id: str) -> OrderState | None:
        """See `OrderEntry.status`."""
        params = {"symbol": self._symbol(instrument), "origClientOrderId": client_order_id}
        try:
            reply = await self._repeat("GET", "order", params, 4)
        except Refused as error:
            if error.code == NO_SUCH_ORDER:
                return None
            raise
        return self._decode(order_wire.order_row, reply).state(self._market.venue)

    async def open_orders(self) -> list[OrderState]:
        """See `OrderEntry.open_orders`."""
        reply = await self._repeat("GET", "openOrders", {}, 80)
        return [row.state(self._market.venue) for row in self._decode(order_wire.order_rows, reply)]

    async def balances(self) -> dict[str, Balance]:
        """See `OrderEntry.balances`."""
        reply = await self._repeat("GET", "account", {"omitZeroBalances": "true"}, 20)
        rows = self._decode(order_wire.account_row, reply).balances
        return {row.asset: row for row in rows if row.free or row.locked}

    async def my_trades(self, instrument: str, from_id: int = 0) -> list[VenueFill]:
        """See `OrderEntry.my_trades`."""
        fills: list[VenueFill] = []
        while True:
            params = {"symbol": self._symbol(instrument), "fromId": str(from_id), "limit": str(PAGE)}
            rows = self._decode(order_wire.trade_rows, await self._repeat("GET", "myTrades", params, 20))
            fills += [row.fill(instrument) for row in rows]
            if len(rows) < PAGE:
                return fills
            from_id = rows[-1].id + 1

    async def updates(self) -> AsyncIterator[OrderState]:
        """See `OrderEntry.updates`. After a reconnect the orders that were open are asked about and handed out first."""
        failures = 0
        connected = False
        while True:
            try:
                async with connect(
                    self._market.trading_url, compression=None, close_timeout=1, logger=SILENT
                ) as socket:
                    await self._subscribe(socket)
                    failures = 0
                    self.connected()
                    for client_order_id, instrument in list(self._open.items()) if connected else ():
                        state = await self.status(instrument, client_order_id)
                        if state is not None:
                            yield self._note(state)
                    connected = True
                    async for payload in socket:
                        state = self._update(payload)
                        if state is not None:
                            yield self._note(state)
            except Refused:
                raise
            except (OSError, WebSocketException, TimeoutError, VenueError):
                pass
            failures += 1
            await asyncio.sleep(self._rest.backoff(failures - 1))

    async def reconcile(
        self, orders: Sequence[OrderState], balances: dict[str, float] | None = None
    ) -> list[Difference]:
        """See `OrderEntry.reconcile`."""
        return await ask_differences(self, orders, balances)

    async def _look_for(self, instrument: str, client_order_id: str, sent_at: float, until: float) -> OrderState | None:
        """Ask for an unanswered order until it is there, or can no longer come (then None), or until time is up."""
        loop = asyncio.get_running_loop()
        while True:
            was_void = loop.time() - sent_at > self._timings.window + self._timings.skew
            try:
                state = await self.status(instrument, client_order_id)
            except VenueError:  # also a refusal: it is of the question, not of the order
                was_void, state = False, None
            if state is not None or was_void or loop.time() >= until:
                return state
            await asyncio.sleep(self._timings.poll)

    async def _refused(self, error: Refused, order: Order, client_order_id: str) -> OrderState | None:
        """What a refusal means: the order's state, or None when it is to be sent again."""
        if error.code in KEY_ERRORS:
            raise error
        if error.code == TIMESTAMP:
            await self._set_clock()
            return None
        if error.code == NOT_TAKEN and "duplicate" in str(error).lower():
            known = await self.status(order.instrument, client_order_id)
            if known is not None:
                return known
        return self._unplaced(order, client_order_id, OrderStatus.REJECTED, str(error))

    async def _set_clock(self) -> None:
        """Take over the venue's time: its windows are measured by it."""
        reply = self._decode(order_wire.server_time, await self._rest.get(f"{self._market.api}/time", 1))
        self._offset_ms = reply.server_time - self._wall_ns() // NS_PER_MS

    async def _repeat(self, method: str, name: str, params: dict[str, str], weight: int) -> bytes:
        """For requests that may be done twice."""
        headers = {"X-MBX-APIKEY": self._keys.api_key}
        try:
            return await self._rest.repeat(method, lambda: self._path(name, params), weight, headers)
        except Refused as error:
            if error.code != TIMESTAMP:
                raise
        await self._set_clock()
        try:
            return await self._rest.repeat(method, lambda: self._path(name, params), weight, headers)
        except Refused as error:
            if error.code != TIMESTAMP:
                raise
            raise Unheard(f"{error} (requests take longer than the window of {self._timings.window:g} s)") from None

    def _path(self, name: str, params: dict[str, str]) -> str:
        stamped = {**params, **self._stamp()}
        query = urlencode(stamped)
        return f"{self._market.api}/{name}?{query}&signature={self._keys.signature(query)}"

    def _stamp(self) -> dict[str, int]:
        window_ms = min(60_000, max(1, round(self._timings.window * 1000)))
        return {"recvWindow": window_ms, "timestamp": self._wall_ns() // NS_PER_MS + self._offset_ms}

    async def _subscribe(self, socket: ClientConnection) -> None:
        params = self._keys.signed_call(self._stamp())
        call = {"id": 1, "method": "userDataStream.subscribe.signature", "params": params}
        await socket.send(msgspec.json.encode(call), text=True)
        async with asyncio.timeout(self._timings.request):  # not wait_for: Python 3.11's may swallow a cancellation
            answer = order_wire.stream_message.decode(await socket.recv())
        if answer.status != 200:
            refusal = bytes(answer.error).decode(errors="replace")
            if str(TIMESTAMP) in refusal:
                await self._set_clock()
                raise Unheard(f"{self._market.venue}: {refusal}")
            raise Refused(f"{self._market.venue} refuses the account's stream: {refusal}", answer.status, 0)

    def _update(self, payload: str | bytes) -> OrderState | None:
        """The order state in a frame of the private socket; None for what is not about orders."""
        try:
            event = order_wire.stream_message.decode(payload).event
            if not bytes(event) or order_wire.event_name.decode(event).name != "executionReport":
                return None
            return order_wire.execution_report.decode(event).state(self._market.venue)
        except (msgspec.MsgspecError, KeyError, UnicodeDecodeError) as error:
            raise Unheard(f"{self._market.venue}: an unreadable frame in the account's stream: {error}") from None

    def _note(self, state: OrderState) -> OrderState:
        """Remember what is open: it is asked about after a reconnect."""
        if state.is_open or state.status == OrderStatus.UNRESOLVED:
            self._open[state.client_order_id] = state.instrument
        else:
            self._open.pop(state.client_order_id, None)
        return state

    def _params(self, order: Order, client_order_id: str) -> dict[str, str]:
        if not 0 < len(client_order_id) <= MAX_ID:
            raise InputError(f"order id {client_order_id!r} must have 1 to {MAX_ID} signs: use a shorter run name")
        if not msgspec.structs.replace(order, post_only=False).is_plain:
            raise InputError(
                f"order {client_order_id}: only plain market and limit orders (GTC, IOC, FOK, post-only) are sent to a venue"
            )
        params = {
            "symbol": self._symbol(order.instrument),
            "side": order.side.name,
            "type": order.type.name,
            "quantity": _number(order.quantity),
            "newClientOrderId": client_order_id,
            "newOrderRespType": "RESULT",
        }
        if order.post_only:
            params |= {"type": "LIMIT_MAKER", "price": _number(order.price)}
        elif order.type == OrderType.LIMIT:
            params |= {"timeInForce": order.time_in_force.name, "price": _number(order.price)}
        return params

    def _unplaced(self, order: Order, client_order_id: str, status: OrderStatus, reason: str) -> OrderState:
        return OrderState(
            client_order_id=client_order_id,
            instrument=order.instrument,
            status=status,
            side=order.side,
            quantity=order.quantity,
            price=order.price,
            event_time=self._wall_ns(),
            reason=reason,
        )

    def _symbol(self, instrument: str) -> str:
        venue, _, symbol = instrument.partition(":")
        if venue != self._market.venue or not symbol:
            raise InputError(f"{instrument!r} is not traded at {self._market.venue}")
        return symbol

    def _decode(self, decoder: msgspec.json.Decoder[Row], reply: bytes) -> Row:
        try:
            return decoder.decode(reply)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise Unheard(f"{self._market.venue}: an answer that cannot be read: {error}") from None


def _ignore() -> None:
    """Nobody wants to know."""


def _number(value: float) -> str:
    """The shortest decimal text of a float, without an exponent."""
    return format(Decimal(repr(value)), "f")
