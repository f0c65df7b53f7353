"""What holds for every order in every market: the books balance, nothing fills before it is there or at a price that was not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.engine.market import instruments_of, random_bars, results
from tests.engine.storm import Storm, random_market
from tests.engine.test_session import ByHalves

from quantlytic import Session, TimeInForce
from quantlytic.engine.market.market import Market
from quantlytic.model.action import ACTION, ActionKind
from quantlytic.model.order import OrderStatus, OrderType

CASH = 10_000.0
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate)  # no shrinking: an example is a whole run


class Case:
    """A random market, bars, lots; `make` gives sessions of it."""

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.seed, self.market = seed, random_market(random)
        self.count = int(random.integers(1, 4))
        self.bars = random_bars(seed, 40, self.count)
        self.bars["volume"] = np.round(random.uniform(1, 60, len(self.bars)), 2)
        lots = [0.25, 0.0, 0.01][: self.count] if random.random() < 0.5 else []
        self.instruments = instruments_of(self.count, lots)

    def make(self, compiled: bool = False) -> Session:
        return Session(
            Storm(seed=self.seed), self.instruments, CASH, market=self.market, compiled=compiled, max_open_orders=8
        )


@settings(max_examples=25, deadline=None, phases=_PHASES, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(1, 10**6))
def test_the_books_balance_at_every_event(seed: int) -> None:
    case = Case(seed)
    session = case.make()
    last, flowed = np.full(case.count, np.nan), 0
    cash, held, seen = CASH, np.zeros(case.count), 0
    for bar in case.bars:
        session.run(np.atleast_1d(bar))
        for fill in session.fills[seen:]:
            cash -= fill["side"] * fill["quantity"] * fill["price"] + fill["fee"]
            held[fill["instrument"]] += fill["side"] * fill["quantity"]
        cash += session.flows["amount"][flowed:].sum()
        seen, flowed = len(session.fills), len(session.flows)
        last[bar["instrument"]] = bar["close"]
        assert session.cash == pytest.approx(cash, abs=1e-6)
        assert list(session.positions.values()) == pytest.approx(held, abs=1e-9)
        assert session.equity[-1] == pytest.approx(cash + np.nansum(held * last), abs=1e-6)


@settings(max_examples=25, deadline=None, phases=_PHASES, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(1, 10**6))
def test_no_order_fills_before_it_is_there_or_where_the_price_was_not(seed: int) -> None:
    case = Case(seed)
    session = case.make()
    session.run(case.bars)
    orders = {int(order["order_id"]): order for order in session.orders}
    amended = {int(row["order_id"]) for row in session.amends}
    filled: dict[int, float] = {}
    for fill in session.fills:
        bar, order = case.bars[fill["bar_offset"]], orders.get(int(fill["order_id"]))
        before_slippage = fill["price"] - fill["side"] * fill["slippage"] / fill["quantity"]
        assert fill["slippage"] >= 0
        if order is None:  # liquidated
            assert case.market.margin.mode != "none"
            continue
        assert order["instrument"] == fill["instrument"] == bar["instrument"]
        assert order["bar_offset"] < fill["bar_offset"]
        assert fill["event_time"] >= order["event_time"]
        if order["time_in_force"] != TimeInForce.AT_CLOSE:
            assert bar["low"] - 1e-9 <= before_slippage <= bar["high"] + 1e-9
        if order["type"] in (OrderType.LIMIT, OrderType.STOP_LIMIT) and int(order["order_id"]) not in amended:
            assert order["side"] * (order["price"] - fill["price"]) >= -1e-9
        filled[int(fill["order_id"])] = filled.get(int(fill["order_id"]), 0.0) + fill["quantity"]
    for order_id, quantity in filled.items():
        of_amended = order_id in amended or int(orders[order_id]["parent_id"]) in amended
        assert of_amended or quantity <= orders[order_id]["quantity"] + 1e-9


@settings(max_examples=25, deadline=None, phases=_PHASES, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(1, 10**6))
def test_every_order_is_answered_and_ends_once(seed: int) -> None:
    case = Case(seed)
    session = case.make()
    session.run(case.bars)
    final = {OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.REJECTED, OrderStatus.EXPIRED}
    story: dict[int, list[int]] = {}
    for update in session.updates:
        story.setdefault(int(update["order_id"]), []).append(int(update["status"]))
    assert set(story) == set(session.orders["order_id"].tolist())
    for steps in story.values():
        assert steps[0] in (OrderStatus.NEW, OrderStatus.REJECTED)
        assert not final & set(steps[:-1])


@settings(max_examples=25, deadline=None, phases=_PHASES, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(1, 10**6))
def test_exits_never_open_post_only_never_takes_and_bars_are_not_emptied(seed: int) -> None:
    case = Case(seed)
    session = case.make()
    session.run(case.bars)
    orders = {int(order["order_id"]): order for order in session.orders}
    held, filled, taken = np.zeros(case.count), dict.fromkeys(orders, 0.0), np.zeros(len(case.bars))
    for fill in session.fills:
        instrument, change = fill["instrument"], fill["side"] * fill["quantity"]
        if fill["order_id"]:  # not liquidated
            order = orders[int(fill["order_id"])]
            assert fill["maker"] or not order["post_only"]
            if order["reduce_only"]:
                assert held[instrument] * change < 0
                assert abs(change) <= abs(held[instrument]) + 1e-9
            filled[int(fill["order_id"])] += fill["quantity"]
            taken[fill["bar_offset"]] += fill["quantity"]
        held[instrument] += change
    if case.market.participation:
        assert (taken <= case.market.participation * case.bars["volume"] + 1e-9).all()
    for entry in {int(order["parent_id"]) for order in session.orders} - {0}:
        assert filled[entry + 1] + filled[entry + 2] <= filled[entry] + 1e-9  # of two exits together


@settings(max_examples=20, deadline=None, phases=_PHASES, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(1, 10**6))
def test_the_books_balance_through_actions(seed: int) -> None:
    """Splits amid positions and orders, dividends on shorts, funding, a delisting: cash is what fills and flows say."""
    case = Case(seed)
    random = np.random.default_rng(seed)
    kinds = [ActionKind.SPLIT, ActionKind.DIVIDEND, ActionKind.FUNDING, ActionKind.DELISTING]
    session = case.make()
    cash = CASH
    for bar in case.bars:
        if random.random() < 0.1:
            kind = kinds[random.choice(4, p=[0.4, 0.3, 0.28, 0.02])]
            row = np.zeros(1, ACTION)
            value = {ActionKind.SPLIT: random.choice([0.1, 0.5, 2.0, 3.0]), ActionKind.DIVIDEND: random.uniform(0, 2)}
            row[0] = (random.integers(case.count), bar["open_time"], kind, value.get(kind, random.normal(0, 0.05)))
            if kind == ActionKind.DELISTING:
                row["value"] = 80.0
            _, fills, flows = session.act(row)
            session.decide(row[0])
            cash += flows["amount"].sum() - (fills["side"] * fills["quantity"] * fills["price"] + fills["fee"]).sum()
        seen, flowed = len(session.fills), len(session.flows)
        session.run(np.atleast_1d(bar))
        fills = session.fills[seen:]
        cash -= (fills["side"] * fills["quantity"] * fills["price"] + fills["fee"]).sum()
        cash += session.flows["amount"][flowed:].sum()
        positions = session._positions
        assert session.cash == pytest.approx(cash, abs=1e-6)
        assert session.equity[-1] == pytest.approx(
            cash + np.nansum(positions["quantity"] * positions["price"]), abs=1e-6
        )


@settings(max_examples=20, deadline=None, phases=_PHASES, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(1, 10**6))
def test_two_replicas_do_what_one_run_does(seed: int) -> None:
    case = Case(seed)
    whole = case.make()
    whole.run(case.bars)
    halves = ByHalves(case.make)
    random = np.random.default_rng(seed)
    for bar in case.bars:
        halves.move(random.random() < 0.1, random.random() < 0.1)
        halves.bar(bar, random.random() < 0.1)
    if len(case.bars):
        assert halves.results() == results(whole)


@settings(max_examples=25, deadline=None, phases=_PHASES, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(1, 10**6), cut=st.floats(0, 1))
def test_a_later_future_changes_nothing_earlier(seed: int, cut: float) -> None:
    case = Case(seed)
    one, other = case.make(), case.make()
    one.run(case.bars)
    first = int(cut * len(case.bars))
    changed = case.bars.copy()
    for name in ("open", "high", "low", "close"):
        changed[name][first:] *= 1.5
    other.run(changed)
    for name in ("orders", "cancels", "amends", "fills"):
        a, b = (getattr(session, name) for session in (one, other))
        early_a, early_b = a[a["bar_offset"] < first], b[b["bar_offset"] < first]
        assert all(early_a[field].tobytes() == early_b[field].tobytes() for field in a.dtype.names), name


@pytest.mark.parametrize("seed", range(1, 9))
def test_compiled_is_debug(seed: int) -> None:
    case = Case(seed)
    debug, compiled = case.make(), case.make(compiled=True)
    debug.run(case.bars)
    compiled.run(case.bars)
    assert results(compiled) == results(debug), case.market


def test_market_orders_alone_take_the_short_way_and_the_long_one_alike() -> None:
    """A participation of the whole of a huge volume changes nothing but the code that runs."""

    class Turns(Storm):
        def act(self, bar: Any, broker: Any) -> None:
            if self.draw(3) == 0:
                broker.target_weight((self.draw(9) - 4) * 0.4)

    bars = random_bars(3, 300, 2)
    bars["volume"] = 1e12
    ways = [Market(allow_short=True), Market(allow_short=True, participation=1.0)]
    found = []
    for market in ways:
        session = Session(Turns(seed=9), instruments_of(2), CASH, market=market, compiled=False)
        session.run(bars)
        found.append(results(session))
    assert len(session.fills) > 100
    assert found[0] == found[1]
