"""Every built-in strategy: it trades, the same in all ways of running it, it knows no future, and its example is true."""

from __future__ import annotations

import doctest
import functools
import importlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.engine.stepping import Live, merged
from tests.strategies.ticks import booked, captured

import quantlytic as ql
from quantlytic.engine.data.tape import Tape
from quantlytic.engine.market.latency import Latency
from quantlytic.engine.market.market import Market
from quantlytic.engine.session import Session
from quantlytic.engine.strategy import Strategy
from quantlytic.model.bar import blank_bars
from quantlytic.model.order import OrderStatus, OrderType
from quantlytic.research.runs.run import backtest
from quantlytic.strategies import catalogue

ENTRIES = {entry.name: entry for entry in catalogue.entries()}
ON_BARS = [name for name, entry in ENTRIES.items() if entry.needs in ("bars", "forecasts")]
SELDOM = {"buy-and-hold", "grid"}  # may have nothing left to decide
PRICES = ("open", "high", "low", "close")
COMPILED = ["bollinger", "opening-range-breakout", "obv-trend", "equal-weight", "book-imbalance", "ml-signal"]
"""Of the quick tests; slow ones take all."""
QUICK: dict[str, dict[str, Any]] = {  # what would trade too seldom on a few rows
    "sma-cross": {"fast": 10, "slow": 40},
    "equal-weight": {"rebalance": 10},
    "minimum-variance": {"lookback": 20, "rebalance": 20},
    "risk-parity": {"lookback": 20, "rebalance": 20},
    "cross-sectional-momentum": {"lookback": 20, "top": 2, "rebalance": 7},
    "dual-momentum": {"lookback": 20, "top": 2, "rebalance": 10},
    "pairs": {"period": 60, "entry": 1.5, "critical": -2.0},
    "market-maker": {"depth": 5.0, "memory": 5.0},
    "book-imbalance": {"memory": 0.2, "hold": 0.1, "entry": 0.2},
}
Data = ql.Bars | Tape
CASH, FEES = 100_000.0, ql.Fees(taker_bps=10, maker_bps=2)

every = pytest.mark.parametrize("name", ON_BARS)


def told(bars: ql.Bars) -> ql.Bars:
    """The bars with forecasts of no worth: probabilities that come and go, and some that are missing."""
    values = 0.5 + 0.2 * np.sin(np.arange(len(bars)) / 9.0) + np.random.default_rng(5).normal(0.0, 0.03, len(bars))
    values[60::97] = np.nan
    values[100:106] = np.nan
    return bars.with_forecasts(values)


def busy(name: str, **params: Any) -> Strategy:
    """On both sides, where it can be: the longer way through its code."""
    strategy = ENTRIES[name].strategy
    return strategy(**({"short": True} if "short" in strategy.param_specs else {}), **params)


def session_of(strategy: Strategy, data: Data, compiled: bool = False) -> Session:
    allow_short = bool(strategy.params.get("short", False))
    return Session(strategy, data.instruments, CASH, FEES, compiled=compiled, allow_short=allow_short)


def run(strategy: Strategy, bars: Data | NDArray[Any], like: ql.Bars | None = None, compiled: bool = False) -> Session:
    session = session_of(strategy, like or bars, compiled)  # type: ignore[arg-type]
    session.run(bars)
    return session


@functools.cache
def busy_run(name: str) -> Session:
    return run(busy(name), told(ql.demo_bars(500)))


def live(strategy: Strategy, data: Data, compiled: bool) -> Live:
    """An executor and a strategist that only tell each other; each is saved and restored elsewhere at five events."""
    tape = data if isinstance(data, Tape) else Tape(bars=data)
    random = np.random.default_rng(len(tape))
    cuts = {int(k) for k in random.integers(1, len(tape), 5)} | {-int(k) for k in random.integers(1, len(tape), 5)}
    return Live(lambda: session_of(strategy, data, compiled), tape, cuts.__contains__).run()


def swept(strategy: Strategy, bars: ql.Bars, **options: Any) -> Any:
    """A sweep of one cell."""
    name = "weight" if "weight" in strategy.params else next(iter(strategy.params))
    values = [strategy.params[name]]
    allow_short = bool(strategy.params.get("short", False))
    return ql.sweep(
        strategy, bars, CASH, FEES, allow_short=allow_short, allow_gaps=True, jobs=1, over={name: values}, **options
    )


def all_ways(strategy: Strategy, data: Data, compiled: bool) -> dict[str, str]:
    whole = run(strategy, data, compiled=compiled)
    pieces = session_of(strategy, data, compiled)
    pieces.run_chunks(thirds(data))
    assert pieces.save() == whole.save()
    found = {"whole": whole.digest, "pieces": pieces.digest, "live": live(strategy, data, compiled).digest}
    if isinstance(data, ql.Bars):  # a sweep takes nothing else
        found["swept"] = swept(strategy, data, compiled=compiled, digests=True).outcomes[0].digest
    return found


