from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from quantlytic.web.curve import EquityCurve

S = 1_000_000_000


def test_drawdown_comes_from_every_value() -> None:
    curve = EquityCurve()
    for k, equity in enumerate([100.0, 120.0, 90.0, 108.0]):
        curve.add(k * S // 10, equity)  # all within one second: one point
    assert curve.points() == [(0.0, 108.0)]
    assert curve.max_drawdown == 0.25
    assert abs(curve.drawdown - 0.1) < 1e-12
    assert (curve.first, curve.last) == ((0.0, 100.0), (300.0, 108.0))


def test_a_late_bar_says_what_the_account_is_worth_now() -> None:
    curve = EquityCurve()
    for second, equity in [(1, 100.0), (4, 103.0), (2, 102.0), (3, 101.0)]:  # one instrument was held up by a hole
        curve.add(second * S, equity)
    assert curve.points() == [(1000.0, 100.0), (4000.0, 101.0)]
    assert curve.last == (4000.0, 101.0)
    curve.drain()
    curve.add(2 * S, 99.0)
    assert curve.drain() == (False, [(4000.0, 99.0)])


def test_what_is_no_number_draws_nothing() -> None:
    curve = EquityCurve()
    for second, equity in [(1, math.nan), (2, 100.0), (3, math.nan), (4, math.inf), (5, 101.0)]:
        curve.add(second * S, equity)
    assert curve.points() == [(2000.0, 100.0), (5000.0, 101.0)]
    assert (curve.first, curve.last, curve.max_drawdown) == ((2000.0, 100.0), (5000.0, 101.0), 0.0)


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=300), st.integers(2, 20))
def test_it_stays_small_and_ends_at_the_last_word(gaps: list[int], capacity: int) -> None:
    curve, page, time = EquityCurve(capacity), dict[float, float](), 0
    for k, gap in enumerate(gaps):
        time = max(0, time + gap * S)
        curve.add(time, float(k))
        if k % 5 == 0:
            replace, points = curve.drain()
            page = {} if replace else page
            page |= dict(points)
    replace, points = curve.drain()
    page = {} if replace else page
    page |= dict(points)
    times = [ms for ms, _ in curve.points()]
    assert times == sorted(set(times))
    assert len(times) <= capacity
    assert curve.points()[-1][1] == len(gaps) - 1
    assert sorted(page.items()) == curve.points()


def test_a_bar_from_the_far_future_does_not_stop_the_clock() -> None:
    curve = EquityCurve()
    for second in range(3):
        curve.add(second * S, 100.0 + second)
    curve.add(400 * 365 * 86_400 * S, 110.0)
    assert curve.points()[-1] == (2_000.0, 110.0), "what it is worth is known; when is not"
    curve.add(3 * S, 111.0)
    assert curve.points()[-1] == (3_000.0, 111.0)
    later = 90 * 86_400 * S  # the line had stood still for so long
    curve.add(later, 112.0)
    curve.add(later + S, 113.0)
    assert curve.points()[-1] == ((later + S) / 1e6, 113.0)
