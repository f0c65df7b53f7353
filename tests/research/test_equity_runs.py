"""Equities end to end: raw prices traded, corporate actions on the tape, and what must then hold exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from quantlytic import Bars, Instrument, Session, Strategy, backtest, param
from quantlytic.engine.data.adjust import adjust, adjust_fills
from quantlytic.engine.data.tape import Tape, Ticks
from quantlytic.model.action import ACTION, ActionKind
from quantlytic.model.cashflow import CashFlowKind
from quantlytic.model.fill import FILL
from quantlytic.model.side import Side
from quantlytic.research.data.equities import load_equities, load_equity
from quantlytic.research.runs.failure import BacktestFailed
from quantlytic.strategies.buy_and_hold import BuyAndHold

SPLIT, DIVIDEND, DELISTING = ActionKind.SPLIT, ActionKind.DIVIDEND, ActionKind.DELISTING
STOCK = Instrument("test:STOCK", "STOCK", "USD")
DAY_NS = 86_400_000_000_000
HOUR_NS = DAY_NS // 24


class Hold(Strategy):
    """Trades to a quantity at bar `enter`, to none at bar `leave`."""

    quantity: float = param(10.0, low=-1e6, high=1e6)
    enter: int = param(0, low=0, high=10_000)
    leave: int = param(9_999, low=0, high=10_000)

    def setup(self) -> None:
        self.bar = 0

    def on_bar(self, bar: Any, broker: Any) -> None:
        if self.bar == self.enter:
            broker.target_quantity(self.quantity)
        elif self.bar == self.leave:
            broker.close()
        self.bar += 1


class Breaks(Strategy):
    """Buys, and raises at a bar."""

    at: int = param(4, low=0, high=100)

    def setup(self) -> None:
        self.bar = 0

    def on_bar(self, bar: Any, broker: Any) -> None:
        if self.bar == 0:
            broker.target_quantity(1.0)
        self.bar += 1
        if self.bar > self.at:
            raise ValueError("enough")


def daily(*closes: float) -> Bars:
    """Flat bars from 9 to 16 o'clock of each day: an action at 0:00 of day k lies between bars k - 1 and k."""
    times = np.arange(len(closes)) * DAY_NS
    flat = np.array(closes)
    prices = {"open": flat, "high": flat, "low": flat, "close": flat, "volume": np.full(len(flat), 1e6)}
    return Bars.of(STOCK, open_time=times + 9 * HOUR_NS, close_time=times + 16 * HOUR_NS, **prices)


def actions_of(*rows: tuple[int, ActionKind, float]) -> NDArray[Any]:
    return np.array([(0, day * DAY_NS, kind, value) for day, kind, value in rows], ACTION)


def run(strategy: Strategy, bars: Bars, actions: NDArray[Any], cash: float = 1_000.0, short: bool = False) -> Session:
    session = Session(strategy, bars.instruments, cash, compiled=False, allow_short=short)
    session.run(Tape(bars=bars, actions=Ticks(actions, bars.instruments)))
    return session


# name, closes, actions (day, kind, value), quantity, equity at each close, position at the end. Bought at day 1's open.
CASES: list[tuple[str, list[float], list[tuple[int, ActionKind, float]], float, list[float], float]] = [
    ("two for one", [10, 10, 12, 6, 7], [(3, SPLIT, 2.0)], 10, [1000, 1000, 1020, 1020, 1040], 20),
    ("one for ten", [1, 1, 1, 10, 11], [(3, SPLIT, 0.1)], 100, [1000, 1000, 1000, 1000, 1010], 10),
    ("a split of a short", [10, 10, 12, 6, 5], [(3, SPLIT, 2.0)], -10, [1000, 1000, 980, 980, 1000], -20),
    ("a dividend", [10, 10, 10, 9, 9], [(3, DIVIDEND, 1.0)], 10, [1000, 1000, 1000, 1000, 1000], 10),
    ("a short pays it", [10, 10, 10, 9, 9], [(3, DIVIDEND, 1.0)], -10, [1000, 1000, 1000, 1000, 1000], -10),
    ("a dividend, then a split, one morning", [10, 10, 4, 4], [(2, DIVIDEND, 2.0), (2, SPLIT, 2.0)], 10, [1000] * 4, 20),
    ("a split, then a dividend", [10, 10, 4, 4], [(2, SPLIT, 2.0), (2, DIVIDEND, 1.0)], 10, [1000] * 4, 20),
    ("before the entry nothing happens", [20, 10, 11], [(1, SPLIT, 2.0), (1, DIVIDEND, 1.0)], 0, [1000] * 3, 0),
    ("nothing held", [10, 10, 5], [(2, SPLIT, 2.0), (2, DIVIDEND, 1.0)], 0, [1000] * 3, 0),
]  # fmt: skip


