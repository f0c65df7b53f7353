"""The live executor against the exchange in a box, over real sockets: one case each."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.sim.liveworld import BTC, FREE, RULES, Killed, Strategist, World, entry, start_box, world

from quantlytic.model.breach import RiskBreach
from quantlytic.model.command import CommandKind, VenueCommand, VenueReport
from quantlytic.model.errors import InputError, VenueError
from quantlytic.model.halt import Halt
from quantlytic.model.order import Order, OrderAmend, OrderCancel, OrderStatus, OrderType, OrderUpdate, TimeInForce
from quantlytic.model.side import Side
from quantlytic.trading.holdings import NO_ORDER
from quantlytic.trading.limits import InstrumentLimits
from quantlytic.venues.binance.keys import Keys
from quantlytic.venues.binance.market import spot
from quantlytic.venues.binance.orders import BinanceOrders, OrderTimings
from quantlytic.venues.exchange.server import ExchangeServer

OPENING = {"USDT": 100_000.0, "BTC": 1.0}
S = OrderStatus
numbers = count()


@pytest.fixture(scope="module")
def shared() -> Iterator[ExchangeServer]:
    server = start_box(60, {"USDT": "100000", "BTC": "1"})
    yield server
    server.stop()


@pytest.fixture
def box(shared: ExchangeServer) -> Iterator[ExchangeServer]:
    shared.faults.clear()
    yield shared
    shared.faults.clear()


@pytest.fixture
def live(box: ExchangeServer, tmp_path: Path) -> Iterator[World]:
    with hand(box, tmp_path) as here:
        yield here


def hand(box: ExchangeServer, folder: Path, **more: Any) -> Any:
    """A world, on an account of its own, whose strategist orders what the test says."""
    return world(folder, box, f"a{next(numbers)}", 0, strategist=Strategist, **more)


def decide(live: World, *wishes: Any) -> None:
    """One bar, the decision on it, and one more bar: what the decision brought about has been heard."""
    live.dice.next += wishes
    live.run_bars(2)


def reason(live: World, order_id: int) -> str:
    found = live.events(live.run.executions_stream)
    return next(e.reason for e in reversed(found) if isinstance(e, OrderUpdate) and e.order_id == order_id)


def commands(live: World, kind: CommandKind) -> list[VenueCommand]:
    found = live.events(f"account.{live.account}")
    return [event for event in found if isinstance(event, VenueCommand) and event.kind == kind]


def far(live: World, side: Side = Side.BUY) -> float:
    """A price that will not be reached."""
    return round(live.price() * (1 - side * 0.05), 2)


def cancel(live: World, order_id: int) -> OrderCancel:
    return OrderCancel(live.run.run_id, order_id, BTC.id, time.time_ns())


def amend(live: World, order_id: int, quantity: float = math.nan, price: float = math.nan) -> OrderAmend:
    return OrderAmend(live.run.run_id, order_id, BTC.id, time.time_ns(), quantity, price)


def by_hand(live: World, order: Order, client_order_id: str = "by-hand-1") -> Any:
    """Place an order in the account, past the executor."""

    async def place() -> Any:
        async with entry(live.box, live.account, OrderTimings()) as orders:
            return await orders.submit(order, client_order_id)

    return asyncio.run(place())


def plain(side: Side, quantity: float, price: float = math.nan) -> Order:
    kind = OrderType.MARKET if math.isnan(price) else OrderType.LIMIT
    return Order("hand", 1, BTC.id, 0, side, kind, TimeInForce.GTC, quantity, price)


# ---- the life of an order


def test_dice_end_where_the_exchange_is(box: ExchangeServer, tmp_path: Path) -> None:
    with world(tmp_path, box, f"a{next(numbers)}", 1) as live:
        live.run_bars(12)
        live.calm()
        assert live.check(OPENING)["trades"] > 0
        assert [each.what for each in live.discrepancies()] == ["position"]  # what was there before; nothing is made up


def test_an_order_rests_and_is_withdrawn(live: World) -> None:
    live.run_bars(1)
    first = live.dice.order(Side.BUY, 0.001, far(live))
    decide(live)
    live.until(lambda: live.updates(first) == [S.NEW])
    decide(live, cancel(live, first))
    live.until(lambda: live.updates(first) == [S.NEW, S.CANCELED])
    live.calm()
    live.check(OPENING)
    sent = commands(live, CommandKind.SUBMIT)
    assert [each.client_order_id for each in sent] == [f"{live.run.run_id}.1"]


def test_a_command_is_in_the_log_before_the_venue_hears_of_it(live: World) -> None:
    live.run_bars(1)

    def fate(where: str) -> None:
        if where == "before submit":
            assert len(commands(live, CommandKind.SUBMIT)) == 1
            assert live.box._call(live._truth)["orders"] == []

    live.fate = fate
    live.dice.order(Side.BUY, 0.001)
    decide(live)
    live.calm()
    assert live.check(OPENING)["orders"] == 1


def test_cancelling_what_has_filled_gives_the_fill(live: World) -> None:
    live.run_bars(1)
    first = live.dice.order(Side.BUY, 0.001)
    live.dice.next.append(cancel(live, first))
    decide(live)
    live.calm()
    assert live.updates(first)[-1] in (S.FILLED, S.CANCELED)
    live.check(OPENING)


def test_an_amendment_withdraws_then_replaces(live: World) -> None:
    live.run_bars(1)
    first = live.dice.order(Side.BUY, 0.001, far(live))
    decide(live)
    decide(live, amend(live, first, quantity=0.003, price=far(live) + 1))
    run = live.run.run_id
    live.until(lambda: any(o.client_order_id == f"{run}.1-a1" for o in live.box._call(live._truth)["orders"]))
    truth = live.box._call(live._truth)
    assert truth["open"] == [f"{run}.1-a1"]
    assert "amended" in [e.reason for e in live.events(live.run.executions_stream) if isinstance(e, OrderUpdate)]
    decide(live, amend(live, first, price=round(live.price() * 1.01, 2)))  # now it takes
    live.until(lambda: live.updates(first)[-1] == S.FILLED)
    live.calm()
    live.check(OPENING)
    assert sum(each["quantity"] for each in live.box._call(live._truth)["trades"]) == pytest.approx(0.003)


def test_a_fee_in_what_was_bought_is_not_held(live: World) -> None:
    live.run_bars(1)
    live.dice.order(Side.BUY, 0.5)
    decide(live)
    live.calm()
    live.check(OPENING)
    assert live.executor is not None
    holding = live.executor._account.state.runs[live.run.run_id].holdings.of[BTC.id]
    assert holding.held == pytest.approx(0.4995)
    live.dice.is_quiet = False
    live.dice.order(Side.SELL, holding.told)
    decide(live)
    live.calm()
    live.check(OPENING)
    assert holding.told == 0.0


def test_two_runs_of_one_account_keep_their_own(live: World) -> None:
    second = msgspec.structs.replace(live.run, run_id=live.run.run_id + "b")
    live.runs.append(second)
    other = Strategist(live.log, second, 0, live.price)
    first_id, second_id = live.dice.order(Side.BUY, 0.001), other.order(Side.BUY, 0.002)
    for _ in range(3):
        live.add_bar()
        want = live.dice.bars + 1
        live.until(lambda want=want: other.pump() >= 0 and min(live.dice.bars, other.bars) >= want)  # type: ignore[misc]
    live.kill()
    live.until(lambda: live.executor is not None and live.executor.stats.is_ready)
    assert live.executor is not None
    held = {name: run.holdings.of[BTC.id].held for name, run in live.executor._account.state.runs.items()}
    assert held == pytest.approx({live.run.run_id: 0.000999, second.run_id: 0.001998})
    assert (first_id, second_id) == (1, 1)
    sell = other.order(Side.SELL, 0.0025)  # more than is its own, less than the account has
    live.add_bar()
    want = live.dice.bars + 1
    live.until(lambda: other.pump() >= 0 and min(live.dice.bars, other.bars) >= want)
    live.until(lambda: any(getattr(each, "order_id", 0) == sell for each in live.events(second.executions_stream)))
    said = [each for each in live.events(second.executions_stream) if isinstance(each, OrderUpdate)]
    assert (said[-1].order_id, said[-1].status) == (sell, S.REJECTED)
    assert said[-1].reason.startswith("short-not-allowed")


# ---- what is not heard


@pytest.mark.parametrize("fault", ["order_timeout", "order_cut", "order_unknown"])
def test_an_answer_that_is_lost_makes_no_second_order(live: World, fault: str) -> None:
    live.run_bars(1)
    live.box.faults.set({fault: 1, f"{fault}.times": 1, "drop.user": 1})
    first = live.dice.order(Side.BUY, 0.001)
    decide(live)
    live.until(lambda: live.updates(first)[-1:] == [S.FILLED])
    assert live.box.faults.injected[f"{fault}.rest"] >= 1
    live.calm()
    assert live.check(OPENING)["orders"] == 1


@pytest.mark.parametrize("where", ["after commit", "before submit", "after submit"])
def test_a_death_around_sending_is_asked_about_and_sent_once(live: World, where: str) -> None:
    live.run_bars(1)
    is_armed = [True]

    def fate(here: str) -> None:
        if here == where and is_armed[0] and commands(live, CommandKind.SUBMIT):
            is_armed[0] = False
            raise Killed(here)

    live.fate = fate
    first = live.dice.order(Side.BUY, 0.001)
    decide(live)
    live.until(lambda: live.updates(first)[-1:] == [S.FILLED])
    live.calm()
    assert live.deaths == 1
    assert live.check(OPENING)["orders"] == 1


def test_what_died_unsent_and_is_old_by_now_is_not_sent_late(box: ExchangeServer, tmp_path: Path) -> None:
    rules = msgspec.structs.replace(RULES, max_decision_age_s=0.3)
    with hand(box, tmp_path, rules=rules) as live:
        live.run_bars(1)
        is_armed = [True]

        def fate(here: str) -> None:
            if here == "before submit" and is_armed[0]:
                is_armed[0] = False
                raise Killed(here)

        live.fate = fate
        first = live.dice.order(Side.BUY, 0.001)
        live.run_bars(1)
        live.until(lambda: live.deaths == 1)
        live.until(lambda: live.updates(first) == [S.REJECTED])
        assert "nothing is sent" in reason(live, first)
        live.calm()
        assert live.check(OPENING)["orders"] == 0


def test_reports_that_never_come_are_found_and_explained(live: World) -> None:
    live.run_bars(1)
    first = live.dice.order(Side.BUY, 0.001, far(live))
    decide(live)
    live.until(lambda: live.updates(first) == [S.NEW])
    live.box.faults.set({"drop.user": 1})
    by_hand_cancel(live, f"{live.run.run_id}.1")
    live.until(lambda: live.updates(first) == [S.NEW, S.CANCELED])
    assert [(each.what, each.action) for each in live.discrepancies() if each.what == "order"] == [
        ("order", "taken over")
    ]
    live.calm()
    live.check(OPENING)


def by_hand_cancel(live: World, client_order_id: str) -> None:
    async def withdraw() -> None:
        async with entry(live.box, live.account, OrderTimings()) as orders:
            await orders.cancel(BTC.id, client_order_id)

    asyncio.run(withdraw())


def test_a_connection_that_breaks_is_followed_by_a_reconciliation(box: ExchangeServer, tmp_path: Path) -> None:
    rules = msgspec.structs.replace(RULES, sweep_every_s=1000.0)
    with hand(box, tmp_path, rules=rules) as live:
        live.run_bars(1)
        first = live.dice.order(Side.BUY, 0.001, far(live))
        decide(live)
        live.until(lambda: live.updates(first) == [S.NEW])
        box.faults.set({"drop.user": 1})
        by_hand_cancel(live, f"{live.run.run_id}.1")
        assert live.updates(first) == [S.NEW]
        box.disconnect_all()
        live.until(lambda: live.updates(first) == [S.NEW, S.CANCELED])


# ---- what is refused


@pytest.mark.parametrize(
    ("quantity", "price", "words"),
    [
        (0.000001, math.nan, "invalid-quantity: 1e-06 is less than a lot"),
        (0.00002, math.nan, "min-notional: worth 1."),
        (1.5, math.nan, "insufficient-cash: costs"),
        (0.001, 1.0, "PERCENT_PRICE"),
    ],
)
def test_a_bad_order_is_rejected_in_one_line(live: World, quantity: float, price: float, words: str) -> None:
    if price == 1.0:
        price, quantity = 100.0, 0.2
    live.run_bars(1)
    first = live.dice.order(Side.BUY, quantity, price)
    decide(live)
    live.until(lambda: live.updates(first) == [S.REJECTED])
    assert words in reason(live, first)
    assert "\n" not in reason(live, first)
    live.calm()
    live.check(OPENING)


def test_a_run_does_not_sell_what_is_not_its(live: World) -> None:
    live.run_bars(1)
    first = live.dice.order(Side.SELL, 0.5)  # the account holds 1 BTC, of somebody else
    decide(live)
    live.until(lambda: live.updates(first) == [S.REJECTED])
    assert reason(live, first).startswith("short-not-allowed: sells 0.5, the run has 0")


def test_the_venues_refusal_is_told_in_its_words(box: ExchangeServer, tmp_path: Path) -> None:
    with hand(box, tmp_path, cash=10_000_000.0) as live:
        live.run_bars(1)
        first = live.dice.order(Side.BUY, 5.0)
        decide(live)
        live.until(lambda: live.updates(first) == [S.REJECTED])
        assert "insufficient balance" in reason(live, first)


def test_a_stale_decision_is_refused(live: World) -> None:
    live.run_bars(1)
    first = live.dice.order(Side.BUY, 0.001, event_time=time.time_ns() - 60 * 10**9)
    decide(live)
    live.until(lambda: live.updates(first) == [S.REJECTED])
    assert reason(live, first).startswith("too-late: decided 60.")
    assert not commands(live, CommandKind.SUBMIT)


def test_an_order_waits_for_fresh_data(box: ExchangeServer, tmp_path: Path) -> None:
    rules = msgspec.structs.replace(RULES, max_data_age_s=0.05)
    with hand(box, tmp_path, rules=rules) as live:
        live.run_bars(1)
        first = live.dice.order(Side.BUY, 0.001)
        live.add_bar()
        time.sleep(0.1)
        live.until(lambda: live.dice.bars == 2)
        for _ in range(5):
            live.step()
        assert live.updates(first) == []
        assert not commands(live, CommandKind.SUBMIT)
        live.run_bars(1)
        live.until(lambda: live.updates(first)[-1:] == [S.FILLED])


def test_a_breach_of_the_limits_is_recorded_and_refused(box: ExchangeServer, tmp_path: Path) -> None:
    limits = msgspec.structs.replace(FREE, every=InstrumentLimits(max_order_notional=100.0))
    with hand(box, tmp_path, limits=limits) as live:
        live.run_bars(1)
        first = live.dice.order(Side.BUY, 0.01)
        decide(live)
        live.until(lambda: live.updates(first) == [S.REJECTED])
        breach = next(each for each in live.events(f"account.{live.account}") if isinstance(each, RiskBreach))
        assert (breach.limit, breach.order_id) == ("max_order_notional", first)
        assert reason(live, first) == f"max_order_notional: {breach.text}"


def test_nothing_new_is_sent_while_the_latch_is_shut_but_cancels_are(live: World) -> None:
    live.run_bars(1)
    first = live.dice.order(Side.BUY, 0.001, far(live))
    decide(live)
    live.until(lambda: live.updates(first) == [S.NEW])
    live.latch.engage("kill", "operator", "enough", time.time_ns())
    second = live.dice.order(Side.BUY, 0.001)
    decide(live, cancel(live, first))
    live.until(lambda: live.updates(first)[-1] == S.CANCELED and live.updates(second) == [S.REJECTED])
    assert reason(live, second) == "trading is halted (kill): enough"


@pytest.mark.parametrize("is_restarted", [False, True])
@pytest.mark.parametrize("is_killed", [False, True])
def test_one_release_is_enough_after_a_loss(
    box: ExchangeServer, tmp_path: Path, is_killed: bool, is_restarted: bool
) -> None:
    limits = msgspec.structs.replace(FREE, max_daily_loss=100.0)
    with hand(box, tmp_path, limits=limits) as live:
        live.run_bars(1)
        live.dice.order(Side.BUY, 0.1)
        decide(live)
        live.add_bar(live.price() * 0.9)
        live.until(lambda: live.latch.read() is not None, what="halted")
        assert live.latch.read().cause == "risk"
        if is_killed:
            live.latch.engage("kill", "operator", "to be sure", time.time_ns())
            live.run_bars(1)
        if is_restarted:
            live.kill()
        live.latch.release("a" + live.account[1:], "operator", time.time_ns())
        for _ in range(3):  # at a still lower price, which nobody has seen while it was down
            live.add_bar(live.price() * 0.8)
            live.step()
        live.run_bars(2)
        assert live.latch.read() is None
        order = live.dice.order(Side.BUY, 0.001)
        decide(live)
        assert live.updates(order)[-1] == S.FILLED
        live.add_bar(live.price() * 0.7)
        live.until(lambda: live.latch.read() is not None, what="halted again by a new loss")


def test_what_a_run_left_behind_is_told_at_every_start_without_it(live: World) -> None:
    live.run_bars(1)
    bought = live.dice.order(Side.BUY, 0.01)
    resting = live.dice.order(Side.BUY, 0.001, far(live))
    decide(live)
    live.until(lambda: live.updates(bought)[-1:] == [S.FILLED] and live.updates(resting) == [S.NEW])
    assert not [each for each in live.discrepancies() if "not traded now" in each.explanation]
    live.kill()
    old, live.runs = live.run, [msgspec.structs.replace(live.run, run_id="another")]
    for starts in (1, 2):
        live.start()
        live.until(lambda: live.executor.stats.is_ready)
        told = [each for each in live.discrepancies() if f"run {old.run_id}, which is not traded" in each.explanation]
        assert [(each.what, each.action) for each in told] == [("position", "ignored"), ("order", "ignored")] * starts
        live.kill()
    assert live.box._call(live._truth)["open"] == [f"{old.run_id}.{resting}"]


# ---- strangers


@pytest.mark.parametrize("foreign", ["ignore", "adopt", "halt"])
def test_what_was_there_before_is_told_once(box: ExchangeServer, tmp_path: Path, foreign: str) -> None:
    rules = msgspec.structs.replace(RULES, foreign=foreign)
    with hand(box, tmp_path, rules=rules, cash=90_000.0) as live:
        by_hand(live, plain(Side.SELL, 0.1, far(live, Side.SELL)))
        live.run_bars(2)
        live.kill()
        live.run_bars(1)
        action = {"ignore": "ignored", "adopt": "adopted", "halt": "halted"}[foreign]
        found = [(each.what, each.name, each.action) for each in live.discrepancies()]
        order_action = "ignored" if foreign == "adopt" else action
        assert found == [("position", BTC.id, action), ("order", "by-hand-1", order_action)]
        fills = live.fills()
        assert [(fill.order_id, fill.quantity) for fill in fills] == ([(NO_ORDER, 1.0)] if foreign == "adopt" else [])
        halt = live.latch.read()
        assert (halt is not None) == (foreign == "halt")
        assert len(live.box._call(live._truth)["open"]) == 1  # never touched


def test_what_is_too_dear_for_the_run_is_not_adopted(box: ExchangeServer, tmp_path: Path) -> None:
    rules = msgspec.structs.replace(RULES, foreign="adopt")
    with (
        hand(box, tmp_path, rules=rules, cash=1_000.0) as live,
        pytest.raises(InputError, match=r"worth 5\d,|worth 6\d,") as caught,
    ):
        live.run_bars(1)
    assert "set foreign to ignore" in str(caught.value)


@pytest.mark.parametrize("foreign", ["ignore", "adopt", "halt"])
def test_a_trade_by_hand_is_seen(box: ExchangeServer, tmp_path: Path, foreign: str) -> None:
    rules = msgspec.structs.replace(RULES, foreign=foreign)
    with hand(box, tmp_path, rules=rules, cash=90_000.0) as live:
        if foreign == "halt":
            live.box._call(lambda: live.box._running().market.core.accounts.balances[live.account].pop("BTC"))
        live.run_bars(2)
        adopted = len(live.fills())
        by_hand(live, plain(Side.BUY, 0.01))
        live.until(lambda: any(each.what == "fill" for each in live.discrepancies()))
        live.run_bars(1)
        seen = [each for each in live.discrepancies() if each.what == "fill"]
        assert {each.action for each in seen} == {{"ignore": "ignored", "adopt": "adopted", "halt": "halted"}[foreign]}
        assert len(live.fills()) - adopted == (len(seen) if foreign == "adopt" else 0)
        assert (live.latch.read() is not None) == (foreign == "halt")
        assert not [each for each in live.discrepancies() if each.what == "balance"]


@pytest.mark.parametrize("halts", [False, True])
def test_money_that_no_trade_explains_is_a_discrepancy(box: ExchangeServer, tmp_path: Path, halts: bool) -> None:
    with hand(box, tmp_path, rules=msgspec.structs.replace(RULES, halts_on_balance=halts)) as live:
        live.run_bars(1)
        accounts = live.box._running().market.core.accounts  # type: ignore[union-attr]
        live.box._call(lambda: accounts.deposit(live.account, "USDT", 250 * 10**8))
        live.until(lambda: any(each.what == "balance" for each in live.discrepancies()))
        found = next(each for each in live.discrepancies() if each.what == "balance")
        assert (found.name, found.action) == ("USDT", "halted" if halts else "taken over")
        assert "+250.00000000 USDT" in found.explanation
        live.run_bars(1)
        halted = [each for each in live.events(f"account.{live.account}") if isinstance(each, Halt)]
        assert [each.cause for each in halted] == (["reconciliation"] if halts else [])
        time.sleep(0.6)
        live.run_bars(1)
        assert len([each for each in live.discrepancies() if each.what == "balance"]) == 1


def test_what_was_sold_past_the_run_is_not_its_any_more_and_soon(box: ExchangeServer, tmp_path: Path) -> None:
    rules = msgspec.structs.replace(RULES, sweep_every_s=1000.0)
    with hand(box, tmp_path, rules=rules) as live:
        live.box._call(lambda: live.box._running().market.core.accounts.balances[live.account].pop("BTC"))
        live.run_bars(1)
        first = live.dice.order(Side.BUY, 0.01)
        decide(live)
        live.until(lambda: live.updates(first)[-1:] == [S.FILLED])
        by_hand(live, plain(Side.SELL, 0.00999), "kill-1")  # as the kill switch does
        live.until(lambda: live.fills()[-1].order_id == NO_ORDER)
        live.run_bars(1)
        sold = [fill for fill in live.fills() if fill.order_id == NO_ORDER]
        assert sum(fill.quantity for fill in sold) == pytest.approx(0.00999)
        assert live.executor._account.state.runs[live.run.run_id].holdings.of[BTC.id].told == 0.0
        explained = [each.explanation for each in live.discrepancies() if each.what == "position"]
        assert explained[-1].startswith("sold or taken out of the account past run live-")


# ---- bad input


def test_wrong_keys_are_said_in_one_line_at_the_start(box: ExchangeServer, tmp_path: Path) -> None:
    with hand(box, tmp_path, keys=Keys("wrong", "wrong")) as live:
        with pytest.raises(VenueError, match="Invalid API-key") as caught:
            live.run_bars(1)
        assert "\n" not in str(caught.value)


def test_a_key_that_may_only_look_is_told_with_the_first_order(box: ExchangeServer, tmp_path: Path) -> None:
    with world(tmp_path, box, "looker", 0, strategist=Strategist) as live:
        live.run_bars(1)
        first = live.dice.order(Side.BUY, 0.001)
        decide(live)
        live.until(lambda: live.updates(first) == [S.REJECTED])
        assert "permissions" in reason(live, first)
        assert live.box._call(live._truth)["orders"] == []


def test_an_instrument_that_takes_no_orders_any_more(tmp_path: Path) -> None:
    box = start_box(1, delisted=("BTCUSDT",))
    with ExitStack() as ends, world(tmp_path, box, "a0", 0, strategist=Strategist) as live:
        ends.callback(box.stop)
        live.run_bars(1)
        first = live.dice.order(Side.BUY, 0.001)
        decide(live)
        live.until(lambda: live.updates(first) == [S.REJECTED])
        assert "closed" in reason(live, first)


def test_a_clock_that_is_an_hour_off_is_put_right(box: ExchangeServer, tmp_path: Path) -> None:
    account = f"a{next(numbers)}"
    market = spot("box", box.rest_url, box.stream_url + "/stream", box.stream_url + "/ws-api/v3")

    def open_entry() -> BinanceOrders:
        late = lambda: time.time_ns() - 3_600 * 10**9  # noqa: E731
        return BinanceOrders(market, Keys(*box.keys(account)), timings=OrderTimings(), wall_ns=late)

    with world(tmp_path, box, account, 0, strategist=Strategist, open_entry=open_entry) as live:
        live.run_bars(1)
        first = live.dice.order(Side.BUY, 0.001)
        decide(live)
        live.until(lambda: live.updates(first)[-1:] == [S.FILLED])


def test_html_at_the_start_is_waited_out_and_said(live: World) -> None:
    live.box.faults.set({"html": 1})
    live.add_bar()
    live.until(lambda: live.executor is not None and "502" in live.executor.stats.error)
    assert live.executor is not None
    assert not live.executor.stats.is_ready
    live.box.faults.clear()
    live.run_bars(1)
    assert (live.executor.stats.is_ready, live.executor.stats.error) == (True, "")


def test_every_report_is_in_the_log(live: World) -> None:
    live.run_bars(1)
    live.dice.order(Side.BUY, 0.001)
    decide(live)
    live.calm()
    reports = [each for each in live.events(f"account.{live.account}") if isinstance(each, VenueReport)]
    assert {each.heard_as for each in reports} == {"answer", "stream"}
    assert reports[-1].status == S.FILLED
