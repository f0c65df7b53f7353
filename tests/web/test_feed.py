from __future__ import annotations

from quantlytic.web.feed import FeedMeter

S = 1_000_000_000
NOW = 1_800_000_000 * S


def test_waiting_live_stale() -> None:
    feed = FeedMeter(stale_after_s=2.0)
    assert feed.view(NOW)["state"] == "waiting"
    feed.add(0, NOW - 5_000_000, NOW)
    assert feed.view(NOW + 2 * S)["state"] == "live"
    view = feed.view(NOW + 2 * S + 1_000_000)
    assert (view["state"], view["age_ms"], view["last_ms"]) == ("stale", 2001, NOW // 1_000_000)
    feed.add(1, NOW + 3 * S, NOW + 3 * S)
    assert feed.view(NOW + 3 * S)["state"] == "live"


def test_a_clock_that_jumps_back_makes_no_negative_age() -> None:
    feed = FeedMeter(2.0)
    feed.add(0, NOW, NOW)
    assert feed.age_s(NOW - 60 * S) == 0.0


def test_rates_count_whole_seconds_and_fade() -> None:
    feed = FeedMeter(2.0)
    for second in range(20):
        for _ in range(10):
            feed.add(0, NOW, NOW + second * S)
        feed.add(2, NOW, NOW + second * S)
    assert feed.rates(NOW + 20 * S) == {"trades": 10.0, "quotes": 0.0, "book": 1.0}
    assert feed.rates(NOW + 22 * S)["trades"] == 6.0
    assert feed.rates(NOW + 60 * S)["trades"] == 0.0


def test_lag_is_a_quantile_of_what_came_last() -> None:
    feed = FeedMeter(2.0)
    for k in range(1000):
        feed.add(0, NOW, NOW + k * 1_000_000)
    assert feed.lag_ms(0.5) == 744.0  # of the last 512: 488 .. 999
    assert feed.lag_ms(0.99) == 994.0
