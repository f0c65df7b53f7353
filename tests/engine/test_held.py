"""Warm indicators, and orders that are held until they are ready."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.engine.market import instruments_of, random_bars

import quantlytic as ql
from quantlytic.engine.held import HeldSession
from quantlytic.indicators import SMA
from quantlytic.model.fill import FILL
from quantlytic.strategies.catalogue import Entry, entries

COUNT = 60


class Unguarded(ql.Strategy):
    """Trades at once, whether its average is ready or not, and remembers that it has."""

    def setup(self) -> None:
        self.average = SMA(10)
        self.sent = False

    def on_bar(self, bar: Any, broker: Any) -> None:
        self.average.update(bar.close)
        if not self.sent:
            self.sent = True
            broker.target_quantity(2.0)


class Bare(ql.Strategy):
    """Has no indicator."""

    def on_bar(self, bar: Any, broker: Any) -> None:
        if broker.is_flat:
            broker.target_quantity(1.0)


def held(strategy: type[ql.Strategy] = Unguarded, instruments: int = 1) -> HeldSession:
    return HeldSession(strategy(), instruments_of(instruments), 1e5, compiled=False)


def halves(executor: HeldSession, strategist: HeldSession, bars: Any) -> list[int]:
    """At which bars orders were sent."""
    sent, answers = [], executor.updates
    for k, bar in enumerate(bars):
        updates, fills, equity = executor.execute(bar)
        assert equity["event_time"] == bar["close_time"]
        strategist.apply(np.concatenate([answers, updates]), fills, bar)
        _, *wishes = strategist.decide(bar)
        answers = executor.accept(*wishes)
        sent += [k] * len(wishes[0])
        assert executor.is_held == strategist.is_held
    return sent


@pytest.mark.parametrize("instruments", [1, 2])
def test_held_until_every_indicator_is_ready(instruments: int) -> None:
    bars = random_bars(5, COUNT, instruments)
    executor, strategist = held(instruments=instruments), held(instruments=instruments)
    executor.hold()
    strategist.hold()
    sent = halves(executor, strategist, bars)
    seen = [int((bars["instrument"][: sent[0]] == k).sum()) for k in range(instruments)]
    assert min(seen) >= 9
    assert instruments == 2 or seen == [9]
    assert len(sent) == instruments  # once each, although it had been sent, and refused, before
    assert executor.positions == {f"test:S{k}": 2.0 for k in range(instruments)}


def test_the_replay_is_held_as_long() -> None:
    bars = random_bars(6, COUNT, 2)
    executor, strategist, whole = (held(instruments=2) for _ in range(3))
    for one in (executor, strategist, whole):
        one.hold()
    sent = halves(executor, strategist, bars)
    whole.run_as_taken(bars)
    assert whole.orders["bar_offset"].tolist() == sent
    assert len(whole.equity) == len(bars)
    assert whole.orders["order_id"].tolist() == [1, 2]
    assert whole.cash == executor.cash


def test_held_is_part_of_the_state() -> None:
    bars = random_bars(7, COUNT, 1)
    session, other = held(), held()
    session.hold()
    for bar in bars[:4]:
        session.decide(bar)
    other.restore(session.save())
    assert other.is_held
    assert other.save() == session.save()


def test_a_position_that_is_adopted_meanwhile_stays() -> None:
    bars = random_bars(5, COUNT, 1)
    strategist, told = held(), np.zeros(1, FILL)
    strategist.hold()
    nothing = strategist.updates[:0], np.zeros(0, FILL)
    told[0] = 1, -1, 0, bars[3]["close_time"], 1, 5.0, bars[3]["close"], 0.0, -1, 0.0, False
    for k, bar in enumerate(bars):
        strategist.apply(nothing[0], told if k == 3 else nothing[1], bar)
        _, orders, *_ = strategist.decide(bar)
        assert strategist.positions["test:S0"] == (5.0 if k >= 3 else 0.0)
        assert strategist.is_held == (k < 9)
        assert len(orders) == (k == 9)
        if len(orders):
            assert (orders[0]["side"], orders[0]["quantity"], orders[0]["order_id"]) == (-1, 3.0, 1)
            break
    assert strategist.cash == pytest.approx(1e5 - 5.0 * bars[3]["close"])


def test_history_makes_it_ready_at_once() -> None:
    bars = random_bars(8, COUNT, 1)
    session = held()
    assert session.warm(bars[:30])
    assert not session.is_held
    cold = held()
    cold.run(bars[:30])
    assert session.state_of("test:S0")["average"]["value"] == cold.state_of("test:S0")["average"]["value"]
    assert not session.state_of("test:S0")["sent"]
    assert (session.cash, session.orders_sent, len(session.equity)) == (1e5, 0, 0)
    session.run_as_taken(bars[30:])
    assert session.orders["bar_offset"].tolist() == [0]
    assert session.orders["order_id"].tolist() == [1]


def test_too_little_history_goes_on_with_what_comes() -> None:
    bars = random_bars(9, COUNT, 1)
    session = held()
    assert not session.warm(bars[:6])
    assert session.is_held
    session.run_as_taken(bars[6:])
    assert session.orders["bar_offset"].tolist() == [3]  # the tenth bar makes it ready


def test_without_indicators_nothing_is_held() -> None:
    session = held(Bare)
    session.hold()
    assert not session.is_held
    assert held(Bare).warm(random_bars(1, 10, 1))


@pytest.mark.slow
@pytest.mark.parametrize(
    "entry", [one for one in entries() if one.strategy.handlers() <= {"on_bar", "on_fill"}], ids=lambda one: one.name
)
def test_built_ins_wait_by_themselves(entry: Entry) -> None:
    """Held or not, they do the same from the first bar on: paper is not another thing than a backtest."""
    bars = random_bars(3, 900, 1)
    plain, waiting, warmed = (HeldSession(entry.strategy(), instruments_of(1), 1e5) for _ in range(3))
    plain.run(bars)
    waiting.hold()
    waiting.run_as_taken(bars)
    assert not waiting.is_held
    assert waiting.digest == plain.digest
    assert warmed.warm(bars)
