"""A live account without a venue: trades in, fills out, differences told once."""

from __future__ import annotations

import math

import msgspec
import pytest

from quantlytic.model.discrepancy import Discrepancy
from quantlytic.model.fill import Fill
from quantlytic.model.instrument import Instrument
from quantlytic.model.order import Order, OrderAmend, OrderStatus, OrderType, OrderUpdate, TimeInForce
from quantlytic.model.run import Run
from quantlytic.model.side import Side
from quantlytic.trading.account import MANY_FILLS, Account
from quantlytic.trading.accountstate import AccountState
from quantlytic.trading.holdings import NO_ORDER
from quantlytic.trading.limits import Limits
from quantlytic.trading.link import Sweep
from quantlytic.trading.risk import RiskGate
from quantlytic.trading.rules import LiveRules
from quantlytic.trading.triggers import plain_of
from quantlytic.trading.working import Working
from quantlytic.venues.port import Balance, OrderState, VenueFill

BTC = Instrument("box:BTCUSDT", "BTC", "USDT", 0.01, 0.00001, 5.0)
S = OrderStatus
VOID_NS = 100


def run(name: str) -> Run:
    return Run(name, "live", "box", "hand", {}, (BTC,), 1, 10_000.0, 10.0, 0, "x")


def account(*names: str, foreign: str = "ignore") -> Account:
    gate = RiskGate("main", Limits(), [BTC])
    runs = [run(name) for name in names or ("one",)]
    return Account("main", runs, AccountState(is_open=True, cursors={BTC.id: 0}), gate, LiveRules(foreign=foreign))


def placed(
    mine: Account, name: str = "one", number: int = 1, venue_order_id: int = -1, quantity: float = 1.0
) -> Working:
    """An order at the venue; with a number there it has been heard of."""
    order = Order(name, number, BTC.id, 1, Side.BUY, OrderType.LIMIT, TimeInForce.GTC, quantity, 100.0)
    working = mine.book.add(order)
    working.make_leg(plain_of(order), 10)
    if venue_order_id >= 0:
        mine.hear(state(f"{name}.{number}", venue_order_id), "answer", 11)
    return working


def state(client_id: str, venue_order_id: int, status: S = S.NEW, filled: float = 0.0) -> OrderState:
    return OrderState(
        client_order_id=client_id, instrument=BTC.id, status=status, venue_order_id=venue_order_id, quantity=1.0,
        filled_quantity=filled, quote_filled=filled * 100,
    )  # fmt: skip


def trade(number: int, venue_order_id: int, quantity: float = 0.1) -> VenueFill:
    return VenueFill(
        trade_id=number, venue_order_id=venue_order_id, instrument=BTC.id, event_time=5, side=Side.BUY, quantity=quantity,
        price=100.0 + number, fee=0.01, fee_asset="USDT",
    )  # fmt: skip


def fills(mine: Account, name: str = "one") -> list[Fill]:
    return [event for event in mine.told.get(name, []) if isinstance(event, Fill)]


def statuses(mine: Account, name: str = "one") -> list[S]:
    return [event.status for event in mine.told.get(name, []) if isinstance(event, OrderUpdate)]


def differences(mine: Account) -> list[Discrepancy]:
    return [event for event in mine.out if isinstance(event, Discrepancy)]


def sweep(**more: object) -> Sweep:
    balances = {"USDT": Balance("USDT", 1000.0, 0.0)}
    return Sweep(**{"asked_ns": 1_000, "balances": balances, **more})  # type: ignore[arg-type]


def test_an_end_is_not_told_before_its_trades_are_known() -> None:
    mine = account()
    placed(mine, venue_order_id=7)
    mine.hear(state("one.1", 7, S.FILLED, 1.0), "stream", 12)
    assert statuses(mine) == [S.NEW]
    mine.take_trades(BTC.id, [trade(1, 7, 0.4)], 13)
    assert statuses(mine) == [S.NEW]
    mine.take_trades(BTC.id, [trade(1, 7, 0.4), trade(2, 7, 0.6)], 14)
    assert statuses(mine) == [S.NEW, S.FILLED]
    assert [(fill.fill_id, fill.quantity) for fill in fills(mine)] == [(1, 0.4), (2, 0.6)]
    kinds = [type(event) for event in mine.told["one"]]
    assert kinds == [OrderUpdate, Fill, Fill, OrderUpdate]  # a fill before the end it belongs to
    assert not mine.book.working


def test_a_trade_that_may_be_of_an_order_without_a_number_waits_with_all_behind_it() -> None:
    mine = account()
    placed(mine, number=1)
    placed(mine, number=2, venue_order_id=8)
    assert not mine.take_trades(BTC.id, [trade(1, 8), trade(2, 9), trade(3, 8)], 12)
    assert [fill.order_id for fill in fills(mine)] == [2]
    mine.hear(state("one.1", 9, S.NEW), "asked", 13)
    assert mine.take_trades(BTC.id, [trade(2, 9), trade(3, 8)], 14)
    assert [fill.order_id for fill in fills(mine)] == [2, 1, 2]
    assert not differences(mine)


