"""Synthetic order flow for one symbol: a crowd that looks like a market, the same for the same seed.

A fair price walks with volatility that clusters (the logarithm of volatility reverts to its mean). Makers quote
around it, closer and smaller near the top, and withdraw quotes that it has run over; who is too slow is taken out.
Takers come in bursts (a Hawkes process with an exponential kernel), with sides that persist and lean towards the fair
price. Everything goes through the matching engine as orders of the crowd's account. Times are those of the market,
not of the machine: content depends on the seed alone (and on what users do to the book).
"""

from __future__ import annotations

import math
import random
from collections import deque

from quantlytic.model.time import NS_PER_MS, NS_PER_S
from quantlytic.venues.exchange.accounts import CROWD
from quantlytic.venues.exchange.core import Core
from quantlytic.venues.exchange.matching import BUY, SELL, Order

VOLATILITY = 1.5e-4  # of the fair price, per square root of a second: about 80 % a year
VOLATILITY_SPREAD = 0.7  # standard deviation of log volatility
VOLATILITY_MEMORY_S = 30.0
PULL_S = 1800.0  # how slowly the fair price is drawn back to where it began
HALF_SPREAD = 1.2e-5
DEPTH = 5e-4  # mean distance of a deep quote from the fair price
QUOTE_EVERY_S = 0.1
ADDS_PER_S = 18.0
QUOTES_A_SIDE = 120
BURST_SHARE = 0.6  # of takers that come because others came
BURST_DECAY = 3.0  # per second
TRADES_PER_TAKER = 2.2
MAKER_VALUE = 4000.0  # quote currency
TAKER_VALUE = 700.0
REACH = 1e-3  # a taker goes no further than this from the fair price


