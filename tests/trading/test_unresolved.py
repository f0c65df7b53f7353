"""While nobody knows what became of an order, no second one of that side is sent."""

from __future__ import annotations

import math
from typing import Any

from tests.trading.test_account import BTC, account, placed, state
from tests.trading.test_dispatcher import FREE

from quantlytic.model.order import Order, OrderStatus, OrderType, OrderUpdate, TimeInForce
from quantlytic.model.side import Side
from quantlytic.trading.account import Account
from quantlytic.trading.dispatcher import Dispatcher
from quantlytic.trading.risk import RiskGate
from quantlytic.trading.rules import LiveRules

NOW_NS = 1_000


class Deaf:
    """A link that nothing is heard of."""

    void_after_ns = 60_000_000_000

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *_: self.asked.append(name)


def unresolved() -> tuple[Account, Dispatcher]:
    """A buy order in the log, its executor killed before it was sent: the next one asks."""
    mine = account()
    mine.gate = RiskGate("main", FREE, [BTC])
    placed(mine, quantity=0.5)
    link: Any = Deaf()
    dispatcher = Dispatcher(mine, link, LiveRules(max_decision_age_s=60.0, max_data_age_s=60.0))
    dispatcher.is_ready = True
    dispatcher.prices[BTC.id] = 100.0, NOW_NS
    mine.gate.price(BTC.id, 100.0, NOW_NS)
    return mine, dispatcher


def wish(mine: Account, number: int, side: Side, kind: OrderType = OrderType.MARKET, stop: float = math.nan) -> None:
    mine.book.add(
        Order("one", number, BTC.id, NOW_NS, side, kind, TimeInForce.GTC, 0.5, math.nan, number, stop_price=stop)
    )


def told(mine: Account) -> list[tuple[int, OrderStatus, str]]:
    found = [e for e in mine.told.pop("one", []) if isinstance(e, OrderUpdate)]
    return [(e.order_id, e.status, e.reason) for e in found]


def test_the_same_wish_is_refused_while_one_is_unresolved() -> None:
    mine, dispatcher = unresolved()
    for number in (2, 3):
        wish(mine, number, Side.BUY)
        dispatcher.work(None, NOW_NS)
        ((order, status, reason),) = told(mine)
        assert (order, status) == (number, OrderStatus.REJECTED)
        assert reason.startswith("unresolved: an order of this run is unresolved (one.1)")
    assert set(mine.book.working) == {"one.1"}


def test_the_other_side_is_not_held_up_and_the_same_goes_on_after_the_answer() -> None:
    mine, dispatcher = unresolved()
    wish(mine, 2, Side.SELL)
    dispatcher.work(None, NOW_NS)
    sold = mine.book.of("one", 2)
    assert sold is None or sold.leg is not None
    assert not any("unresolved" in reason for _, _, reason in told(mine))
    mine.hear(state("one.1", 7), "asked", NOW_NS)
    wish(mine, 3, Side.BUY)
    dispatcher.work(None, NOW_NS)
    bought = mine.book.of("one", 3)
    assert bought is not None
    assert bought.leg is not None


def test_orders_of_one_decision_do_not_stand_in_each_others_way() -> None:
    mine, dispatcher = unresolved()
    mine.hear(state("one.1", 7), "asked", NOW_NS)
    for number in (2, 3):
        mine.book.add(
            Order("one", number, BTC.id, NOW_NS, Side.BUY, OrderType.LIMIT, TimeInForce.GTC, 0.5, 90.0 + number, 9)
        )
    dispatcher.work(None, NOW_NS)
    assert all(mine.book.working[f"one.{number}"].leg is not None for number in (2, 3))


def test_a_stop_that_has_fired_waits_for_the_answer() -> None:
    mine, dispatcher = unresolved()
    wish(mine, 2, Side.BUY, OrderType.STOP, 101.0)
    dispatcher.work(None, NOW_NS)
    mine.see(BTC.id, (102.0,), NOW_NS + 1, NOW_NS + 1)
    dispatcher.prices[BTC.id] = 102.0, NOW_NS + 1
    dispatcher.work(None, NOW_NS + 1)
    stop = mine.book.of("one", 2)
    assert stop is not None
    assert stop.leg is None
    mine.hear(state("one.1", 7), "asked", NOW_NS + 2)
    dispatcher.work(None, NOW_NS + 2)
    assert stop.leg is not None
