"""Strategies that stay Python: the same rule gives the same bytes as compiled; anything goes; what cannot be is refused."""

from __future__ import annotations

import math
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.engine.market import BTC, MINUTE_NS, Chaos, instruments_of, random_bars, results, workload_bars
from tests.engine.tapes import Cross, Everywhere, action_rows, random_tape

import quantlytic as ql
from quantlytic import Bars, PythonStrategy, Session, Side, TimeInForce, param
from quantlytic.engine.data.tape import Tape, Ticks
from quantlytic.engine.fork import fork
from quantlytic.indicators import SMA
from quantlytic.model.action import ActionKind
from quantlytic.model.errors import InputError, StrategyError
from quantlytic.strategies.sma_cross import SmaCross


class PlainChaos(PythonStrategy, Chaos):
    """The same source, not compiled."""


class PlainEverywhere(PythonStrategy, Everywhere):
    """The same source, not compiled."""


class PlainCross(PythonStrategy, Cross):
    """The same source, not compiled."""


class PlainSmaCross(PythonStrategy, SmaCross):
    """The same source, not compiled."""


class Columns(PythonStrategy):
    """The same rule on columns worked out before."""

    fast: int = param(50, low=2, high=200)
    slow: int = param(200, low=5, high=400)

    def setup(self) -> None:
        self.fast_ma = self.column(lambda bars: SMA.over(bars["close"].copy(), period=int(self.fast)))
        self.slow_ma = self.column(lambda bars: SMA.over(bars["close"].copy(), period=int(self.slow)))

    def on_bar(self, bar: Any, broker: Any) -> None:
        if math.isnan(self.slow_ma.now):
            return
        if self.fast_ma.now > self.slow_ma.now and broker.is_flat:
            broker.target_weight(0.99)
        elif self.fast_ma.now < self.slow_ma.now and broker.is_long:
            broker.close()


BARS = workload_bars(3_000)


def run(strategy: Any, data: Any, instruments: Any, **options: Any) -> Session:
    session = Session(strategy, instruments, 1e5, ql.Fees(10, 5), **options)
    session.run(data)
    return session


def all_of(session: Session) -> dict[str, bytes]:
    return results(session) | {"times": session.equity_times.tobytes(), "flows": session.flows.tobytes()}


def test_the_same_rule_gives_the_same_bytes_as_compiled() -> None:
    compiled, plain, debug, columns = (
        run(strategy, BARS, [BTC], compiled=compiled)
        for strategy, compiled in (
            (SmaCross(fast=5, slow=20), True),
            (PlainSmaCross(fast=5, slow=20), True),
            (PlainSmaCross(fast=5, slow=20), False),
            (Columns(fast=5, slow=20), True),
        )
    )
    assert len(compiled.fills) > 50
    for one in (plain, debug, columns):
        assert one.digest == compiled.digest
        assert results(one) == results(compiled)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("compiled", [True, False])
def test_chaos_over_several_instruments(seed: int, compiled: bool) -> None:
    """One instance an instrument, as compiled strategies have one state."""
    members = instruments_of(3, [0.1, 0.01])
    bars = random_bars(seed, 60, 3)
    theirs = run(Chaos(seed=seed + 1), bars, members, compiled=False, allow_short=True)
    ours = run(PlainChaos(seed=seed + 1), bars, members, compiled=compiled, allow_short=True)
    assert results(ours) == results(theirs)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("plain", "twin"), [(PlainEverywhere, Everywhere), (PlainCross, Cross)])
def test_every_handler(plain: type[PythonStrategy], twin: type[Everywhere], seed: int) -> None:
    """Bars of two sizes, trades, quotes, books and actions; timers and slices."""
    tape = random_tape(seed, 20, 2, frozenset({"bars", "hours", "trades", "quotes", "book", "actions"}))
    theirs = run(twin(seed=seed + 5), tape, tape.instruments, compiled=False, allow_short=True)
    ours = run(plain(seed=seed + 5), tape, tape.instruments, allow_short=True)
    assert all_of(ours) == all_of(theirs)


