"""The bracket breakout: the size that risks what it may, and one of two exits."""

from __future__ import annotations

from typing import Any

import pytest
from tests.engine.market import rows

from quantlytic import Fees, Instrument, Session
from quantlytic.model.order import OrderStatus, OrderType
from quantlytic.strategies.bracket_breakout import BracketBreakout

ONE = Instrument("test:S0")
QUIET = [(100.0, 101.0, 99.0, 100.0)] * 6  # a true range of 2
PARAMS: dict[str, Any] = {"period": 5, "atr_period": 2, "stop": 1.0, "target": 2.0, "risk": 0.01}


def run(*bars: tuple[float, float, float, float], **params: Any) -> Session:
    session = Session(BracketBreakout(**PARAMS | params), [ONE], 1e5, Fees(0), compiled=False, allow_short=True)
    session.run(rows(*QUIET, *bars))
    return session


def test_risks_what_it_may_and_takes_its_profit() -> None:
    """Closes at 104 on a range of 5: the average is (2 + 5) / 2 = 3.5; 1,000 at risk are 285.7 units."""
    session = run((100, 104, 99, 104), (104, 105, 103, 104), (105, 112, 104, 111), (111, 111, 111, 111))
    entry, stop, target = session.orders[:3]
    assert entry["quantity"] == pytest.approx(1_000 / 3.5)
    assert (stop["type"], stop["stop_price"]) == (OrderType.STOP, 100.5)
    assert (target["type"], target["price"]) == (OrderType.LIMIT, 111.0)
    assert session.fills["price"][:2].tolist() == [104.0, 111.0]
    assert session.fills["quantity"][0] == session.fills["quantity"][1]
    ended = session.updates[session.updates["order_id"] == stop["order_id"]]["status"]
    assert ended[-1] == OrderStatus.CANCELED


def test_the_stop_costs_what_was_risked() -> None:
    session = run((100, 104, 99, 104), (104, 105, 99, 100))
    assert session.fills["price"].tolist() == [104.0, 100.5]
    assert session.equity[-1] == pytest.approx(1e5 - 1_000.0)


def test_never_more_than_its_weight() -> None:
    session = run((100, 104, 99, 104), (104, 105, 103, 104), risk=0.1, weight=0.5)
    assert session.fills["quantity"][0] == pytest.approx(50_000 / 104)


def test_the_other_way_round_only_when_told() -> None:
    down = [(100.0, 101.0, 96.0, 96.0), (96.0, 97.0, 88.0, 89.0), (89.0, 89.0, 89.0, 89.0)]
    assert not len(run(*down).fills)
    session = run(*down, short=True)
    assert session.fills["side"][:2].tolist() == [-1, 1]
    assert session.fills["price"][:2].tolist() == [96.0, 89.0]
