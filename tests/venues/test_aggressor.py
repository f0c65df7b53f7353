"""The estimated side of a print."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from quantlytic.model.side import Side
from quantlytic.venues.aggressor import SideRule


def test_the_quote_decides_and_at_its_middle_the_tick() -> None:
    rule = SideRule()
    assert rule.side(10.0) == Side.BUY  # nothing is known
    rule.on_quote(9.0, 11.0)
    assert [rule.side(price) for price in (10.5, 9.5, 10.0, 10.0)] == [Side.BUY, Side.SELL, Side.BUY, Side.BUY]
    rule.on_quote(0.0, 11.0)  # an empty side is no quote
    assert [rule.side(price) for price in (10.0, 9.9, 9.9, 10.0)] == [Side.BUY, Side.SELL, Side.SELL, Side.BUY]


def test_a_quote_says_nothing_of_older_prints() -> None:
    rule = SideRule()
    rule.side(10.0)
    rule.on_quote(20.0, 22.0)
    assert rule.side(11.0, is_live=False) == Side.BUY
    assert rule.side(11.0) == Side.SELL
    rule.forget_quote()
    assert rule.side(12.0) == Side.BUY


@given(st.lists(st.floats(0.01, 1e6), max_size=20), st.integers(0, 20))
def test_a_restart_changes_nothing_of_the_tick_rule(prices: list[float], cut: int) -> None:
    whole, first, second = SideRule(), SideRule(), SideRule()
    expected = [whole.side(price) for price in prices]
    found = [first.side(price) for price in prices[:cut]]
    second.restore(first.save())
    assert found + [second.side(price) for price in prices[cut:]] == expected
