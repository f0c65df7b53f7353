"""The rules of orders and fills, one by one. Each runs compiled and uncompiled."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.engine.market import BTC, instruments_of, rows

from quantlytic import Fees, Instrument, Session, Side, Strategy, TimeInForce, param
from quantlytic.model.order import OrderStatus, OrderType, Reason

BUY, SELL = Side.BUY, Side.SELL
MARKET, BUY_LIMIT, SELL_LIMIT, TARGET, CLOSE, CANCEL, WEIGHT = 1, 2, 3, 4, 5, 6, 7


class Script(Strategy):
    """Does what a table says: (bar, what, quantity, price, time in force)."""

    def setup(self) -> None:
        self.bar = 0
        self.table = np.zeros((8, 5))
        self.fills_seen = 0
        self.seen_open = np.zeros(16, np.int64)
        self.sent = 0

    def on_fill(self, fill: Any, broker: Any) -> None:
        self.fills_seen += 1

    def on_bar(self, bar: Any, broker: Any) -> None:
        for k in range(8):
            what = int(self.table[k, 1])
            quantity, price = self.table[k, 2], self.table[k, 3]
            if self.table[k, 0] != self.bar or what == 0:
                continue
            if what == MARKET:
                self.sent = broker.buy(quantity) if quantity > 0 else broker.sell(-quantity)
            elif what == BUY_LIMIT:
                self.sent = broker.limit(Side.BUY, quantity, price, int(self.table[k, 4]))
            elif what == SELL_LIMIT:
                self.sent = broker.limit(Side.SELL, quantity, price, int(self.table[k, 4]))
            elif what == TARGET:
                self.sent = broker.target_quantity(quantity)
            elif what == WEIGHT:
                self.sent = broker.target_weight(quantity)
            elif what == CLOSE:
                self.sent = broker.close()
            elif what == CANCEL:
                self.sent = int(broker.cancel(int(quantity)))
        self.seen_open[self.bar] = broker.open_orders
        self.bar += 1


Play = Callable[..., Session]


@pytest.fixture(params=[True, False], ids=["compiled", "debug"])
def play(request: pytest.FixtureRequest) -> Play:
    """Runs a table over bars (open, high, low, close)."""

    def run(table: list[tuple[float, ...]], *bars: tuple[float, float, float, float], **options: Any) -> Session:
        lines = np.zeros((8, 5))
        for k, line in enumerate(table):
            lines[k, : len(line)] = line
            lines[k, 4] = line[4] if len(line) > 4 else TimeInForce.GTC

        class Played(Script):
            def setup(self) -> None:
                Script.setup(self)
                self.table = lines

        settings = {"cash": 1000.0, "instruments": [BTC], "compiled": request.param} | options
        session = Session(Played, **settings)
        session.run(rows(*bars))
        return session

    return run


def fills(session: Session) -> list[tuple[int, float, float]]:
    return [(int(f["side"]), float(f["quantity"]), float(f["price"])) for f in session.fills]


def ends(session: Session) -> list[tuple[str, str]]:
    """Of each update after NEW: status and reason."""
    found = [(OrderStatus(u["status"]), Reason(u["reason"])) for u in session.updates]
    return [(status.name, reason.text) for status, reason in found if status != OrderStatus.NEW]


def test_a_market_order_fills_at_the_next_open(play: Play) -> None:
    session = play([(0, MARKET, 2)], (10, 12, 9, 11), (10.5, 12, 9, 11.5), cash=100.0, fees=Fees(10))
    assert fills(session) == [(1, 2.0, 10.5)]
    assert session.fills["fee"][0] == 2 * 10.5 * 0.001
    assert session.fills["event_time"][0] == rows((1, 1, 1, 1), start=1)["open_time"][0]
    assert session.cash == 100.0 - (2 * 10.5 + session.fills["fee"][0])
    assert session.equity.tolist() == [100.0, session.cash + 2 * 11.5]
    (order,), (signal,) = session.orders, session.signals
    assert (order["type"], order["side"], order["event_time"]) == (
        OrderType.MARKET,
        BUY,
        rows((1, 1, 1, 1))["close_time"],
    )
    assert math.isnan(order["price"])
    assert (signal["signal_id"], signal["target_quantity"], signal["price"]) == (order["order_id"], 2.0, 11.0)


@pytest.mark.parametrize(
    ("line", "bar", "expected"),
    [
        ((0, BUY_LIMIT, 1, 9.0), (10, 11, 8.5, 10), [(1, 1.0, 9.0)]),  # reached within
        ((0, BUY_LIMIT, 1, 9.0), (10, 11, 9.0, 10), [(1, 1.0, 9.0)]),  # just touched
        ((0, BUY_LIMIT, 1, 9.0), (10, 11, 9.01, 10), []),
        ((0, BUY_LIMIT, 1, 9.0), (8.0, 11, 7, 10), [(1, 1.0, 8.0)]),  # gapped through: at the open
        ((0, BUY_LIMIT, 1, 9.0), (9.0, 11, 9, 10), [(1, 1.0, 9.0)]),
        ((0, SELL_LIMIT, 1, 12.0), (10, 12.5, 9, 10), [(-1, 1.0, 12.0)]),
        ((0, SELL_LIMIT, 1, 12.0), (10, 12.0, 9, 10), [(-1, 1.0, 12.0)]),
        ((0, SELL_LIMIT, 1, 12.0), (10, 11.99, 9, 10), []),
        ((0, SELL_LIMIT, 1, 12.0), (13, 14, 9, 10), [(-1, 1.0, 13.0)]),
    ],
)
def test_limits_fill_by_high_and_low(play: Play, line: Any, bar: Any, expected: Any) -> None:
    session = play([line], (10, 10, 10, 10), bar, allow_short=True)
    assert fills(session) == expected


@pytest.mark.parametrize("kind", [TimeInForce.IOC, TimeInForce.FOK])
def test_immediate_orders_meet_one_open_only(play: Play, kind: int) -> None:
    bars = [(10, 10, 10, 10), (10, 11, 8, 10), (8, 9, 7, 8)]
    assert ends(play([(0, BUY_LIMIT, 1, 9.0, kind)], *bars)) == [("EXPIRED", "not-filled-at-once")]
    assert fills(play([(0, BUY_LIMIT, 1, 10.5, kind)], *bars)) == [(1, 1.0, 10.0)]
    assert fills(play([(0, BUY_LIMIT, 1, 9.0, TimeInForce.GTC)], *bars)) == [(1, 1.0, 9.0)]


def test_fees_taker_at_first_open_maker_when_rested(play: Play) -> None:
    fees = Fees(taker_bps=10, maker_bps=2)
    bars = [(10, 10, 10, 10), (10, 11, 9.5, 10), (9, 9, 9, 9)]
    taker = play([(0, BUY_LIMIT, 1, 10.5)], *bars, fees=fees)
    within = play([(0, BUY_LIMIT, 1, 9.6)], *bars, fees=fees)
    gapped = play([(0, BUY_LIMIT, 1, 9.2)], *bars, fees=fees)
    assert taker.fills["fee"].tolist() == [1 * 10.0 * 0.001]
    assert within.fills["fee"].tolist() == [9.6 * 0.0002]
    assert gapped.fills["fee"].tolist() == [9.0 * 0.0002]
    assert play([(0, BUY_LIMIT, 1, 9.6)], *bars, fees=Fees(10)).fills["fee"].tolist() == [9.6 * 0.001]


def test_of_limits_reached_in_one_bar_the_worse_fills_first(play: Play) -> None:
    # Cash for one only. At the close of 10 the buy at 11 looks worse than the one at 9.5, though it was sent later.
    session = play([(0, BUY_LIMIT, 1, 9.5), (0, BUY_LIMIT, 1, 11)], (12, 12, 12, 12), (12, 12, 9, 10), cash=15.0)
    assert fills(session) == [(1, 1.0, 11.0)]
    assert ends(session) == [("FILLED", ""), ("REJECTED", "insufficient-cash")]


def test_orders_at_the_open_fill_in_the_order_sent(play: Play) -> None:
    session = play([(0, MARKET, 1), (0, BUY_LIMIT, 1, 13)], (12, 12, 12, 12), (12, 12, 9, 10), cash=15.0)
    assert fills(session) == [(1, 1.0, 12.0)]
    assert session.updates["order_id"].tolist() == [1, 2, 1, 2]


def test_cash_never_goes_negative(play: Play) -> None:
    bars = [(10, 10, 10, 10), (10.5, 10.5, 10.5, 10.5)]
    exact = play([(0, MARKET, 10)], *bars, cash=105.0)
    assert exact.cash == 0.0
    short = play([(0, MARKET, 10)], *bars, cash=104.99)
    assert fills(short) == []
    assert ends(short) == [("REJECTED", "insufficient-cash")]
    fee = play([(0, MARKET, 10)], *bars, cash=105.0, fees=Fees(1))
    assert ends(fee) == [("REJECTED", "insufficient-cash")]


def test_a_spot_account_sells_what_it_holds_only(play: Play) -> None:
    bars = [(10, 10, 10, 10)] * 4
    session = play([(0, MARKET, 1), (1, MARKET, -1.5), (2, MARKET, -1)], *bars)
    assert ends(session) == [("FILLED", ""), ("REJECTED", "short-not-allowed"), ("FILLED", "")]
    assert session.positions == {BTC.id: 0.0}


def test_shorts_are_fully_backed(play: Play) -> None:
    bars = [(10, 10, 10, 10)] * 4
    allowed = {"allow_short": True, "cash": 100.0}
    session = play([(0, MARKET, -10)], *bars, **allowed)
    assert (session.cash, session.equity[-1], session.positions[BTC.id]) == (200.0, 100.0, -10.0)
    assert ends(play([(0, MARKET, -10.1)], *bars, **allowed)) == [("REJECTED", "insufficient-collateral")]
    again = play([(0, MARKET, -6), (1, MARKET, -6)], *bars, **allowed)
    assert ends(again) == [("FILLED", ""), ("REJECTED", "insufficient-collateral")]
    flip = play([(0, MARKET, -6), (1, MARKET, 16)], *bars, **allowed)
    assert flip.positions[BTC.id] == 10.0
    over = play([(0, MARKET, -6), (1, MARKET, 16.1)], *bars, **allowed)
    assert ends(over)[-1] == ("REJECTED", "insufficient-cash")


def test_a_losing_short_can_always_be_bought_back(play: Play) -> None:
    bars = [(10, 10, 10, 10), (10, 10, 10, 10), (25, 25, 25, 25), (25, 25, 25, 25)]
    session = play([(0, MARKET, -10), (2, CLOSE)], *bars, allow_short=True, cash=100.0)
    assert session.positions[BTC.id] == 0.0
    assert session.cash == -50.0


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ((0, BUY_LIMIT, 0.0, 9), "invalid-quantity"),
        ((0, BUY_LIMIT, -1.0, 9), "invalid-quantity"),
        ((0, BUY_LIMIT, math.nan, 9), "invalid-quantity"),
        ((0, BUY_LIMIT, math.inf, 9), "invalid-quantity"),
        ((0, TARGET, math.nan), "invalid-quantity"),
        ((0, WEIGHT, math.nan), "invalid-quantity"),
        ((0, BUY_LIMIT, 1, 0.0), "invalid-price"),
        ((0, BUY_LIMIT, 1, -9), "invalid-price"),
        ((0, BUY_LIMIT, 1, math.nan), "invalid-price"),
        ((0, BUY_LIMIT, 1, 9, 8), "invalid-order"),
    ],
)
def test_what_makes_no_sense_is_rejected_with_a_reason(play: Play, line: Any, reason: str) -> None:
    session = play([line], (10, 10, 10, 10), (10, 10, 5, 10))
    assert ends(session) == [("REJECTED", reason)]
    assert len(session.orders) == 1
    assert len(session.signals) == len(session.fills) == 0
    assert session.equity.tolist() == [1000.0, 1000.0]


def test_the_table_of_orders_can_be_full(play: Play) -> None:
    session = play([(0, BUY_LIMIT, 1, k + 1.0) for k in range(4)], (10, 10, 10, 10), (10, 10, 1, 10), max_open_orders=3)
    assert ends(session)[0] == ("REJECTED", "too-many-open-orders")
    assert [f[2] for f in fills(session)] == [3.0, 2.0, 1.0]


def test_cancel(play: Play) -> None:
    bars = [(10, 10, 10, 10), (10, 10, 10, 10), (10, 10, 1, 10)]
    session = play([(0, BUY_LIMIT, 1, 9), (0, BUY_LIMIT, 1, 8), (1, CANCEL, 1), (1, CANCEL, 1), (1, CANCEL, 77)], *bars)
    assert session.cancels["order_id"].tolist() == [1]
    assert ends(session) == [("CANCELED", ""), ("FILLED", "")]
    same_bar = play([(0, BUY_LIMIT, 1, 9), (0, CANCEL, 1)], *bars)
    assert ends(same_bar) == [("CANCELED", "")]
    assert same_bar.updates["status"].tolist() == [OrderStatus.NEW, OrderStatus.CANCELED]


def test_targets_count_in_what_was_sent_already(play: Play) -> None:
    bars = [(10, 10, 10, 10)] * 3
    assert fills(play([(0, TARGET, 5), (0, TARGET, 3)], *bars)) == [(1, 5.0, 10.0), (-1, 2.0, 10.0)]
    assert fills(play([(0, TARGET, 5), (0, TARGET, 5)], *bars)) == [(1, 5.0, 10.0)]
    assert fills(play([(0, TARGET, 5), (1, TARGET, 5)], *bars)) == [(1, 5.0, 10.0)]
    assert fills(play([(0, TARGET, 5), (1, CLOSE), (1, CLOSE)], *bars)) == [(1, 5.0, 10.0), (-1, 5.0, 10.0)]
    assert fills(play([(0, WEIGHT, 0.5), (1, WEIGHT, 0.5)], *bars)) == [(1, 50.0, 10.0)]


def test_lots_ticks_and_minimum(play: Play) -> None:
    rules = Instrument("test:R", tick_size=0.01, lot_size=0.001, min_notional=5.0)
    bars = [(10, 10, 10, 10), (10, 10, 9, 10), (10, 12, 10, 10)]
    options = {"instruments": [rules]}
    session = play([(0, MARKET, 1.23456), (0, BUY_LIMIT, 1, 9.119), (1, SELL_LIMIT, 1, 11.111)], *bars, **options)
    assert fills(session) == [(1, 1.234, 10.0), (1, 1.0, 9.11), (-1, 1.0, 11.12)]
    assert ends(play([(0, MARKET, 0.0009)], *bars, **options)) == [("REJECTED", "invalid-quantity")]
    assert ends(play([(0, MARKET, 0.499)], *bars, **options)) == [("REJECTED", "min-notional")]
    assert fills(play([(0, MARKET, 0.5)], *bars, **options)) == [(1, 0.5, 10.0)]
    assert len(play([(0, TARGET, 0.4), (0, TARGET, 0.0001)], *bars, **options).orders) == 0


def test_lots_leave_no_dust(play: Play) -> None:
    rules = Instrument("test:R", lot_size=0.1)
    bars = [(10, 10, 10, 10)] * 5
    session = play([(0, MARKET, 0.1), (1, MARKET, 0.2), (2, CLOSE)], *bars, instruments=[rules])
    assert fills(session) == [(1, 0.1, 10.0), (1, 0.2, 10.0), (-1, 0.3, 10.0)]
    assert session.positions["test:R"] == 0.0


def test_without_a_lot_size_nothing_is_rounded(play: Play) -> None:
    session = play([(0, WEIGHT, 0.99)], (7, 7, 7, 7), (7, 7, 7, 7))
    assert fills(session) == [(1, 0.99 * 1000.0 / 7, 7.0)]


def test_open_orders_are_seen_at_once(play: Play) -> None:
    bars = [(10, 10, 10, 10), (10, 10, 10, 10), (10, 10, 10, 10), (10, 10, 8, 10), (10, 10, 10, 10)]
    table = [(0, BUY_LIMIT, 1, 9), (1, BUY_LIMIT, 1, 7), (2, CANCEL, 2)]
    session = play(table, *bars)
    state = session.state_of(BTC.id)
    assert state["seen_open"][:5].tolist() == [1, 2, 1, 0, 0]
    assert state["fills_seen"] == 1


class Pair(Strategy):
    """Buys what it is called with; each instrument has a state of its own."""

    wait: int = param(1, low=0, high=10)

    def setup(self) -> None:
        self.bars = 0

    def on_bar(self, bar: Any, broker: Any) -> None:
        self.bars += 1
        if self.bars == self.wait + bar.instrument:
            broker.target_weight(0.25)


def test_instruments_share_the_account_not_the_state() -> None:
    instruments = instruments_of(2)
    bars = np.concatenate([rows((10, 10, 10, 10), instrument=k, start=t) for t in range(4) for k in range(2)])
    bars["close"][bars["instrument"] == 1] = 20
    bars["high"][bars["instrument"] == 1] = 20
    session = Session(Pair(wait=1), instruments, 1000.0)
    session.run(bars)
    assert [(int(f["instrument"]), float(f["quantity"]), int(f["bar_offset"])) for f in session.fills] == [
        (0, 25.0, 2),
        (1, 12.5, 5),
    ]
    assert session.equity[-1] == 1000 + 12.5 * 10  # bought at the open of 10, marked at 20
