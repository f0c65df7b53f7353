"""What a strategist may write, and what he is told when it does not work."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.engine.market import BTC, results, rows, workload_bars
from tests.engine.tapes import ONE, level_rows, quote_rows, trade_rows

from quantlytic import Bars, Session, Side, Strategy, TimeInForce, param
from quantlytic.engine.compiler.record import layout_of
from quantlytic.engine.data.tape import Tape, Ticks
from quantlytic.indicators import SMA, Indicator
from quantlytic.model.errors import InputError, StrategyError
from quantlytic.strategies.sma_cross import SmaCross

BARS = rows(*[(10.0 + k, 11.0 + k, 9.0 + k, 10.5 + k) for k in range(20)])


# ---- parameters ----


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"fats": 3}, "SmaCross has no parameter 'fats': did you mean 'fast'?"),
        ({"zzz": 3}, "SmaCross has no parameter 'zzz': it has fast, slow, weight"),
        ({"fast": 1}, "SmaCross: parameter 'fast' is a whole number from 2 to 200, not 1"),
        ({"fast": 201}, "parameter 'fast' is a whole number from 2 to 200, not 201"),
        ({"fast": 4.5}, "parameter 'fast' is a whole number from 2 to 200, not 4.5"),
        ({"fast": "4"}, "parameter 'fast' is a whole number from 2 to 200, not '4'"),
        ({"fast": True}, "parameter 'fast' is a whole number from 2 to 200, not True"),
        ({"weight": 1.01}, "parameter 'weight' is a number from 0.0 to 1.0, not 1.01"),
        ({"weight": math.nan}, "parameter 'weight' is a number from 0.0 to 1.0, not nan"),
        ({"weight": None}, "parameter 'weight' is a number from 0.0 to 1.0, not None"),
    ],
)
def test_parameters_are_checked(params: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        SmaCross(**params)


def test_parameters_have_the_kind_they_are_declared_with() -> None:
    class Kinds(Strategy):
        count: int = param(3)
        share: float = param(1, low=0)
        loud: bool = param(False)

        def on_bar(self, bar: Any, broker: Any) -> None: ...

    assert Kinds(count=4.0, share=2).params == {"count": 4, "share": 2.0, "loud": False}
    assert [type(value) for value in Kinds(count=4.0, share=2).params.values()] == [int, float, bool]
    with pytest.raises(InputError, match="'loud' is true or false, not 1"):
        Kinds(loud=1)
    with pytest.raises(InputError, match=r"'share' is a number, 0 or more, not -1"):
        Kinds(share=-1)


def test_buffers_take_the_parameters_high() -> None:
    layouts = {layout_of(SmaCross(fast=fast, slow=slow).prepared()) for fast, slow in ((2, 5), (50, 200), (200, 400))}
    assert len(layouts) == 1
    assert layouts.pop().nested["slow_ma"].dtype["window"].shape == (400,)
    assert len(SMA(200).window) == 256


def test_parameters_are_inherited() -> None:
    class Careful(SmaCross):
        weight: float = param(0.1, low=0.0, high=0.2)

    assert Careful(fast=3).params == {"fast": 3, "slow": 200, "weight": 0.1}
    session = Session(Careful(fast=3, slow=9), [BTC], 1e3)
    session.run(BARS)
    assert session.fills["quantity"][0] == pytest.approx(0.1 * 1e3 / 18.5)


# ---- what handlers can do ----

RATE = 0.25


def double(x: float) -> float:
    return half(x) * 4.0


def half(x: float) -> float:
    return x * 0.5


class Spread(Indicator):
    """An indicator of the user's own, with another inside."""

    def __init__(self, period: int) -> None:
        self.mean = SMA(period)
        self.value = math.nan

    @property
    def ready(self) -> bool:
        return self.mean.ready

    def update(self, x: float, scale: float = 2.0) -> float:
        self.value = (x - self.mean.update(x)) * scale
        return self.value


