"""Strategies over several instruments: their weights by hand and by NumPy, how they get there, and what may go wrong."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import quantlytic as ql
from quantlytic import Bars, Fees, Instrument, Session, Strategy
from quantlytic.engine.data.tape import Tape, Ticks
from quantlytic.model.action import ACTION, ActionKind
from quantlytic.model.bar import BAR
from quantlytic.model.errors import InputError
from quantlytic.model.order import OrderStatus, Reason
from quantlytic.strategies.cross_sectional_momentum import CrossSectionalMomentum
from quantlytic.strategies.dual_momentum import DualMomentum
from quantlytic.strategies.equal_weight import EqualWeight
from quantlytic.strategies.minimum_variance import MinimumVariance
from quantlytic.strategies.risk_parity import RiskParity

HOUR_NS = 3_600_000_000_000
CASH = 100_000.0
ALL: list[Strategy] = [
    EqualWeight(rebalance=10),
    CrossSectionalMomentum(lookback=20, skip=2, top=2, rebalance=10),
    CrossSectionalMomentum(lookback=20, top=2, rebalance=7, short=True),
    DualMomentum(lookback=20, top=2, rebalance=10, refuge=0),
    MinimumVariance(lookback=20, rebalance=20, cap=0.6),
    RiskParity(lookback=20, rebalance=20),
    RiskParity(lookback=20, rebalance=20, correlated=False),
]
every = pytest.mark.parametrize("strategy", ALL, ids=lambda one: f"{type(one).__name__}{ALL.index(one)}")


def panel(closes: NDArray[np.float64]) -> Bars:
    """Hourly bars of closes[time, instrument]; each opens where the one before closed. NaN: no bar."""
    rows = []
    for t, k in itertools.product(*map(range, closes.shape)):
        close = closes[t, k]
        if np.isfinite(close):
            before = closes[t - 1, k] if t and np.isfinite(closes[t - 1, k]) else close
            low, high = min(before, close), max(before, close)
            rows.append((k, t * HOUR_NS, (t + 1) * HOUR_NS, before, high, low, close, 1.0, 0.0, 0, np.nan))
    return Bars(np.array(rows, BAR), tuple(Instrument(f"test:S{k}") for k in range(closes.shape[1])))


def run(strategy: Strategy, data: Any, compiled: bool = False, fees: Fees = Fees(10)) -> Session:  # noqa: B008
    short = bool(strategy.params.get("short", False))
    session = Session(strategy, data.instruments, CASH, fees, compiled=compiled, allow_short=short)
    session.run(data)
    return session


def rejected(session: Session) -> set[str]:
    updates = session.updates
    return {Reason(int(one)).text for one in updates["reason"][updates["status"] == OrderStatus.REJECTED]}


def held(session: Session, closes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each position's share of equity, at the last closes."""
    quantities = np.array(list(session.positions.values()))
    return quantities * closes[-1] / session.equity[-1]


# ---- getting there ----


