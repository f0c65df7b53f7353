"""The whole of the decisions about what to ask a venue, in virtual time, with deaths: thousands of lives in seconds."""

from __future__ import annotations

import math
import os
import random
from collections import Counter, defaultdict
from typing import Any

import msgspec
import pytest
from tests.trading.fakevenue import FakeLink, FakeVenue

from quantlytic.model.event import Event
from quantlytic.model.fill import Fill
from quantlytic.model.instrument import Instrument
from quantlytic.model.order import Order, OrderAmend, OrderCancel, OrderStatus, OrderType, OrderUpdate, TimeInForce
from quantlytic.model.run import Run
from quantlytic.model.side import Side
from quantlytic.trading import account, dispatcher
from quantlytic.trading.account import Account
from quantlytic.trading.accountstate import AccountState
from quantlytic.trading.dispatcher import Dispatcher, withdraw
from quantlytic.trading.holdings import NO_ORDER
from quantlytic.trading.limits import InstrumentLimits, Limits
from quantlytic.trading.risk import RiskGate
from quantlytic.trading.rules import LiveRules
from quantlytic.trading.tracker import ENDED

BTC = Instrument("box:BTCUSDT", "BTC", "USDT", 0.01, 0.001, 0.0)
RUN = Run("one", "live", "box", "hand", {}, (BTC,), 1, 1e6, 10.0, 0, "x")
RULES = LiveRules(max_decision_age_s=1e-6, max_data_age_s=1e6, answer_wait_s=1e-6, sweep_every_s=1e-7, retry_s=5e-9)
FREE = Limits(
    every=InstrumentLimits(
        max_position_quantity=None, max_position_notional=None, max_order_notional=None, price_collar_bps=None,
        far_price_bps=None, max_price_age_s=None, max_open_orders=None, allow_short=True,
    ),
    max_gross_notional=None, max_venue_notional=None, max_orders_per_s=None, max_orders_per_minute=None,
    max_open_orders=None, max_daily_loss=None, max_daily_loss_share=None, max_drawdown_share=None, self_trade_guard=False,
)  # fmt: skip
LIVES = int(os.environ.get("VIRTUAL_LIVES", "60"))


