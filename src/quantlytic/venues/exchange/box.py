"""The parts put together: market, hub, access and the two faces, and what makes time pass."""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections.abc import Callable
from typing import Any

from quantlytic.model.errors import InputError, StoreError
from quantlytic.model.time import NS_PER_MS, NS_PER_S
from quantlytic.venues.exchange.access import Access, Limits
from quantlytic.venues.exchange.accounts import CROWD, FEES
from quantlytic.venues.exchange.config import ExchangeConfig
from quantlytic.venues.exchange.endpoints import (
    closed_endpoints,
    futures_endpoints,
    listen_key_endpoints,
    public_endpoints,
    trading_endpoints,
)
from quantlytic.venues.exchange.faults import Faults
from quantlytic.venues.exchange.hub import Hub
from quantlytic.venues.exchange.instruments import listing_for
from quantlytic.venues.exchange.journal import Journal
from quantlytic.venues.exchange.public import PublicApi
from quantlytic.venues.exchange.replay import ReplayMarket
from quantlytic.venues.exchange.rest import RestApp
from quantlytic.venues.exchange.sockets import STREAM, SocketApp, user_stream
from quantlytic.venues.exchange.synthetic import SyntheticMarket
from quantlytic.venues.exchange.tape import Tape
from quantlytic.venues.exchange.trading import TradingApi
from quantlytic.venues.exchange.units import e8, e8_text


