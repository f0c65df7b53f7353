from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from quantlytic.model.fill import Fill
from quantlytic.model.side import Side
from quantlytic.web.position import PositionBook


def fill(side: Side, quantity: float, price: float) -> Fill:
    return Fill("r", 1, 1, "box:A", 0, side, quantity, price, 0.0)


def test_average_cost_and_realised() -> None:
    book = PositionBook()
    book.apply(fill(Side.BUY, 1.0, 100.0))
    book.apply(fill(Side.BUY, 3.0, 120.0))
    assert (book.quantity, book.average_price, book.unrealised(125.0)) == (4.0, 115.0, 40.0)
    book.apply(fill(Side.SELL, 1.0, 125.0))
    assert (book.realised, book.average_price) == (10.0, 115.0)
    book.apply(fill(Side.SELL, 5.0, 110.0))  # through zero: short 2 at 110
    assert (book.realised, book.quantity, book.average_price) == (-5.0, -2.0, 110.0)
    assert book.unrealised(100.0) == 20.0


def test_what_the_fills_do_not_explain_has_no_price() -> None:
    book = PositionBook()
    book.report(2.0, 100.0)  # the executor holds two; no fill was seen
    assert book.quantity == 2.0
    assert math.isnan(book.unrealised(110.0))
    book.apply(fill(Side.SELL, 2.0, 110.0))
    assert book.unrealised(110.0) == 0.0
    book.apply(fill(Side.BUY, 1.0, 50.0))  # opened anew: known again
    assert book.unrealised(60.0) == 10.0
    assert math.isnan(book.realised)


@given(st.lists(st.tuples(st.sampled_from(Side), st.integers(1, 50), st.integers(1, 1000)), max_size=60))
def test_profit_is_what_cash_and_holding_say(trades: list[tuple[Side, int, int]]) -> None:
    book, cash = PositionBook(), 0.0
    for side, quantity, price in trades:
        book.apply(fill(side, float(quantity), float(price)))
        cash -= side * quantity * price
    worth = cash + book.quantity * 500.0
    assert math.isclose(book.realised + book.unrealised(500.0), worth, rel_tol=1e-9, abs_tol=1e-5)
