from __future__ import annotations

import math

from quantlytic.model.equity import Equity
from quantlytic.model.fill import Fill
from quantlytic.model.order import Order, OrderCancel, OrderStatus, OrderType, OrderUpdate, TimeInForce
from quantlytic.model.side import Side
from quantlytic.model.signal import Signal
from quantlytic.web.account import RECENT, RunView

S = 1_000_000_000
A = "box:A"


def order(order_id: int) -> Order:
    return Order("r", order_id, A, S, Side.BUY, OrderType.MARKET, TimeInForce.GTC, 1.0, math.nan, 3)


def fill(fill_id: int, side: Side = Side.BUY, price: float = 100.0) -> Fill:
    return Fill("r", fill_id, fill_id, A, 5 * S, side, 1.0, price, 0.1, bar_offset=7)


def view() -> RunView:
    return RunView("r", lambda instrument, offset: 4 * S if (instrument, offset) == (A, 7) else None)


def test_an_order_follows_its_updates() -> None:
    run = view()
    run.apply(order(1))
    run.drain({})
    run.apply(OrderUpdate("r", 1, A, S, OrderStatus.REJECTED, "too small"))
    (changed,) = run.drain({})["orders"]
    assert (changed["id"], changed["status"], changed["reason"], changed["price"]) == (1, "REJECTED", "too small", None)
    assert run.rejected == 1
    run.apply(order(2))
    run.apply(OrderCancel("r", 2, A, S))
    assert run.state({})["orders"][1]["reason"] == "cancel asked for"
    run.apply(OrderUpdate("r", 99, A, S, OrderStatus.FILLED))  # older than what we hold: passed over
    assert [row["id"] for row in run.state({})["orders"]] == [1, 2]


def test_a_fill_is_drawn_on_the_bar_it_happened_in() -> None:
    run = view()
    run.apply(fill(1))
    assert run.drain({})["fills"][0]["bar_ms"] == 4000.0
    assert "fills" not in run.drain({})


def test_positions_are_marked_at_the_market() -> None:
    run = view()
    run.apply(fill(1))
    run.apply(Equity("r", A, 5 * S, 1000.0, 900.0, 1.0, 101.0, 7))
    (row,) = run.state({A: 110.0})["positions"]
    assert (row["quantity"], row["average_price"], row["mark"], row["unrealised"]) == (1.0, 100.0, 110.0, 10.0)
    assert run.drain({A: 110.0})["positions"] == [row]
    assert "positions" not in run.drain({A: 110.0})
    assert run.drain({A: 111.0})["positions"][0]["unrealised"] == 11.0


def test_a_missed_fill_is_not_papered_over() -> None:
    run = view()
    run.apply(fill(1))
    run.apply(fill(3, price=120.0))
    (row,) = run.state({A: 110.0})["positions"]
    assert (row["average_price"], row["unrealised"], row["realised"]) == (None, None, None)


def test_memory_is_bounded() -> None:
    run = view()
    for k in range(1, 3 * RECENT):
        run.apply(Signal("r", k, A, k * S, Side.BUY, 1.0, 100.0))
        run.apply(order(k))
    state = run.state({})
    assert (len(state["signals"]), len(state["orders"])) == (RECENT, RECENT)
    assert state["signals"][-1]["id"] == state["orders"][-1]["id"] == state["counts"]["signals"] == 3 * RECENT - 1


def test_bars_are_counted_by_instrument() -> None:
    run = view()
    for k in range(5):
        for name in (A, "box:B"):
            run.apply(Equity("r", name, k * S, 1000.0, 1000.0, 0.0, 1.0, k))
    assert run.state({})["counts"]["bars"] == 5
