"""The wire to a venue: a thread with an event loop that asks, and a queue of what was heard. It decides and keeps nothing.

Whatever is asked has been written to the log before; whatever is heard is handed back as one of the messages below. A failure
is a message too, so that nothing is assumed from silence.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress

import msgspec

from quantlytic.model.errors import InputError, QuantlyticError, VenueError
from quantlytic.model.order import Order
from quantlytic.model.time import NS_PER_S
from quantlytic.venues.answers import Refused
from quantlytic.venues.port import Balance, OrderEntry, OrderState, VenueFill

JOIN_S = 10.0
SWEEPS = 5  # at most so often is a listing repeated because a trade came in between


class Answer(msgspec.Struct, frozen=True):
    """To a submit, cancel or question. `state` None with `error` "": the venue has never heard of it, as of `asked_ns`.

    `how`: "submit", "cancel", "ask". `error`: why nothing is known. `is_refused`: the answer was no, and nothing was done;
    `is_unsent`: it was never asked.
    """

    how: str
    client_order_id: str
    asked_ns: int
    state: OrderState | None = None
    error: str = ""
    is_refused: bool = False
    is_unsent: bool = False


class Update(msgspec.Struct, frozen=True):
    """From the private stream."""

    state: OrderState


class Connected(msgspec.Struct, frozen=True):
    """The private stream was made (again)."""


class Trades(msgspec.Struct, frozen=True):
    """All trades of the account from `from_id` on; `error`: they could not be had."""

    instrument: str
    fills: Sequence[VenueFill]
    error: str = ""


class Sweep(msgspec.Struct, frozen=True):
    """All that the venue says about the account, so taken that the balances are those after the last of the trades.

    `states`: of the orders asked about, by client order id (None: never heard of). `asked_ns`: when it was begun.
    """

    asked_ns: int
    states: dict[str, OrderState | None] = {}
    open_orders: Sequence[OrderState] = ()
    trades: Mapping[str, Sequence[VenueFill]] = {}
    balances: dict[str, Balance] = {}
    error: str = ""
    is_fatal: bool = False


Heard = Answer | Update | Connected | Trades | Sweep


class Link:
    """One account's wire. `open_entry` gives the `OrderEntry` as an async context, entered in the link's own thread.

    A submit that has waited longer than `hand_over_s` for its turn is not made: `void_after_ns` counts on it.
    """

    def __init__(
        self,
        open_entry: Callable[[], AbstractAsyncContextManager[OrderEntry]],
        *,
        hand_over_s: float = 1.0,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._open_entry, self._hand_over_s = open_entry, hand_over_s
        self._clock_ns = clock_ns
        self._heard: deque[Heard] = deque()
        self._filled = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="venue-link", daemon=True)
        self._main: asyncio.Task[None] | None = None
        self._ready = threading.Event()
        self._turn: asyncio.Future[None] | None = None
        self._entry: OrderEntry | None = None
        self.failure: QuantlyticError | None = None
        self.void_after_ns = -1
        """ns after a submit's command was written from which on the venue's "unknown" is final; -1: never."""

    def start(self) -> None:
        """Returns when the entry is open. Raises what opening it raised."""
        self._thread.start()
        self._ready.wait()
        if self.failure is not None:
            raise self.failure

    def stop(self) -> None:
        """Break off what is under way, and end the thread. What was sent stays sent."""
        if self._thread.is_alive():
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._cancel)
            self._thread.join(JOIN_S)
        if not self._thread.is_alive() and not self._loop.is_closed():
            self._loop.close()

    def take(self) -> list[Heard]:
        """All that was heard since the last call."""
        self._filled.clear()
        heard = []
        while self._heard:
            heard.append(self._heard.popleft())
        return heard

    def wait(self, timeout_s: float) -> bool:
        """Sleep until something is heard."""
        return self._filled.wait(timeout_s)

    @property
    def has_heard(self) -> bool:
        return bool(self._heard)

    # ---- what may be asked; answers come by `take`

    def submit(self, order: Order, client_order_id: str, written_ns: int) -> None:
        """Send an order whose command was written at `written_ns`. Submits go out in the order they are asked for."""
        self._do(lambda entry: self._submit(entry, order, client_order_id, written_ns))

    def cancel(self, instrument: str, client_order_id: str) -> None:
        self._do(lambda entry: self._answer("cancel", client_order_id, entry.cancel(instrument, client_order_id)))

    def ask(self, instrument: str, client_order_id: str) -> None:
        self._do(lambda entry: self._answer("ask", client_order_id, entry.status(instrument, client_order_id)))

    def fetch_trades(self, instrument: str, from_id: int) -> None:
        async def fetch(entry: OrderEntry) -> Heard:
            try:
                return Trades(instrument, await entry.my_trades(instrument, from_id))
            except Exception as error:
                return Trades(instrument, (), _text(error))

        self._do(fetch)

    def sweep(self, orders: Sequence[tuple[str, str]], cursors: dict[str, int]) -> None:
        """Ask everything: states of `orders` (instrument, client order id), trades after `cursors` (instrument -> trade id)."""
        self._do(lambda entry: self._sweep(entry, orders, cursors))

    # ---- inside the thread

    def _do(self, work: Callable[[OrderEntry], Awaitable[Heard]]) -> None:
        def begin() -> None:
            assert self._entry is not None
            task = self._loop.create_task(self._finish(work(self._entry)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        with suppress(RuntimeError):  # the loop has ended: `failure` says why
            self._loop.call_soon_threadsafe(begin)

    async def _finish(self, work: Awaitable[Heard]) -> None:
        self._say(await work)

    def _say(self, heard: Heard) -> None:
        self._heard.append(heard)
        self._filled.set()

    async def _submit(self, entry: OrderEntry, order: Order, client_order_id: str, written_ns: int) -> Heard:
        before, done = self._turn, self._loop.create_future()
        self._turn = done
        try:
            if before is not None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._hand_over_s / 2):
                        await asyncio.shield(before)
            now_ns = self._clock_ns()
            if now_ns - written_ns > self._hand_over_s * NS_PER_S:
                return Answer("submit", client_order_id, now_ns, None, "waited too long to be sent", is_unsent=True)
            try:
                return Answer("submit", client_order_id, now_ns, await entry.submit(order, client_order_id))
            except Exception as error:
                return Answer("submit", client_order_id, now_ns, None, _text(error), _is_final(error))
        finally:
            if not done.done():
                done.set_result(None)

    async def _answer(self, how: str, client_order_id: str, call: Awaitable[OrderState | None]) -> Heard:
        asked_ns = self._clock_ns()
        try:
            return Answer(how, client_order_id, asked_ns, await call)
        except Exception as error:
            return Answer(how, client_order_id, asked_ns, None, _text(error), _is_final(error))

    async def _sweep(self, entry: OrderEntry, orders: Sequence[tuple[str, str]], cursors: dict[str, int]) -> Heard:
        asked_ns = self._clock_ns()
        try:
            states = {name: await entry.status(instrument, name) for instrument, name in orders}
            open_orders = await entry.open_orders()
            trades = {name: list(await entry.my_trades(name, last + 1)) for name, last in cursors.items()}
            for _ in range(SWEEPS):
                balances = await entry.balances()
                more = {
                    name: await entry.my_trades(name, max([cursors[name], *(each.trade_id for each in known)]) + 1)
                    for name, known in trades.items()
                }
                for name, fills in more.items():
                    trades[name] += fills
                if not any(more.values()):
                    return Sweep(asked_ns, states, open_orders, trades, balances)
            return Sweep(
                asked_ns, states, open_orders, trades, error="trades kept coming in while balances were asked for"
            )
        except Exception as error:
            return Sweep(asked_ns, error=_text(error), is_fatal=_is_final(error))

    async def _listen(self, entry: OrderEntry) -> None:
        async for state in entry.updates():
            self._say(Update(state))

    async def _serve(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        async with self._open_entry() as entry:
            self._entry = entry
            self.void_after_ns = _ns(entry.void_after_s + self._hand_over_s)
            entry.connected = lambda: self._say(Connected())
            self._ready.set()
            try:
                await self._listen(entry)
            finally:
                for task in list(self._tasks):
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._main = self._loop.create_task(self._serve())
            self._loop.run_until_complete(self._main)
        except asyncio.CancelledError:
            pass
        except QuantlyticError as error:
            self.failure = error
        except Exception as error:
            self.failure = VenueError(f"the connection to the venue broke: {_text(error)}")
        finally:
            self._loop.run_until_complete(self._sweep_up())
            self._ready.set()
            self._filled.set()

    async def _sweep_up(self) -> None:
        """End what libraries have left running, and let what was closed close."""
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await self._loop.shutdown_asyncgens()

    def _cancel(self) -> None:
        if self._main is not None:
            self._main.cancel()


def _ns(seconds: float) -> int:
    """-1 for never."""
    return -1 if math.isinf(seconds) else int(seconds * NS_PER_S)


def _text(error: Exception) -> str:
    """One line."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def _is_final(error: Exception) -> bool:
    """Whether trying again is of no use: the venue has answered, and said no."""
    return isinstance(error, InputError | Refused)
