"""The clock never goes back."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from quantlytic.venues.clock import GuardedClock


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=50), st.integers(0, 1000))
def test_stamps_strictly_increase_whatever_the_system_clock_does(readings: list[int], before: int) -> None:
    source = iter(readings)
    clock = GuardedClock(lambda: next(source))
    clock.advance_to(before)
    stamps = [before] + [clock.now() for _ in readings]
    assert all(a < b for a, b in pairwise(stamps))


def test_a_jump_back_is_ridden_out_and_a_jump_forward_taken_over() -> None:
    source = iter([1000, 400, 401, 5000])
    clock = GuardedClock(lambda: next(source))
    assert [clock.now() for _ in range(4)] == [1000, 1001, 1002, 5000]