class Life:
    """One executor's core against a fake venue. A commit keeps events and state; a death goes back to the last one."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.venue = FakeVenue(random.Random(seed + 1), self.dice.choice((0.0, 0.2, 0.6)))
        self.deadliness = self.dice.choice((0.0, 0.01, 0.05))
        self.is_meddled_with = self.dice.random() < 0.3
        self.told: list[Event] = []
        self.decided: dict[int, Order] = {}
        self.largest: dict[int, float] = {}
        self.saved = msgspec.msgpack.encode((AccountState(), b""))
        self.wishes: list[Event] = []
        self.deaths = 0
        self.price = 100.0
        self.start()

    def start(self) -> None:
        state, gate_state = msgspec.msgpack.decode(self.saved, type=tuple[AccountState, bytes])
        gate = RiskGate("main", FREE, [BTC])
        if gate_state:
            gate.restore(gate_state)
        self.account = Account("main", [RUN], state, gate, RULES)
        link: Any = FakeLink(self.venue)
        self.dispatcher = Dispatcher(self.account, link, RULES)

    def die(self) -> None:
        """What was on the wire goes on; who waited for answers is gone."""
        self.venue.heard = []
        self.deaths += 1
        self.start()

    def turn(self) -> None:
        self.venue.tick()
        now = self.venue.now_ns
        dispatcher, account = self.dispatcher, self.account
        account.state.runs["one"].fills_since_bar = 0  # as at each bar
        self.price *= 1 + self.dice.uniform(-0.002, 0.002)
        dispatcher.prices[BTC.id] = self.price, now
        account.gate.price(BTC.id, self.price, now)
        account.see(BTC.id, (self.price,), now, now)
        for heard in self.venue.take():
            dispatcher.hear(heard, now)
        taken, self.wishes = self.wishes, []
        for wish in taken:
            if isinstance(wish, Order):
                account.book.add(wish)
            elif isinstance(wish, OrderCancel):
                withdraw(account, wish, now)
            elif isinstance(wish, OrderAmend) and (working := account.book.of(wish.run, wish.order_id)):
                account.tell_all(account.book.amend(working, wish, now))
        dispatcher.work(None, now)
        if taken or account.out or account.told:
            if self.dice.random() < self.deadliness:  # before the commit: the decision is read again
                self.wishes = taken
                self.die()
                return
            self.saved = msgspec.msgpack.encode((account.state, account.gate.save()))
            self.told += account.told.pop("one", [])
            account.out = []
        for call in dispatcher.take_calls():
            if self.dice.random() < self.deadliness:  # between commit and wire
                self.die()
                return
            call()

    def meddle(self) -> None:
        """Somebody buys or sells in the account, by hand: also what the run holds."""
        there = math.floor(self.venue.balances.get("BTC", 0.0) * 1000) / 1000
        side = self.dice.choice((Side.BUY, Side.SELL)) if there > 0.001 else Side.BUY
        quantity = round(self.dice.uniform(0.001, 0.5), 3)
        if side == Side.SELL:
            quantity = min(quantity * 2, there)
        order = Order("hand", 1, BTC.id, 0, side, OrderType.MARKET, TimeInForce.GTC, round(quantity, 3), math.nan)
        self.venue.by_hand(order)

    def open_orders(self) -> list[Order]:
        ended = {e.order_id for e in self.told if isinstance(e, OrderUpdate) and e.status in ENDED}
        return [order for order in self.decided.values() if order.order_id not in ended]

    def decide(self) -> None:
        """Some orders, amendments and cancels."""
        dice, now = self.dice, self.venue.now_ns
        for order in self.open_orders():
            if dice.random() < 0.2:
                self.wishes.append(OrderCancel("one", order.order_id, BTC.id, now))
            elif order.type == OrderType.LIMIT and dice.random() < 0.3:
                quantity = round(order.quantity * dice.choice((0.5, 2.0)), 3)
                self.largest[order.order_id] = max(self.largest[order.order_id], quantity)
                self.wishes.append(OrderAmend("one", order.order_id, BTC.id, now, quantity, round(self.price, 2)))
        quantity = round(dice.uniform(0.002, 1.0), 3)
        kind = dice.choice((OrderType.MARKET, OrderType.LIMIT, OrderType.LIMIT, OrderType.STOP))
        force = dice.choice((TimeInForce.GTC, TimeInForce.IOC)) if kind == OrderType.LIMIT else TimeInForce.GTC
        entry = self._order(dice.choice((Side.BUY, Side.BUY, Side.SELL)), kind, quantity, force)
        if dice.random() < 0.3:
            more = {"reduce_only": True, "parent_id": entry.order_id, "group_id": entry.order_id}
            way = Side(-entry.side)
            self._order(way, OrderType.STOP, quantity, stop_price=round(self.price * (1 + 0.005 * way), 2), **more)
            self._order(way, OrderType.LIMIT, quantity, price=round(self.price * (1 - 0.005 * way), 2), **more)

    def _order(
        self, side: Side, kind: OrderType, quantity: float, force: TimeInForce = TimeInForce.GTC, price: float = math.nan,
        **more: Any,
    ) -> Order:  # fmt: skip
        if kind == OrderType.LIMIT and math.isnan(price):
            price = round(self.price, 2)
        if kind == OrderType.STOP:
            more.setdefault("stop_price", round(self.price * (1 + side * 0.002), 2))
        number = len(self.decided) + 1
        order = Order("one", number, BTC.id, self.venue.now_ns, side, kind, force, quantity, price, **more)
        self.decided[number] = order
        self.largest[number] = quantity
        self.wishes.append(order)
        return order

    def run(self) -> Counter[str]:
        for k in range(600):
            if k % 30 == 5:
                self.decide()
            if self.is_meddled_with and k % 70 == 50:
                self.meddle()
            self.turn()
        self.venue.badness = self.deadliness = 0.0
        for k in range(3_000):
            if k % 50 == 0:
                now = self.venue.now_ns
                self.wishes += [OrderCancel("one", order.order_id, BTC.id, now) for order in self.open_orders()]
            self.turn()
            if not self.account.book.working and not self.open_orders() and k > 400 and self.is_swept():
                break
        self.check()
        return Counter(orders=len(self.venue.orders), trades=len(self.venue.trades), deaths=self.deaths)

    def is_swept(self) -> bool:
        """Whether what was done by hand has been seen, too."""
        expected = self.account.state.expected
        return all(abs(expected.get(name, 0.0) - held) < 1e-6 for name, held in self.venue.balances.items())

    def check(self) -> None:
        venue, state = self.venue, self.account.state
        assert not self.account.book.working
        assert not self.open_orders()
        assert not venue.repeats, "an order was sent again though the venue had taken it"
        assert [o for o in venue.orders.values() if o.status in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED)] == []
        fills = [event for event in self.told if isinstance(event, Fill)]
        assert [fill.fill_id for fill in fills] == list(range(1, len(fills) + 1))
        by_order: dict[int, float] = defaultdict(float)
        ours = [(name, trade) for name, trade in venue.trades if not name.startswith("hand-")]
        for name, trade in ours:
            by_order[int(name.rpartition(".")[2].partition("-a")[0])] += trade.quantity
        assert [fill.order_id for fill in fills if fill.order_id != NO_ORDER] == [
            int(name.rpartition(".")[2].partition("-a")[0]) for name, _ in ours
        ]
        for number, quantity in by_order.items():
            assert quantity <= self.largest[number] + 1e-9
        for order in self.decided.values():
            if order.parent_id:
                group = sum(by_order[k] for k, o in self.decided.items() if o.group_id == order.group_id)
                assert group <= by_order[order.parent_id] + 1e-9, "the exits traded more than the entry"
        holdings = state.runs["one"].holdings
        if self.is_meddled_with:
            assert holdings.of[BTC.id].held <= venue.balances.get("BTC", 0.0) + 1e-9
        else:
            assert holdings.of[BTC.id].held == pytest.approx(venue.balances.get("BTC", 0.0), abs=1e-9)
            assert holdings.cash == pytest.approx(venue.balances["USDT"], abs=1e-6)
            assert len(fills) == len(ours)
        ends = Counter(e.order_id for e in self.told if isinstance(e, OrderUpdate) and e.status in ENDED)
        assert set(ends.values()) <= {1}, "an order ended twice"


def test_books_agree_after_many_virtual_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "MANY_FILLS", 10**9)  # each trade one fill, so that they can be compared
    monkeypatch.setattr(dispatcher, "RESWEEP_NS", 10)
    counts: Counter[str] = Counter()
    for seed in range(LIVES):
        try:
            counts += Life(seed).run()
        except BaseException:
            print(f"seed {seed}")
            raise
    print(dict(counts))
    assert counts["trades"] > LIVES
    assert counts["deaths"] > LIVES / 4