@pytest.mark.parametrize(
    ("closes", "actions", "quantity", "equity", "held"), [x[1:] for x in CASES], ids=[x[0] for x in CASES]
)
def test_an_action_in_the_middle_of_a_position(
    closes: list[float], actions: list[tuple[int, ActionKind, float]], quantity: float, equity: list[float], held: float
) -> None:
    session = run(Hold(quantity=quantity), daily(*closes), actions_of(*actions), short=quantity < 0)
    np.testing.assert_allclose(session.equity, equity, rtol=1e-15)
    assert session.positions == {"test:STOCK": held}


def test_dividends_are_cash_flows() -> None:
    session = run(Hold(quantity=10.0), daily(10, 10, 9, 8), actions_of((2, DIVIDEND, 1.0), (3, DIVIDEND, 0.5)))
    flows = session.flows
    assert flows["kind"].tolist() == [CashFlowKind.DIVIDEND, CashFlowKind.DIVIDEND]
    assert flows["amount"].tolist() == [10.0, 5.0]
    assert flows["event_time"].tolist() == [2 * DAY_NS, 3 * DAY_NS]
    assert session.cash == 1_000.0 - 100.0 + 15.0


@pytest.mark.parametrize("ticker", ["GOOG", "AAPL", "BAC", "SPY", "EEM"])
def test_buy_and_hold_is_raw_prices_and_what_was_paid(market_data: Path, ticker: str) -> None:
    """At each close: cash + units x raw close, where splits multiply the units and dividends go to cash. Exactly."""
    equity = load_equity(market_data, ticker)
    session = Session(BuyAndHold(weight=0.9), equity.bars.instruments, 1e6, compiled=False)
    session.run(equity.tape())
    (fill,) = session.fills
    times, close = equity.bars.array["close_time"], equity.bars.array["close"]
    later = equity.actions[equity.actions["event_time"] > fill["event_time"]]
    growth = np.where(later["kind"] == SPLIT, later["value"], 1.0)
    units = fill["quantity"] * np.concatenate(([1.0], np.cumprod(growth)))
    paid = np.where(later["kind"] == DIVIDEND, later["value"], 0.0) * units[:-1]
    cash = 1e6 - fill["quantity"] * fill["price"] + np.concatenate(([0.0], np.cumsum(paid)))
    known = np.searchsorted(later["event_time"], times, "right")
    expected = np.where(times > fill["event_time"], cash[known] + units[known] * close, 1e6)
    np.testing.assert_allclose(session.equity, expected, rtol=1e-12)


@pytest.mark.parametrize(("ticker", "fewer"), [("GOOG", None), ("AAPL", "2012-08-01")])
def test_without_dividends_it_grows_as_adjusted_prices(market_data: Path, ticker: str, fewer: str | None) -> None:
    """GOOG paid none, AAPL none before August 2012: splits alone, and the value of what is held is an adjusted price's."""
    equity = load_equity(market_data, ticker)
    bars = equity.bars.between(None, None if fewer is None else int(np.datetime64(fewer, "ns").astype("i8")))
    actions = equity.actions[equity.actions["event_time"] < bars.array["close_time"][-1]]
    session = Session(BuyAndHold(weight=0.9), bars.instruments, 1e6, compiled=False)
    session.run(Tape(bars=bars, actions=Ticks(actions, bars.instruments)))
    held = session.equity[1:] - session.cash
    adjusted = adjust(bars.array, actions)["close"][1:]
    np.testing.assert_allclose(held / held[0], adjusted / adjusted[0], rtol=1e-12)


