"""Order entry behind the latch: what is shut while an order is under way ends its repeats too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from quantlytic.model.order import Order
from quantlytic.trading.latch import Latch
from quantlytic.venues.answers import Refused, Unheard
from quantlytic.venues.port import Balance, Difference, OrderEntry, OrderState, VenueFill

LOOK_EVERY_S = 0.02


class LatchedEntry:
    """An `OrderEntry` that sends nothing new while the latch is shut; all else passes.

    A submit whose answer is not heard repeats itself for as long as its patience lasts. When the latch shuts meanwhile it is
    broken off: what may come after that is what was sent before, and only while its receive window lasts. That is what the
    kill switch waits for.
    """

    def __init__(self, entry: OrderEntry, latch: Latch) -> None:
        self._entry, self._latch = entry, latch

    @property
    def void_after_s(self) -> float:
        """See `OrderEntry.void_after_s`."""
        return self._entry.void_after_s

    @void_after_s.setter
    def void_after_s(self, value: float) -> None:
        self._entry.void_after_s = value

    @property
    def connected(self) -> Callable[[], None]:
        """See `OrderEntry.connected`."""
        return self._entry.connected

    @connected.setter
    def connected(self, value: Callable[[], None]) -> None:
        self._entry.connected = value

    async def submit(self, order: Order, client_order_id: str) -> OrderState:
        """See `OrderEntry.submit`. Raises Refused while the latch is shut, Unheard when it shuts before there is an answer."""
        halt = self._latch.read()
        if halt is not None:
            raise Refused(f"not sent: account {halt.account} is halted ({halt.cause}): {halt.text}", 0)
        sending = asyncio.ensure_future(self._entry.submit(order, client_order_id))
        try:
            while not sending.done():
                await asyncio.wait({sending}, timeout=LOOK_EVERY_S)
                halt = self._latch.read()
                if halt is not None and not sending.done():
                    raise Unheard(
                        f"broken off: account {halt.account} was halted ({halt.cause}) before there was an answer"
                    )
            return sending.result()
        finally:
            if not sending.done():
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)

    async def cancel(self, instrument: str, client_order_id: str) -> OrderState:
        """See `OrderEntry.cancel`."""
        return await self._entry.cancel(instrument, client_order_id)

    async def status(self, instrument: str, client_order_id: str) -> OrderState | None:
        """See `OrderEntry.status`."""
        return await self._entry.status(instrument, client_order_id)

    async def open_orders(self) -> list[OrderState]:
        """See `OrderEntry.open_orders`."""
        return await self._entry.open_orders()

    async def balances(self) -> dict[str, Balance]:
        """See `OrderEntry.balances`."""
        return await self._entry.balances()

    async def my_trades(self, instrument: str, from_id: int = 0) -> list[VenueFill]:
        """See `OrderEntry.my_trades`."""
        return await self._entry.my_trades(instrument, from_id)

    def updates(self) -> AsyncIterator[OrderState]:
        """See `OrderEntry.updates`."""
        return self._entry.updates()

    async def reconcile(
        self, orders: Sequence[OrderState], balances: dict[str, float] | None = None
    ) -> list[Difference]:
        """See `OrderEntry.reconcile`."""
        return await self._entry.reconcile(orders, balances)


@asynccontextmanager
async def latched(opened: AbstractAsyncContextManager[OrderEntry], latch: Latch) -> AsyncIterator[OrderEntry]:
    """An order entry that was opened for trading, behind the latch."""
    async with opened as entry:
        yield LatchedEntry(entry, latch)
