"""Buys once and holds."""

from __future__ import annotations

from tests.engine.market import BTC, rows

from quantlytic import Fees, Session
from quantlytic.strategies.buy_and_hold import BuyAndHold


def test_buys_once() -> None:
    session = Session(BuyAndHold(weight=0.5), [BTC], 1000.0, Fees(10))
    session.run(rows((10, 10, 10, 10), (10, 20, 10, 20), (20, 30, 20, 30)))
    assert session.fills["quantity"].tolist() == [50.0]
    assert session.equity.tolist() == [1000.0, 1499.5, 1999.5]
