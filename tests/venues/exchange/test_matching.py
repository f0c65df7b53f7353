"""Price-time priority, worked by hand and against a slow reference."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantlytic.venues.exchange.rejects import Reject

ORDERS = st.lists(
    st.tuples(
        st.sampled_from(["ann", "bob"]),
        st.sampled_from(["buy", "sell"]),
        st.integers(1, 8),
        st.integers(100_000, 100_006),
        st.sampled_from(["GTC", "GTC", "IOC", "FOK"]),
    ),
    max_size=40,
)


def test_better_price_first_then_earlier_order(pit: Any) -> None:
    late_good = pit.place("ann", "sell", 5, 101_000)
    first = pit.place("bob", "sell", 5, 102_000)
    second = pit.place("ann", "sell", 5, 102_000)
    taker = pit.place("cyd", "buy", 12, 102_000)
    assert pit.trades() == [(101_000, 5), (102_000, 5), (102_000, 2)]
    assert [o.status for o in (late_good, first, second, taker)] == ["FILLED", "FILLED", "PARTIALLY_FILLED", "FILLED"]
    assert second.remaining == 3


def test_a_trade_is_done_at_the_resting_price_and_the_rest_waits(pit: Any) -> None:
    pit.place("ann", "buy", 3, 100_000)
    taker = pit.place("bob", "sell", 5, 99_000)
    assert pit.trades() == [(100_000, 3)]
    assert (taker.status, taker.remaining, pit.book.asks.best) == ("PARTIALLY_FILLED", 2, 99_000)
    assert pit.book.bids.best is None


def test_a_partial_fill_keeps_its_place_in_the_queue(pit: Any) -> None:
    first = pit.place("ann", "sell", 5, 100_000)
    pit.place("bob", "sell", 5, 100_000)
    pit.place("cyd", "buy", 2, 100_000)
    pit.place("cyd", "buy", 3, 100_000)
    assert first.status == "FILLED"


def test_market_order_takes_what_there_is_and_expires(pit: Any) -> None:
    pit.place("ann", "sell", 2, 100_000)
    order = pit.place("bob", "buy", 5)
    assert (order.status, order.filled) == ("EXPIRED", 2)
    assert pit.core.accounts.locked("bob", "USDT") == 0
    empty = pit.place("bob", "buy", 5)
    assert (empty.status, empty.filled) == ("EXPIRED", 0)


def test_ioc_never_rests(pit: Any) -> None:
    pit.place("ann", "sell", 2, 100_000)
    order = pit.place("bob", "buy", 5, 100_000, tif="IOC")
    assert (order.status, order.filled, pit.book.bids.best) == ("EXPIRED", 2, None)


def test_fok_is_all_or_nothing(pit: Any) -> None:
    pit.place("ann", "sell", 2, 100_000)
    pit.place("ann", "sell", 2, 101_000)
    refused = pit.place("bob", "buy", 4, 100_500, tif="FOK")
    assert (refused.status, refused.filled) == ("EXPIRED", 0)
    assert pit.trades() == []
    assert pit.place("bob", "buy", 4, 101_000, tif="FOK").status == "FILLED"


def test_post_only_is_refused_when_it_would_trade(pit: Any) -> None:
    pit.place("ann", "sell", 2, 100_000)
    with pytest.raises(Reject, match="immediately match") as refusal:
        pit.place("bob", "buy", 1, 100_000, kind="LIMIT_MAKER")
    assert refusal.value.code == -2010
    assert pit.place("bob", "buy", 1, 99_999, kind="LIMIT_MAKER").status == "NEW"


def test_own_resting_order_expires_and_matching_goes_on(pit: Any) -> None:
    own = pit.place("ann", "sell", 2, 100_000)
    pit.place("bob", "sell", 2, 100_000)
    taker = pit.place("ann", "buy", 2, 100_000)
    assert (own.status, own.filled, taker.status) == ("EXPIRED_IN_MATCH", 0, "FILLED")
    assert pit.trades() == [(100_000, 2)]
    assert pit.core.accounts.locked("ann", "BTC") == 0


def test_own_orders_do_not_count_for_fok(pit: Any) -> None:
    own = pit.place("ann", "sell", 2, 100_000)
    assert pit.place("ann", "buy", 2, 100_000, tif="FOK").status == "EXPIRED"
    assert own.status == "NEW"


def test_cancel_takes_out_and_gives_back(pit: Any) -> None:
    order = pit.place("ann", "buy", 2, 100_000)
    assert pit.core.accounts.locked("ann", "USDT") == 2 * 100_000 * 10
    pit.core.cancel(order, 9)
    assert (order.status, pit.book.bids.best, pit.core.accounts.locked("ann", "USDT")) == ("CANCELED", None, 0)


def test_every_level_change_has_its_own_update_id(pit: Any) -> None:
    pit.place("ann", "sell", 2, 100_000)
    pit.place("bob", "sell", 2, 100_001)
    before = pit.book.update_id
    pit.place("cyd", "buy", 3, 100_001)
    assert pit.book.update_id == before + 2


@given(ORDERS)
def test_agrees_with_a_slow_reference(new_pit: Any, orders: list[tuple[str, str, int, int, str]]) -> None:
    """The reference keeps a flat list and searches it for the best price, then the lowest number, at each step."""
    pit = new_pit()
    resting: list[dict[str, Any]] = []
    expected: list[tuple[int, int]] = []
    for number, (who, side, lots, price, tif) in enumerate(orders):
        pit.place(who, side, lots, price, tif=tif)
        sign = 1 if side == "buy" else -1
        within = [o for o in resting if o["side"] != side and (price - o["price"]) * sign >= 0]
        if tif == "FOK" and sum(o["lots"] for o in within if o["who"] != who) < lots:
            continue
        for other in sorted(within, key=lambda o: (sign * o["price"], o["number"])):
            if lots and other["who"] == who:
                other["lots"] = 0
            elif lots:
                part = min(lots, other["lots"])
                expected.append((other["price"], part))
                other["lots"] -= part
                lots -= part
        resting = [o for o in resting if o["lots"]]
        if lots and tif == "GTC":
            resting.append({"who": who, "side": side, "lots": lots, "price": price, "number": number})
        assert not pit.book.crossed()
    assert pit.trades() == expected
    for side, ladder in (("buy", pit.book.bids), ("sell", pit.book.asks)):
        sums: dict[int, int] = {}
        for order in resting:
            if order["side"] == side:
                sums[order["price"]] = sums.get(order["price"], 0) + order["lots"]
        assert dict(ladder.top(100)) == sums
        assert [price for price, _ in ladder.top(100)] == sorted(sums, reverse=side == "buy")