def test_trades_alone() -> None:
    tape = random_tape(8, 30, 2, frozenset({"trades"}))
    theirs = run(Everywhere(), tape, tape.instruments, compiled=False)
    ours = run(PlainEverywhere(), tape, tape.instruments)
    assert all_of(ours) == all_of(theirs)


def test_piece_by_piece() -> None:
    members, bars = instruments_of(2), random_bars(3, 80, 2)
    whole = run(PlainChaos(), bars, members)
    session = Session(PlainChaos(), members, 1e5, ql.Fees(10, 5))
    for part in np.array_split(bars, 7):
        session.run(part)
    assert results(session) == results(whole)


class Anything(PythonStrategy):
    """Lists, dicts, text, closures, exceptions, every order type."""

    def setup(self) -> None:
        self.closes: deque[float] = deque(maxlen=3)
        self.seen: dict[str, Any] = {"fills": [], "bars": []}

    def on_fill(self, fill: Any, broker: Any) -> None:
        self.seen["fills"].append(fill)

    def on_bar(self, bar: Any, broker: Any) -> None:
        self.closes.append(bar.close)
        self.seen["bars"].append(bar)
        try:
            raise KeyError("x")
        except KeyError:
            pass
        number = len(self.seen["bars"])
        if number == 1:
            self.entry = broker.bracket(Side.BUY, 1.0, stop_loss=bar.close * 0.5, take_profit=bar.close * 2)
            assert broker.open_orders == 3
            assert broker.left(self.entry) == 1.0
        if number == 2:
            assert broker.is_long
            assert broker.average_price == self.seen["fills"][0].price
            assert broker.order_status(self.entry) == 4
            assert broker.amend(self.entry + 1, stop_price=bar.close * 0.6)
            broker.trailing_stop(Side.SELL, np.float64(1.0), trail=5.0, percent=True, reduce_only=True)
        if number == 3:
            broker.cancel_all()
            broker.limit(np.int64(-1), 1, price=bar.close * 1.5, time_in_force=TimeInForce.DAY)


@pytest.mark.parametrize("compiled", [True, False])
def test_any_python_and_any_order(compiled: bool) -> None:
    session = run(Anything, BARS.array[:10], [BTC], compiled=compiled)
    state = session.state_of(BTC.id)
    assert [bar.close for bar in state["seen"]["bars"]] == BARS.array["close"][:10].tolist()
    assert [fill.price for fill in state["seen"]["fills"]] == session.fills["price"].tolist()
    assert len(session.amends) == 1
    assert session.orders["type"].tolist() == [1, 3, 2, 5, 2]
    assert session.orders["time_in_force"][-1] == TimeInForce.DAY


def test_backtest_and_sweep(tmp_path: Path) -> None:
    compiled, plain = (ql.backtest(kind(fast=5, slow=20), BARS, 1e5) for kind in (SmaCross, PlainSmaCross))
    assert plain.digest == compiled.digest
    assert plain.summary()
    theirs, ours = (ql.sweep(kind, BARS, fast=[5, 10], slow=[20], jobs=1) for kind in (SmaCross, PlainSmaCross))
    assert ours.table["fills"].to_list() == theirs.table["fills"].to_list()


# ---- columns ----


def column_of(of: Any, bars: Any = BARS.array) -> Session:
    class One(PythonStrategy):
        def setup(self) -> None:
            self.own = self.column(of)
            self.seen: list[tuple[float, float, float]] = []

        def on_bar(self, bar: Any, broker: Any) -> None:
            self.seen.append((self.own.now, self.own[0], self.own[2]))

    return run(One, bars, [BTC])


def test_a_column_tells_what_has_come() -> None:
    closes = BARS.array["close"][:50].tolist()
    seen = column_of(lambda bars: bars["close"], BARS.array[:50]).state_of(BTC.id)["seen"]
    assert [now for now, _, _ in seen] == [same for _, same, _ in seen] == closes
    assert [before for _, _, before in seen][2:] == closes[:-2]
    assert np.isnan([before for _, _, before in seen][:2]).all()


