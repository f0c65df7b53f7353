"""Orders meet trades, quotes and books: cases worked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.engine.tapes import ONE, action_rows, level_rows, quote_rows, trade_rows

from quantlytic import Fees, Session, Strategy, TimeInForce, param
from quantlytic.engine.data.tape import Tape, Ticks
from quantlytic.engine.market.latency import Latency
from quantlytic.engine.market.market import Market
from quantlytic.engine.market.slippage import SpreadSlippage
from quantlytic.model.action import ActionKind
from quantlytic.model.errors import InputError
from quantlytic.model.order import OrderStatus

BUY, SELL = 1, -1
GTC, IOC, FOK = (int(one) for one in (TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK))
EXPIRED = int(OrderStatus.EXPIRED)


class Once(Strategy):
    """Sends one order at the first event it sees (of `after` and later), and no more."""

    side: int = param(1, low=-1, high=1)
    quantity: float = param(1.0, low=0.0)
    price: float = param(0.0, low=0.0)
    kind: int = param(GTC, low=1, high=3)
    after: int = param(0, low=0)

    def setup(self) -> None:
        self.sent = False

    def send(self, time: int, broker: Any) -> None:
        if not self.sent and time >= self.after:
            self.sent = True
            if self.price > 0.0:
                broker.limit(self.side, self.quantity, self.price, self.kind)
            elif self.side > 0:
                broker.buy(self.quantity)
            else:
                broker.sell(self.quantity)

    def on_trade(self, trade: Any, broker: Any) -> None:
        self.send(trade.event_time, broker)

    def on_quote(self, quote: Any, broker: Any) -> None:
        self.send(quote.event_time, broker)

    def on_book(self, book: Any, broker: Any) -> None:
        self.send(book.event_time, broker)


def fills_of(strategy: Strategy, data: Any, *, queue: str = "risk-averse", compiled: bool = False) -> list[Any]:
    """[(time, quantity, price, maker)], and "expired" at the end where the order did."""
    session = Session(strategy, [ONE], 1e4, market=Market(allow_short=True, queue=queue), compiled=compiled)
    session.run(data)
    found: list[Any] = [
        (int(fill["event_time"]), float(fill["quantity"]), float(fill["price"]), bool(fill["maker"]))
        for fill in session.fills
    ]
    return found + ["expired"] * int((session.updates["status"] == EXPIRED).sum())


def prints(*prices: float) -> Any:
    return trade_rows(np.arange(1, len(prices) + 1), prices)


@pytest.mark.parametrize(
    ("order", "prices", "expected"),
    [
        ({}, (10, 11, 12), [(2, 1.0, 11.0, False)]),
        ({"side": SELL}, (10, 11, 12), [(2, 1.0, 11.0, False)]),
        ({"price": 12.0}, (10, 11, 12), [(2, 1.0, 11.0, False)]),  # satisfied at once: at the trade's price
        ({"price": 9.0}, (10, 10, 9, 9), []),  # at its price: the queue had it
        ({"price": 9.0}, (10, 10, 9, 8.5), [(4, 1.0, 9.0, True)]),  # through: at its own price
        ({"price": 9.0}, (10, 8, 9), [(2, 1.0, 8.0, False)]),
        ({"price": 11.0, "side": SELL}, (10, 10, 11, 12), [(4, 1.0, 11.0, True)]),
        ({"price": 9.0, "kind": IOC}, (10, 10, 8), ["expired"]),
        ({"price": 10.0, "kind": IOC}, (10, 10, 8), [(2, 1.0, 10.0, False)]),
        ({"price": 9.5, "kind": FOK}, (10, 9.5, 8), [(2, 1.0, 9.5, False)]),
        ({}, (10,), []),  # never at the event it was sent at
    ],
)
def test_trades_alone(order: dict[str, Any], prices: tuple[float, ...], expected: list[Any]) -> None:
    assert fills_of(Once(**order), prints(*prices)) == expected


def test_without_a_queue_a_trade_at_the_price_fills() -> None:
    assert fills_of(Once(price=9.0), prints(10, 10, 9), queue="none") == [(3, 1.0, 9.0, True)]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ({}, [(2, 1.0, 11.0, False)]),
        ({"side": SELL}, [(2, 1.0, 10.0, False)]),
        ({"price": 11.0}, [(2, 1.0, 11.0, False)]),
        ({"price": 9.0}, [(4, 1.0, 9.0, True)]),  # the ask comes down to 8.5
        ({"price": 8.0}, []),
        ({"price": 12.0, "side": SELL}, [(5, 1.0, 12.0, True)]),  # the bid goes up to 12.5
        ({"price": 10.5, "kind": IOC}, ["expired"]),
    ],
)
def test_quotes(order: dict[str, Any], expected: list[Any]) -> None:
    quotes = quote_rows([1, 2, 3, 4, 5], [9, 10, 9, 8, 12.5], [10, 11, 10, 8.5, 13])
    assert fills_of(Once(**order), Ticks(quotes, (ONE,))) == expected


def test_quotes_with_trades() -> None:
    quotes = Ticks(quote_rows([1, 6], [9, 9], [11, 11]), (ONE,))
    trades = Ticks(trade_rows([3, 4], [10.0, 9.4]), (ONE,))
    tape = Tape(quotes=quotes, trades=trades)
    assert fills_of(Once(), tape) == [(3, 1.0, 11.0, False)]  # the quote in force, not the trade's price
    assert fills_of(Once(price=9.5), tape) == [(4, 1.0, 9.5, True)]  # a trade went through it
    assert fills_of(Once(price=9.4), tape) == []


def book(*later: tuple[int, int, float, float, bool]) -> Ticks:
    """Bids 5 at 99, 4 at 98; asks 2 at 101, 3 at 102; told at 1 and (whole again) at 2."""
    first = [
        (1, BUY, 99.0, 5.0, False),
        (1, BUY, 98.0, 4.0, False),
        (1, SELL, 101.0, 2.0, False),
        (1, SELL, 102.0, 3.0, True),
    ]
    return Ticks(level_rows(*first, (2, BUY, 97.0, 1.0, True), *later), (ONE,))


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ({"quantity": 2.0}, [(2, 2.0, 101.0, False)]),
        ({"quantity": 4.0}, [(2, 4.0, 101.5, False)]),  # 2 at 101, 2 at 102
        ({"quantity": 6.0, "side": SELL}, [(2, 6.0, (5 * 99 + 98) / 6, False)]),
        ({"quantity": 4.0, "price": 102.0}, [(2, 4.0, 101.5, False)]),
        ({"quantity": 4.0, "price": 101.0, "kind": FOK}, ["expired"]),
        ({"quantity": 2.0, "price": 101.0, "kind": FOK}, [(2, 2.0, 101.0, False)]),
        ({"quantity": 1.0, "price": 100.0, "kind": IOC}, ["expired"]),
        ({"quantity": 1.0, "price": 100.0}, []),
    ],
)
def test_a_book_is_walked(order: dict[str, Any], expected: list[Any]) -> None:
    assert fills_of(Once(**order), book()) == expected


def hits(*found: tuple[int, float, float, int]) -> Ticks:
    """Trades from (time, price, quantity, aggressor)."""
    times, prices, quantities, sides = zip(*found, strict=True)
    return Ticks(trade_rows(times, prices, quantities, sides), (ONE,))


@pytest.mark.parametrize(
    ("queue", "later", "trades", "expected"),
    [
        # 5 are before us at 99: 5 sold there leave us first, the next one fills us.
        ("risk-averse", [], [(3, 99.0, 5.0, SELL), (4, 99.0, 2.0, SELL)], [(4, 1.0, 99.0, True)]),
        ("risk-averse", [], [(3, 99.0, 5.0, SELL)], []),
        ("risk-averse", [], [(3, 99.0, 7.0, SELL)], [(3, 1.0, 99.0, True)]),
        # A buyer's trade at 99 does not come to us.
        ("risk-averse", [], [(3, 99.0, 9.0, BUY)], []),
        # 3 of 5 cancelled: they were behind us, until no more than 2 are left.
        ("risk-averse", [(3, BUY, 99.0, 2.0, True)], [(4, 99.0, 3.0, SELL)], [(4, 1.0, 99.0, True)]),
        ("risk-averse", [(3, BUY, 99.0, 2.0, True)], [(4, 99.0, 2.0, SELL)], []),
        # 5 more join behind us, 4 of 10 are cancelled: risk-averse they were all behind, in proportion 2 were before us.
        ("risk-averse", [(3, BUY, 99.0, 10.0, True), (4, BUY, 99.0, 6.0, True)], [(5, 99.0, 4.5, SELL)], []),
        (
            "proportional",
            [(3, BUY, 99.0, 10.0, True), (4, BUY, 99.0, 6.0, True)],
            [(5, 99.0, 4.5, SELL)],
            [(5, 1.0, 99.0, True)],
        ),
        ("proportional", [(3, BUY, 99.0, 10.0, True), (4, BUY, 99.0, 6.0, True)], [(5, 99.0, 2.9, SELL)], []),
        # What traded is not counted again when the level is told: 5 - 2 = 3 before us, none cancelled.
        ("proportional", [(4, BUY, 99.0, 3.0, True)], [(3, 99.0, 2.0, SELL), (5, 99.0, 3.0, SELL)], []),
        # Through our price, and the other side coming to us.
        ("risk-averse", [], [(3, 98.5, 0.1, SELL)], [(3, 1.0, 99.0, True)]),
        ("risk-averse", [(3, SELL, 99.0, 1.0, True)], [(9, 100.0, 1.0, BUY)], [(3, 1.0, 99.0, True)]),
        ("none", [], [(3, 99.0, 0.1, SELL)], [(3, 1.0, 99.0, True)]),
    ],
)
@pytest.mark.parametrize("compiled", [True, False])
def test_the_queue(
    queue: str, later: list[tuple[int, int, float, float, bool]], trades: Any, expected: list[Any], compiled: bool
) -> None:
    tape = Tape(book=book(*later), trades=hits(*trades))
    assert fills_of(Once(price=99.0), tape, queue=queue, compiled=compiled) == expected


def test_two_orders_keep_their_own_places() -> None:
    class Two(Strategy):
        def setup(self) -> None:
            self.calls = 0

        def on_book(self, book: Any, broker: Any) -> None:
            self.calls += 1
            if self.calls <= 2:
                broker.limit(BUY, 1.0, 100.0 - self.calls)  # 99 has 5 before it, 98 has 4

    later = [(3, BUY, 97.0, 2.0, True)]
    tape = Tape(book=book(*later), trades=hits((4, 99.0, 6.0, SELL), (5, 98.0, 4.0, SELL), (6, 98.0, 2.0, SELL)))
    assert fills_of(Two(), tape)[-1] == (6, 1.0, 98.0, True)
    assert len(fills_of(Two(), tape)) == 2


def test_a_queue_has_a_name() -> None:
    with pytest.raises(InputError, match="queue is risk-averse, proportional, none, not 'fifo'"):
        Market(queue="fifo")
    assert Market.from_dict(Market(queue="none").to_dict()) == Market(queue="none")
    assert any("queue: none" in sentence for sentence in Market(queue="none").sentences())


class Script(Strategy):
    """Buys at the first event, then keeps the exit of its `case`."""

    case: int = param(0, low=0, high=9)

    def setup(self) -> None:
        self.calls = 0

    def on_trade(self, trade: Any, broker: Any) -> None:
        self.step(broker)

    def on_quote(self, quote: Any, broker: Any) -> None:
        self.step(broker)

    def step(self, broker: Any) -> None:
        self.calls += 1
        if self.case == 9:
            if self.calls == 1:
                broker.bracket(BUY, 1.0, 9.0, 12.0)
            return
        if self.calls == 1:
            broker.buy(1.0)
        if self.calls == 2:
            if self.case == 1:
                broker.stop(SELL, 1.0, 9.0)
            elif self.case == 2:
                broker.trailing_stop(SELL, 1.0, 2.0)
            elif self.case == 3:
                broker.take_profit(SELL, 1.0, 12.0)
            elif self.case == 4:
                broker.stop_limit(SELL, 1.0, 9.0, 9.5)


@pytest.mark.parametrize(
    ("case", "prices", "exits"),
    [
        (1, (10, 10, 10, 9.5, 8.8, 8), (5, 1.0, 8.8, False)),  # the trade that triggers it
        (2, (10, 10, 11, 13, 11.5, 10.9, 9), (6, 1.0, 10.9, False)),  # 13 - 2 = 11
        (3, (10, 10, 11, 12.4, 13), (4, 1.0, 12.4, False)),
        (
            4,
            (10, 10, 8.9, 9.4, 9.6, 9.7),
            (5, 1.0, 9.5, True),
        ),  # triggered at 8.9, below its limit: rests, filled through
        (9, (10, 10, 11, 12, 12.5), (5, 1.0, 12.0, True)),
        (9, (10, 10, 11, 8.5, 8), (4, 1.0, 8.5, False)),
    ],
)
def test_exits_by_trades(case: int, prices: tuple[float, ...], exits: Any) -> None:
    assert fills_of(Script(case=case), prints(*prices)) == [(2, 1.0, 10.0, False), exits]


def test_exits_by_quotes() -> None:
    quotes = quote_rows([1, 2, 3, 4, 5], [9.9, 9.9, 9.9, 8.8, 8.0], [10, 10, 10, 9, 8.2])
    assert fills_of(Script(case=1), Ticks(quotes, (ONE,)))[1] == (4, 1.0, 8.8, False)


def test_latency_and_participation_on_trades() -> None:
    def run(market: Market, *, quantity: float = 1.0) -> list[tuple[int, float]]:
        session = Session(Once(quantity=quantity), [ONE], 1e4, market=market, compiled=False)
        session.run(trade_rows(np.arange(1, 8), np.arange(10.0, 17.0), 2.0))
        return [(int(fill["event_time"]), float(fill["quantity"])) for fill in session.fills]

    assert run(Market(latency=Latency(ns=3))) == [(4, 1.0)]
    assert run(Market(participation=0.5), quantity=2.5) == [(2, 1.0), (3, 1.0), (4, 0.5)]


def test_positions_are_valued_at_the_middle() -> None:
    session = Session(Once(), [ONE], 1e3, compiled=False, equity_every_ns=1)
    session.run(Ticks(quote_rows([1, 2, 3], [9, 9, 11], [11, 11, 13]), (ONE,)))
    assert session.equity.tolist() == [1_000.0, 999.0, 1_001.0]


@pytest.mark.parametrize("kind", ["quotes", "book"])
def test_what_was_quoted_before_a_split_fills_nothing(kind: str) -> None:
    """A sale after the split 2:1 must not get the price of the old units."""
    old, new = (99.0, 101.0), (49.0, 51.0)
    if kind == "quotes":
        quoted = {"quotes": Ticks(quote_rows([1, 5], [old[0], new[0]], [old[1], new[1]]), (ONE,))}
    else:
        rows = [(t, s, p, 5.0, s < 0) for t, pair in ((1, old), (5, new)) for s, p in zip((1, -1), pair, strict=True)]
        quoted = {"book": Ticks(level_rows(*rows), (ONE,))}
    trades = Ticks(trade_rows([1, 3, 4], [101.0, 50.0, 50.0]), (ONE,))
    tape = Tape(**quoted, trades=trades, actions=Ticks(action_rows((0, 2, ActionKind.SPLIT, 2.0)), (ONE,)))
    assert fills_of(Once(side=SELL, after=2), tape) == [(5, 1.0, 49.0, False)]


@pytest.mark.parametrize(("kind", "paid"), [("quotes", 101.0), ("trades", 100.05)])
def test_half_the_spread_is_paid_once(kind: str, paid: float) -> None:
    if kind == "quotes":
        tape = Tape(quotes=Ticks(quote_rows([1, 2], 99.0, 101.0), (ONE,)))
    else:
        tape = Tape(trades=Ticks(trade_rows([1, 2], 100.0), (ONE,)))
    session = Session(Once(), [ONE], 1e4, market=Market(slippage=SpreadSlippage(10)), compiled=False)
    session.run(tape)
    assert session.fills["price"].tolist() == pytest.approx([paid])


@pytest.mark.parametrize("kind", ["quotes", "book"])
@pytest.mark.parametrize(("time", "count"), [(9, 1), (10, 0), (11, 0)])
def test_a_trade_through_its_price_comes_too_late_for_what_has_expired(kind: str, time: int, count: int) -> None:
    class Until(Once):
        def send(self, time: int, broker: Any) -> None:
            if not self.sent:
                self.sent = True
                broker.limit(BUY, 1.0, 95.0, TimeInForce.GTD, expire_time=10)

    if kind == "quotes":
        quoted = {"quotes": Ticks(quote_rows([1, 2], 99.0, 101.0), (ONE,))}
    else:
        rows = [(t, s, p, 5.0, s < 0) for t in (1, 2) for s, p in ((1, 99.0), (-1, 101.0))]
        quoted = {"book": Ticks(level_rows(*rows), (ONE,))}
    session = Session(Until(), [ONE], 1e4, compiled=False)
    session.run(Tape(**quoted, trades=Ticks(trade_rows([time], 94.0), (ONE,))))
    assert len(session.fills) == count
    assert (session.updates["status"] == EXPIRED).sum() == 1 - count


def test_before_the_first_quote_and_in_a_book_of_one_side_equity_is_a_number() -> None:
    class Watch(Once):
        def on_trade(self, trade: Any, broker: Any) -> None:
            self.send(trade.event_time, broker)
            assert broker.equity == broker.cash + broker.position * 101.0

        on_book = on_trade

    asks = Ticks(level_rows((2, SELL, 101.0, 5.0, True), (4, SELL, 102.0, 5.0, True)), (ONE,))
    tape = Tape(book=asks, trades=Ticks(trade_rows([1, 3], 100.0), (ONE,)))
    session = Session(Watch(), [ONE], 1e4, market=Market(fees=Fees(10)), compiled=False)
    session.run(tape)
    assert session.fills["price"].tolist() == [101.0]
    assert session.equity[-1] == pytest.approx(1e4 - 0.101)
