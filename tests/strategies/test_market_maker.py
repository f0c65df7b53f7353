"""The market maker: its prices by the formula, an inventory within its cap and orders that never cross, on real quotes."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.engine.tapes import quote_rows
from tests.strategies.ticks import BTC, captured

import quantlytic as ql
from quantlytic import Fees, Instrument, Session, Tape, Ticks
from quantlytic.engine.market.latency import Latency
from quantlytic.engine.market.market import Market
from quantlytic.model.order import OrderStatus, Reason
from quantlytic.strategies.market_maker import MarketMaker

SECOND_NS = 1_000_000_000
CASH = 100_000.0


class Watched(MarketMaker):
    """Notes, at every quote, the worst that it saw of its own orders and inventory."""

    def setup(self) -> None:
        super().setup()
        self.closest = math.inf  # own ask less own bid
        self.deepest = 0.0
        self.highest = 0.0
        self.most_orders = 0

    def on_quote(self, quote: Any, broker: Any) -> None:
        """What rests now: what was sent at the quote before has been answered, and has met this one."""
        best_bid, best_ask = -math.inf, math.inf
        for row in range(broker.account.position(0).orders):
            order = broker.account.order(0, row)
            if order.side > 0:
                best_bid = max(best_bid, float(order.price))
            else:
                best_ask = min(best_ask, float(order.price))
        self.closest = min(self.closest, best_ask - best_bid)
        self.deepest = min(self.deepest, broker.position)
        self.highest = max(self.highest, broker.position)
        self.most_orders = max(self.most_orders, broker.account.position(0).orders)
        super().on_quote(quote, broker)


def run(strategy: Any, data: Any, compiled: bool = False, market: Market | None = None, **options: Any) -> Session:
    market = market or Market(fees=Fees(0, 0), allow_short=strategy.short)
    session = Session(strategy, data.instruments, CASH, compiled=compiled, market=market, **options)
    session.run(data)
    return session


def inventory(session: Session) -> Any:
    return np.cumsum(session.fills["side"] * session.fills["quantity"])


def check(session: Session) -> None:
    """What must always hold."""
    state, strategy = session.state_of(session.instruments[0].id), session.strategy
    held, cap = inventory(session), strategy.params["cap"] * state["unit"]
    if len(held):
        assert held.max() <= cap * (1.0 + 1e-9)
        assert held.min() >= (-cap * (1.0 + 1e-9) if strategy.params["short"] else -1e-12)
        assert session.fills["maker"].all()
    if "closest" in state:
        assert state["closest"] > 0.0
        assert state["most_orders"] <= 2
        assert state["highest"] <= cap * (1.0 + 1e-9)


def refusals(session: Session) -> set[Reason]:
    updates = session.updates
    return {Reason(int(one)) for one in updates["reason"][updates["status"] == OrderStatus.REJECTED]}


def test_prices_are_avellanedas_and_stoikovs() -> None:
    """Quotes a second apart whose middle goes up and down by a basis point: the variance is 1 bps^2 a second."""
    n = 60
    middle = 100.0 * (1.0 + 1e-4 * (np.arange(n) % 2))
    quotes = Ticks(
        quote_rows(np.arange(1, n + 1) * SECOND_NS, middle - 0.001, middle + 0.001), (Instrument("test:S0"),)
    )
    strategy = MarketMaker(
        size=0.01, cap=4, aversion=0.1, depth=0.5, horizon=20.0, memory=30.0, short=False, patience=0.0
    )
    session = run(strategy, quotes)
    state = session.state_of("test:S0")
    assert state["squares"] / state["seconds"] == pytest.approx(1.0, rel=1e-3)
    risk, edge = 0.1 * 1.0 * 20.0, math.log(1.0 + 0.1 / 0.5) / 0.1
    held = session.positions["test:S0"] / state["unit"]
    fair = middle[-1] * (1.0 - 1e-4 * risk * (held - 2.0))
    half = 1e-4 * (0.5 * risk + edge)
    assert state["bid"] == pytest.approx(min(fair * (1.0 - half), middle[-1] - 0.001), rel=1e-6)
    assert state["ask"] == pytest.approx(max(fair * (1.0 + half), middle[-1] + 0.001), rel=1e-6)
    first = session.orders[0]
    assert (first["side"], bool(first["post_only"])) == (1, True)
    assert first["quantity"] == pytest.approx(0.01 * CASH / 100.0, rel=1e-3)


def test_inventory_leans_on_the_prices() -> None:
    """The more it holds, the lower both its prices, by aversion x variance x horizon a unit."""
    prices = []
    for units in (-0.5, 0.0, 0.5):
        state = MarketMaker(cap=8, aversion=0.5, horizon=10.0, memory=5.0, short=True, size=0.01).prepared(1)
        broker = SimpleNamespace(
            position=10.0 * units, equity=CASH, left=lambda _: 0.0, limit=lambda *_: 1, amend=lambda *_: True
        )
        for k in range(20):
            middle = 100.0 + 0.01 * (k % 2)
            state.on_quote(SimpleNamespace(bid=middle, ask=middle, event_time=k * SECOND_NS + 1), broker)
        assert state.unit == pytest.approx(10.0, rel=1e-3)
        prices.append((state.bid, state.ask))
    bids, asks = np.array(prices).T
    risk = 0.5 * 1.0 * 10.0
    assert np.diff(bids) == pytest.approx(-0.5 * risk * 1e-4 * 100.0, rel=2e-2)
    assert np.diff(asks) == pytest.approx(-0.5 * risk * 1e-4 * 100.0, rel=2e-2)
    half = 1e-4 * (0.5 * risk + math.log(1.0 + 0.5 / 1.0) / 0.5)
    assert 0.5 * (asks - bids) == pytest.approx(half * 100.0, rel=1e-2)


def test_on_a_real_capture(market_data: Path) -> None:
    """Five minutes of Bitcoin, in plain Python for the watching: a quarter of it."""
    tape = captured(market_data, limit=8_000)
    for strategy in (Watched(depth=5.0), Watched(depth=5.0, aversion=0.0, short=True, cap=3)):
        session = run(strategy, tape)
        assert len(session.fills) > 20
        check(session)
        state = session.state_of(BTC.id)
        assert state["highest"] >= 0.9 * state["unit"]
        assert refusals(session) <= {Reason.POST_ONLY_WOULD_TAKE}  # the market had moved before the order met it


def test_late_orders_keep_within_the_cap_too(market_data: Path) -> None:
    """20 ms to the market: the market may have moved, and post-only orders are refused rather than filled as taker."""
    market = Market(fees=Fees(0, 0), allow_short=True, latency=Latency(ns=20_000_000))
    session = run(
        Watched(depth=20.0, short=True, cap=2, patience=0.0), captured(market_data, limit=6_000), market=market
    )
    assert len(session.fills) > 5
    check(session)


@settings(max_examples=10, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(
    seed=st.integers(0, 1000),
    cap=st.integers(1, 6),
    size=st.floats(0.001, 0.5),
    aversion=st.floats(0.0, 5.0),
    depth=st.floats(0.1, 50.0),
    patience=st.floats(0.0, 5.0),
    short=st.booleans(),
)
def test_the_cap_holds_and_nothing_crosses(
    seed: int, cap: int, size: float, aversion: float, depth: float, patience: float, short: bool
) -> None:
    strategy = Watched(cap=cap, size=size, aversion=aversion, depth=depth, patience=patience, short=short, memory=5.0)
    quotes, trades = ql.demo_quotes(200, seed), ql.demo_trades(200, seed)
    session = run(strategy, Tape(quotes=quotes, trades=trades))
    check(session)
    assert refusals(session) <= {Reason.POST_ONLY_WOULD_TAKE}


@pytest.mark.timeout(400)  # the engine may have to be compiled
def test_compiled_debug_and_pieces_give_the_same_digest(market_data: Path) -> None:
    tape = captured(market_data, limit=4_000)
    strategy = MarketMaker(depth=5.0, memory=5.0)
    debug, compiled = run(strategy, tape), run(strategy, tape, compiled=True)
    assert len(debug.fills) > 10
    assert debug.digest == compiled.digest
    assert debug.save() == compiled.save()
    pieces = Session(strategy, tape.instruments, CASH, compiled=True, market=Market(fees=Fees(0, 0)))
    cuts = [np.array_split(array, 5) for array in tape.arrays]
    times = [int(part["event_time"][-1]) for part in cuts[0][:-1]]
    quotes, trades = (np.split(array, np.searchsorted(array["event_time"], times, "right")) for array in tape.arrays)
    pieces.run_chunks(
        Tape(quotes=Ticks(q, (BTC,)), trades=Ticks(t, (BTC,))) for q, t in zip(quotes, trades, strict=True)
    )
    assert pieces.digest == compiled.digest
    whole = run(MarketMaker(depth=5.0, short=True), captured(market_data), compiled=True)
    assert len(whole.fills) > 100
    assert inventory(whole).max() > 5.9 * whole.state_of(BTC.id)["unit"]  # it was full, and no fuller
    check(whole)


def test_the_future_changes_no_earlier_order() -> None:
    quotes, trades = ql.demo_quotes(600, 3), ql.demo_trades(600, 3)
    base = run(MarketMaker(memory=5.0), Tape(quotes=quotes, trades=trades))
    other = quotes.array.copy()
    other["bid"][400:] *= 0.9
    other["ask"][400:] *= 1.1
    changed = run(MarketMaker(memory=5.0), Tape(quotes=Ticks(other, quotes.instruments), trades=trades))
    end = quotes.array["event_time"][399]
    for log in ("orders", "amends"):
        before, after = (getattr(one, log)[getattr(one, log)["event_time"] <= end] for one in (base, changed))
        assert len(before) > 2
        for field in before.dtype.names:
            assert before[field].tobytes() == after[field].tobytes()