@pytest.mark.parametrize(
    "of",
    [
        lambda bars: np.append(bars["close"][1:], 0.0),
        lambda bars: bars["close"] / bars["close"].mean(),
        lambda bars: bars["close"] / bars["close"][-1],
        lambda bars: bars["close"][::-1].cumsum()[::-1],
    ],
    ids=["shifted", "by the mean", "by the last", "from behind"],
)
def test_a_column_that_looks_ahead_is_refused(of: Any) -> None:
    with pytest.raises(StrategyError, match="One: a column looks ahead: its value at bar "):
        column_of(of)


def test_columns_are_refused_where_they_have_no_meaning() -> None:
    with pytest.raises(StrategyError, match=r"has shape \(3,\): return one number for each of 3000 bars"):
        column_of(lambda bars: bars["close"][:3])
    with pytest.raises(StrategyError, match="a column: ZeroDivisionError"):
        column_of(lambda bars: 1 / 0)
    session = column_of(lambda bars: bars["close"], BARS.array[:50])
    with pytest.raises(InputError, match="run it in one piece"):
        session.run(BARS.array[50:])

    class Ahead(Columns):
        def on_bar(self, bar: Any, broker: Any) -> None:
            self.fast_ma[-1]

    with pytest.raises(StrategyError, match="bars to come are not known"):
        run(Ahead, BARS, [BTC])


def test_columns_are_of_their_instrument_and_go_with_actions() -> None:
    members, bars = instruments_of(2), random_bars(5, 40, 2)

    class Seen(PythonStrategy):
        def setup(self) -> None:
            self.own = self.column(lambda bars: bars["close"])

        def on_bar(self, bar: Any, broker: Any) -> None:
            assert self.own.now == bar.close
            assert bar.instrument == self.instrument

    run(Seen, bars, members)
    rows = action_rows((0, MINUTE_NS, ActionKind.DIVIDEND, 1.0))
    run(Seen, Tape(bars=Bars(bars, tuple(members)), actions=Ticks(rows, tuple(members))), members)


# ---- what goes wrong ----


class Raising(PythonStrategy):
    def on_bar(self, bar: Any, broker: Any) -> None:
        if bar.close_time > 5 * MINUTE_NS + BARS.array["open_time"][0]:
            {}["missing"]  # raises here


@pytest.mark.parametrize("compiled", [True, False])
def test_what_raises_is_told_with_line_and_bar_and_the_rest_stays(compiled: bool) -> None:
    session = Session(Raising, [BTC], 1e5, compiled=compiled)
    with pytest.raises(StrategyError) as caught:
        session.run(BARS)
    line = next(k for k, text in enumerate(Path(__file__).read_text().splitlines(), 1) if "# raises here" in text)
    assert str(caught.value).startswith(f"{Path(__file__)}:{line}: KeyError at bar 5 ")
    assert caught.value.bar == 5
    assert len(session.equity) == 6


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda broker: broker.buy("1"), "broker.buy: quantity is a number, not '1'"),
        (lambda broker: broker.buy(), r"missing a required argument: 'quantity'"),
        (lambda broker: broker.limit(Side.BUY, 1.0, 1.0, tif=3), "unexpected keyword argument 'tif'"),
        (lambda broker: broker.limit(1.5, 1.0, 1.0), "broker.limit: side is a whole number, not 1.5"),
        (lambda broker: broker.on(3), "no such instrument"),
        (lambda broker: broker.cancel(None), "order_id is a whole number, not None"),
    ],
)
def test_wrong_arguments_are_told(call: Any, what: str) -> None:
    class Wrong(PythonStrategy):
        def on_bar(self, bar: Any, broker: Any) -> None:
            call(broker)

    with pytest.raises(StrategyError, match=what):
        run(Wrong, BARS, [BTC])


def test_what_needs_the_state_as_bytes_is_refused() -> None:
    session = run(PlainSmaCross, BARS, [BTC])
    with pytest.raises(InputError, match="PlainSmaCross is a PythonStrategy, whose state cannot be saved"):
        session.save()
    with pytest.raises(InputError, match="PlainSmaCross is a PythonStrategy: its state cannot be copied"):
        fork(session, "1m")


def test_interrupts_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    class Impatient(PythonStrategy):
        def on_bar(self, bar: Any, broker: Any) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(Impatient, BARS, [BTC])
