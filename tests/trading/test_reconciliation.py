"""Our books against the venue's, as pictures."""

from __future__ import annotations

import pytest

from quantlytic.model.order import OrderStatus as S
from quantlytic.model.side import Side
from quantlytic.trading.reconciliation import balance_effects, compare_balances, compare_orders
from quantlytic.trading.tracker import Leg
from quantlytic.venues.port import Balance, OrderState, VenueFill

BTC = "box:BTCUSDT"


def leg(name: str, status: S = S.NEW, filled: float = 0.0) -> Leg:
    return Leg(name, BTC, Side.BUY, 1.0, 100.0, 1, status=status, filled=filled, booked=filled)


def state(name: str, status: S = S.NEW, filled: float = 0.0) -> OrderState:
    return OrderState(
        client_order_id=name, instrument=BTC, status=status, quantity=1.0, price=100.0, filled_quantity=filled
    )


def kinds(*arguments: object, **named: object) -> list[tuple[str, str]]:
    return [(each.kind, each.name) for each in compare_orders(*arguments, ["run."], **named)]  # type: ignore[arg-type]


def test_what_agrees_is_not_mentioned() -> None:
    assert kinds([leg("run.1")], {"run.1": state("run.1")}, [state("run.1")]) == []


@pytest.mark.parametrize(("status", "filled"), [(S.FILLED, 1.0), (S.CANCELED, 0.0), (S.PARTIALLY_FILLED, 0.4)])
def test_a_report_that_was_missed(status: S, filled: float) -> None:
    assert kinds([leg("run.1")], {"run.1": state("run.1", status, filled)}, []) == [("missed", "run.1")]


def test_a_picture_older_than_what_was_heard_since_is_no_difference() -> None:
    assert kinds([leg("run.1", S.CANCELED)], {"run.1": state("run.1")}, []) == []


def test_orders_that_one_side_does_not_know() -> None:
    there = [state("run.7"), state("by-hand"), state("other.1")]
    found = kinds([leg("run.1")], {"run.1": None}, there)
    assert found == [("unknown", "run.1"), ("risen", "run.7"), ("foreign", "by-hand"), ("foreign", "other.1")]


def test_nothing_is_said_about_what_is_under_way_or_not_heard_of() -> None:
    waiting = leg("run.1", S.PENDING_NEW)
    assert kinds([waiting, leg("run.2")], {"run.1": None, "run.2": None}, [], in_flight=["run.2"]) == []


def test_balances_to_the_eighth_decimal() -> None:
    held = {"USDT": Balance("USDT", 900.0, 100.0), "BTC": Balance("BTC", 0.5, 0.0)}
    assert compare_balances({"USDT": 1000.00000001, "BTC": 0.5}, held) == []
    found = compare_balances({"USDT": 1000.0, "ETH": 1.0}, held)
    assert [(each.name, each.ours, each.venue) for each in found] == [
        ("BTC", "0.00000000", "0.50000000"),
        ("ETH", "1.00000000", "0.00000000"),
    ]


@pytest.mark.parametrize(
    ("side", "asset", "effects"),
    [
        (Side.BUY, "BTC", {"BTC": 2.0 - 0.1, "USDT": -200.0}),
        (Side.SELL, "USDT", {"BTC": -2.0, "USDT": 200.0 - 0.1}),
        (Side.BUY, "BNB", {"BTC": 2.0, "USDT": -200.0, "BNB": -0.1}),
    ],
)
def test_what_a_trade_does_to_balances(side: Side, asset: str, effects: dict[str, float]) -> None:
    trade = VenueFill(
        trade_id=1, venue_order_id=1, instrument=BTC, event_time=1, side=side, quantity=2.0, price=100.0, fee=0.1,
        fee_asset=asset,
    )  # fmt: skip
    sums: dict[str, float] = {}
    for name, change in balance_effects(trade, "BTC", "USDT"):
        sums[name] = sums.get(name, 0.0) + change
    assert sums == effects
