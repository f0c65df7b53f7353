"""The local book against a naive one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from quantlytic.venues.book import LocalBook

prices = st.integers(1, 40).map(lambda tick: tick / 4)
levels = st.lists(st.tuples(prices, st.sampled_from([0.0, 0.0, 1.0, 2.5])), max_size=8).map(tuple)


@given(start=st.tuples(levels, levels), changes=st.lists(st.tuples(levels, levels), max_size=30))
def test_it_equals_a_dictionary_sorted_anew_each_time(start, changes) -> None:
    book = LocalBook()
    book.load(*start)
    bids = {price: quantity for price, quantity in start[0] if quantity}
    asks = {price: quantity for price, quantity in start[1] if quantity}
    for bid_changes, ask_changes in changes:
        straight = book.apply(bid_changes, ask_changes)
        bids.update(bid_changes)
        asks.update(ask_changes)
        bids = {price: quantity for price, quantity in bids.items() if quantity}
        asks = {price: quantity for price, quantity in asks.items() if quantity}
        assert book.bids(100) == sorted(bids.items(), reverse=True)
        assert book.asks(100) == sorted(asks.items())
        assert book.best_bid == max(bids, default=float("-inf"))
        assert book.best_ask == min(asks, default=float("inf"))
        assert straight == (max(bids, default=float("-inf")) < min(asks, default=float("inf")))


def test_it_does_not_grow_with_levels_that_came_and_went() -> None:
    book = LocalBook()
    for tick in range(50_000):
        book.apply(((1.0 + tick / 1e6, 1.0), (1.0 + (tick - 1) / 1e6, 0.0)), ((100.0 + tick, 0.0),))
    assert len(book._bids) + len(book._asks) + len(book._bid_heap) + len(book._ask_heap) < 20_000
    assert book.bids(5) == [(1.0 + 49_999 / 1e6, 1.0)]
