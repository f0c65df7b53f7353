"""Resampled periods and trades."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantlytic.model.errors import InputError
from quantlytic.research.honesty.bootstrap import (
    block_indices,
    bootstrap_paths,
    bootstrap_trades,
    optimal_block,
    stationary_indices,
)


@given(st.integers(0, 999), st.integers(1, 80), st.integers(1, 9), st.floats(1.0, 30.0))
def test_indices_follow_one_another_within_blocks(seed: int, periods: int, samples: int, block: float) -> None:
    rng = np.random.default_rng(seed)
    for rows in (stationary_indices(rng, periods, samples, block), block_indices(rng, periods, samples, int(block))):
        assert rows.shape == (samples, periods)
        assert ((rows >= 0) & (rows < periods)).all()


def test_blocks_have_the_asked_mean_length() -> None:
    rows = stationary_indices(np.random.default_rng(1), 1_000, 200, 12.0)
    joined = (np.diff(rows, axis=1) % 1_000 == 1).mean()
    assert 1 / (1 - joined) == pytest.approx(12.0, rel=0.05)
    fixed = block_indices(np.random.default_rng(1), 100, 50, 10)
    assert (np.diff(fixed.reshape(50, 10, 10), axis=2) % 100 == 1).all()


def test_every_period_is_as_likely() -> None:
    rows = stationary_indices(np.random.default_rng(2), 50, 4_000, 7.0)
    counts = np.bincount(rows.ravel(), minlength=50) / rows.size * 50
    assert counts == pytest.approx(np.ones(50), abs=0.1)


@pytest.mark.parametrize(("strength", "apart"), [(0.3, 1.6), (0.6, 1.05), (0.9, 1.05), (-0.5, 1.6)])
def test_block_length_equals_arch(strength: float, apart: float) -> None:
    # arch takes one lag more than the paper where the correlogram dies out, which matters where it does so quickly
    from arch.bootstrap import optimal_block_length

    rng = np.random.default_rng(7)
    series = np.zeros(1_500)
    for at in range(1, len(series)):
        series[at] = strength * series[at - 1] + rng.normal()
    theirs = optimal_block_length(series).iloc[0]
    found = optimal_block(series)
    for ours, wanted in zip(found, (theirs["stationary"], theirs["circular"]), strict=True):
        assert 1 / apart < ours / max(wanted, 1) < apart


def test_block_length_of_what_has_no_dependence() -> None:
    assert optimal_block(np.random.default_rng(0).normal(0, 1, 2_000))[0] < 6
    assert optimal_block(np.zeros(100)) == (1.0, 1.0)
    assert optimal_block(np.ones(3)) == (1.0, 1.0)


def test_paths_are_spread_around_what_happened() -> None:
    returns = np.random.default_rng(3).normal(0.0005, 0.01, 750)
    found = bootstrap_paths(returns, 2_000, seed=1)
    assert len(found.growth) == len(found.drawdown) == len(found.sharpe) == 2_000
    assert np.median(found.growth) == pytest.approx(np.prod(1 + returns), rel=0.05)
    assert np.log(found.growth).std() == pytest.approx(returns.std() * np.sqrt(750), rel=0.1)
    assert (found.drawdown <= 0).all()
    assert 0 < found.loss < 0.5
    assert found.quantiles("drawdown")[0.05] < found.quantiles("drawdown")[0.95]
    assert found.drawdown_beyond(0.0) == 1.0


def test_the_seed_decides() -> None:
    returns = np.random.default_rng(3).normal(0, 0.01, 200)
    assert np.array_equal(bootstrap_paths(returns, seed=4).growth, bootstrap_paths(returns, seed=4).growth)
    assert not np.array_equal(bootstrap_paths(returns, seed=4).growth, bootstrap_paths(returns, seed=5).growth)


@given(st.lists(st.floats(-50, 60), min_size=1, max_size=15), st.integers(0, 99))
def test_another_order_keeps_the_end_and_not_the_way(pnl: list[float], seed: int) -> None:
    found = bootstrap_trades(np.array(pnl), 1_000.0, 50, replace=False, seed=seed)
    assert found.growth == pytest.approx(np.full(50, (1_000 + sum(pnl)) / 1_000))
    assert (found.drawdown <= 0).all()


def test_trades_drawn_anew_may_lose() -> None:
    pnl = np.array([30.0, -20.0, 25.0, -22.0, 18.0] * 8)
    found = bootstrap_trades(pnl, 1_000.0, 2_000)
    assert 0.01 < found.loss < 0.3
    assert np.mean(found.growth) == pytest.approx(1 + pnl.sum() / 1_000, rel=0.05)


def test_total_loss_stays_lost() -> None:
    found = bootstrap_paths(np.array([0.1, -1.0] * 20), 100)
    assert (found.growth == 0).all()
    assert (found.drawdown == -1).all()


@pytest.mark.parametrize(
    "call",
    [
        lambda: bootstrap_paths(np.array([0.1])),
        lambda: bootstrap_paths(np.array([0.1, np.nan])),
        lambda: bootstrap_trades(np.array([]), 1.0),
        lambda: bootstrap_trades(np.array([1.0]), 0.0),
        lambda: bootstrap_trades(np.array([-5.0, 1.0]), 3.0),
        lambda: bootstrap_paths(np.array([0.1, 0.2]), block=0.5),
        lambda: bootstrap_paths(np.array([0.1, 0.2])).quantiles("luck"),
    ],
)
def test_what_cannot_be_resampled(call: object) -> None:
    with pytest.raises(InputError):
        call()  # type: ignore[operator]