class Clock:
    """Wall time that never goes back: carried on by the monotonic clock, and put forward when the wall clock is more than
    a second ahead (the machine slept, or its clock was set)."""

    def __init__(
        self, wall_ns: Callable[[], int] = time.time_ns, steady_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._read_wall_ns = wall_ns
        self._read_steady_ns = steady_ns
        self._ahead_ns = wall_ns() - steady_ns()

    def now_ns(self) -> int:
        """ns since 1970 UTC."""
        steady_ns = self._read_steady_ns()
        if self._read_wall_ns() - steady_ns - self._ahead_ns > NS_PER_S:
            self._ahead_ns = self._read_wall_ns() - steady_ns
        return steady_ns + self._ahead_ns


class Box:
    """One exchange, living on one event loop. `keys`: account -> (API key, secret)."""

    def __init__(self, config: ExchangeConfig, faults: Faults, on_failure: Callable[[StoreError], None]) -> None:
        self.config = config
        self.faults = faults
        self.clock = Clock()
        self.hub = Hub(faults)
        self.keys = {
            account.name: (account.api_key or secrets.token_hex(32), account.api_secret or secrets.token_hex(32))
            for account in config.accounts
        }
        self._on_failure = on_failure
        self._now_ms = lambda: self.clock.now_ns() // NS_PER_MS
        lookers = [account.name for account in config.accounts if account.read_only]
        owners = {key: (name, secret) for name, (key, secret) in self.keys.items()}
        self.access = Access(owners, self._now_ms, lookers)
        self.limits = Limits(config.weight_limit, config.order_limit, self._now_ms)
        self.journal = Journal(None if config.replay else config.folder, config.keep_trades)
        try:
            self.market = self._replayed() if config.replay else self._synthetic()
        except BaseException:
            self.journal.close()
            raise
        self.market.wanted = self.hub.wants
        self.rest, self.sockets = self._faces()

    def _synthetic(self) -> SyntheticMarket:
        config = self.config
        listings = [listing_for(symbol) for symbol in dict.fromkeys(config.symbols)]
        if not listings:
            raise InputError("the synthetic market needs at least one symbol")
        deposits: dict[str, dict[str, int]] = {}
        for account in config.accounts:
            if account.name in (CROWD, FEES):
                raise InputError(f"account name {account.name!r} is taken by the exchange itself; choose another")
            deposits[account.name] = {asset: _amount(asset, text) for asset, text in account.deposits.items()}
        fees = (round(config.maker_bps * 100), round(config.taker_bps * 100))
        return SyntheticMarket(
            listings,
            self.journal,
            seed=config.seed,
            now_ns=self.clock.now_ns(),
            deposits=deposits,
            trades_per_s=config.trades_per_s,
            fee_ppm=fees,
        )

    def _replayed(self) -> ReplayMarket:
        return ReplayMarket(Tape(self.config.replay), self.journal)

    def _faces(self) -> tuple[RestApp, SocketApp]:
        api = PublicApi(self.market, self.config.weight_limit, self.config.order_limit, self.config.delisted)
        endpoints = public_endpoints(api)
        if isinstance(self.market, SyntheticMarket):
            trading = TradingApi(self.market, self.access, self.limits, self.publish, self.config.delisted)
            endpoints |= trading_endpoints(trading) | listen_key_endpoints(self.access)
        else:
            endpoints |= closed_endpoints() | futures_endpoints(api)
        rest = RestApp(endpoints, self.access, self.limits, self.faults, self._on_failure)
        return rest, SocketApp(self.hub, rest, self.access, self.limits, self._resolve)

    def _resolve(self, stream: str) -> str | None:
        """The name under which a market stream is published, None when there is no such stream."""
        if isinstance(self.market, ReplayMarket):
            return self.market.tape.resolve(stream)
        match = STREAM.fullmatch(stream)
        if match is None or match[1].upper() not in self.market.listings:
            return None
        return stream.replace("@1000ms", "")

    async def drive(self) -> None:
        """Make time pass: until cancelled, or until the tape has ended."""
        if isinstance(self.market, ReplayMarket):
            await self.market.play(self.hub, self.config.speed or math.inf, self.config.wait)
            return
        step_s = self.config.step_ms / 1000
        while True:
            self.market.advance(self.clock.now_ns())
            self.publish()
            await asyncio.sleep(step_s)

    def publish(self) -> None:
        """Commit what happened, then tell it. Raises StoreError when it cannot be committed: then nothing is told."""
        market = self.market
        if isinstance(market, SyntheticMarket):
            market.flush()
            for account, text in market.messages:
                stream = user_stream(account)
                market.emitted[stream] += 1
                self.hub.publish(stream, text)
            market.messages.clear()
        while market.frames:
            self.hub.publish(*market.frames.popleft())

    def state(self) -> dict[str, Any]:
        """The truth, for tests and for people: what was emitted, and who owns what."""
        market = self.market
        state: dict[str, Any] = {
            "mode": "replay" if isinstance(market, ReplayMarket) else "synthetic",
            "time_ms": market.time_ms,
            "connections": len(self.hub.connections),
            "slow_clients_cut": self.hub.slow_clients,
            "emitted": dict(sorted(market.emitted.items())),
            "delivered": dict(sorted(self.hub.delivered.items())),
            "faults": {"settings": self.faults.settings, "injected": dict(sorted(self.faults.injected.items()))},
            "symbols": {},
        }
        for symbol in market.listings:
            last = market.last_trade.get(symbol)
            state["symbols"][symbol] = {
                "last_trade_id": last.trade_id if last else 0,
                "last_price": e8_text(last.price_e8) if last else None,
                "last_update_id": market.depth(symbol, 1)[0],
            }
        if isinstance(market, ReplayMarket):
            state["replay"] = market.progress()
        else:
            state |= self._books(market)
        return state

    def close(self) -> None:
        """Close the journal."""
        self.journal.close()

    def _books(self, market: SyntheticMarket) -> dict[str, Any]:
        core = market.core
        accounts = {
            name: {
                asset: {"free": e8_text(free), "locked": e8_text(locked)} for asset, (free, locked) in assets.items()
            }
            for name, assets in core.accounts.balances.items()
        }
        orders = [
            {"account": order.account, "symbol": order.symbol, "order_id": order.order_id}
            for order in core.open_orders.values()
            if order.account != CROWD
        ]
        totals = {asset: e8_text(amount) for asset, amount in core.accounts.totals().items()}
        return {"seed": market.saved.seed, "accounts": accounts, "totals": totals, "open_orders": orders}


def _amount(asset: str, text: str) -> int:
    value = e8(text)
    if value is None or value > 10**17:
        raise InputError(
            f"deposit of {asset}: {text!r} is not an amount (decimal, at most 8 decimals, at most a billion)"
        )
    return value
