"""The life of an order: whatever the venue says, in whatever order, however often."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantlytic.model.order import OrderStatus as S
from quantlytic.model.side import Side
from quantlytic.trading.tracker import ENDED, Leg

TRUE_LIVES = st.sampled_from([
    [(S.NEW, 0), (S.PARTIALLY_FILLED, 3), (S.PARTIALLY_FILLED, 7), (S.FILLED, 10)],
    [(S.NEW, 0), (S.FILLED, 10)],
    [(S.NEW, 0), (S.PARTIALLY_FILLED, 4), (S.CANCELED, 4)],
    [(S.NEW, 0), (S.CANCELED, 0)],
    [(S.NEW, 0), (S.EXPIRED, 0)],
    [(S.PARTIALLY_FILLED, 2), (S.EXPIRED, 2)],
    [(S.REJECTED, 0)],
])  # fmt: skip
ANYTHING = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(list(S)), st.integers(0, 12)),
        st.tuples(st.just("trade"), st.integers(1, 5)),
    ),
    max_size=25,
)


def leg() -> Leg:
    return Leg("run.1", "box:BTCUSDT", Side.BUY, 10.0, 100.0, 1)


@given(TRUE_LIVES, st.randoms(use_true_random=False), st.integers(1, 3), st.booleans())
def test_a_true_life_ends_as_it_ended_however_it_is_told(life, random, copies, begins_unheard) -> None:  # type: ignore[no-untyped-def]
    reports = life * copies
    random.shuffle(reports)
    order = leg()
    if begins_unheard:
        order.hear(S.UNRESOLVED, 0, 0)
    for status, filled in reports:
        order.hear(status, float(filled), filled * 100.0, 5)
    end, filled = life[-1]
    assert (order.status, order.filled, order.venue_order_id) == (end, filled, 5)
    assert order.is_settled == (filled == 0)
    for _ in range(filled):
        order.book(1.0)
    assert order.is_settled
    assert order.booked == filled


@given(ANYTHING)
def test_totals_only_grow_and_an_end_is_an_end(story: list[tuple[object, int]]) -> None:
    order = leg()
    booked = 0
    for what, amount in story:
        before = msgspec.structs.replace(order)
        if what == "trade":
            order.book(float(amount))
            booked += amount
        else:
            order.hear(S(what), float(amount), amount * 100.0, 5)  # type: ignore[call-overload]
        assert order.filled >= before.filled
        assert order.quote_filled >= before.quote_filled
        assert order.booked == booked
        assert order.filled >= order.booked
        if before.is_ended:
            assert order.status == before.status
        if not before.is_waiting:
            assert not order.is_waiting
        if before.status not in (S.PENDING_NEW, S.UNRESOLVED):
            assert order.status != S.REJECTED or before.status == S.REJECTED
        assert order.is_settled == (order.status in ENDED and order.filled <= order.booked)


@given(ANYTHING)
def test_the_same_report_again_tells_nothing_new(story: list[tuple[object, int]]) -> None:
    order = leg()
    for what, amount in story:
        if what == "trade":
            order.book(float(amount))
            continue
        order.hear(S(what), float(amount), amount * 100.0, 5)  # type: ignore[call-overload]
        assert not order.hear(S(what), float(amount), amount * 100.0, 5)  # type: ignore[call-overload]


def test_a_late_trade_counts_after_the_end() -> None:
    order = leg()
    order.hear(S.CANCELED, 0, 0, 5)
    assert order.is_settled
    order.book(2.0)
    assert (order.status, order.booked, order.filled) == (S.CANCELED, 2.0, 2.0)


def test_the_refusal_of_a_repeat_does_not_end_an_order_that_was_taken() -> None:
    order = leg()
    order.hear(S.NEW, 0, 0, 5)
    order.hear(S.REJECTED, 0, 0, reason="Duplicate order sent.")
    assert order.status == S.NEW


@pytest.mark.parametrize("unheard", [False, True])
def test_a_report_resolves_what_was_not_heard(unheard: bool) -> None:
    order = leg()
    if unheard:
        order.hear(S.UNRESOLVED, 0, 0, reason="no answer")
        assert order.is_waiting
    order.hear(S.NEW, 0, 0, 5)
    assert order.status == S.NEW
    order.hear(S.UNRESOLVED, 0, 0)
    assert order.status == S.NEW