@pytest.mark.parametrize("ticker", ["AAPL", "BAC", "SPY"])
def test_dividends_put_back_at_the_ex_price_grow_as_adjusted_prices(market_data: Path, ticker: str) -> None:
    """What `adjusted` promises, from the actions alone; one who keeps the cash falls behind while prices rise."""
    equity = load_equity(market_data, ticker)
    array, units, values = equity.bars.array, 1.0, []
    first = np.searchsorted(array["close_time"], equity.actions["event_time"], "left")
    for k in range(len(array)):
        price = float(array["close"][k - 1])
        for action in equity.actions[first == k]:
            if action["kind"] == SPLIT:
                units, price = units * float(action["value"]), price / float(action["value"])
            elif action["kind"] == DIVIDEND:
                price -= float(action["value"])
                units *= 1.0 + float(action["value"]) / price
        values.append(units * float(array["close"][k]))
    adjusted = equity.adjusted.array["close"]
    np.testing.assert_allclose(np.array(values) / values[0], adjusted / adjusted[0], rtol=1e-10)


def test_a_portfolio_has_one_cash(market_data: Path) -> None:
    both = load_equities(market_data, ["AAPL", "IBM"])
    session = Session(BuyAndHold(weight=0.4), both.bars.instruments, 1e6, compiled=False)
    session.run(both.tape())
    assert len(session.fills) == 2
    paid = session.flows
    assert set(paid["instrument"].tolist()) == {0, 1}
    closes = {0: 122.15, 1: 133.25}
    last = [both.bars.array["close"][both.bars.array["instrument"] == k][-1] for k in (0, 1)]
    np.testing.assert_allclose(last, list(closes.values()), rtol=0.01)
    held = sum(units * price for units, price in zip(session.positions.values(), last, strict=True))
    assert session.equity[-1] == pytest.approx(session.cash + held, rel=1e-12)


def test_a_backtest_with_actions(market_data: Path) -> None:
    equity = load_equity(market_data, "AAPL")
    result = backtest(
        BuyAndHold(weight=0.9), equity.bars, actions=equity.actions, calendar="XNYS", compiled=False, fees=_free()
    )
    assert result.holes == 0
    adjusted = equity.adjusted.array
    assert result.benchmark.values[-1] == pytest.approx(1e6 * adjusted["close"][-1] / adjusted["open"][0], rel=1e-12)
    assert result.equity[-1] > 500e6  # raw prices alone would show a loss at each split
    raw = backtest(BuyAndHold(weight=0.9), equity.bars, calendar="XNYS", compiled=False, allow_splits=True)
    assert result.data_hash != raw.data_hash


def _free() -> Any:
    from quantlytic import Fees

    return Fees(taker_bps=0.0)


def test_a_round_trip_over_a_split_is_one_of_one_quantity() -> None:
    result = backtest(
        Hold(quantity=10.0, leave=4), daily(10, 10, 12, 6, 7, 7), cash=1e3, fees=_free(), compiled=False,
        actions=actions_of((3, SPLIT, 2.0)), allow_gaps=True,
    )  # fmt: skip
    (trip,) = result.round_trips
    assert (trip["quantity"], trip["entry_price"], trip["exit_price"]) == (20.0, 5.0, 7.0)
    assert result.equity[-1] == 1e3 + 40.0
    assert result.fills["quantity"].tolist() == [10.0, 20.0]  # as they were


def test_fills_in_units_of_after_all_splits() -> None:
    fills = np.zeros(4, FILL)
    fills["event_time"], fills["instrument"] = [1, 5, 9, 1], [0, 0, 0, 1]
    fills["side"], fills["quantity"], fills["price"] = Side.BUY, 10.0, 60.0
    rows = np.array([(0, 5, SPLIT, 2.0), (0, 7, DIVIDEND, 1.0), (0, 8, SPLIT, 3.0)], ACTION)
    found = adjust_fills(fills, rows)
    assert found["quantity"].tolist() == [60.0, 30.0, 10.0, 10.0]
    assert found["price"].tolist() == [10.0, 20.0, 60.0, 60.0]


def test_a_strategy_that_raises_keeps_what_was_done() -> None:
    actions = actions_of((1, DIVIDEND, 0.1), (2, SPLIT, 2.0), (3, DIVIDEND, 0.1))
    with pytest.raises(BacktestFailed) as caught:
        backtest(Breaks(at=4), daily(10, 10, 5, 5, 5, 5), cash=1e3, compiled=False, actions=actions, allow_gaps=True)
    assert caught.value.bar == 4
    assert caught.value.result is not None
    assert len(caught.value.result.equity) == 5