class Everything(Strategy):
    """Helpers, constants, properties, arrays, own indicators, enumerations, defaults and keywords."""

    period: int = param(3, low=1, high=10)
    THRESHOLD = 0.5

    def setup(self) -> None:
        self.spread = Spread(self.period)
        self.history = np.zeros(8)
        self.matrix = np.zeros((2, 3))
        self.flags = np.zeros(4, bool)
        self.count = 0
        self.armed = False
        self.ratio = 0.0

    @property
    def eager(self) -> bool:
        return self.count > 5 and self.armed

    def remember(self, x: float, shift: int = 0) -> None:
        self.history[(self.count + shift) % len(self.history)] = x

    def on_bar(self, bar: Any, broker: Any) -> None:
        self.remember(double(bar.close) * RATE)
        self.remember(bar.open, shift=1)
        self.matrix[self.count % 2, 1] += bar.volume
        self.flags[self.count % 4] = bar.close > bar.open
        value = self.spread.update(bar.close, scale=3.0) + self.spread.update(bar.close)
        self.ratio = value / (bar.close - bar.close)  # infinite or NaN, as NumPy has it
        self.armed = self.spread.ready and value > self.THRESHOLD
        self.count += 1
        total = 0.0
        for x in self.history:
            total += x
        if self.eager and broker.is_flat and not math.isinf(total):
            broker.limit(Side.BUY, 1.0, bar.close * 0.99, time_in_force=TimeInForce.GTC)
            broker.limit(side=Side.BUY, quantity=np.floor(total / 50), price=bar.high)


def test_everything_works_and_is_equal_in_debug() -> None:
    compiled, debug = (Session(Everything(period=4), [BTC], 1e4, compiled=flag) for flag in (True, False))
    bars = workload_bars(300).array
    for session in (compiled, debug):
        session.run(bars)
    assert results(compiled) == results(debug)
    assert compiled.save() == debug.save()
    assert len(compiled.orders) > 0
    state = compiled.state_of(BTC.id)
    assert state["count"] == 300
    assert state["THRESHOLD"] == 0.5
    assert state["matrix"].shape == (2, 3)
    assert state["spread"]["mean"]["period"] == 4


# ---- what he is told ----


def line_of(text: str) -> int:
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return next(k for k, line in enumerate(lines, 1) if line.endswith(text))


class Missing(Strategy):
    def on_bar(self, bar: Any, broker: Any) -> None:
        self.count += 1  # missing


class MissingOfBar(Strategy):
    def on_bar(self, bar: Any, broker: Any) -> None:
        broker.buy(bar.vwap)  # of bar


class MissingOfBroker(Strategy):
    def on_bar(self, bar: Any, broker: Any) -> None:
        broker.short(1.0)  # of broker


class Text(Strategy):
    def on_bar(self, bar: Any, broker: Any) -> None:
        broker.limit("buy", 1.0, bar.close)  # text


class Listed(Strategy):
    def setup(self) -> None:
        self.closes = [1.0]

    def on_bar(self, bar: Any, broker: Any) -> None: ...


class Truncating(Strategy):
    def setup(self) -> None:
        self.entry = 0

    def on_bar(self, bar: Any, broker: Any) -> None:
        self.entry = bar.close  # truncating


class Undefined(Strategy):
    def on_bar(self, bar: Any, broker: Any) -> None:
        broker.buy(amount)  # type: ignore[name-defined]  # noqa: F821  # undefined


class WrongCount(Strategy):
    def on_bar(self, bar: Any, broker: Any) -> None:
        broker.buy(1.0, 2.0)  # wrong count


class Foreign(Strategy):
    def on_bar(self, bar: Any, broker: Any) -> None:
        broker.buy(float(len(Path.cwd().parts)))  # foreign


@pytest.mark.parametrize(
    ("strategy", "line", "what"),
    [
        (Missing, "# missing", "Missing.count: give it a first value in setup()"),
        (MissingOfBar, "# of bar", "bar.vwap"),
        (MissingOfBroker, "# of broker", "Broker.short"),
        (Text, "# text", "broker.limit takes numbers, such as Side.BUY"),
        (
            Truncating,
            "# truncating",
            "self.entry is a whole number and is given a fraction: write entry = 0.0 in setup()",
        ),
        (Undefined, "# undefined", "'amount' is not defined"),
        (WrongCount, "# wrong count", "broker.buy: time_in_force is a whole number"),
        (Foreign, "# foreign", "'Path' cannot be used in a handler"),
    ],
)
def test_what_does_not_compile_is_told_with_its_line(strategy: type[Strategy], line: str, what: str) -> None:
    with pytest.raises(StrategyError) as caught:
        Session(strategy, [BTC], 1.0)
    assert f"{Path(__file__).resolve()}:{line_of(line)}: " in str(caught.value)
    assert what in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("compiled", [True, False])
