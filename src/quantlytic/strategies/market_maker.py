"""Sells to those who hurry, buys from those who hurry."""

from __future__ import annotations

import math
from typing import Any

from quantlytic import Side, Strategy, TimeInForce, param


class MarketMaker(Strategy):
    """Keeps one bid and one ask in the market, post-only, around a price of its own: below the middle when it holds more
    than it likes, above when it holds less, by as much as the market's volatility makes holding dangerous. It earns the
    spread from those who take, and pays those who know more.

    Source: Avellaneda & Stoikov, High-frequency trading in a limit order book (2008), with a horizon that rolls on.

    Fair price = middle - inventory x aversion x variance x horizon; half spread = aversion x variance x horizon / 2 +
    log(1 + aversion / depth) / aversion: in basis points, the inventory in orders, the variance in bps^2 a second,
    exponentially averaged over `memory` seconds. It joins the best price, but never betters it.

    `size`: share of equity that one order is worth; `cap`: orders' worth that it holds, or is short, at most (together never
    more than 95 % of equity); `aversion`: to risk, a bp and order; `depth`: how fast takers get rarer with distance, a bp;
    `horizon`: seconds for which inventory is thought to be held; `patience`: bps that a price may be off before both
    orders are moved. Without `short` it never sells more than it holds, and likes to hold half of `cap`. Wants quotes.

    >>> import quantlytic as ql
    >>> tape = ql.Tape(quotes=ql.demo_quotes(1500), trades=ql.demo_trades(1500))
    >>> session = ql.Session(MarketMaker(), tape.instruments, cash=1e5)
    >>> session.run(tape)
    >>> len(session.fills) > 10
    True
    """

    size: float = param(0.01, low=0.0001, high=0.5)
    cap: int = param(6, low=1, high=50)
    aversion: float = param(0.05, low=0.0, high=10.0)
    depth: float = param(1.0, low=0.01, high=100.0)
    horizon: float = param(10.0, low=0.01, high=3600.0)
    memory: float = param(30.0, low=1.0, high=3600.0)
    patience: float = param(0.1, low=0.0, high=20.0)
    short: bool = param(False)

    def setup(self) -> None:
        self.begun = 0
        self.time = 0
        self.middle = 0.0
        self.squares = 0.0
        self.seconds = 0.0
        self.unit = 0.0  # quantity of an order
        self.bid = 0.0
        self.ask = 0.0
        self.bid_id = 0
        self.ask_id = 0

    def on_quote(self, quote: Any, broker: Any) -> None:
        middle = 0.5 * (quote.bid + quote.ask)
        self.learn(middle, quote.event_time)
        if self.time - self.begun < 1e9 * self.memory:
            return
        if self.unit == 0.0:
            self.unit = min(self.size, 0.95 / self.cap) * broker.equity / middle
        risk = self.aversion * self.squares / self.seconds * self.horizon
        edge = math.log(1.0 + self.aversion / self.depth) / self.aversion if self.aversion > 0.0 else 1.0 / self.depth
        liked = 0.0 if self.short else 0.5 * self.cap
        fair = middle * max(1.0 - 1e-4 * risk * (broker.position / self.unit - liked), 0.5)
        half = 1e-4 * min(0.5 * risk + edge, 5_000.0)
        self.place(min(fair * (1.0 - half), quote.bid), max(fair * (1.0 + half), quote.ask), broker)

    def learn(self, middle: float, time: int) -> None:
        if self.time > 0:
            seconds, change = 1e-9 * (time - self.time), 1e4 * (middle / self.middle - 1.0)
            decay = math.exp(-seconds / self.memory)
            self.squares = decay * self.squares + change * change
            self.seconds = decay * self.seconds + seconds
        else:
            self.begun = time
        self.time, self.middle = time, middle

    def place(self, bid: float, ask: float, broker: Any) -> None:
        """Both orders move together, so that they never cross; neither may carry the inventory over the cap."""
        most, held = self.cap * self.unit, broker.position
        to_buy = min(self.unit, most - held)
        to_sell = min(self.unit, held + most if self.short else held)
        bidding, asking = broker.left(self.bid_id) > 0.0, broker.left(self.ask_id) > 0.0
        new_bid = not bidding and to_buy >= 0.5 * self.unit  # less is not worth an order
        new_ask = not asking and to_sell >= 0.5 * self.unit
        slack = 1e-4 * self.patience * self.middle
        if not (new_bid or new_ask or abs(bid - self.bid) > slack or abs(ask - self.ask) > slack):
            return
        if bidding and bid != self.bid:
            broker.amend(self.bid_id, math.nan, bid)
        if asking and ask != self.ask:
            broker.amend(self.ask_id, math.nan, ask)
        if new_bid:
            self.bid_id = broker.limit(Side.BUY, to_buy, bid, TimeInForce.GTC, True)
        if new_ask:
            self.ask_id = broker.limit(Side.SELL, to_sell, ask, TimeInForce.GTC, True)
        self.bid, self.ask = bid, ask