def thirds(data: Data) -> Iterator[Any]:
    """In three pieces, cut anywhere."""
    if isinstance(data, ql.Bars):
        yield from np.array_split(data.array, 3)
        return
    cuts = [int(time) for time, _, _ in merged(data)][:: len(data) // 3 + 1][1:]
    for first, last in itertools.pairwise([0, *cuts, 2**62]):
        yield data._with(array[(array["event_time"] >= first) & (array["event_time"] < last)] for array in data.arrays)


def usual(name: str, demo: ql.Bars) -> Data:
    """Something small that the strategy trades on."""
    needs = ENTRIES[name].needs
    if needs in ("bars", "forecasts"):
        return part(demo, 0, 280)
    if needs == "portfolio":
        return ql.demo_bars(250, instruments=2) if name == "pairs" else ql.demo_bars(120, instruments=3)
    return Tape(quotes=ql.demo_quotes(500), trades=ql.demo_trades(250))


@pytest.fixture(scope="module")
def demo() -> ql.Bars:
    return told(ql.demo_bars(500))


@pytest.fixture(scope="module")
def bitcoin(market_data: Path) -> ql.Bars:
    """Hours of 2022, with the holes that the exchange's outages left further on."""
    return told(ql.load_bars(market_data / "binance_spot_1h_staticklines.parquet", symbol="BTCUSDT"))


def part(bars: ql.Bars, start: int, stop: int) -> ql.Bars:
    return ql.Bars(bars.array[start:stop], bars.instruments, bars.label)


@every
def test_trades_and_is_never_refused(name: str, demo: ql.Bars, bitcoin: ql.Bars) -> None:
    for bars in (demo, part(bitcoin, 500, 1000)):
        session = run(ENTRIES[name].strategy(), bars)
        assert len(session.fills) > 0
        assert not (session.updates["status"] == OrderStatus.REJECTED).any()
        assert np.isfinite(session.equity).all()


@pytest.mark.parametrize("name", list(ENTRIES))
def test_all_ways_of_running_give_the_same_digest(name: str, demo: ql.Bars) -> None:
    strategy, data = busy(name, **QUICK.get(name, {})), usual(name, demo)
    digests = all_ways(strategy, data, compiled=False)
    assert len(set(digests.values())) == 1, digests
    assert len(run(strategy, data).fills) > 0


@pytest.mark.timeout(400)  # the engine may have to be compiled
@pytest.mark.parametrize("name", COMPILED)
def test_compiled_and_debug_give_the_same_digest(name: str, demo: ql.Bars) -> None:
    strategy, data = busy(name, **QUICK.get(name, {})), usual(name, demo)
    debug = run(strategy, data)
    digests = all_ways(strategy, data, compiled=True) | {"debug": debug.digest}
    assert len(set(digests.values())) == 1, digests
    if isinstance(data, ql.Bars):
        cell = swept(strategy, data).table.row(0, named=True)  # without digests: bare cells, not whole sessions
        assert (cell["final_equity"], cell["fills"]) == (debug.equity[-1], len(debug.fills))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", list(ENTRIES))
def test_compiled_debug_and_live_give_the_same_digest_on_real_data(name: str, market_data: Path) -> None:
    strategy, data = busy(name, **QUICK.get(name, {})), real(name, market_data)
    debug = run(strategy, data)
    digests = all_ways(strategy, data, compiled=True) | {"debug": debug.digest}
    assert len(set(digests.values())) == 1, digests
    if isinstance(data, ql.Bars):
        cell = swept(strategy, data).table.row(0, named=True)
        assert (cell["final_equity"], cell["fills"]) == (debug.equity[-1], len(debug.fills))
    assert len(debug.fills) > 0


def real(name: str, folder: Path) -> Data:
    """Hours of Bitcoin, of five symbols, quotes and trades, or a whole book."""
    needs, hours = ENTRIES[name].needs, folder / "binance_spot_1h_staticklines.parquet"
    if needs in ("bars", "forecasts"):
        return part(told(ql.load_bars(hours, symbol="BTCUSDT")), 0, 6000)
    if needs == "portfolio":
        bars = [ql.load_bars(hours, symbol="ETHUSDT"), ql.load_bars(hours, symbol="BTCUSDT")]
        return part(ql.Bars.merge(bars) if name == "pairs" else ql.load_bars(hours), 0, 6000)
    return booked(folder, 300) if name == "book-imbalance" else captured(folder, limit=6_000)


@every
def test_the_future_changes_no_earlier_order(name: str, demo: ql.Bars) -> None:
    base = busy_run(name).orders
    for cut, factor in ((250, 1.5), (399, 0.6)):
        other = demo.array.copy()
        for field in PRICES:
            other[field][cut + 1 :] *= factor
        other["volume"][cut + 1 :] = other["volume"][cut + 1 :][::-1]
        changed = run(busy(name), other, demo).orders
        before, after = (orders[orders["bar_offset"] <= cut] for orders in (base, changed))
        for field in base.dtype.names:
            assert before[field].tobytes() == after[field].tobytes()
    assert name in SELDOM or base["bar_offset"][-1] > 250  # there was something to be changed


@every
def test_every_end_of_every_range_runs(name: str, demo: ql.Bars) -> None:
    specs = ENTRIES[name].params
    ends = [{key: end} for key, spec in specs.items() for end in (spec.low, spec.high) if end is not None]
    ends += [{key: not spec.default} for key, spec in specs.items() if spec.kind is bool]
    for pick in ("low", "high"):
        ends.append({key: getattr(spec, pick) for key, spec in specs.items() if getattr(spec, pick) is not None})
    for params in ends:
        strategy = busy(name, **{key: value for key, value in params.items() if key != "short"})
        session = run(strategy, part(demo, 0, 100))
        assert np.isfinite(session.equity).all(), params


@every
def test_sends_no_contradictory_orders(name: str) -> None:
    """At most one order a bar that opens or closes at market, and whatever else waits only ever reduces."""
    orders = busy_run(name).orders
    opening = orders[orders["type"] == OrderType.MARKET]
    assert len(np.unique(opening["bar_offset"])) == len(opening)
    if name != "grid":  # a ladder of limits
        assert orders[orders["type"] != OrderType.MARKET]["reduce_only"].all()
    assert (orders["quantity"] > 0.0).all()


@every
@pytest.mark.parametrize("size", ["1m", "1d"])
def test_works_on_any_size_of_bar(name: str, size: str) -> None:
    session = run(busy(name), told(ql.demo_bars(400, seed=3, size=size)))
    assert len(session.fills) > 0


@every
def test_works_at_any_price(name: str, demo: ql.Bars) -> None:
    """A price in other units makes other quantities, and nothing else."""
    base = busy_run(name)
    scaled = demo.array.copy()
    for field in PRICES:
        scaled[field] *= 2.0**-24
    other = run(busy(name), scaled, demo)
    for field in ("event_time", "side"):
        assert base.fills[field].tolist() == other.fills[field].tolist()
    assert other.equity == pytest.approx(base.equity, rel=1e-9)


@every
def test_keeps_to_lots_and_bears_a_slow_venue(name: str, demo: ql.Bars) -> None:
    """Orders that take one and a half bars to arrive: still none too many, none refused, and no fraction of a lot."""
    instrument = ql.Instrument("demo:ALPHA", tick_size=0.05, lot_size=0.5, min_notional=20.0)
    market = Market(FEES, latency=Latency(ns=5_400_000_000_000))
    session = Session(ENTRIES[name].strategy(), [instrument], 5_000.0, compiled=False, market=market)
    session.run(demo.array[:400])
    assert not (session.updates["status"] == OrderStatus.REJECTED).any()
    assert (session.orders["quantity"] % 0.5 == 0.0).all()
    assert session.positions[instrument.id] * 2 % 1 == 0.0


@every
def test_bars_may_be_missing(name: str, demo: ql.Bars) -> None:
    """A third of the bars, and 100 in one piece; nothing is decided twice, and nothing fills where there is no bar."""
    random = np.random.default_rng(11)
    kept = random.random(len(demo)) < 0.67
    kept[200:300] = False
    array = demo.array[kept]
    session = run(busy(name), array, demo)
    assert np.isin(session.fills["event_time"], np.concatenate([array["open_time"], array["close_time"]])).all()
    assert np.isfinite(session.equity).all()


@every
def test_a_price_that_stands_still(name: str) -> None:
    """No division by a range, a deviation or a volume of 0, and no trades on nothing (but of those that do not look)."""
    array = blank_bars(400)
    array["open_time"] = np.arange(400) * 3_600_000_000_000
    array["close_time"] = array["open_time"] + 3_600_000_000_000
    for field in PRICES:
        array[field] = 100.0
    session = run(busy(name), array, ql.demo_bars(1))
    assert np.isfinite(session.equity).all()
    if ENTRIES[name].family not in ("yardstick", "risk", "schedule"):
        assert len(session.fills) <= 1, session.fills


@pytest.mark.parametrize("name", list(ENTRIES))
def test_the_docstring_is_whole_and_its_example_is_true(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = ENTRIES[name]
    monkeypatch.setitem(backtest.__kwdefaults__, "compiled", False)  # equal to compiled, which the tests above hold
    monkeypatch.setitem(Session.__init__.__kwdefaults__, "compiled", False)
    module = importlib.import_module(entry.strategy.__module__)
    text = "".join(base.__doc__ or "" for base in entry.strategy.__mro__)
    test = doctest.DocTestParser().get_doctest(
        entry.strategy.__doc__ or "", vars(module).copy(), name, module.__file__, 0
    )
    assert test.examples, f"{name} has no example"
    told: list[str] = []
    assert doctest.DocTestRunner().run(test, out=told.append).failed == 0, "".join(told)
    assert len(entry.source) > 10, f"{name} names no source"
    assert entry.family
    for param, spec in entry.params.items():
        assert f"`{param}`" in text, f"{name} says nothing of {param}"
        assert spec.kind is bool or (spec.low is not None and spec.high is not None), f"{param} has no range"