def test_what_cannot_be_state_is_told(compiled: bool) -> None:
    with pytest.raises(StrategyError, match=r"Listed\.closes is a list: state must be a number.*np\.zeros"):
        Session(Listed, [BTC], 1.0, compiled=compiled)


def test_debug_mode_tells_the_same_mistakes() -> None:
    with pytest.raises(StrategyError, match=r"has no attribute 'count'"):
        Session(Missing, [BTC], 1.0, compiled=False).run(BARS)
    with pytest.raises(
        StrategyError, match=r"self\.entry is a whole number and was given .*10\.5.*: write entry = 0\.0"
    ):
        Session(Truncating, [BTC], 1.0, compiled=False).run(BARS)


class Raising(Strategy):
    def setup(self) -> None:
        self.count = 0
        self.table = np.zeros(7)

    def on_bar(self, bar: Any, broker: Any) -> None:
        self.table[self.count] = bar.close  # out of range
        self.count += 1


@pytest.mark.parametrize("compiled", [True, False])
def test_a_handler_that_raises_is_told_with_bar_and_time(compiled: bool) -> None:
    session = Session(Raising, [BTC], 1.0, compiled=compiled)
    session.run(BARS[:3])
    with pytest.raises(StrategyError, match=r"IndexError at bar 7 \(1970-01-01T00:08:00\.000000Z\)") as caught:
        session.run(BARS[3:])
    assert f"{Path(__file__)}:{line_of('# out of range')}: " in str(caught.value)
    assert len(session.equity) == 8
    assert session.state_of(BTC.id)["count"] == 7
    halves = Session(Raising, [BTC], 1.0, compiled=compiled)
    for bar in BARS[:7]:
        halves.execute(bar)
        halves.decide(bar)
    halves.execute(BARS[7])
    with pytest.raises(StrategyError, match="IndexError at bar 7"):
        halves.decide(BARS[7])


class RaisingAnywhere(Strategy):
    """Raises in one of its handlers, at the third event of its kind; `handler` says in which."""

    handler: int = param(0, low=0, high=6)

    def setup(self) -> None:
        self.every(60_000_000_000)
        self.counts = np.zeros(7, np.int64)
        self.table = np.zeros(2)

    def seen(self, handler: int) -> int:
        self.counts[handler] += 1
        return self.counts[handler] if handler == self.handler else 0

    def on_bar(self, bar: Any, broker: Any) -> None:
        self.table[max(self.seen(0) - 1, 0)] = bar.close  # in on_bar
        if broker.is_flat:
            broker.buy(1.0)
        else:
            broker.close()

    def on_trade(self, trade: Any, broker: Any) -> None:
        self.table[max(self.seen(1) - 1, 0)] = trade.price  # in on_trade

    def on_quote(self, quote: Any, broker: Any) -> None:
        self.table[max(self.seen(2) - 1, 0)] = quote.bid  # in on_quote

    def on_book(self, book: Any, broker: Any) -> None:
        self.table[max(self.seen(3) - 1, 0)] = book.bid  # in on_book

    def on_slice(self, slice: Any, broker: Any) -> None:
        self.table[max(self.seen(4) - 1, 0)] = slice.close(0)  # in on_slice

    def on_fill(self, fill: Any, broker: Any) -> None:
        self.table[max(self.seen(5) - 1, 0)] = fill.price  # in on_fill

    def on_timer(self, time: int, broker: Any) -> None:
        self.table[max(self.seen(6) - 1, 0)] = time  # in on_timer


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("handler", range(7))
def test_every_handler_that_raises_is_told_with_its_line(handler: int, compiled: bool) -> None:
    session = Session(RaisingAnywhere(handler=handler), [ONE], 1e3, compiled=compiled)
    minutes = np.arange(1, 9) * 60_000_000_000
    names = ("on_bar", "on_trade", "on_quote", "on_book", "on_slice", "on_fill", "on_timer")
    bids = [(int(time), 1, 9.0, 1.0, True) for time in minutes]
    tape = Tape(
        bars=Bars(rows(*[(10.0, 11.0, 9.0, 10.0)] * 8), (ONE,)),
        trades=Ticks(trade_rows(minutes, 10.0), (ONE,)),
        quotes=Ticks(quote_rows(minutes, 9.0, 11.0), (ONE,)),
        book=Ticks(level_rows((1, -1, 11.0, 1.0, False), *bids), (ONE,)),
    )
    with pytest.raises(StrategyError, match=r"IndexError at event \d+ \(1970-01-01T00:0\d:00") as caught:
        session.run(tape)
    assert f"{Path(__file__)}:{line_of('# in ' + names[handler])}: " in str(caught.value)
    assert session.state_of(ONE.id)["counts"][handler] == 3


