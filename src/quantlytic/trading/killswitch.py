"""The kill switch: shut the latch, cancel all that is open at the venue, sell what is held if asked to, and ask until it is so.

It needs the latch's folder and the venue, and nothing else: no log, no store, no strategist, no executor.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import msgspec

from quantlytic.model.errors import InputError, StoreError
from quantlytic.model.instrument import Instrument
from quantlytic.trading.flattener import ENDED, Flattener, above
from quantlytic.trading.killreport import CancelledOrder, KillReport
from quantlytic.trading.latch import KILL, Latch
from quantlytic.venues.answers import Refused
from quantlytic.venues.port import OrderEntry, OrderState

T = TypeVar("T")
BY_HAND = "stopped by hand"
MAX_PROBLEMS = 20
MAX_LAST_QUESTIONS = 8
LAST_WORD_S = 1.0  # also when time is up, so long an answer may take
ENDED_NAMES = {status.name for status in ENDED}
MAX_REFUSALS = 3  # so often in a row a venue may refuse to answer at all (a wrong key) before it is believed


@dataclass(frozen=True)
class KillTarget:
    """An account as the kill switch needs it.

    open_entry   gives the venue's `OrderEntry` as an async context. Its own one, with short time limits: a few seconds.
    instruments  asked for (by `await instruments()`) only to flatten: those whose base may be sold; with lots and minima.
    keep         by asset, what is not to be sold: it was there before, or belongs to somebody else.
    """

    account: str
    latch: Latch
    open_entry: Callable[[], AbstractAsyncContextManager[OrderEntry]]
    instruments: Callable[[], Awaitable[Sequence[Instrument]]]
    keep: Mapping[str, float] = field(default_factory=dict)


class KillTimings(msgspec.Struct, frozen=True, kw_only=True):
    """In seconds. `deadline`: until it gives up. `quiet`: how long nothing may be open before it is believed; an order that
    was under way when the latch shut can arrive so late (a signed request of Binance is good for 5 s, and 1 s of skew).
    `poll`: between two questions. `call`: for one answer. `parallel`: cancels at a time."""

    deadline: float = 60.0
    quiet: float = 6.5
    poll: float = 0.5
    call: float = 15.0
    parallel: int = 4


async def kill(
    target: KillTarget,
    *,
    flatten: bool = False,
    by: str,
    text: str = "",
    timings: KillTimings | None = None,
    prices: Mapping[str, float] | None = None,
    tell: Callable[[str], None] = lambda _: None,
    clock_ns: Callable[[], int] = time.time_ns,
) -> KillReport:
    """Stop the account, now. Never raises for what a venue or a disk does: the report says what could not be done.

    All open orders are cancelled, also those placed by hand or by other programs. `flatten` sells holdings above
    `target.keep` at market, and buys short ones back; it never sells more than is held, nor buys more than is short.
    `prices` (by instrument, if known) tell which rests are below the venue's minimum without asking. `tell` gets progress.
    Done twice, the second finds nothing to do. Cancel the task to stop early: the latch stays shut.
    """
    switch = _Switch(target, flatten, timings or KillTimings(), prices or {}, tell, clock_ns)
    switch.shut(by, text or BY_HAND)
    try:
        async with target.open_entry() as entry:
            await switch.pull(entry)
    except Exception as error:  # whatever a client of a venue may raise: what was done so far is told
        switch.trouble(error)
    return switch.end()


async def preview(target: KillTarget, timeout_s: float = 5.0) -> dict[str, float] | None:
    """What flattening would trade, by asset (short: negative); None when the venue does not say in time. Asks, and no more."""
    try:
        async with asyncio.timeout(timeout_s), target.open_entry() as entry:
            instruments, held = await target.instruments(), await entry.balances()
    except Exception:  # it is only for a person to read: what is wrong is told by the kill itself
        return None
    return above(held, target.keep, sorted({each.base for each in instruments}))


class _Switch:
    """One kill, from beginning to end."""

    def __init__(
        self,
        target: KillTarget,
        flatten: bool,
        timings: KillTimings,
        prices: Mapping[str, float],
        tell: Callable[[str], None],
        clock_ns: Callable[[], int],
    ) -> None:
        self.report = KillReport(account=target.account, flatten=flatten, quiet_s=timings.quiet)
        self._target, self._timings, self._tell, self._clock_ns = target, timings, tell, clock_ns
        self._began_s = time.monotonic()
        self._was_refused = False
        self._cancelled: dict[str, CancelledOrder] = {}
        self._flattener = Flattener(target.keep, prices, f"kill-{clock_ns() // 10**6:x}") if flatten else None

    def shut(self, by: str, text: str) -> None:
        """The latch first: whoever looks at it sends nothing from now on."""
        try:
            self._target.latch.engage(KILL, by, text, self._clock_ns())
            self.report.latched_s = self._elapsed_s
        except StoreError as error:
            self.trouble(error)
        self._tell("latch shut" if self.report.latched_s >= 0 else "the latch cannot be shut; cancelling all the same")

    async def pull(self, entry: OrderEntry) -> None:
        """Ask, cancel and sell until the venue has been quiet for long enough, or time is up."""
        quiet_since, refusals = -1.0, 0
        while self._left_s > 0:
            asked_s = self._elapsed_s
            found = await self.ask(entry.open_orders)
            refusals = refusals + 1 if found is None and self._was_refused else 0
            if found is None:
                if refusals >= MAX_REFUSALS:
                    return
            elif found:
                quiet_since = -1.0
                await self._cancel_all(entry, found)
            elif not await self._is_flat(entry):
                quiet_since = -1.0
            elif quiet_since < 0:
                quiet_since = asked_s
                self._tell(f"nothing is open; watching for {self._timings.quiet:g} s that it stays so")
            elif asked_s - quiet_since >= self._timings.quiet:
                self.report.is_quiet = True
                break
            await asyncio.sleep(min(self._timings.poll, max(self._left_s, 0.0)))
        await self._look_back(entry)

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T | None:
        """The answer, or None when there was none."""
        try:
            async with asyncio.timeout(max(LAST_WORD_S, min(self._timings.call, self._left_s))):
                answer = await question()
        except Exception as error:  # a venue's client may raise anything, and the next question must still be asked
            self.report.unheard += 1
            self._was_refused = isinstance(error, Refused | InputError)
            self.trouble(error)
            return None
        return answer

    async def _cancel_all(self, entry: OrderEntry, found: Sequence[OrderState]) -> None:
        turns = asyncio.Semaphore(self._timings.parallel)

        async def cancel(order: OrderState) -> None:
            async with turns:
                gone = await self.ask(lambda: entry.cancel(order.instrument, order.client_order_id))
            self._cancelled[order.client_order_id or str(order.venue_order_id)] = _row(gone or order)

        self.report.still_open = [_row(order) for order in found]
        self._tell(f"{len(found)} open: cancelling")
        mine = self._flattener.younger_than(2 * self._timings.poll) if self._flattener else frozenset()
        await asyncio.gather(*(cancel(order) for order in found if order.client_order_id not in mine))

    async def _is_flat(self, entry: OrderEntry) -> bool:
        """Whether there is nothing (more) to be sold; what there is, is sold."""
        report = self.report
        report.still_open = []
        if report.nothing_open_s < 0:
            report.nothing_open_s = self._elapsed_s
        if self._flattener is None:
            return True
        if not self._flattener.instruments:
            known = await self.ask(self._target.instruments)
            if known is None:
                return False
            self._flattener.instruments = list(known)
        await self._flattener.settle(entry, self.ask)
        held = await self.ask(entry.balances)  # after that: what was sold is not in it any more
        if held is None:
            return False
        flattener = self._flattener
        report.held = above(held, self._target.keep, sorted({each.base for each in flattener.instruments}))
        wanted = flattener.wanted(held)
        report.is_flat = not wanted and not flattener.stuck
        if not report.is_flat:
            report.flat_s = -1.0
        elif report.flat_s < 0:
            report.flat_s = self._elapsed_s
        for order, client_order_id in wanted:
            self._tell(f"{order.side.name} {order.quantity:.10g} {order.instrument} at market")
            await flattener.send(entry, self.ask, order, client_order_id)
        return flattener.is_settled and not wanted

    async def _look_back(self, entry: OrderEntry) -> None:
        """What became of the orders whose cancel was not answered and, if it was not looked at before, what is held."""
        for name, row in self._cancelled.items():
            if row.status not in ENDED_NAMES and self.report.is_quiet:
                state = await self._ask_again(partial(entry.status, row.instrument, row.client_order_id))
                self._cancelled[name] = row if state is None else _row(state)
        if self._flattener is None:
            held = await self._ask_again(entry.balances)
            self.report.held = {} if held is None else above(held, self._target.keep, sorted(held))

    async def _ask_again(self, question: Callable[[], Awaitable[T]]) -> T | None:
        """A question that is not urgent any more, asked a few times."""
        answer = await self.ask(question)
        for _ in range(MAX_LAST_QUESTIONS):
            if answer is not None or self._left_s <= 0:
                break
            await asyncio.sleep(self._timings.poll)
            answer = await self.ask(question)
        return answer

    def trouble(self, error: BaseException) -> None:
        """Note what went wrong, once."""
        text = " ".join(str(error).split())[:300] or type(error).__name__
        if text not in self.report.problems and len(self.report.problems) < MAX_PROBLEMS:
            self.report.problems.append(text)

    def end(self) -> KillReport:
        """The report, with a last look at the latch."""
        report = self.report
        shut = self._target.latch.read()
        report.is_latched = shut is not None
        report.cancelled = list(self._cancelled.values())
        if self._flattener is not None:
            report.flattened, report.dust = self._flattener.rows, list(self._flattener.dust.values())
            report.problems += self._flattener.stuck.values()
            report.is_flat = bool(report.is_flat and report.is_quiet)
        report.total_s = self._elapsed_s
        return report

    @property
    def _elapsed_s(self) -> float:
        return time.monotonic() - self._began_s

    @property
    def _left_s(self) -> float:
        return self._timings.deadline - self._elapsed_s


def _row(order: OrderState) -> CancelledOrder:
    return CancelledOrder(
        order.client_order_id, order.instrument, order.side.name, order.quantity, order.filled_quantity, order.price,
        order.status.name,
    )  # fmt: skip
