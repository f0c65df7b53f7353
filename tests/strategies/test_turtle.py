"""Units, stops and exits of the Turtle rules, worked by hand on a staircase."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.engine.market import BTC, rows

from quantlytic import Fees, Session
from quantlytic.model.order import OrderType
from quantlytic.strategies.turtle import Turtle

QUIET = [(100.0, 100.5, 99.5, 100.0)] * 25  # every true range is 1, so N is 1
RISES = [(c - 0.6, c, c - 1.0, c) for c in (101.0, 101.6, 102.2, 102.8, 103.4)]


def run(bars: list[tuple[float, float, float, float]], **params: Any) -> Session:
    session = Session(Turtle(risk=0.001, **params), [BTC], 1e5, Fees(0), compiled=False, allow_short=True)
    session.run(rows(*bars))
    return session


def test_units_are_added_each_half_n_up_to_the_most() -> None:
    session = run([*QUIET, *RISES, (103.4, 103.4, 102.4, 103.4)])
    fills = session.fills
    # 25: close 101 above 100.5. N is 1, so a unit is 0.001 x 100,000 / 1 = 100; each is bought at the open of the bar after
    assert fills["bar_offset"].tolist() == [26, 27, 28, 29]
    assert fills["price"] == pytest.approx([101.0, 101.6, 102.2, 102.8])
    assert fills["quantity"][0] == 100.0
    assert fills["quantity"] == pytest.approx(100.0, rel=0.01)
    assert set(fills["side"].tolist()) == {1}


def test_the_stop_of_all_units_lies_two_n_below_the_newest() -> None:
    session = run([*QUIET, *RISES[:2], (101.6, 101.6, 101.0, 101.0), (101.0, 101.0, 99.0, 99.3)])
    stop = session.fills[-1]
    n = 1.0  # of the bar that was bought
    assert stop["side"] == -1
    assert stop["price"] == pytest.approx(101.6 - 2 * n)
    assert stop["quantity"] == pytest.approx(session.fills["quantity"][:-1].sum())
    assert session.positions == {BTC.id: 0.0}
    assert (session.orders["type"] == OrderType.STOP).sum() == 1


def test_a_stop_that_is_not_needed_is_withdrawn() -> None:
    """After a long rise the exit channel comes first: out at market, and nothing is left waiting."""
    bars = [*QUIET, *RISES]
    last = 103.4
    for _ in range(12):
        bars.append((last, last + 0.2, last - 0.2, last))
    bars += [(last, last, last - 0.5, last - 0.4), (last - 0.4, last - 0.4, last - 0.5, last - 0.4)]
    session = run(bars)
    assert session.fills["side"].tolist() == [1, 1, 1, 1, -1]
    assert session.orders["type"][-1] == OrderType.MARKET
    assert len(session.cancels) == 1
    assert session.positions == {BTC.id: 0.0}


def test_shorts_are_the_mirror_image() -> None:
    def mirror(bar: tuple[float, ...]) -> Any:
        opened, high, low, close = (200.0 - price for price in bar)
        return opened, low, high, close

    bars = [*QUIET, *RISES, (103.4, 103.4, 101.0, 101.2), (101.2, 101.2, 100.4, 100.5)]
    up, down = run(bars, short=True), run([mirror(bar) for bar in bars], short=True)
    assert len(up.fills) == 5
    assert up.fills["side"].tolist() == (-down.fills["side"]).tolist()
    assert up.fills["bar_offset"].tolist() == down.fills["bar_offset"].tolist()
    assert np.abs(up.fills["price"] + down.fills["price"] - 200.0).max() < 1e-9
    assert not (down.updates["status"] == 6).any()


def test_no_more_than_its_weight() -> None:
    """Where N is small against the price, the units are as large as `weight` lets all of them be together."""
    session = Session(Turtle(risk=0.05, weight=0.8), [BTC], 1e5, Fees(0), compiled=False)
    session.run(rows(*QUIET, *RISES, (103.4, 103.4, 102.4, 103.4)))
    assert len(session.fills) == 4
    assert session.fills["quantity"] == pytest.approx(0.2 * 1e5 / session.fills["price"], rel=0.01)
    assert not (session.updates["status"] == 6).any()
