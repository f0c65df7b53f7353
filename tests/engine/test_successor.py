"""One strategy takes over from another between two bars."""

from __future__ import annotations

from typing import Any

import numpy as np
from tests.engine.market import MINUTE_NS, random_bars

import quantlytic as ql
from quantlytic.engine.fork import fork
from quantlytic.engine.held import HeldSession
from quantlytic.engine.successor import Successor
from quantlytic.model.instrument import Instrument
from quantlytic.model.order import ORDER_UPDATE
from quantlytic.model.strategychange import GUARD, KEEP

STOCK = Instrument("test:S0")


class Always(ql.Strategy):
    """Holds, from its first bar on."""

    def on_bar(self, bar: Any, broker: Any) -> None:
        if broker.is_flat and broker.open_orders == 0:
            broker.target_weight(0.5)


class Counts(ql.Strategy):
    """Counts what it hears of fills."""

    def setup(self) -> None:
        self.heard = 0

    def on_bar(self, bar: Any, broker: Any) -> None:
        if bar.close > 1e9:
            broker.close()

    def on_fill(self, fill: Any, broker: Any) -> None:
        self.heard += 1


def test_a_fill_of_the_bar_of_the_hand_over_is_no_news_to_the_new_one() -> None:
    first, second, third = random_bars(3, 6, 1)[:3]
    broker, old = (HeldSession(Always(), [STOCK], cash=1e5, compiled=False) for _ in range(2))
    updates, fills, _ = broker.execute(first)
    old.apply(updates, fills, first)
    answers = broker.accept(*old.decide(first)[1:])
    updates, fills, _ = broker.execute(second)
    assert len(fills) == 1
    old.apply(np.concatenate([answers, updates]), fills, second)
    new = Successor(Counts(), [STOCK], cash=1e5, compiled=False)
    new.take_over(old)
    new.wind_up(KEEP)
    assert new.positions == old.positions != {STOCK.id: 0.0}
    assert fork(new, MINUTE_NS) == []
    new.apply(updates[:0], fills[:0], third)
    new.decide(third)
    assert new.state_of(STOCK.id)["heard"] == 0


class Guarded(ql.Strategy):
    """Long, with orders of all kinds around it."""

    def setup(self) -> None:
        self.bars = 0

    def on_bar(self, bar: Any, broker: Any) -> None:
        self.bars += 1
        if self.bars == 1:
            broker.buy(10.0)
        if self.bars == 2:
            broker.stop(-1, 6.0, bar.close * 0.5)
            broker.stop(-1, 6.0, bar.close * 0.4)  # both would sell 12
            broker.take_profit(-1, 4.0, bar.close * 2.0)
            broker.limit(-1, 9.0, bar.close * 3.0, reduce_only=True)
            broker.limit(-1, 1.0, bar.close * 3.0)
            broker.limit(1, 1.0, bar.close * 0.5)
            broker.stop(1, 1.0, bar.close * 2.0)


def test_what_guards_a_position_stays_and_can_never_turn_it() -> None:
    broker, old = (HeldSession(Guarded(), [STOCK], cash=1e5, compiled=False) for _ in range(2))
    bars = random_bars(3, 6, 1)[:3]
    answers = np.zeros(0, ORDER_UPDATE)
    for bar in bars:
        updates, fills, _ = broker.execute(bar)
        old.apply(np.concatenate([answers, updates]), fills, bar)
        answers = broker.accept(*old.decide(bar)[1:])
    assert (old.positions[STOCK.id], old.open_orders) == (10.0, 7)
    new = Successor(Counts(), [STOCK], cash=1e5, compiled=False)
    new.take_over(old)
    cancels = new.wind_up(GUARD)[2]
    assert cancels["order_id"].tolist() == [3, 6, 7, 8]
