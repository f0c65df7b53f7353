"""Orders that wait for a price: what fires, when, and as what."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantlytic.model.order import Order, OrderType, TimeInForce
from quantlytic.model.side import Side
from quantlytic.trading.triggers import DAY_NS, expiry_ns, fault_of, plain_of, watch_of

PLAIN = Order("run", 1, "box:BTCUSDT", 10, Side.SELL, OrderType.MARKET, TimeInForce.GTC, 1.0, math.nan)


def order(kind: OrderType, **more: object) -> Order:
    return msgspec.structs.replace(PLAIN, type=kind, **more)


@pytest.mark.parametrize(
    ("kind", "side", "below", "at", "above"),
    [
        (OrderType.STOP, Side.SELL, True, True, False),
        (OrderType.STOP, Side.BUY, False, True, True),
        (OrderType.STOP_LIMIT, Side.SELL, True, True, False),
        (OrderType.TAKE_PROFIT, Side.SELL, False, True, True),
        (OrderType.TAKE_PROFIT, Side.BUY, True, True, False),
    ],
)
def test_it_fires_on_its_side_of_the_level(kind: OrderType, side: Side, below: bool, at: bool, above: bool) -> None:
    for price, fires in ((99.0, below), (100.0, at), (101.0, above)):
        watch = watch_of(order(kind, side=side, stop_price=100.0, price=100.0))
        assert watch is not None
        assert watch.see(price) == fires
        assert not watch.see(price)  # once is enough


def test_what_need_not_wait_does_not() -> None:
    assert watch_of(PLAIN) is None
    assert watch_of(order(OrderType.LIMIT, price=100.0)) is None
    assert watch_of(order(OrderType.LIMIT, price=100.0, group_id=3)) is not None


def test_a_price_that_is_none_fires_nothing() -> None:
    watch = watch_of(order(OrderType.STOP, stop_price=100.0))
    assert watch is not None
    assert not watch.see(math.nan)
    assert not watch.see(0.0)


@given(st.lists(st.floats(50, 150), min_size=1, max_size=40), st.sampled_from([Side.BUY, Side.SELL]), st.booleans())
def test_a_trailing_stop_fires_when_the_price_has_come_back_by_its_distance(
    prices: list[float], side: Side, is_percent: bool
) -> None:
    watch = watch_of(order(OrderType.TRAILING_STOP, side=side, trail=5.0, trail_percent=is_percent))
    assert watch is not None
    for k, price in enumerate(prices):
        best = max(prices[: k + 1]) if side == Side.SELL else min(prices[: k + 1])
        level = best + side * (best * 0.05 if is_percent else 5.0)
        assert watch.see(price) == ((price - level) * side >= 0)
        assert watch.level == pytest.approx(level)
        if watch.is_fired:
            return


@pytest.mark.parametrize(
    ("kind", "sent_as"),
    [
        (OrderType.STOP, OrderType.MARKET), (OrderType.TAKE_PROFIT, OrderType.MARKET),
        (OrderType.TRAILING_STOP, OrderType.MARKET), (OrderType.STOP_LIMIT, OrderType.LIMIT),
    ],
)  # fmt: skip
def test_what_fired_is_sent_as_a_plain_order(kind: OrderType, sent_as: OrderType) -> None:
    plain = plain_of(
        order(
            kind, stop_price=100.0, price=99.0, reduce_only=True, group_id=1, parent_id=1, time_in_force=TimeInForce.DAY
        )
    )
    assert plain.is_plain
    assert plain.type == sent_as
    assert math.isnan(plain.price) == (sent_as == OrderType.MARKET)


def test_times_at_which_orders_end() -> None:
    assert expiry_ns(PLAIN) == 0
    assert expiry_ns(order(OrderType.MARKET, time_in_force=TimeInForce.DAY)) == DAY_NS
    assert expiry_ns(order(OrderType.MARKET, time_in_force=TimeInForce.GTD, expire_time=77)) == 77


@pytest.mark.parametrize(
    ("kind", "more", "words"),
    [
        (OrderType.MARKET, {"quantity": 0.0}, "invalid-quantity"),
        (OrderType.MARKET, {"quantity": math.nan}, "invalid-quantity"),
        (OrderType.LIMIT, {"price": math.nan}, "invalid-price"),
        (OrderType.STOP, {"stop_price": -1.0}, "invalid-price"),
        (OrderType.TRAILING_STOP, {"trail": 0.0}, "invalid-price"),
        (OrderType.TRAILING_STOP, {"trail": 100.0, "trail_percent": True}, "invalid-price"),
        (OrderType.MARKET, {"time_in_force": TimeInForce.AT_OPEN}, "invalid-order"),
        (OrderType.MARKET, {"time_in_force": TimeInForce.GTD, "expire_time": 5}, "contradictory"),
        (OrderType.STOP, {"stop_price": 5.0, "time_in_force": TimeInForce.IOC}, "contradictory"),
        (OrderType.LIMIT, {"price": 5.0}, ""),
    ],
)
def test_what_makes_no_sense_is_said(kind: OrderType, more: dict[str, object], words: str) -> None:
    assert fault_of(order(kind, **more)).partition(":")[0] == words
