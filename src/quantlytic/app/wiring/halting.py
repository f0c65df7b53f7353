"""How an account is stopped, from wherever: the command line, the page, the watchdog."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

from quantlytic.app.config import Settings
from quantlytic.app.wiring.account import TradedAccount
from quantlytic.app.wiring.edge import Edge
from quantlytic.app.wiring.stores import Stores
from quantlytic.model.errors import InputError
from quantlytic.model.instrument import Instrument
from quantlytic.model.run import Run
from quantlytic.store.log.port import Log

if TYPE_CHECKING:
    from quantlytic.services.service import Service
    from quantlytic.trading.deadman import DeadManRules
    from quantlytic.trading.heartbeat import Heartbeat
    from quantlytic.trading.killswitch import KillTarget
    from quantlytic.venues.port import OrderEntry

PATIENCE_S = 4.0  # a sale that was not answered is settled within this and a receive window, and may then be made anew


class Halting:
    """Builds what stops the account of the settings. None of it opens the log or the control store: they may be locked."""

    def __init__(self, settings: Settings, stores: Stores, edge: Edge, account: TradedAccount) -> None:
        self._settings, self._stores, self._edge, self._account = settings, stores, edge, account

    def kill_target(self, account: str | None = None) -> KillTarget:
        """The account, as the kill switch needs it. Raises InputError for one that is not configured."""
        from quantlytic.trading.killswitch import KillTarget

        name = self._account.name
        if account is not None and account != name:
            raise InputError(f"no account {account!r} here: the settings have {name!r} ([account] name)")
        return KillTarget(
            name, self._account.latch(), self._open_orders, self._instruments, self._settings.account.keep
        )

    def trading_entry(self) -> AbstractAsyncContextManager[OrderEntry]:
        """Orders to the venue for an executor: behind the latch, so that a kill ends what repeats itself."""
        from quantlytic.trading.latchedentry import latched

        return latched(self._edge.open_orders(), self._account.latch())

    def _open_orders(self) -> AbstractAsyncContextManager[OrderEntry]:
        return self._edge.open_orders(patience_s=PATIENCE_S)

    async def _instruments(self) -> Sequence[Instrument]:
        """Asked of the venue itself: the control store may be what is broken."""
        from quantlytic.venues.clock import GuardedClock

        return await self._edge.feed(GuardedClock()).load_instruments()

    # ---- for the page: called in threads of its server

    def kill(self, flatten: bool, typed: str) -> dict[str, Any]:
        """Pull the kill switch. Raises InputError when `flatten` is asked for without the account's name."""
        from quantlytic.trading.killswitch import kill

        target = self.kill_target()
        if flatten and typed.strip() != target.account:
            raise InputError(f"to sell everything, type the account's name: {target.account!r}, not {typed!r}")
        report = asyncio.run(kill(target, flatten=flatten, by="the page"))
        return report.as_dict() | {"lines": report.lines()}

    def release(self, typed: str) -> dict[str, Any]:
        """Open the latch. Raises InputError unless `typed` is the account's name."""
        self._account.latch().release(typed, "the page", time.time_ns())
        return self.halt_state()

    def halt_state(self) -> dict[str, Any]:
        """`halted`, and of the last word on it: cause, by, text, event_time (ns UTC); the account and the mode."""
        latch = self._account.latch()
        halt, words = latch.read(), latch.words()
        word = halt or (words[-1] if words else None)
        told = {} if word is None else {name: getattr(word, name) for name in ("cause", "by", "text", "event_time")}
        return {"account": self._account.name, "mode": self._settings.mode, "halted": halt is not None} | told

    # ---- the watch

    def heartbeat(self) -> Heartbeat:
        """The executor's sign of life: wrap its service in `services.beating.Beating` with this."""
        from quantlytic.trading.heartbeat import Heartbeat

        return Heartbeat(self._stores.home / "halts", self._account.name)

    def watchdog(self, runs: Iterable[Run], rules: DeadManRules, *, cancels: bool = False) -> Callable[[Log], Service]:
        """A builder of the account's watchdog. `cancels`: an executor that falls silent is killed at the venue as well."""
        from quantlytic.services.watchdog import Watchdog
        from quantlytic.trading.deadman import DeadMan
        from quantlytic.trading.killswitch import kill

        name, runs = self._account.name, list(runs)

        def on_silence(reason: str) -> None:
            asyncio.run(kill(self.kill_target(), by="the watchdog", text=reason))

        return lambda log: Watchdog(
            log, name, runs, self._account.latch(), self.heartbeat(), DeadMan(name, rules),
            on_silence=on_silence if cancels else None,
        )  # fmt: skip
