"""Pairs: finds a mean reversion that is there, and mostly stays away from one that is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import quantlytic as ql
from quantlytic import Bars, Fees, Instrument, Session
from quantlytic.model.errors import InputError
from quantlytic.strategies.pairs import Pairs

pytestmark = pytest.mark.timeout(400)  # the engine may have to be compiled
HOUR_NS = 3_600_000_000_000
CASH = 100_000.0


def bars_of(*logs: NDArray[np.float64]) -> Bars:
    """Hourly bars of log prices, each opening where the one before closed."""
    parts = []
    for k, values in enumerate(logs):
        close = np.exp(values)
        opened = np.append(close[0], close[:-1])
        times = np.arange(len(close), dtype="i8") * HOUR_NS
        parts.append(
            Bars.of(
                Instrument(f"test:S{k}"), open_time=times, close_time=times + HOUR_NS, open=opened, close=close,
                high=np.maximum(opened, close), low=np.minimum(opened, close), volume=np.ones(len(close)),
            )
        )  # fmt: skip
    return Bars.merge(parts)


def cointegrated(seed: int, n: int, slope: float = 0.8, speed: float = 0.2) -> Bars:
    """x a random walk; y = 1 + slope x + a spread that goes back by `speed` of itself an hour."""
    random = np.random.default_rng(seed)
    x = 4.0 + np.cumsum(random.normal(0.0, 0.01, n))
    spread = np.zeros(n)
    for t in range(1, n):
        spread[t] = (1.0 - speed) * spread[t - 1] + random.normal(0.0, 0.01)
    return bars_of(1.0 + slope * x + spread, x)


def strangers(seed: int, n: int) -> Bars:
    random = np.random.default_rng(seed)
    return bars_of(*(4.0 + np.cumsum(random.normal(0.0, 0.01, (2, n)), axis=1)))


def run(bars: Bars, compiled: bool = True, allow_short: bool = True, fees: float = 5.0, **params: Any) -> Session:
    strategy = Pairs(**({"short": True} | params))
    session = Session(strategy, bars.instruments, CASH, Fees(fees), compiled=compiled, allow_short=allow_short)
    session.run(bars)
    return session


def in_market(session: Session, bars: Bars) -> float:
    """The share of bar times at whose end anything is held."""
    first = session.fills[session.fills["instrument"] == 0]
    times = np.unique(bars.array["close_time"])
    held = np.cumsum(first["side"] * first["quantity"])
    at = np.searchsorted(first["event_time"], times, "right") - 1
    return float((np.abs(held[at[at >= 0]]) > 1e-9).sum() / len(times))


@pytest.mark.parametrize("kalman", [False, True])
def test_earns_on_a_cointegrated_pair(kalman: bool) -> None:
    gains = []
    for seed in range(3):
        session = run(cointegrated(seed, 1200), period=120, kalman=kalman)
        gains.append(session.equity[-1] / CASH - 1.0)
        assert len(session.fills) >= 16
    assert min(gains) > 0.0, gains
    assert np.mean(gains) > 0.05, gains


def test_is_mostly_flat_on_two_random_walks() -> None:
    """The statistic is below its critical value by chance now and then, and far from the mean at once more seldom."""
    shares = [in_market(run(bars, period=120), bars) for bars in (strangers(seed, 1000) for seed in range(3))]
    pair = cointegrated(1, 1000)
    assert np.mean(shares) < 0.2, shares
    assert np.mean(shares) < 0.5 * in_market(run(pair, period=120), pair)


def test_legs_are_opposite_and_as_the_slope_says() -> None:
    bars = cointegrated(2, 400)
    session = run(bars, period=120, fees=0.0)
    first = session.orders[:2]
    assert first["instrument"].tolist() == [0, 1]
    assert first["side"][0] == -first["side"][1]
    until = int(np.searchsorted(np.unique(bars.array["close_time"]), first["event_time"][0])) + 1
    y, x = (np.log(bars.array["close"][bars.array["instrument"] == k])[until - 120 : until] for k in (0, 1))
    slope, level = np.polyfit(x, y, 1)
    spread = y - slope * x - level
    assert abs(spread[-1] / spread.std()) > 2.0
    assert np.sign(spread[-1]) == -first["side"][0]
    assert first["quantity"] * np.exp([y[-1], x[-1]]) == pytest.approx(
        0.95 * CASH * np.array([1.0, slope]) / (1.0 + slope), rel=1e-6
    )


def test_without_short_only_the_cheap_one_is_held() -> None:
    session = run(cointegrated(0, 800), allow_short=False, short=False, period=120)
    assert len(session.fills) > 6
    held = {0: 0.0, 1: 0.0}
    for fill in session.fills:
        held[int(fill["instrument"])] += fill["side"] * fill["quantity"]
        assert min(held.values()) >= -1e-12
        assert max(held.values()) == 0.0 or min(held.values()) == pytest.approx(0.0, abs=1e-12)


def test_a_leg_that_is_refused_closes_the_other() -> None:
    """It wants to sell short, and the account must not."""
    session = run(cointegrated(0, 600), allow_short=False, period=120)
    assert len(session.fills) >= 2
    assert len(session.fills) % 2 == 0
    for buy, sell in session.fills.reshape(-1, 2):
        assert (buy["side"], sell["side"]) == (1, -1)
        assert buy["quantity"] == sell["quantity"]
        assert sell["event_time"] - buy["event_time"] == HOUR_NS


def test_gives_up_at_the_stop_and_waits_until_it_is_calm() -> None:
    """After entry the spread runs away for good: out at the stop, and not in again while it is far."""
    random = np.random.default_rng(4)
    x = 4.0 + np.cumsum(random.normal(0.0, 0.01, 400))
    spread = np.zeros(400)
    for t in range(1, 400):
        spread[t] = 0.8 * spread[t - 1] + random.normal(0.0, 0.01)
    spread[300:] = 0.1 * np.arange(100) + 0.05
    session = run(bars_of(1.0 + x + spread, x), period=120, entry=2.5, fees=0.0)
    late = session.fills[session.fills["event_time"] >= 300 * HOUR_NS]
    assert len(late) <= 4
    assert all(abs(quantity) < 1e-9 for quantity in session.positions.values())


def test_bars_of_one_alone_do_not_count() -> None:
    bars = cointegrated(1, 300)
    random = np.random.default_rng(5)
    both = np.repeat(random.random(300) < 0.7, 2)
    alone = ~both & (bars.array["instrument"] == 0)
    some = run(Bars(bars.array[both | alone], bars.instruments), period=60)
    only = run(Bars(bars.array[both], bars.instruments), period=60)
    assert len(some.orders) > 3
    assert some.orders["event_time"].tolist() == only.orders["event_time"].tolist()


@pytest.mark.parametrize("count", [1, 3])
def test_wants_two_instruments(count: int) -> None:
    bars = ql.demo_bars(10, instruments=count)
    with pytest.raises(InputError, match=f"Pairs trades two instruments against each other: it was given {count}"):
        Session(Pairs(), bars.instruments, CASH, compiled=False)


@pytest.mark.parametrize("kalman", [False, True])
def test_in_pieces_it_is_the_same_and_the_future_is_unknown(kalman: bool) -> None:
    bars = cointegrated(3, 260)
    params = {"period": 60, "entry": 1.5, "critical": -2.0, "kalman": kalman}
    whole = run(bars, **params)
    pieces = Session(whole.strategy, bars.instruments, CASH, Fees(5.0), compiled=False, allow_short=True)
    pieces.run_chunks(np.array_split(bars.array, 7))
    assert pieces.digest == whole.digest
    other = bars.array.copy()
    for field in ("open", "high", "low", "close"):
        other[field][401:] *= 1.0 + 0.2 * other["instrument"][401:]  # in the middle of a time
    changed = run(Bars(other, bars.instruments), **params)
    end = bars.array["close_time"][399]
    before, after = (one.orders[one.orders["event_time"] <= end] for one in (whole, changed))
    assert len(before) > 2
    for field in before.dtype.names:
        assert before[field].tobytes() == after[field].tobytes()


@pytest.mark.parametrize("kalman", [False, True])
def test_compiled_and_debug_give_the_same_digest(kalman: bool) -> None:
    bars = cointegrated(6, 500)
    debug, compiled = (
        run(bars, compiled, period=60, entry=1.5, critical=-2.0, kalman=kalman) for compiled in (False, True)
    )
    assert len(debug.fills) > 10
    assert debug.digest == compiled.digest
    assert debug.save() == compiled.save()


def test_ether_against_bitcoin(market_data: Path) -> None:
    """2,000 hours: both legs, never one alone for longer than it takes to close it, and nothing refused."""
    file = market_data / "binance_spot_1h_staticklines.parquet"
    loaded = Bars.merge([ql.load_bars(file, symbol=symbol) for symbol in ("ETHUSDT", "BTCUSDT")])
    bars = Bars(loaded.array[:4000], loaded.instruments)
    session = run(bars, period=120, critical=-2.5)
    updates = session.updates
    assert not (updates["reason"] > 0).any()
    assert len(session.fills) >= 8
    assert np.isfinite(session.equity).all()
    held = np.zeros(2)
    for time in np.unique(session.fills["event_time"]):
        for fill in session.fills[session.fills["event_time"] == time]:
            held[fill["instrument"]] += fill["side"] * fill["quantity"]
        assert np.sign(np.round(held, 9)).sum() == 0
