"""Margin and liquidation, worked by hand. Cash 1000, price 100: leverage 10 bears up to 100 units (10,000 / 100)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.engine.market import instruments_of
from tests.engine.orders import BTC, BUY, FLAT, SELL, bars_of, ends, fills, play

from quantlytic import Fees, Session
from quantlytic.engine.market.margin import Margin, liquidation_price
from quantlytic.engine.market.market import Market
from quantlytic.model.action import ACTION, ActionKind
from quantlytic.model.cashflow import CashFlowKind


def margin(
    mode: str, leverage: float = 10.0, maintenance: float = 0.05, fee_bps: float = 0.0, **options: Any
) -> Market:
    return Market(margin=Margin(mode, leverage, maintenance, fee_bps), **options)


@pytest.mark.parametrize("mode", ["cross", "isolated"])
@pytest.mark.parametrize(
    ("side", "quantity", "fees", "end"),
    [
        (1, 100.0, Fees(), "FILLED"),
        (1, 100.1, Fees(), "REJECTED insufficient-margin"),
        (-1, 100.0, Fees(), "FILLED"),
        (-1, 100.1, Fees(), "REJECTED insufficient-margin"),
        (1, 100.0, Fees(1), "REJECTED insufficient-margin"),
        (1, 99.0, Fees(1), "FILLED"),
    ],
)
def test_how_much_it_bears(mode: str, side: int, quantity: float, fees: Fees, end: str) -> None:
    plan = {0: lambda b: b.target_quantity(side * quantity)}
    session = play(plan, FLAT, FLAT, market=margin(mode, fees=fees), cash=1000.0)
    assert ends(session) == {1: end}


@pytest.mark.parametrize("mode", ["cross", "isolated"])
def test_a_position_can_be_turned_and_made_smaller(mode: str) -> None:
    plan = {0: lambda b: b.buy(100), 1: lambda b: b.sell(200), 2: lambda b: b.buy(50), 3: lambda b: b.sell(51)}
    session = play(plan, *[FLAT] * 5, market=margin(mode), cash=1000.0)
    assert [f[2] for f in fills(session)] == [100.0, 200.0, 50.0]
    assert ends(session)[4] == "REJECTED insufficient-margin"


# Long 50 at 100 with 1000: 1000 + 50 (p - 100) = 0.05 * 50 p, p = 4000 / 47.5. Short: 1000 + 50 (100 - p) = 2.5 p.
# Isolated with leverage 10: margin 500. 500 + 50 (p - 100) = 2.5 p, p = 4500 / 47.5; short: p = 5500 / 52.5.
PRICES = {
    ("cross", 1): 4000 / 47.5,
    ("cross", -1): 6000 / 52.5,
    ("isolated", 1): 4500 / 47.5,
    ("isolated", -1): 5500 / 52.5,
}


@pytest.mark.parametrize(("mode", "side"), PRICES)
@pytest.mark.parametrize("path", ["worst", "ohlc", "olhc"])
def test_liquidation_at_its_price_inside_the_bar(mode: str, side: int, path: str) -> None:
    price = PRICES[mode, side]
    plan = {0: lambda b: b.target_quantity(50.0 * side)}
    safe = (
        (100.0, max(100, price - 0.01), min(100, price + 0.01), 100.0)
        if side > 0
        else (100.0, price - 0.01, 100.0, 100.0)
    )
    safe = (100.0, 100.0, price + 0.01, 100.0) if side > 0 else safe
    hit = (100.0, 100.0, price - 1, 100.0) if side > 0 else (100.0, price + 1, 100.0, 100.0)
    market = margin(mode, path=path)
    assert len(fills(play(plan, FLAT, FLAT, safe, market=market, cash=1000.0))) == 1
    session = play(plan, FLAT, FLAT, hit, market=market, cash=1000.0)
    assert fills(session)[1] == (2, -side, 50.0, pytest.approx(price, abs=1e-8))
    assert session.fills["order_id"].tolist() == [1, 0]
    assert session.positions[BTC.id] == 0.0
    assert session.cash == pytest.approx(1000 + side * 50 * (price - 100))


@pytest.mark.parametrize("mode", ["cross", "isolated"])
def test_a_gap_liquidates_at_the_open(mode: str) -> None:
    session = play({0: lambda b: b.buy(50)}, FLAT, FLAT, (70, 75, 65, 70), market=margin(mode), cash=1000.0)
    assert fills(session)[1] == (2, -1, 50.0, 70.0)
    assert session.cash == -500.0


def test_liquidation_pays_fees_and_cancels_orders() -> None:
    market = margin("cross", fee_bps=100, fees=Fees(10))
    plan = {0: lambda b: (b.buy(50), b.limit(SELL, 50, 120), b.limit(BUY, 1, 10))}
    session = play(plan, FLAT, FLAT, (70, 75, 65, 70), market=market, cash=1000.0)
    assert ends(session) == {1: "FILLED", 2: "CANCELED liquidated", 3: "CANCELED liquidated"}
    assert session.fills["fee"].tolist() == [5.0, 3.5]
    assert [(CashFlowKind(f["kind"]).name, float(f["amount"])) for f in session.flows] == [("LIQUIDATION_FEE", -35.0)]
    assert session.cash == pytest.approx(1000 - 50 * 30 - 5 - 3.5 - 35)


@pytest.mark.parametrize("path", ["worst", "ohlc", "olhc"])
def test_a_stop_on_the_way_comes_before_the_liquidation(path: str) -> None:
    plan = {0: lambda b: b.bracket(BUY, 50, 90, 130)}
    session = play(plan, FLAT, FLAT, (100, 101, 60, 70), market=margin("cross", path=path), cash=1000.0)
    assert fills(session)[1] == (2, -1, 50.0, 90.0)
    assert session.cash == 500.0


def test_a_stop_beyond_the_liquidation_is_too_late() -> None:
    session = play(
        {0: lambda b: b.bracket(BUY, 50, 80, 130)}, FLAT, FLAT, (100, 101, 60, 70), market=margin("cross"), cash=1000.0
    )
    assert fills(session)[1][3] == pytest.approx(4000 / 47.5)
    assert ends(session)[2] == "CANCELED liquidated"


def test_a_target_above_does_not_save_from_the_worst_case() -> None:
    plan = {0: lambda b: (b.buy(50), b.limit(SELL, 50, 110))}
    bar = (100.0, 111.0, 60.0, 105.0)
    assert fills(play(plan, FLAT, FLAT, bar, market=margin("cross"), cash=1000.0))[1][3] == pytest.approx(4000 / 47.5)
    high_first = play(plan, FLAT, FLAT, bar, market=margin("cross", path="ohlc"), cash=1000.0)
    assert fills(high_first)[1] == (2, -1, 50.0, 110.0)


def two(mode: str, plan: Any, prices: list[tuple[float, float]], cash: float = 1000.0) -> Session:
    strategy = play(plan, FLAT).strategy
    session = Session(strategy, instruments_of(2), cash, market=margin(mode), compiled=False)
    for minute, pair in enumerate(prices):
        for k, price in enumerate(pair):
            bar = bars_of([(price, price, price, price)], start=minute)
            bar["instrument"] = k
            session.run(bar)
    return session


def test_cross_is_one_pool_isolated_is_not() -> None:
    """50 of each at 100; the first falls to 86: 1000 - 700 = 300 against 0.05 * (4300 + 5000) = 465."""
    plan = {0: lambda b: b.buy(50)}
    prices = [(100.0, 100.0), (100.0, 100.0), (86.0, 100.0), (86.0, 130.0)]
    cross = two("cross", plan, prices)
    assert cross.fills["instrument"].tolist() == [0, 1, 0]  # without the first, 300 bears the second
    assert cross.positions == {"test:S0": 0.0, "test:S1": 50.0}
    isolated = two("isolated", plan, prices)
    assert isolated.positions == {"test:S0": 0.0, "test:S1": 50.0}
    assert isolated.equity[-1] == 1000 - 700 + 1500


def test_cross_closes_the_others_where_that_was_not_enough() -> None:
    session = two("cross", {0: lambda b: b.buy(50)}, [(100.0, 100.0), (100.0, 100.0), (80.5, 100.0)])
    assert session.positions == {"test:S0": 0.0, "test:S1": 0.0}
    assert session.fills["order_id"].tolist() == [1, 2, 0, 0]
    assert session.cash == 25.0


def test_equity_is_cash_and_values_on_margin_too() -> None:
    session = play({0: lambda b: b.buy(100)}, FLAT, (100, 102, 99, 101), market=margin("cross"), cash=1000.0)
    assert session.cash == -9000.0
    assert session.equity.tolist() == [1000.0, 1100.0]


def test_the_liquidation_price_solves_its_equation() -> None:
    random = np.random.default_rng(11)
    for _ in range(200):
        held, cash, others, m = (
            random.normal(0, 50),
            random.uniform(100, 1e4),
            random.uniform(0, 1e4),
            random.uniform(0, 0.3),
        )
        price = liquidation_price(held, m, m * others - cash)
        if price == 0.0:
            assert held < 0.0
            assert cash <= m * others
        elif price == price:
            assert cash + held * price == pytest.approx(m * (abs(held) * price + others), abs=1e-6)


@pytest.mark.parametrize("path", ["worst", "ohlc", "olhc"])
@pytest.mark.parametrize("flow", [-0.5, -1.9, -2.5])
def test_a_short_whose_cash_is_used_up_is_closed_at_any_price(flow: float, path: str) -> None:
    """Short 50 at 100 with 1000: cash 6000. Funding takes half, all but nothing, or more than all of it."""
    plan = {0: lambda b: b.sell(50)}
    session = play(plan, FLAT, market=margin("cross", path=path), cash=1000.0)
    fresh = Session(session.strategy, [BTC], 1000.0, market=session.market, compiled=False)
    bars = bars_of([FLAT, FLAT, (90, 91, 89, 90)])
    fresh.run(bars[:2])
    row = np.zeros(1, ACTION)
    row[0] = (0, bars["close_time"][1], ActionKind.FUNDING, flow)
    fresh._machine.act(fresh._arena_at, fresh._at(row.view(np.uint8)))
    fresh.run(bars[2:])
    assert fills(fresh)[1][1:] == (1, 50.0, 90.0)
    assert fresh.cash == pytest.approx(6000 + flow * 5000 - 4500)
