"""Fills of one order, told together."""

from __future__ import annotations

from quantlytic.model.equity import Equity
from quantlytic.model.event import Event
from quantlytic.model.fill import Fill
from quantlytic.model.order import OrderStatus, OrderUpdate
from quantlytic.model.side import Side
from quantlytic.telling.partials import PATIENCE_NS, settled, together

BTC, T0 = "box:BTCUSDT", 10**18


def fill(number: int, order: int, quantity: float, price: float, fee: float = 0.1) -> Fill:
    return Fill("r", number, order, BTC, T0 + number, Side.BUY, quantity, price, fee)


def update(order: int) -> OrderUpdate:
    return OrderUpdate("r", order, BTC, T0, OrderStatus.FILLED)


def test_fills_of_an_order_become_one_at_the_mean_price() -> None:
    told = together([fill(1, 7, 1.0, 100.0), update(7), fill(2, 8, 5.0, 50.0), fill(3, 7, 3.0, 104.0)])
    assert [type(event) for event in told] == [Fill, OrderUpdate, Fill]
    first = told[0]
    assert isinstance(first, Fill)
    assert (first.fill_id, first.quantity, first.price, round(first.fee, 9)) == (1, 4.0, 103.0, 0.2)
    assert first.event_time == T0 + 3
    assert told[2] == fill(2, 8, 5.0, 50.0)


def test_a_single_fill_stays_as_it_is() -> None:
    events: list[Event] = [fill(1, 7, 1.0, 0.1 + 0.2), update(7)]
    assert together(events) == events


def test_the_last_order_waits_while_it_may_fill_further() -> None:
    equity = Equity("r", BTC, T0, 1.0, 1.0, 0.0, 1.0, 0)
    events: list[Event] = [fill(1, 7, 1.0, 1.0), equity, fill(2, 8, 1.0, 1.0), update(8), fill(3, 8, 1.0, 1.0)]
    assert settled(events, T0 + 3) == 2
    assert settled(events, T0 + 3 + PATIENCE_NS) == 5
    assert settled(events, T0) == 5  # a clock that is behind the venue's does not make anybody wait
    assert settled([equity], T0) == 1
    assert settled([*events, equity], T0 + 3) == 6  # what followed has come: the order's part of it is over
