"""Stops, brackets and expiring orders of a live account, against the exchange in a box."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.sim.liveworld import BTC, FREE, Strategist, World, start_box, world

from quantlytic.model.breach import RiskBreach
from quantlytic.model.command import VenueCommand
from quantlytic.model.order import OrderAmend, OrderStatus, OrderType, OrderUpdate, TimeInForce
from quantlytic.model.side import Side
from quantlytic.venues.exchange.server import ExchangeServer

OPENING = {"USDT": 100_000.0}
S = OrderStatus
numbers = count()


@pytest.fixture(scope="module")
def box() -> Iterator[ExchangeServer]:
    server = start_box(30)
    yield server
    server.stop()


@pytest.fixture
def live(box: ExchangeServer, tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, box, f"a{next(numbers)}", 0, strategist=Strategist) as here:
        here.run_bars(1)
        yield here
        here.calm()
        here.check(OPENING)


def ended(live: World, order_id: int, status: OrderStatus) -> None:
    live.until(lambda: live.updates(order_id)[-1:] == [status], what=f"order {order_id} {status.name}")


def reason(live: World, order_id: int) -> str:
    found = live.events(live.run.executions_stream)
    return next(e.reason for e in reversed(found) if isinstance(e, OrderUpdate) and e.order_id == order_id)


def buy(live: World, quantity: float = 0.01) -> None:
    entry = live.dice.order(Side.BUY, quantity)
    live.run_bars(1)
    ended(live, entry, S.FILLED)


def commands(live: World) -> list[VenueCommand]:
    return [each for each in live.events(f"account.{live.account}") if isinstance(each, VenueCommand)]


def rest(live: World) -> set[str]:
    return set(live.box._call(live._truth)["open"])


def held(live: World) -> float:
    assert live.executor is not None
    return live.executor._account.state.runs[live.run.run_id].holdings.of[BTC.id].told


def bracket(live: World, quantity: float = 0.01, price: float = math.nan, **entry_more: Any) -> tuple[int, int, int]:
    now = live.price()
    entry = live.dice.order(Side.BUY, quantity, price, **entry_more)
    more: dict[str, Any] = {"reduce_only": True, "parent_id": entry, "group_id": entry}
    stop = live.dice.order(Side.SELL, quantity, type=OrderType.STOP, stop_price=round(now * 0.98, 2), **more)
    target = live.dice.order(Side.SELL, quantity, round(now * 1.02, 2), type=OrderType.LIMIT, **more)
    return entry, stop, target


def test_a_stop_waits_here_and_fires_at_its_price(live: World) -> None:
    buy(live)
    stop = live.dice.order(Side.SELL, 0.005, type=OrderType.STOP, stop_price=live.price() * 0.99)
    live.run_bars(1)
    live.until(lambda: live.updates(stop) == [S.NEW])
    assert rest(live) == set()
    live.tick(live.price() * 0.995)
    live.step()
    assert live.updates(stop) == [S.NEW]
    live.tick(live.price() * 0.985)
    ended(live, stop, S.FILLED)


def test_a_quote_with_an_empty_side_fires_nothing(live: World) -> None:
    buy(live)
    stop = live.dice.order(Side.SELL, 0.005, type=OrderType.STOP, stop_price=live.price() * 0.99)
    live.run_bars(2)
    live.until(lambda: live.updates(stop) == [S.NEW])
    live.quote(0.0, live.price())
    live.run_bars(1)
    assert live.updates(stop) == [S.NEW]
    live.quote(live.price() * 0.98, live.price() * 0.99)
    ended(live, stop, S.FILLED)


def test_a_stop_survives_a_death(live: World) -> None:
    buy(live)
    stop = live.dice.order(Side.SELL, 0.005, type=OrderType.STOP, stop_price=live.price() * 0.99)
    live.run_bars(2)
    live.until(lambda: live.updates(stop) == [S.NEW])
    live.kill()
    live.tick(live.price() * 0.98)
    ended(live, stop, S.FILLED)
    assert live.deaths == 1


def test_a_stop_that_fired_waits_for_a_limit_that_passes(box: ExchangeServer, tmp_path: Path) -> None:
    limits = msgspec.structs.replace(FREE, max_orders_per_s=1)
    with world(tmp_path, box, f"a{next(numbers)}", 0, strategist=Strategist, limits=limits) as live:
        live.run_bars(1)
        buy(live)
        time.sleep(1.0)
        stop = live.dice.order(Side.SELL, 0.005, type=OrderType.STOP, stop_price=live.price() * 0.99)
        live.run_bars(2)
        more = live.dice.order(Side.BUY, 0.001)
        live.run_bars(1)
        live.until(lambda: any(each.order_id == more for each in commands(live)))
        live.tick(live.price() * 0.98)
        ended(live, stop, S.FILLED)
        breaches = [each for each in live.events(f"account.{live.account}") if isinstance(each, RiskBreach)]
        assert [each.limit for each in breaches] == ["max_orders_per_s"]


def test_a_trailing_stop_follows(live: World) -> None:
    buy(live)
    price = live.price()
    stop = live.dice.order(Side.SELL, 0.005, type=OrderType.TRAILING_STOP, trail=1.0, trail_percent=True)
    live.run_bars(1)
    live.until(lambda: live.updates(stop) == [S.NEW])
    for factor in (1.01, 1.02, 1.0105):
        live.tick(price * factor)
    live.step()
    assert live.updates(stop) == [S.NEW]
    live.tick(price * 1.009)  # over a percent below 1.02
    ended(live, stop, S.FILLED)


def test_a_stop_limit_becomes_a_limit(live: World) -> None:
    limit = round(live.price() * 0.97, 2)  # will rest
    order = live.dice.order(Side.BUY, 0.005, limit, type=OrderType.STOP_LIMIT, stop_price=live.price() * 1.01)
    live.run_bars(1)
    assert rest(live) == set()
    live.tick(live.price() * 1.011)
    live.until(lambda: rest(live) == {f"{live.run.run_id}.{order}"})


@pytest.mark.parametrize("way", ["profit", "loss"])
def test_a_bracket_ends_by_one_of_its_exits(live: World, way: str) -> None:
    entry, stop, target = bracket(live)
    live.run_bars(1)
    ended(live, entry, S.FILLED)
    live.until(lambda: live.updates(stop) == live.updates(target) == [S.NEW])
    assert rest(live) == set()
    if way == "loss":
        live.tick(live.price() * 0.97)
        ended(live, stop, S.FILLED)
        ended(live, target, S.CANCELED)
        assert reason(live, target) == "oco"
        assert held(live) == 0.0
    else:
        live.tick(live.price() * 1.03)  # it fires, and rests: the exchange is not there
        live.until(lambda: rest(live) == {f"{live.run.run_id}.{target}"})
        live.tick(live.price() * 0.97)  # the stop fires: the other is withdrawn first
        ended(live, stop, S.FILLED)
        ended(live, target, S.CANCELED)
        assert held(live) == 0.0
        assert rest(live) == set()


def test_children_of_an_entry_that_ends_without_a_trade_end_too(live: World) -> None:
    entry, stop, target = bracket(live, price=round(live.price() * 0.97, 2), time_in_force=TimeInForce.IOC)
    live.run_bars(1)
    ended(live, entry, S.EXPIRED)
    ended(live, stop, S.CANCELED)
    ended(live, target, S.CANCELED)
    assert reason(live, stop) == "parent"


def test_an_order_expires_here_and_at_the_venue(live: World) -> None:
    first = live.dice.order(
        Side.BUY,
        0.001,
        round(live.price() * 0.97, 2),
        time_in_force=TimeInForce.GTD,
        expire_time=time.time_ns() + 10**9,
    )
    stop = live.dice.order(
        Side.BUY, 0.001, type=OrderType.STOP, stop_price=live.price() * 1.05, time_in_force=TimeInForce.GTD,
        expire_time=time.time_ns() + 10**9,
    )  # fmt: skip
    live.run_bars(2)
    live.until(lambda: len(rest(live)) == 1)
    ended(live, first, S.EXPIRED)
    ended(live, stop, S.EXPIRED)
    assert reason(live, first) == reason(live, stop) == "expired-gtd"
    assert rest(live) == set()


def test_reduce_only_never_opens(live: World) -> None:
    order = live.dice.order(Side.SELL, 0.01, reduce_only=True)
    live.run_bars(1)
    ended(live, order, S.REJECTED)
    assert reason(live, order).startswith("reduce-only")
    buy(live)
    more = live.dice.order(Side.SELL, 0.05, reduce_only=True)
    live.run_bars(1)
    ended(live, more, S.FILLED)
    assert held(live) == 0.0


def test_post_only_never_takes(live: World) -> None:
    order = live.dice.order(Side.BUY, 0.001, round(live.price() * 1.01, 2), post_only=True)
    resting = live.dice.order(Side.BUY, 0.001, round(live.price() * 0.98, 2), post_only=True)
    live.run_bars(2)
    ended(live, order, S.REJECTED)
    assert "immediately match" in reason(live, order)
    live.until(lambda: live.updates(resting) == [S.NEW])


def test_a_waiting_order_is_amended_and_withdrawn_here(live: World) -> None:
    stop = live.dice.order(Side.BUY, 0.001, type=OrderType.STOP, stop_price=live.price() * 1.01)
    live.run_bars(2)
    amend = OrderAmend(live.run.run_id, stop, BTC.id, time.time_ns(), math.nan, math.nan, live.price() * 1.05)
    live.dice.next.append(amend)
    live.run_bars(2)
    assert reason(live, stop) == "amended"
    live.tick(live.price() * 1.02)
    live.run_bars(1)
    assert live.updates(stop) == [S.NEW, S.NEW]


def test_an_auction_order_is_refused(live: World) -> None:
    order = live.dice.order(Side.BUY, 0.001, time_in_force=TimeInForce.AT_CLOSE)
    live.run_bars(2)
    ended(live, order, S.REJECTED)
    assert reason(live, order) == "invalid-order: auctions are traded on paper only"