def test_a_trade_after_the_end_is_booked_all_the_same() -> None:
    mine = account()
    placed(mine, venue_order_id=7)
    mine.hear(state("one.1", 7, S.CANCELED), "stream", 12)
    assert statuses(mine) == [S.NEW, S.CANCELED]
    mine.take_trades(BTC.id, [trade(1, 7)], 13)
    assert [fill.order_id for fill in fills(mine)] == [1]
    assert mine.state.runs["one"].holdings.of[BTC.id].held == 0.1


@pytest.mark.parametrize("is_ended", [False, True])
def test_a_fill_that_is_listed_twice_under_other_ids_is_not_the_runs(is_ended: bool) -> None:
    mine = account()
    placed(mine, venue_order_id=7)
    if is_ended:
        mine.take_trades(BTC.id, [trade(1, 7, 0.4), trade(2, 7, 0.6)], 13)
        mine.hear(state("one.1", 7, S.FILLED, 1.0), "stream", 14)
        mine.take_trades(BTC.id, [trade(3, 7, 0.4), trade(4, 7, 0.6)], 15)
    else:
        mine.take_trades(BTC.id, [trade(1, 7, 0.4), trade(2, 7, 0.4), trade(3, 7, 0.6), trade(4, 7, 0.2)], 13)
    assert sum(fill.quantity for fill in fills(mine)) == pytest.approx(1.0)
    assert mine.state.runs["one"].holdings.of[BTC.id].held == pytest.approx(1.0)
    found = differences(mine)
    assert {(each.what, each.action) for each in found} == {("fill", "ignored")}
    assert all("beyond what was ordered" in each.explanation for each in found)


def test_too_many_trades_between_two_bars_come_as_fewer_fills_and_lose_nothing() -> None:
    mine = account()
    placed(mine, venue_order_id=7, quantity=10.0)
    trades = [trade(k, 7) for k in range(1, 100)]
    mine.take_trades(BTC.id, trades, 13)
    found = fills(mine)
    assert len(found) <= MANY_FILLS
    assert sum(fill.quantity for fill in found) == pytest.approx(9.9)
    paid = sum(fill.quantity * fill.price + fill.fee for fill in found)
    assert paid == pytest.approx(sum(each.quantity * each.price + each.fee for each in trades))
    assert mine.state.cursors[BTC.id] == 99


def test_two_runs_of_one_account_hold_their_own() -> None:
    mine = account("one", "two")
    placed(mine, "one", 1, 7)
    placed(mine, "two", 1, 8)
    mine.take_trades(BTC.id, [trade(1, 7), trade(2, 8, 0.5)], 13)
    held = {name: each.holdings.of[BTC.id].held for name, each in mine.state.runs.items()}
    assert held == {"one": 0.1, "two": 0.5}
    assert [len(fills(mine, name)) for name in ("one", "two")] == [1, 1]
    assert mine.state.expected["BTC"] == pytest.approx(0.6)


def test_a_sale_by_hand_of_what_a_run_holds_is_the_runs() -> None:
    mine = account("one", "two")
    mine.state.expected["BTC"] = 0.3  # somebody else's
    placed(mine, "one", 1, 7)
    placed(mine, "two", 1, 8)
    mine.take_trades(BTC.id, [trade(1, 7, 0.4), trade(2, 8, 0.5)], 13)
    by_hand = msgspec.structs.replace(trade(3, 99, 1.0), side=Side.SELL)
    mine.take_trades(BTC.id, [by_hand], 14)  # 0.2 are left in the account
    held = {name: each.holdings.of[BTC.id].held for name, each in mine.state.runs.items()}
    assert sum(held.values()) == pytest.approx(0.2)
    assert held["two"] == 0.0  # the largest first
    assert [(fill.order_id, fill.side) for fill in fills(mine, "two")[1:]] == [(NO_ORDER, Side.SELL)]
    assert [each.what for each in differences(mine)] == ["fill", "position", "position"]


def test_what_is_withdrawn_from_the_account_is_the_runs_no_more() -> None:
    mine = account()
    placed(mine, venue_order_id=7)
    mine.take_trades(BTC.id, [trade(1, 7, 0.4)], 13)
    mine.state.expected["USDT"] = 1000.0
    mine.state.runs["one"].holdings.of[BTC.id].price = 100.0
    left = {"USDT": Balance("USDT", 1000.0, 0.0), "BTC": Balance("BTC", 0.1, 0.0)}
    equity = mine.state.runs["one"].holdings.equity
    for k in range(2):
        mine.reconcile(sweep(balances=left), VOID_NS, set(), 20 + k)
    assert mine.state.runs["one"].holdings.of[BTC.id].held == pytest.approx(0.1)
    assert [each.what for each in differences(mine)] == ["balance", "position"]
    assert mine.state.runs["one"].holdings.equity == pytest.approx(equity)


