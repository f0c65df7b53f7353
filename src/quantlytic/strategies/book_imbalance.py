"""Where more wants to be bought, the price goes up."""

from __future__ import annotations

import math
from typing import Any

from quantlytic import Strategy, param


class BookImbalance(Strategy):
    """Buys when, for a while, much more has rested on the bid than on the ask, and leaves when that is over. The imbalance
    tells the next change of the price, but seldom more than the spread that it costs to act on it.

    Source: Cont, Kukanov & Stoikov, The price impact of order book events (2014); Gould & Bonart, Queue imbalance as a
    one-tick-ahead price predictor (2016).

    `levels`: of the book on each side that count (with quotes the best one alone); `memory`: seconds over which the imbalance,
    from -1 to 1, is averaged exponentially; `entry`, `exit`: where it buys and where it leaves; `hold`: seconds between two
    orders, at least; `weight`: share of equity. With `short`, the same the other way round. Wants quotes or a book.

    >>> import quantlytic as ql
    >>> quotes = ql.demo_quotes(1500)
    >>> session = ql.Session(BookImbalance(), quotes.instruments, cash=1e5)
    >>> session.run(quotes)
    >>> len(session.fills) > 10
    True
    """

    levels: int = param(5, low=1, high=50)
    memory: float = param(2.0, low=0.01, high=600.0)
    entry: float = param(0.4, low=0.05, high=0.95)
    exit: float = param(0.0, low=-0.9, high=0.9)
    hold: float = param(2.0, low=0.0, high=3600.0)
    weight: float = param(0.95, low=0.0, high=1.0)
    short: bool = param(False)

    def setup(self) -> None:
        self.begun = 0
        self.time = 0
        self.acted = 0
        self.level = 0.0

    def on_quote(self, quote: Any, broker: Any) -> None:
        total = quote.bid_quantity + quote.ask_quantity
        if total > 0.0:
            self.decide((quote.bid_quantity - quote.ask_quantity) / total, quote.event_time, broker)

    def on_book(self, book: Any, broker: Any) -> None:
        if book.bids > 0 and book.asks > 0:
            self.decide(book.imbalance(self.levels), book.event_time, broker)

    def decide(self, imbalance: float, time: int, broker: Any) -> None:
        if self.time == 0:
            self.begun = self.time = time
        self.level += (1.0 - math.exp(-1e-9 * (time - self.time) / self.memory)) * (imbalance - self.level)
        self.time = time
        if time - self.begun < 1e9 * self.memory or time - self.acted < 1e9 * self.hold or broker.open_orders > 0:
            return
        if broker.is_flat:
            if self.level > self.entry:
                self.acted = time
                broker.target_weight(self.weight)
            elif self.level < -self.entry and self.short:
                self.acted = time
                broker.target_weight(-self.weight)
        elif self.level * (1.0 if broker.is_long else -1.0) < self.exit:
            self.acted = time
            broker.close()
