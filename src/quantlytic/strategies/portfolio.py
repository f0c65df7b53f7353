"""What strategies that spread one account over several instruments share: when to rebalance, and how."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic import Strategy, param
from quantlytic.model.order import OrderStatus

FILLED = int(OrderStatus.FILLED)


class Portfolio(Strategy):
    """Every `rebalance` bar times `weigh` says what share each instrument is to have, and the account is brought there.

    First what is too large is cut, at market. When that has filled, what is too small is bought with the money that is there,
    so a spot account is never asked for cash it does not have yet; what is refused all the same is tried again, smaller.
    An instrument without a bar keeps its last price; one without for more than `PATIENCE` bar times is left as it is, and
    the others share what remains. One that starts late, or ends, is counted in from, or up to, then.

    `weight`: the share of equity that is invested; the rest stays cash, for fees and for gaps. `band`: changes worth less
    than this share of equity are not made.
    """

    LONGEST = 504
    """How many bar times back `past` knows, at most."""
    PATIENCE = 5
    TRIES = 3

    instruments: int  # how many there are: told before setup

    rebalance: int = param(20, low=1, high=500)
    weight: float = param(0.97, low=0.0, high=1.0)
    band: float = param(0.002, low=0.0, high=0.2)

    def setup(self) -> None:
        self.times = 0
        self.wait = 0
        self.tries = 0
        self.closes = np.full((self.LONGEST + 1, self.instruments), math.nan)
        self.idle = np.full(self.instruments, self.PATIENCE + 1)
        self.weights = np.zeros(self.instruments)
        self.wanted = np.zeros(self.instruments)  # value still to be bought, negative: sold short
        self.asked = np.zeros(self.instruments, np.int64)  # the order that is to do it

    def weigh(self) -> bool:
        """Write each instrument's share, from -1 to 1, into `self.weights`. False: nothing can be said yet."""
        return False

    def on_slice(self, slice: Any, broker: Any) -> None:
        row = self.times % (self.LONGEST + 1)
        for i in range(self.instruments):
            self.closes[row, i] = slice.close(i)
            self.idle[i] = 0 if slice.has(i) else self.idle[i] + 1
        self.times += 1
        if self.wait > 0:
            self.wait -= 1
        if self.wait == 0:
            self.weights[:] = 0.0
            if self.weigh():
                self.wait = self.rebalance
                self.cut(broker)
        self.fill_up(broker)

    def past(self, instrument: int, ago: int) -> float:
        """The instrument's close so many bar times ago, 0 the newest; NaN before its first, and beyond `LONGEST`."""
        if ago > self.LONGEST or ago >= self.times:
            return math.nan
        return float(self.closes[(self.times - 1 - ago) % (self.LONGEST + 1), instrument])

    def is_trading(self, instrument: int) -> bool:
        return bool(self.idle[instrument] <= self.PATIENCE)

    def cut(self, broker: Any) -> None:
        """Sell what is too much, and note what is too little."""
        equity, budget = broker.equity, self.weight * broker.equity
        for i in range(self.instruments):
            if not self.is_trading(i):
                one = broker.on(i)
                if one.position != 0.0:
                    budget -= abs(one.position) * one.price
        budget = max(budget, 0.0)
        self.tries = self.TRIES
        for i in range(self.instruments):
            self.wanted[i] = 0.0
            self.asked[i] = 0
            if not self.is_trading(i):
                continue
            one = broker.on(i)
            one.cancel_all()
            held = one.position
            goal = self.weights[i] * budget / one.price
            if goal != 0.0 and abs(goal - held) * one.price < self.band * equity:
                continue
            keep = min(held, max(goal, 0.0)) if held > 0.0 else max(held, min(goal, 0.0))
            if keep != held:
                one.target_quantity(keep)
            self.wanted[i] = (goal - keep) * one.price

    def fill_up(self, broker: Any) -> None:
        """Once all that was sold is sold, buy what is noted, as far as the money goes."""
        waiting, needed, free = 0, 0.0, broker.cash
        for i in range(self.instruments):
            one = broker.on(i)
            if one.open_orders > 0 and self.is_trading(i):
                waiting += 1
            elif self.asked[i] > 0 and one.order_status(self.asked[i]) in (0, FILLED):
                self.wanted[i] = 0.0
            if one.position < 0.0:
                free += 2.0 * one.position * one.price
            needed += abs(self.wanted[i])
        if waiting > 0 or needed == 0.0:
            return
        share = min(max(self.weight * free, 0.0) / needed, 1.0)
        for i in range(self.instruments):
            value = share * self.wanted[i]
            if value != 0.0 and self.tries > 0 and abs(value) >= self.band * broker.equity * share:
                one = broker.on(i)
                self.asked[i] = one.target_quantity(one.position + value / one.price)
            else:
                self.wanted[i] = 0.0
        self.tries -= 1


def greatest(values: NDArray[np.float64]) -> int:
    """The index of the greatest number; NaN counts as none. -1 where there is none."""
    found = -1
    for k in range(len(values)):
        if not math.isnan(values[k]) and (found < 0 or values[k] > values[found]):
            found = k
    return found