class Flow:
    """The crowd of one symbol. `trades_per_s` is the mean rate of public trades aimed at."""

    def __init__(
        self, core: Core, symbol: str, *, seed: str, start_ns: int, anchor: float, trades_per_s: float
    ) -> None:
        self.core = core
        self.desk = core.desks[symbol]
        self.random = random.Random(f"{seed}:{symbol}")
        self.anchor = anchor
        self.fair = anchor
        self.heat = 0.0
        self.excitement = 0.0
        self.side = BUY
        self.now_ns = start_ns
        self.quotes: dict[int, deque[Order]] = {BUY: deque(), SELL: deque()}
        self.taker_rate = trades_per_s / TRADES_PER_TAKER
        self._walk_ns = start_ns
        self._taker_ns = start_ns
        self._due = {"quote": self._later(QUOTE_EVERY_S), "add": self._later(1 / ADDS_PER_S)}
        self._schedule_taker()

    @property
    def next_ns(self) -> int:
        """When the crowd acts next."""
        return min(self._due.values())

    def seed_book(self) -> None:
        """Fill an empty book around the fair price."""
        for _ in range(QUOTES_A_SIDE):
            self._quote(BUY, self._depth())
            self._quote(SELL, self._depth())

    def shift(self, by_ns: int) -> None:
        """The market stood still (the machine slept): go on as if no time had passed."""
        self.now_ns += by_ns
        self._walk_ns += by_ns
        self._taker_ns += by_ns
        self._due = {name: due + by_ns for name, due in self._due.items()}

    def act(self) -> None:
        """Do what is due at `next_ns`."""
        name = min(self._due, key=lambda key: self._due[key])
        self.now_ns = self._due[name]
        if name == "quote":
            self._walk()
            self._withdraw()
            self._quote(BUY, self.random.expovariate(1 / HALF_SPREAD))
            self._quote(SELL, self.random.expovariate(1 / HALF_SPREAD))
            self._due[name] = self._later(QUOTE_EVERY_S)
        elif name == "add":
            self._quote(self.random.choice((BUY, SELL)), self._depth())
            self._due[name] = self._later(1 / ADDS_PER_S)
        else:
            self._taker()

    def _later(self, mean_s: float) -> int:
        return self.now_ns + 1 + int(self.random.expovariate(1 / mean_s) * NS_PER_S)

    def _depth(self) -> float:
        return HALF_SPREAD + self.random.expovariate(1 / DEPTH)

    def _walk(self) -> None:
        dt = (self.now_ns - self._walk_ns) / NS_PER_S
        self._walk_ns = self.now_ns
        keep = math.exp(-dt / VOLATILITY_MEMORY_S)
        self.heat = self.heat * keep + VOLATILITY_SPREAD * math.sqrt(1 - keep * keep) * self.random.gauss(0, 1)
        volatility = VOLATILITY * math.exp(self.heat - VOLATILITY_SPREAD**2 / 2)
        pull = math.log(self.anchor / self.fair) * dt / PULL_S
        self.fair *= math.exp(pull + volatility * math.sqrt(dt) * self.random.gauss(0, 1))

    def _withdraw(self) -> None:
        """Most quotes on the wrong side of the fair price are cancelled in time; somebody takes the rest."""
        fair = self.fair * 10**self.desk.listing.price_decimals
        for side in (BUY, SELL):
            ladder = self.desk.book.ladder(side)
            stale = [
                order
                for price, _ in ladder.top(12)
                if (price - fair) * side > 0
                for order in ladder.levels[price].orders.values()
            ]
            if not stale:
                continue
            for order in stale:
                if order.account == CROWD and self.random.random() < 0.6:
                    self.core.cancel(order, self._now_ms)
            lots = sum(order.remaining for order in stale if order.is_open)
            if lots:
                self._send(-side, round(fair), min(lots, self._lots(12 * TAKER_VALUE)), "IOC")

    def _quote(self, side: int, distance: float) -> None:
        ticks = self.fair * (1 - side * distance) * 10**self.desk.listing.price_decimals
        price = math.floor(ticks) if side == BUY else math.ceil(ticks)
        other = self.desk.book.ladder(-side).best
        if other is not None and (price - other) * side >= 0:
            price = other - side
        lots = self._lots(MAKER_VALUE * (0.5 + min(distance / DEPTH, 4)) * self.random.lognormvariate(0, 0.8))
        if price <= 0 or not lots:
            return
        quotes = self.quotes[side]
        quotes.append(self._send(side, price, lots, "GTC"))
        while len(quotes) > QUOTES_A_SIDE:
            oldest = quotes.popleft()
            if oldest.is_open:
                self.core.cancel(oldest, self._now_ms)

    def _taker(self) -> None:
        self._decay()
        self.excitement += BURST_SHARE * BURST_DECAY
        bid, ask = self.desk.book.bids.best, self.desk.book.asks.best
        if self.random.random() > 0.6 and bid and ask:
            ticks = self.fair * 10**self.desk.listing.price_decimals
            lean = math.tanh((ticks - (bid + ask) / 2) / max(1.0, ask - bid))
            self.side = BUY if self.random.random() < 0.5 + 0.4 * lean else SELL
        lots = self._lots(TAKER_VALUE * self.random.lognormvariate(0, 1.3))
        limit = round(self.fair * (1 + self.side * REACH) * 10**self.desk.listing.price_decimals)
        self._send(self.side, limit, max(1, lots), "IOC")
        self._schedule_taker()

    def _schedule_taker(self) -> None:
        """The next arrival, by thinning: the intensity only falls between arrivals."""
        base = self.taker_rate * (1 - BURST_SHARE)
        at = self._taker_ns
        excitement = self.excitement
        while True:
            bound = base + excitement
            wait = self.random.expovariate(bound)
            at += int(wait * NS_PER_S) + 1
            excitement *= math.exp(-BURST_DECAY * wait)
            if self.random.random() * bound <= base + excitement:
                break
        self._due["take"] = at

    def _decay(self) -> None:
        passed = (self.now_ns - self._taker_ns) / NS_PER_S
        self.excitement *= math.exp(-BURST_DECAY * passed)
        self._taker_ns = self.now_ns

    def _lots(self, value: float) -> int:
        return int(value / self.fair * 10**self.desk.listing.lot_decimals)

    @property
    def _now_ms(self) -> int:
        return self.now_ns // NS_PER_MS

    def _send(self, side: int, price: int, lots: int, time_in_force: str) -> Order:
        order = Order(0, CROWD, self.desk.listing.symbol, side, "LIMIT", time_in_force, price, lots, self._now_ms)
        self.core.place(order)
        return order