def test_what_is_too_large_is_cut_before_the_rest_is_bought() -> None:
    """Two instruments at 100; one doubles. Worked by hand, without fees, all of equity but 2 %."""
    closes = np.array([[100.0, 100.0], [100.0, 100.0], [200.0, 100.0], [200.0, 100.0], [200.0, 100.0], [200.0, 100.0]])
    session = run(EqualWeight(rebalance=3, weight=0.98), panel(closes), fees=Fees(0))
    fills = [(int(f["event_time"] // HOUR_NS), int(f["instrument"]), f["side"] * f["quantity"]) for f in session.fills]
    # 490 of each at the second bar's open. Then equity is 149,000: 73,010 each is 365.05 and 730.1.
    assert fills == [
        (1, 0, 490.0),
        (1, 1, 490.0),
        (4, 0, pytest.approx(-(490 - 0.49 * 149_000 / 200))),
        (5, 1, pytest.approx(0.49 * 149_000 / 100 - 490)),
    ]


def test_small_changes_are_not_made() -> None:
    closes = 100.0 * np.cumprod(1.0 + np.array([[0.001, -0.001]] * 40), axis=0)
    assert len(run(EqualWeight(rebalance=2, band=0.05), panel(closes)).fills) == 2
    assert len(run(EqualWeight(rebalance=2, band=0.0001), panel(closes)).fills) > 10


def test_what_is_refused_for_want_of_cash_is_tried_again_smaller() -> None:
    """All three gap up by a tenth between decision and open: the third cannot be paid, and then gets what is left."""
    closes = np.full((6, 3), 100.0)
    closes[1:] = 110.0
    bars = panel(closes)
    bars.array["open"][bars.array["open_time"] == HOUR_NS] = 110.0
    session = run(EqualWeight(rebalance=100, weight=0.99), bars)
    assert rejected(session) == {"insufficient-cash"}
    shares = held(session, closes)
    assert shares[:2] == pytest.approx(0.363, abs=1e-3)
    assert shares[2] == pytest.approx(0.99 * (1.0 - shares[:2].sum()), abs=2e-3)
    assert session.cash > 0.0


@every
def test_on_random_walks_nothing_is_refused(strategy: Strategy) -> None:
    bars = ql.demo_bars(250, seed=5, instruments=5)
    session = run(strategy, bars)
    assert not rejected(session)
    assert len(session.fills) > 15
    assert np.isfinite(session.equity).all()


@every
def test_in_pieces_it_is_the_same(strategy: Strategy) -> None:
    bars = ql.demo_bars(100, instruments=4)
    whole = run(strategy, bars)
    short = bool(strategy.params.get("short", False))
    pieces = Session(strategy, bars.instruments, CASH, Fees(10), compiled=False, allow_short=short)
    pieces.run_chunks(np.array_split(bars.array, 7))
    assert pieces.digest == whole.digest
    assert pieces.save() == whole.save()


@pytest.mark.parametrize(
    "strategy", [pytest.param(one, marks=[] if k == 4 else pytest.mark.slow) for k, one in enumerate(ALL)]
)
@pytest.mark.timeout(400)  # the engine may have to be compiled
def test_compiled_and_debug_give_the_same_digest(strategy: Strategy) -> None:
    bars = ql.demo_bars(250, 3, instruments=5)
    debug, compiled = (run(strategy, bars, compiled) for compiled in (False, True))
    assert len(debug.fills) > 10
    assert compiled.digest == debug.digest
    assert compiled.save() == debug.save()


@every
def test_the_future_changes_no_earlier_order(strategy: Strategy) -> None:
    bars = ql.demo_bars(160, 4, instruments=4)
    base = run(strategy, bars).orders
    cut = 97 * 4
    other = bars.array.copy()
    for field in ("open", "high", "low", "close"):
        other[field][cut:] *= 1.3 + 0.2 * other["instrument"][cut:]
    changed = run(strategy, Bars(other, bars.instruments)).orders
    end = bars.array["close_time"][cut - 1]
    before, after = (orders[orders["event_time"] <= end] for orders in (base, changed))
    assert len(before) > 3
    for field in base.dtype.names:
        assert before[field].tobytes() == after[field].tobytes()
    assert base["quantity"].tobytes() != changed["quantity"].tobytes()


@every
def test_every_end_of_every_range_runs(strategy: Strategy) -> None:
    bars = ql.demo_bars(60, instruments=3)
    specs = type(strategy).param_specs
    for name, spec in specs.items():
        ends = [not spec.default] if spec.kind is bool else [spec.low, spec.high]
        for end in ends:
            if name == "refuge" and end == spec.high:
                continue
            session = run(type(strategy)(**{**strategy.params, name: end}), bars)
            assert np.isfinite(session.equity).all(), (name, end)


# ---- what may go wrong with the instruments ----


@every
def test_bars_may_be_missing(strategy: Strategy) -> None:
    random = np.random.default_rng(3)
    bars = ql.demo_bars(200, 2, instruments=4)
    kept = bars.array[random.random(len(bars)) < 0.6]
    session = run(strategy, Bars(kept, bars.instruments))
    assert not rejected(session) - {"insufficient-cash"}  # prices may have gone far while there was no bar
    assert np.isfinite(session.equity).all()
    assert len(session.fills) > 5


@every
def test_one_instrument_starts_late_and_one_ends(strategy: Strategy) -> None:
    """The first is delisted after 100 hours, the fourth appears then; the refuge of dual momentum is the one that goes."""
    bars = ql.demo_bars(240, 6, instruments=4)
    hours = (bars.array["close_time"] - bars.array["open_time"][0]) // HOUR_NS
    who = bars.array["instrument"]
    array = bars.array[((who != 0) | (hours <= 100)) & ((who != 3) | (hours > 100))]
    action = np.zeros(1, ACTION)
    action[0] = (0, array["open_time"][0] + 100 * HOUR_NS, ActionKind.DELISTING, np.nan)
    tape = Tape(bars=Bars(array, bars.instruments), actions=Ticks(action, bars.instruments))
    session = run(strategy, tape)
    assert rejected(session) <= {"delisted"}
    ids = [one.id for one in bars.instruments]
    assert session.positions[ids[0]] == 0.0
    late = session.fills[session.fills["instrument"] == 3]
    assert len(late)
    assert (late["event_time"] > array["open_time"][0] + 100 * HOUR_NS).all()


def test_what_no_longer_trades_is_left_alone_and_the_rest_shares_what_remains() -> None:
    closes = np.full((40, 3), 100.0)
    closes[10:, 2] = np.nan  # ends, and nobody says so
    closes[20:, 0] = 120.0
    session = run(EqualWeight(rebalance=6, weight=0.9), panel(closes), fees=Fees(0))
    assert (session.fills["event_time"][session.fills["instrument"] == 2] < 10 * HOUR_NS).all()
    shares = held(session, np.array([[120.0, 100.0, 100.0]]))
    assert shares[0] == pytest.approx(shares[1], abs=1e-9)
    assert shares.sum() == pytest.approx(0.9, abs=1e-9)


def test_a_split_between_cut_and_purchase_changes_nothing() -> None:
    """Values are noted, not quantities: a 4:1 split the hour after the cut buys four times the units at a quarter."""
    closes = np.full((8, 2), 100.0)
    closes[2:, 0] = 200.0
    plain = run(EqualWeight(rebalance=3, weight=0.98), panel(closes), fees=Fees(0))
    after = closes.copy()
    after[4:, 1] = 25.0
    bars = panel(after)
    bars.array["open"][(bars.array["instrument"] == 1) & (bars.array["open_time"] == 4 * HOUR_NS)] = 25.0
    bars.array["high"][(bars.array["instrument"] == 1) & (bars.array["open_time"] == 4 * HOUR_NS)] = 25.0
    action = np.zeros(1, ACTION)
    action[0] = (1, 4 * HOUR_NS + 1, ActionKind.SPLIT, 4.0)
    tape = Tape(bars=bars, actions=Ticks(action, bars.instruments))
    split = run(EqualWeight(rebalance=3, weight=0.98), tape, fees=Fees(0))
    assert split.positions["test:S1"] == pytest.approx(4 * plain.positions["test:S1"], rel=1e-12)
    assert split.equity[-1] == pytest.approx(plain.equity[-1], rel=1e-12)


# ---- momentum ----


def trends(*rates: float, n: int = 60) -> NDArray[np.float64]:
    """Prices that grow at fixed rates an hour."""
    return 100.0 * np.exp(np.arange(n)[:, None] * np.array(rates))


def bought(session: Session) -> set[int]:
    return {int(one) for one in session.fills["instrument"]}


def test_momentum_picks_those_that_gained_most() -> None:
    closes = trends(0.001, 0.003, -0.002, 0.002)
    session = run(CrossSectionalMomentum(lookback=20, skip=0, top=2), panel(closes), fees=Fees(0))
    assert bought(session) == {1, 3}
    # Both had the same share; the ranking begins when there are 20 returns.
    first = session.fills[:2]
    assert (first["quantity"] * closes[20, [1, 3]]).tolist() == pytest.approx([0.485 * CASH] * 2)


def test_momentum_leaves_the_newest_bars_out() -> None:
    closes = trends(0.002, 0.001, n=31)
    closes[-6:, 1] *= 2.0
    gone = CrossSectionalMomentum(lookback=20, skip=6, top=1, rebalance=1)
    assert bought(run(gone, panel(closes))) == {0}
    assert 1 in bought(run(CrossSectionalMomentum(lookback=20, skip=2, top=1, rebalance=1), panel(closes)))


def test_momentum_sells_the_worst_short() -> None:
    closes = trends(0.001, 0.003, -0.002, 0.0)
    shares = held(run(CrossSectionalMomentum(lookback=20, skip=0, top=1, short=True), panel(closes)), closes)
    assert np.sign(shares).tolist() == [0, 1, -1, 0]
    assert np.abs(shares).sum() == pytest.approx(0.97, abs=0.05)


def test_momentum_turns_over_when_the_ranking_does() -> None:
    closes = np.vstack([trends(0.002, -0.002), trends(-0.002, 0.002) * trends(0.002, -0.002)[-1] / 100.0])
    session = run(CrossSectionalMomentum(lookback=20, skip=0, top=1, rebalance=10), panel(closes))
    assert [k for k, _ in itertools.groupby(session.fills["instrument"].tolist())] == [0, 1]
    assert not rejected(session)
    assert held(session, closes)[1] == pytest.approx(0.97, abs=0.03)


def test_dual_momentum_takes_refuge_when_even_the_best_lost() -> None:
    falling = trends(-0.001, -0.003, 0.0)
    assert not len(run(DualMomentum(lookback=20), panel(falling)).fills)
    assert bought(run(DualMomentum(lookback=20, refuge=1), panel(falling))) == {1}
    rising = trends(0.001, 0.003, 0.004)
    assert bought(run(DualMomentum(lookback=20, refuge=2), panel(rising))) == {1}
    assert bought(run(DualMomentum(lookback=20, refuge=2, hurdle=0.1), panel(rising))) == {2}
    assert bought(run(DualMomentum(lookback=20, refuge=2, top=2, hurdle=0.03), panel(rising))) == {1, 2}
    with pytest.raises(InputError, match="DualMomentum: refuge 3 is no instrument: there are 3, counted from 0"):
        run(DualMomentum(refuge=3), panel(rising))


# ---- risk ----


def shrunk(x: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Ledoit & Wolf's covCor, by matrices. x: returns[time, instrument]."""
    t, n = x.shape
    x = x - x.mean(0)
    sample = x.T @ x / t
    var = np.diag(sample)
    root = np.sqrt(var)
    mean = ((sample / np.outer(root, root)).sum() - n) / (n * (n - 1)) if n > 1 else 0.0
    prior = mean * np.outer(root, root)
    np.fill_diagonal(prior, var)
    phi = (x**2).T @ (x**2) / t - sample**2
    theta = (x**3).T @ x / t - var[:, None] * sample
    np.fill_diagonal(theta, 0.0)
    rho = np.diag(phi).sum() + mean * (np.outer(1.0 / root, root) * theta).sum()
    gamma = ((sample - prior) ** 2).sum()
    strength = max(0.0, min(1.0, (phi.sum() - rho) / gamma / t)) if gamma > 0 else 0.0
    return strength * prior + (1 - strength) * sample, strength


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_covariance_is_ledoit_and_wolfs(seed: int) -> None:
    random = np.random.default_rng(seed)
    closes = np.exp(random.multivariate_normal(np.zeros(5), random_covariance(seed, 5), 61).cumsum(0))
    session = run(MinimumVariance(lookback=60), panel(closes))
    state = session.state_of("test:S0")
    covariance, strength = shrunk(closes[1:] / closes[:-1] - 1.0)
    assert 0.0 < strength < 1.0
    assert state["shrinkage"] == pytest.approx(strength, rel=1e-9)
    assert state["covariance"] == pytest.approx(covariance, rel=1e-9)


def least(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Minimum variance without shorts: of the closed forms of all subsets, the best that has no negative weight."""
    n = len(covariance)
    best, found = np.inf, np.zeros(n)
    for count in range(1, n + 1):
        for some in map(list, itertools.combinations(range(n), count)):
            inverse = np.linalg.solve(covariance[np.ix_(some, some)], np.ones(count))
            weights = inverse / inverse.sum()
            variance = weights @ covariance[np.ix_(some, some)] @ weights
            if (weights >= 0.0).all() and variance < best:
                best, found = variance, np.zeros(n)
                found[some] = weights
    return found


def random_covariance(seed: int, n: int) -> NDArray[np.float64]:
    random = np.random.default_rng(seed)
    factors = random.normal(0.5, 1.0, (n, 2))
    scales = np.exp(random.normal(-4.0, 0.7, n))
    return (factors @ factors.T + np.diag(random.uniform(0.1, 2.0, n))) * np.outer(scales, scales)


def prepared(strategy: Any, covariance: NDArray[np.float64]) -> Any:
    """The strategy's state with this covariance, before it solves."""
    state = strategy.prepared(len(covariance))
    state.count = len(covariance)
    state.covariance[:] = covariance
    state.deviations[:] = np.sqrt(np.diag(covariance))
    return state


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 6))
def test_minimum_variance_is_the_closed_form(seed: int, n: int) -> None:
    covariance = random_covariance(seed, n)
    state = prepared(MinimumVariance(), covariance)
    state.solve(1.0)
    assert state.shares.sum() == pytest.approx(1.0, abs=1e-12)
    assert state.shares == pytest.approx(least(covariance), abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(2, 9), cap=st.floats(0.15, 1.0))
def test_minimum_variance_under_a_cap_cannot_be_bettered(seed: int, n: int, cap: float) -> None:
    """Karush-Kuhn-Tucker: nothing can be moved from one instrument to another to any gain."""
    cap = max(cap, 1.0 / n)
    covariance = random_covariance(seed, n)
    state = prepared(MinimumVariance(), covariance)
    state.solve(cap)
    shares = state.shares
    assert shares.sum() == pytest.approx(1.0, abs=1e-12)
    assert shares.min() >= 0.0
    assert shares.max() <= cap + 1e-15
    slopes = covariance @ shares
    givers, takers = slopes[shares > 0.0], slopes[shares < cap]
    if len(takers):
        assert givers.max() - takers.min() <= 1e-9 * np.trace(covariance) / n


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 12))
def test_risk_parity_gives_each_the_same_risk(seed: int, n: int) -> None:
    covariance = random_covariance(seed, n)
    state = prepared(RiskParity(), covariance)
    state.shares[:] = 1.0 / state.deviations
    state.solve()
    shares = state.shares / state.shares.sum()
    risks = shares * (covariance @ shares) / (shares @ covariance @ shares)
    assert (shares > 0.0).all()
    assert risks == pytest.approx(np.full(n, 1.0 / n), abs=1e-6)


def test_risk_parity_of_equal_correlations_is_inverse_volatility() -> None:
    deviations = np.array([0.01, 0.02, 0.04])
    covariance = np.outer(deviations, deviations) * (0.3 + 0.7 * np.eye(3))
    state = prepared(RiskParity(), covariance)
    state.shares[:] = 1.0
    state.solve()
    assert state.shares / state.shares.sum() == pytest.approx([4 / 7, 2 / 7, 1 / 7], rel=1e-9)


def test_weights_become_positions() -> None:
    bars = ql.demo_bars(120, 8, instruments=4)
    closes = bars.array["close"].reshape(-1, 4)
    for strategy in (MinimumVariance(lookback=50, band=0.0), RiskParity(lookback=50, band=0.0, correlated=False)):
        session = run(strategy, Bars(bars.array[: 53 * 4], bars.instruments), fees=Fees(0))
        covariance, _ = shrunk(closes[1:51] / closes[:50] - 1.0)
        volatilities = np.sqrt(np.diag(covariance))
        want = (
            least(covariance) if isinstance(strategy, MinimumVariance) else 1 / volatilities / (1 / volatilities).sum()
        )
        quantities = np.array(list(session.positions.values()))
        assert quantities * closes[50] == pytest.approx(0.97 * CASH * want, abs=1e-2)


def test_what_never_moves_is_no_member() -> None:
    closes = np.column_stack(
        [np.full(60, 50.0), trends(0.0, 0.0) * np.exp(np.random.default_rng(1).normal(0, 0.01, (60, 2)))]
    )
    for strategy in (MinimumVariance(lookback=20), RiskParity(lookback=20)):
        assert bought(run(strategy, panel(closes))) <= {1, 2}


@pytest.fixture(scope="module")
def coins(market_data: Path) -> Bars:
    bars = ql.load_bars(market_data / "binance_spot_1d_staticklines.parquet")
    return Bars(bars.array[bars.array["open_time"] >= 1_640_995_200_000_000_000][: 5 * 250], bars.instruments)


@every
def test_on_five_coins(strategy: Strategy, coins: Bars) -> None:
    session = run(strategy, coins)
    assert not rejected(session) - {"insufficient-cash", "insufficient-collateral"}  # days gap; it is tried again
    assert len(session.fills) > 5
    assert (session.equity > 0.0).all()
    assert bought(session) <= set(range(5))