@pytest.mark.parametrize("name", ["on_trade", "on_quote", "on_book", "on_slice", "on_fill"])
def test_names_that_an_event_does_not_have_are_told(name: str) -> None:
    def handler(self: Any, event: Any, broker: Any) -> None:
        broker.buy(event.vwap)  # of event

    cls = type("Asking", (Strategy,), {name: handler, "on_bar": lambda self, bar, broker: None})
    with pytest.raises(StrategyError, match=r"no such name|there is no such name") as caught:
        Session(cls, [ONE], 1.0)
    assert f"{Path(__file__).resolve()}:{line_of('# of event')}: " in str(caught.value)
    assert f"{name.removeprefix('on_')}.vwap" in str(caught.value).lower()


def test_handlers_take_an_event_and_the_broker() -> None:
    class Short(Strategy):
        def on_trade(self, trade: Any) -> None: ...  # short

    with pytest.raises(StrategyError, match=r"Short\.on_trade .* write on_trade\(self, trade, broker\)") as caught:
        Session(Short, [ONE], 1.0)
    assert f"{Path(__file__)}:{line_of('# short')}: " in str(caught.value)

    class Timeless(Strategy):
        def on_timer(self, time: int, broker: Any) -> None: ...

    with pytest.raises(StrategyError, match=r"Timeless has on_timer and no period: call self\.every\(ns\) in setup"):
        Session(Timeless, [ONE], 1.0)

    class Hasty(Timeless):
        def setup(self) -> None:
            self.every(10)

    with pytest.raises(InputError, match=r"Hasty: every\(\) takes whole ns, 1000 or more, not 10"):
        Session(Hasty, [ONE], 1.0)


def test_a_strategy_needs_on_bar_and_no_init() -> None:
    class Idle(Strategy):
        pass

    with pytest.raises(StrategyError, match=r"Idle has no on_bar\(self, bar, broker\)"):
        Session(Idle, [BTC], 1.0)
    with pytest.raises(StrategyError, match=r"write setup\(self\) instead"):

        class Old(Strategy):
            def __init__(self) -> None:
                self.x = 1


def test_a_setup_that_raises_is_told() -> None:
    class Broken(Strategy):
        def setup(self) -> None:
            self.x = 1 / 0

        def on_bar(self, bar: Any, broker: Any) -> None: ...

    with pytest.raises(StrategyError, match=r"Broken\.setup\(\): ZeroDivisionError"):
        Session(Broken, [BTC], 1.0)


def test_a_breakpoint_would_show_real_objects() -> None:
    seen: list[Any] = []

    class Looking(Strategy):
        def setup(self) -> None:
            self.mean = SMA(2)

        def on_bar(self, bar: Any, broker: Any) -> None:
            self.mean.update(bar.close)
            seen.append((isinstance(self, Looking), repr(self.mean), repr(bar), float(broker.equity)))

    Session(Looking, [BTC], 5.0, compiled=False).run(BARS[:1])
    ((is_strategy, mean, bar, equity),) = seen
    assert is_strategy
    assert mean.startswith("SMA(period=")
    assert "close=" in bar
    assert equity == 5.0
