"""Balances add up to the last digit, whatever happens."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlytic.venues.exchange.accounts import FEES
from quantlytic.venues.exchange.matching import Order
from quantlytic.venues.exchange.rejects import Reject
from quantlytic.venues.exchange.units import E8

ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["ann", "bob", "cyd"]),
        st.sampled_from(["buy", "sell"]),
        st.integers(1, 10**6),
        st.sampled_from(["LIMIT", "LIMIT", "LIMIT_MAKER", "MARKET", "cancel"]),
        st.integers(5_999_950, 6_000_050),
        st.sampled_from(["GTC", "IOC", "FOK"]),
    ),
    min_size=40,
    max_size=80,
)


def locked_by_orders(pit: Any) -> dict[tuple[str, str], int]:
    """What the open orders must hold back, worked out from scratch."""
    desk = pit.core.desks["BTCUSDT"]
    held: dict[tuple[str, str], int] = {}
    for order in pit.core.open_orders.values():
        key = (order.account, desk.asset_of(order.side))
        held[key] = held.get(key, 0) + desk.cost_e8(order.side, order.price, order.remaining)
    return held


def act(pit: Any, who: str, side: str, lots: int, kind: str, price: int, tif: str) -> None:
    try:
        if kind == "cancel":
            if pit.core.open_orders:
                orders = list(pit.core.open_orders.values())
                pit.core.cancel(orders[lots % len(orders)], 1)
        elif kind == "MARKET":
            pit.place(who, side, lots)
        else:
            pit.place(who, side, lots, price, tif=tif if kind == "LIMIT" else "GTC", kind=kind)
    except Reject:
        pass


def check(pit: Any, totals: dict[str, int]) -> None:
    assert pit.core.accounts.totals() == totals
    held = locked_by_orders(pit)
    for account, assets in pit.core.accounts.balances.items():
        for asset, (free, locked) in assets.items():
            assert free >= 0
            assert locked == held.get((account, asset), 0)


@settings(max_examples=200, deadline=None)
@given(ACTIONS)
def test_nothing_is_made_or_lost(new_pit: Any, actions: list[tuple[str, str, int, str, int, str]]) -> None:
    """200 examples of 40 to 80 orders: more than 10,000 random orders, shrunk to a small one where it fails."""
    pit = new_pit(maker_ppm=750, taker_ppm=1234)
    totals = pit.core.accounts.totals()
    for action in actions:
        act(pit, *action)
    check(pit, totals)


def test_nothing_is_made_or_lost_in_one_long_market(pit: Any) -> None:
    source = random.Random(20261121)  # the seed
    totals = pit.core.accounts.totals()
    for number in range(10_000):
        kind = source.choice(["LIMIT", "LIMIT", "LIMIT_MAKER", "MARKET", "cancel"])
        who, side, tif = (
            source.choice(["ann", "bob", "cyd"]),
            source.choice(["buy", "sell"]),
            source.choice(["GTC", "IOC"]),
        )
        act(pit, who, side, source.randint(1, 10**6), kind, source.randint(5_999_950, 6_000_050), tif)
        assert not pit.book.crossed()
        if number % 500 == 0:
            check(pit, totals)
    check(pit, totals)
    assert pit.core.desks["BTCUSDT"].trade_id > 1000
    assert pit.core.accounts.free(FEES, "BTC") > 0


def test_fees_are_taken_from_what_is_received_and_rounded_down(new_pit: Any) -> None:
    pit = new_pit(maker_ppm=1000, taker_ppm=2000)
    pit.place("ann", "sell", 333, 6_000_001)  # 0.00333 BTC at 60000.01
    pit.place("bob", "buy", 333, 6_000_001)
    notional = 333 * 6_000_001 * 10  # e8 USDT
    maker, taker = pit.core.happened.own_trades
    assert (maker.fee_asset, maker.fee_e8, maker.is_maker) == ("USDT", notional * 1000 // 1_000_000, True)
    assert (taker.fee_asset, taker.fee_e8, taker.is_maker) == ("BTC", 333_000 * 2000 // 1_000_000, False)
    accounts = pit.core.accounts
    assert accounts.free("bob", "BTC") == 10**6 * E8 + 333_000 - taker.fee_e8
    assert accounts.free("bob", "USDT") == 10**9 * E8 - notional
    assert accounts.free("ann", "USDT") == 10**9 * E8 + notional - maker.fee_e8
    assert (accounts.free(FEES, "BTC"), accounts.free(FEES, "USDT")) == (taker.fee_e8, maker.fee_e8)


def test_price_improvement_is_given_back(pit: Any) -> None:
    pit.place("ann", "sell", 100, 6_000_000)
    pit.place("bob", "buy", 200, 6_100_000)
    assert pit.core.accounts.locked("bob", "USDT") == 100 * 6_100_000 * 10
    assert pit.core.accounts.free("bob", "USDT") == 10**9 * E8 - (100 * 6_000_000 + 100 * 6_100_000) * 10


def test_who_cannot_pay_is_refused_and_nothing_changes(new_pit: Any) -> None:
    pit = new_pit()
    pit.core.accounts.deposit("poor", "USDT", 5 * E8)
    with pytest.raises(Reject) as refusal:
        pit.place("poor", "buy", 100, 6_000_000)
    assert refusal.value.code == -2010
    with pytest.raises(Reject):
        pit.place("poor", "sell", 1, 6_000_000)
    assert pit.core.accounts.balances["poor"] == {"USDT": [5 * E8, 0]}
    assert pit.core.open_orders == {}


def test_quote_quantity_spends_no_more_than_it_says(pit: Any) -> None:
    pit.place("ann", "sell", 100, 6_000_000)
    pit.place("ann", "sell", 1000, 6_000_100)
    budget = 100 * E8
    order = Order(0, "bob", "BTCUSDT", 1, "MARKET", "GTC", 0, 0, 1, quote_order_e8=budget)
    pit.core.place(order)
    assert order.status == "FILLED"
    assert budget - 6_000_100 * 10 < order.filled_quote_e8 <= budget