def test_a_balance_is_doubted_once_and_told_when_it_is_so_again() -> None:
    mine = account()
    mine.state.expected = {"USDT": 900.0}
    assert not mine.reconcile(sweep(), VOID_NS, set(), 20)
    assert not differences(mine)
    assert mine.reconcile(sweep(), VOID_NS, set(), 21)
    assert [(each.what, each.name, each.action) for each in differences(mine)] == [("balance", "USDT", "taken over")]
    assert mine.reconcile(sweep(), VOID_NS, set(), 22)
    assert len(differences(mine)) == 1


def test_a_balance_that_was_only_early_is_not_told() -> None:
    mine = account()
    mine.state.expected = {"USDT": 900.0}
    assert not mine.reconcile(sweep(), VOID_NS, set(), 20)
    mine.state.expected = {"USDT": 1000.0}  # the trade behind it has come
    assert mine.reconcile(sweep(), VOID_NS, set(), 21)
    assert not differences(mine)


@pytest.mark.parametrize(
    ("asked_ns", "void_ns", "is_held"), [(1_000, VOID_NS, True), (50, VOID_NS, False), (10**12, -1, False)]
)
def test_unknown_is_final_only_when_the_order_can_no_longer_come(asked_ns: int, void_ns: int, is_held: bool) -> None:
    mine = account()
    working = placed(mine)
    mine.unknown_there(working, asked_ns, void_ns, 30)
    assert (working.leg is None) == is_held
    assert working.next_client_order_id == "one.1"


def test_an_order_that_the_venue_has_forgotten_ends_and_is_told() -> None:
    mine = account()
    placed(mine, venue_order_id=7)
    mine.state.expected = {"USDT": 1000.0}
    mine.reconcile(sweep(states={"one.1": None}), VOID_NS, set(), 20)
    assert [(each.what, each.name) for each in differences(mine)] == [("order", "one.1")]
    assert statuses(mine) == [S.NEW, S.CANCELED]


def test_an_order_of_ours_that_rose_again_is_to_be_withdrawn() -> None:
    mine = account()
    mine.state.expected = {"USDT": 1000.0}
    mine.reconcile(sweep(open_orders=[state("one.5", 77), state("by-hand", 78)]), VOID_NS, set(), 20)
    assert [each.client_order_id for each in mine.risen] == ["one.5"]
    assert [(each.name, each.action) for each in differences(mine)] == [("one.5", "taken over"), ("by-hand", "ignored")]


def test_an_order_that_ended_while_the_listing_was_fetched_has_not_risen() -> None:
    mine = account()
    mine.state.expected = {"USDT": 1000.0}
    placed(mine, venue_order_id=7)
    mine.hear(state("one.1", 7, S.CANCELED), "stream", 2_000)
    mine.reconcile(sweep(open_orders=[state("one.1", 7)]), VOID_NS, set(), 2_001)
    assert (mine.risen, differences(mine)) == ([], [])
    mine.reconcile(sweep(asked_ns=3_000, open_orders=[state("one.1", 7)]), VOID_NS, set(), 3_001)
    assert [each.client_order_id for each in mine.risen] == ["one.1"]


def test_an_instrument_that_comes_later_does_not_make_its_past_ours() -> None:
    mine = account()
    eth = Instrument("box:ETHUSDT", "ETH", "USDT", 0.01, 0.0001, 5.0)
    mine.state.instruments[eth.id] = eth
    mine.state.expected = {"USDT": 1000.0}
    old = msgspec.structs.replace(trade(5, 1), instrument=eth.id)
    assert mine.reconcile(sweep(trades={BTC.id: [], eth.id: [old]}), VOID_NS, set(), 20)
    assert (mine.state.cursors[eth.id], differences(mine)) == (5, [])


def test_an_amendment_never_has_two_legs_open() -> None:
    mine = account()
    working = placed(mine, venue_order_id=7)
    amend = OrderAmend("one", 1, BTC.id, 15, 2.0, 99.0, math.nan)
    assert mine.book.amend(working, amend, 15) == []
    assert working.wants_cancel
    mine.hear(state("one.1", 7, S.CANCELED, 0.25), "answer", 16)
    assert working.leg is not None  # a quarter was traded, which is not known yet
    mine.take_trades(BTC.id, [trade(1, 7, 0.25)], 17)
    assert working.leg is None
    assert (working.left, working.order.price, working.next_client_order_id) == (1.75, 99.0, "one.1-a1")


def test_state_survives_being_written_down() -> None:
    mine = account()
    placed(mine, venue_order_id=7)
    mine.take_trades(BTC.id, [trade(1, 7)], 13)
    state_bytes = msgspec.msgpack.encode(mine.state)
    again = msgspec.msgpack.decode(state_bytes, type=AccountState)
    assert msgspec.msgpack.encode(again) == state_bytes
    assert again.book.find("one.1") is not None
