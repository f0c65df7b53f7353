"""What is announced: said when it is new, changed or near, withdrawn when it is gone, judged when its bar has closed."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from quantlytic.engine.fork import Intent as Band
from quantlytic.model.intent import Intent
from quantlytic.model.side import Side
from quantlytic.services.announcements import Announcements, merged

INF, UNTIL, TICK = math.inf, 1_000, 0.01


def band(low: float, high: float, side: Side = Side.BUY, action: str = "order", **more: Any) -> Band:
    given: dict[str, Any] = {"horizon": 1, "time": UNTIL, "close": 100.0, "order_id": 1, "quantity": 2.0}
    return Band("v:X", price_low=low, price_high=high, action=action, side=side, **given | more)


def revise(told: Announcements, *bands: Band, time: int = 0, price: float = 100.0) -> list[tuple[int, float, float]]:
    found = told.revise("v:X", UNTIL, bands, time=time, price=price, tick=TICK, offset=7)
    return [(one.intent_id, one.price_low, one.price_high) for one in found]


def outcomes(told: Announcements, close: float, *deeds: Any) -> list[tuple[int, bool, int]]:
    return [(one.intent_id, one.came_true, one.lead_ns) for one in told.judge("v:X", UNTIL, close, deeds)]


def test_the_same_is_not_said_again() -> None:
    told = Announcements("r", 60)
    assert revise(told, band(101.0, INF)) == [(1, 101.0, INF)]
    assert revise(told, band(101.004, INF)) == []
    assert revise(told, band(101.01, INF)) == [(1, 101.01, INF)]
    assert revise(told, band(101.01, INF), band(98.0, 99.0, Side.SELL)) == [(2, 98.0, 99.0)]


def test_withdrawn_and_taken_up_again() -> None:
    told = Announcements("r", 60)
    revise(told, band(101.0, INF))
    (gone,) = revise(told, time=5)
    assert gone[0] == 1
    assert math.isnan(gone[1])
    assert revise(told, time=6) == []
    assert revise(told, band(102.0, INF), time=7) == [(1, 102.0, INF)]
    assert outcomes(told, 103.0, ("order", Side.BUY)) == [(1, True, UNTIL - 7)]


def test_two_bands_of_one_side_keep_their_ids() -> None:
    told = Announcements("r", 60)
    assert revise(told, band(-INF, 98.0), band(102.0, INF)) == [(1, -INF, 98.0), (2, 102.0, INF)]
    assert revise(told, band(-INF, 97.5), band(101.5, INF)) == [(1, -INF, 97.5), (2, 101.5, INF)]


def test_lead_is_since_it_has_been_said_for_that_close() -> None:
    told = Announcements("r", 60)
    for time, low in ((100, 101.0), (200, 103.0), (300, 102.0)):
        revise(told, band(low, INF), time=time)
    assert outcomes(told, 105.0, ("order", Side.BUY)) == [(1, True, UNTIL - 100)]
    for time, low in ((100, 101.0), (200, 103.0), (300, 102.0)):
        revise(told, band(low, INF), time=time)
    assert outcomes(told, 102.5, ("order", Side.BUY)) == [(2, True, UNTIL - 300)]


def test_what_did_not_come_true() -> None:
    told = Announcements("r", 60)
    revise(told, band(101.0, INF), band(-INF, 99.0, Side.SELL), band(99.5, 100.5, action="cancel"))
    assert outcomes(told, 102.0, ("order", Side.SELL)) == [(1, False, 0), (2, False, 0), (3, False, 0)]
    revise(told, band(99.5, 100.5, action="cancel"))
    assert outcomes(told, 100.0, ("cancel", None)) == [(4, True, UNTIL)]


def test_no_bar_came() -> None:
    told = Announcements("r", 60)
    revise(told, band(-INF, INF))
    (one,) = told.judge("v:X", 2 * UNTIL, 100.0, [("order", Side.BUY)])
    assert math.isnan(one.price)
    assert not one.came_true
    assert told.open == []


def test_said_again_when_the_price_comes_near() -> None:
    told = Announcements("r", 60)
    revise(told, band(105.0, INF), price=100.0)
    said = []
    for time, price in enumerate(
        (100.5, 103.0, 104.0, 104.4, 104.6, 104.7, 104.85, 104.95, 105.0, 105.0, 104.0, 104.9), 1
    ):
        said += [one.seen_price for one in told.approach("v:X", time=time, price=price)]
    assert said == [104.0, 104.6, 104.85, 104.95, 105.0]


@given(
    st.lists(st.tuples(st.floats(90, 110), st.floats(0, 10)), min_size=1, max_size=12),
    st.floats(85, 125),
    st.booleans(),
)
def test_judged_by_what_was_said_last(bands: list[tuple[float, float]], close: float, did: bool) -> None:
    told, said = Announcements("r", 60), list[Intent]()
    for time, (low, width) in enumerate(bands):
        said += told.revise("v:X", UNTIL, [band(low, low + width)], time=time, price=100.0, tick=0.0, offset=0)
    last = said[-1]
    (found,) = told.judge("v:X", UNTIL, close, [("order", Side.BUY)] if did else [])
    assert found.came_true == (did and last.holds_at(close))
    if found.came_true:
        since = UNTIL - found.lead_ns
        assert all(one.holds_at(close) for one in said if one.event_time >= since)
        earlier = [one for one in said if one.event_time < since]
        assert not earlier or not earlier[-1].holds_at(close)


def test_merged() -> None:
    """Orders of one close are added up, neighbours joined, ends left open, what sleeps left out."""
    bands = [
        band(95.0, 98.0), band(95.0, 98.0, quantity=3.0), band(98.01, 99.0, order_id=2), band(99.5, 105.0, Side.SELL),
        band(99.5, 105.0, Side.SELL, parent_id=9), band(101.0, 102.0),
    ]  # fmt: skip
    found = merged(bands, (95.0, 105.0), 0.015)
    assert [(one.side, one.price_low, one.price_high, one.quantity) for one in found] == [
        (Side.BUY, -INF, 99.0, 5.0), (Side.SELL, 99.5, INF, 2.0), (Side.BUY, 101.0, 102.0, 2.0),
    ]  # fmt: skip


def test_memory_is_bounded_and_leads_are_never_told_too_long() -> None:
    told = Announcements("r", 60)
    for time in range(900):
        revise(told, band(101.0 + 0.02 * (900 - time), INF), time=time)
    assert len(told.open[0].since) <= 256
    (found,) = told.judge("v:X", UNTIL, 110.0, [("order", Side.BUY)])
    since = UNTIL - found.lead_ns
    assert 450 <= since < 470  # at 450 it was first said for 110
