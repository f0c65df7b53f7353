"""What a run holds: whatever is traded and whatever the fee is taken in, nothing is lost between cash, position and dust."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantlytic.model.instrument import Instrument
from quantlytic.model.side import Side
from quantlytic.trading.holdings import NO_ORDER, Holding, Holdings, whole_lots
from quantlytic.venues.port import VenueFill

BTC = Instrument("box:BTCUSDT", "BTC", "USDT", 0.01, 0.001, 5.0)
TRADES = st.lists(
    st.tuples(
        st.sampled_from([Side.BUY, Side.SELL]), st.integers(1, 5_000), st.integers(1, 10_000_000), st.integers(0, 30),
        st.sampled_from(["BTC", "USDT", "BNB"]),
    ),
    min_size=1, max_size=30,
)  # fmt: skip


def trade(side: Side, lots: int, ticks: int, fee_bps: int, asset: str) -> VenueFill:
    quantity, price = lots / 1000, ticks / 100
    fee = {"BTC": quantity, "USDT": quantity * price, "BNB": 0.01}[asset] * fee_bps / 1e4
    return VenueFill(
        trade_id=1, venue_order_id=1, instrument=BTC.id, event_time=5, side=side, quantity=quantity, price=price, fee=fee,
        fee_asset=asset,
    )  # fmt: skip


@given(TRADES, st.sampled_from([0.0, 0.001, 0.00001]))
def test_fills_say_what_the_venue_did(trades: list[tuple[Side, int, int, int, str]], lot: float) -> None:
    instrument = Instrument(BTC.id, "BTC", "USDT", 0.01, lot, 5.0)
    mine = Holdings("run", 1e9, {BTC.id: Holding()})
    cash, held = 1e9, 0.0
    told_cash, told = 1e9, 0.0
    for k, row in enumerate(trades):
        one = trade(*row)
        fill = mine.book(one, instrument, 7, 3.0, 4)
        held += one.side * one.quantity - (one.fee if one.fee_asset == "BTC" else 0.0)
        cash -= one.side * one.quantity * one.price
        cash -= one.fee if one.fee_asset == "USDT" else 3.0 if one.fee_asset == "BNB" else 0.0
        told += fill.side * fill.quantity
        told_cash -= fill.side * fill.quantity * fill.price + fill.fee
        assert (fill.fill_id, fill.order_id, fill.bar_offset, fill.side) == (k + 1, 7, 4, one.side)
        assert fill.quantity >= 0.0
        holding = mine.of[BTC.id]
        assert holding.held == pytest.approx(held, abs=1e-8)
        assert holding.told == pytest.approx(told, abs=1e-8)
        assert mine.cash == pytest.approx(cash, rel=1e-12, abs=1e-4)
        assert told_cash == pytest.approx(cash, rel=1e-12, abs=1e-4)
        if held >= 0 and told >= 0:
            assert -1e-8 <= holding.held - holding.told < (lot or 1e-8) + 1e-8


def test_what_is_sold_whole_is_flat_for_the_strategist() -> None:
    mine = Holdings("run", 1e6, {BTC.id: Holding()})
    mine.book(trade(Side.BUY, 1234, 5_000_000, 10, "BTC"), BTC, 1, 0.0, 0)
    assert mine.of[BTC.id].told == 1.232
    sold = mine.book(trade(Side.SELL, 1232, 5_000_000, 10, "USDT"), BTC, 2, 0.0, 0)
    assert (sold.quantity, mine.of[BTC.id].told) == (1.232, 0.0)
    assert mine.of[BTC.id].held == pytest.approx(0.000766)


def test_a_position_taken_over_leaves_the_equity_as_it_was() -> None:
    mine = Holdings("run", 10_000.0, {BTC.id: Holding(price=5_000.0)})
    fill = mine.take_over(BTC, 1.5, 9, 3)
    assert (fill.order_id, fill.quantity, fill.price, fill.fee) == (NO_ORDER, 1.5, 5_000.0, 0.0)
    assert (mine.cash, mine.equity) == (2_500.0, 10_000.0)


@given(st.integers(0, 10**9), st.floats(0, 0.999), st.sampled_from([0.001, 0.00001, 0.1, 1.0, 5.0]))
def test_whole_lots_are_whole(lots: int, more: float, lot: float) -> None:
    found = whole_lots((lots + more) * lot, lot)
    assert found / lot == pytest.approx(round(found / lot), abs=1e-3)
    assert abs(found - lots * lot) <= lot * 1.001  # at the very edge of a lot either is right
    assert whole_lots(-(lots + more) * lot, lot) == -found
