"""One strategy takes over from another between two bars."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
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
    """Long 10, then the orders of a case around it: what to send, by the close of the second bar."""

    case = 0

    def setup(self) -> None:
        self.bars = 0

    def on_bar(self, bar: Any, broker: Any) -> None:
        self.bars += 1
        if self.bars == 1 and self.case != 3:
            broker.buy(10.0)
        if self.bars == 1 and self.case == 3:
            broker.bracket(1, 10.0, stop_loss=bar.close * 0.5, take_profit=bar.close * 2.0)
        if self.bars == 2:
            CASES[self.case][0](broker, bar.close)


def many(broker: Any, close: float) -> None:
    broker.stop(-1, 6.0, close * 0.5)
    broker.stop(-1, 6.0, close * 0.4)  # both would sell 12
    broker.take_profit(-1, 4.0, close * 1.2)
    broker.limit(-1, 9.0, close * 1.3, reduce_only=True)
    broker.limit(-1, 1.0, close * 1.3)
    broker.limit(1, 1.0, close * 0.5)
    broker.stop(1, 1.0, close * 2.0)


def profit_first(broker: Any, close: float) -> None:
    broker.take_profit(-1, 10.0, close * 1.2)
    broker.stop(-1, 10.0, close * 0.5)


def plain_and_reducing(broker: Any, close: float) -> None:
    broker.stop(-1, 10.0, close * 0.5)
    broker.limit(-1, 10.0, close * 1.5, reduce_only=True)


def pair_and_reducing(broker: Any, close: float) -> None:
    broker.limit(-1, 10.0, close * 1.5, reduce_only=True)


def all_reducing(broker: Any, close: float) -> None:
    broker.limit(-1, 10.0, close * 1.5, reduce_only=True)
    broker.stop(-1, 10.0, close * 0.5, reduce_only=True)


CASES = (
    (many, [3, 6, 7, 8, 5]),
    (profit_first, [2]),
    (plain_and_reducing, [3]),
    (pair_and_reducing, []),
    (all_reducing, []),
)


@pytest.mark.parametrize("case", range(len(CASES)))
@pytest.mark.parametrize("way", [(1.7, 0.3), (0.3, 1.7)])
def test_what_guards_a_position_stays_and_can_never_turn_it(case: int, way: tuple[float, float]) -> None:
    """Stops before take-profits; whichever fill, up first or down first, the run never ends up short."""
    strategy = type("Case", (Guarded,), {"case": case})
    sessions = (HeldSession(strategy(), [STOCK], cash=1e5, compiled=False, allow_short=True) for _ in range(2))
    broker, old = sessions
    bars = random_bars(3, 6, 1)[:5].copy()
    answers = np.zeros(0, ORDER_UPDATE)
    for bar in bars[:3]:
        updates, fills, _ = broker.execute(bar)
        old.apply(np.concatenate([answers, updates]), fills, bar)
        answers = broker.accept(*old.decide(bar)[1:])
    assert old.positions[STOCK.id] == 10.0
    new = Successor(Counts(), [STOCK], cash=1e5, compiled=False, allow_short=True)
    new.take_over(old)
    wishes = new.wind_up(GUARD)
    assert sorted(wishes[2]["order_id"].tolist()) == sorted(CASES[case][1])
    answers = broker.accept(*wishes[1:])
    close = float(bars[1]["close"])
    for bar, by in zip(bars[3:], way, strict=True):
        for name in ("open", "high", "low", "close"):
            bar[name] = close * by
        updates, fills, _ = broker.execute(bar)
        new.apply(np.concatenate([answers, updates]), fills, bar)
        answers = broker.accept(*new.decide(bar)[1:])
        assert new.positions[STOCK.id] >= 0.0
    assert new.positions[STOCK.id] < 10.0, "and something did guard it"
