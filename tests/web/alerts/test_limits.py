"""Token buckets."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from quantlytic.web.alerts.limits import TokenBuckets


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_a_burst_and_then_at_its_rate() -> None:
    clock = Clock()
    buckets = TokenBuckets(3, 10.0, monotonic_s=clock)
    assert [buckets.take("a") for _ in range(5)] == [0.0, 0.0, 0.0, 10.0, 10.0]
    assert buckets.take("b") == 0.0
    clock.now_s += 4.0
    assert buckets.take("a") == 6.0
    clock.now_s += 6.0
    assert buckets.take("a") == 0.0
    assert buckets.take("a") == 10.0
    clock.now_s += 1e6
    assert [buckets.take("a") for _ in range(4)] == [0.0, 0.0, 0.0, 10.0]


@given(st.lists(st.floats(0.0, 30.0), max_size=200))
def test_never_more_than_burst_and_rate_allow(pauses: list[float]) -> None:
    clock = Clock()
    buckets, granted = TokenBuckets(5, 7.0, monotonic_s=clock), 0
    for pause in pauses:
        clock.now_s += pause
        granted += buckets.take("a") == 0.0
        assert granted <= 5 + (clock.now_s - 1000.0) / 7.0 + 1e-6


def test_memory_is_bounded_and_the_busiest_are_remembered() -> None:
    buckets = TokenBuckets(1, 1e9, capacity=10, monotonic_s=Clock())
    buckets.take("busy")
    for number in range(1000):
        buckets.take(str(number))
        assert buckets.take("busy") > 0.0
    assert len(buckets._buckets) == 10


def test_threads_do_not_take_the_same_token() -> None:
    buckets, granted = TokenBuckets(100, 1e9), list[float]()
    threads = [threading.Thread(target=lambda: granted.extend(buckets.take("a") for _ in range(100))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert granted.count(0.0) == 100
