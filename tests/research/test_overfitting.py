"""Probabilistic and deflated Sharpe ratio, minimum track record, and the probability of overfitting."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlytic.model.errors import InputError
from quantlytic.research.honesty.overfitting import (
    Moments,
    backtest_overfitting,
    deflated_sharpe,
    effective_trials,
    expected_maximum,
    matrix,
    minimum_track_record,
    moments,
    normal_cdf,
    normal_ppf,
    probabilistic_sharpe,
    sharpes,
)


def test_normal_distribution_equals_scipy() -> None:
    from scipy.stats import norm

    for z in np.linspace(-8, 8, 161):
        assert normal_cdf(z) == pytest.approx(norm.cdf(z), rel=1e-12)
    for p in (1e-12, 1e-6, 0.01, 0.3, 0.5, 0.9, 0.999999):
        assert normal_ppf(p) == pytest.approx(norm.ppf(p), rel=1e-9, abs=1e-12)
    assert normal_ppf(0.0) == -math.inf
    assert normal_ppf(1.0) == math.inf
    with pytest.raises(InputError, match="from 0 to 1"):
        normal_ppf(1.5)


def test_moments_equal_scipy() -> None:
    from scipy.stats import kurtosis, skew

    returns = np.random.default_rng(1).standard_t(4, 500) * 0.01 + 0.001
    of = moments(returns)
    assert of is not None
    assert of.sharpe == pytest.approx(returns.mean() / returns.std(ddof=1))
    assert (of.skew, of.kurtosis) == (pytest.approx(skew(returns)), pytest.approx(kurtosis(returns, fisher=False)))


@pytest.mark.parametrize("returns", [[], [0.1, 0.2], [0.01] * 50, [0.0] * 50])
def test_what_does_not_vary_has_no_moments(returns: list[float]) -> None:
    assert moments(np.array(returns)) is None


def test_worked_example_of_the_paper() -> None:
    # Bailey and Lopez de Prado (2014): annualised SR 2.5 over 1,250 days, skew -3, kurtosis 10, best of 100 independent
    # trials whose annualised Sharpe ratios have a variance of 1/2: SR0 = 0.1132 a day, DSR = 0.9004; of 46: DSR = 0.9505.
    of = Moments(1_250, 2.5 / math.sqrt(250), -3.0, 10.0)
    variance = 0.5 / 250
    assert expected_maximum(100, variance) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe(of, 100, variance) == pytest.approx(0.9004, abs=5e-5)
    assert deflated_sharpe(of, 46, variance) == pytest.approx(0.9505, abs=5e-5)


def test_track_record_of_the_paper() -> None:
    # Bailey and Lopez de Prado (2012): an annualised Sharpe ratio of 2, normal, above 1 with 95 % confidence takes 2.73 years
    # of days, 2.83 of weeks, 3.24 of months
    for a_year, years in ((250, 2.73), (52, 2.83), (12, 3.24)):
        of = Moments(2 * a_year, 2 / math.sqrt(a_year), 0.0, 3.0)
        assert minimum_track_record(of, 1 / math.sqrt(a_year)) / a_year == pytest.approx(years, abs=0.01)
        assert minimum_track_record(of, 3 / math.sqrt(a_year)) == math.inf


def test_minimum_track_record_is_where_the_probability_reaches_the_confidence() -> None:
    of = Moments(500, 0.08, -0.7, 6.0)
    needed = minimum_track_record(of, 0.02, 0.95)
    longer = Moments(round(needed * 1e6) / 1e6, of.sharpe, of.skew, of.kurtosis)  # type: ignore[arg-type]
    assert probabilistic_sharpe(longer, 0.02) == pytest.approx(0.95, abs=1e-6)


def test_expected_maximum_against_simulation() -> None:
    draws = np.random.default_rng(3).normal(0, 0.3, (20_000, 50)).max(axis=1).mean()
    assert expected_maximum(50, 0.09) == pytest.approx(draws, rel=0.02)
    assert expected_maximum(1, 0.09) == 0.0


@given(st.integers(2, 5_000), st.integers(2, 5_000), st.floats(0.001, 1.0))
def test_more_trials_never_help(one: int, other: int, variance: float) -> None:
    of = Moments(500, 0.1, 0.0, 3.0)
    few, many = sorted((one, other))
    assert deflated_sharpe(of, many, variance) <= deflated_sharpe(of, few, variance) + 1e-12
    assert deflated_sharpe(of, few, variance) <= probabilistic_sharpe(of) + 1e-12


def test_purgedcv_agrees() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import purgedcv

        rng = np.random.default_rng(7)
        table = rng.normal(0.0006, 0.01, (400, 1)) + rng.normal(0, 0.01, (400, 8))
        overfitting = purgedcv.probability_of_backtest_overfitting(table.T, 8)
    of = moments(table[:, 0])
    assert of is not None
    assert probabilistic_sharpe(of, 0.01) == pytest.approx(
        purgedcv.probabilistic_sharpe_ratio(table[:, 0], 0.01), abs=2e-3
    )
    assert deflated_sharpe(of, 40, 0.001) == pytest.approx(
        purgedcv.deflated_sharpe_ratio(table[:, 0], 40, 0.001), abs=2e-3
    )
    needed = purgedcv.min_track_record_length(of.sharpe, 0.01, 0.05, of.skew, of.kurtosis)
    assert math.ceil(minimum_track_record(of, 0.01)) == needed
    assert backtest_overfitting(table, 8).probability == pytest.approx(overfitting.pbo, abs=0.03)


def brute_force(returns: np.ndarray, blocks: int) -> tuple[float, float]:
    """PBO and out-of-sample loss, one split after the other, as the paper writes it."""
    parts = np.split(returns[len(returns) % blocks :], blocks)
    below, lost = [], []
    for chosen in itertools.combinations(range(blocks), blocks // 2):
        into = np.concatenate([parts[k] for k in chosen])
        out = np.concatenate([parts[k] for k in range(blocks) if k not in chosen])
        inside, outside = (one.mean(axis=0) / one.std(axis=0, ddof=1) for one in (into, out))
        best = int(np.argmax(inside))
        rank = 1 + (outside < outside[best]).sum() + 0.5 * ((outside == outside[best]).sum() - 1)
        share = rank / (returns.shape[1] + 1)
        below.append(1.0 if share < 0.5 else 0.5 if share == 0.5 else 0.0)
        lost.append(outside[best] < 0)
    return float(np.mean(below)), float(np.mean(lost))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 9), st.sampled_from([2, 4, 6, 8]), st.floats(-0.01, 0.01))
def test_overfitting_equals_brute_force(seed: int, cells: int, blocks: int, drift: float) -> None:
    returns = np.random.default_rng(seed).normal(drift, 0.01, (83, cells))
    found = backtest_overfitting(returns, blocks)
    assert (found.probability, found.loss) == pytest.approx(brute_force(returns, blocks), abs=1e-12)
    assert len(found.logits) == math.comb(blocks, blocks // 2)


def test_a_real_difference_is_not_overfitting_and_noise_is() -> None:
    rng = np.random.default_rng(11)
    noise = rng.normal(0, 0.01, (960, 40))
    better = noise.copy()
    better[:, 7] += 0.003
    assert backtest_overfitting(better).probability < 0.01
    assert backtest_overfitting(better).loss < 0.01
    mean = np.mean([backtest_overfitting(rng.normal(0, 0.01, (160, 20)), 8).probability for _ in range(60)])
    assert mean == pytest.approx(0.5, abs=0.08)


def test_effective_trials() -> None:
    rng = np.random.default_rng(5)
    apart = rng.normal(0, 1, (4_000, 20))
    assert effective_trials(apart) == pytest.approx(20, rel=0.02)
    same = np.repeat(apart[:, :1], 20, axis=1)
    assert effective_trials(same) == pytest.approx(1)
    half = math.sqrt(0.5) * apart + math.sqrt(0.5) * rng.normal(0, 1, (4_000, 1))
    assert effective_trials(half) == pytest.approx(0.5 + 0.5 * 20, rel=0.05)
    assert effective_trials(np.zeros((50, 3))) == 1


def test_cells_that_never_trade_have_a_sharpe_of_zero() -> None:
    assert sharpes(np.zeros((50, 2))).tolist() == [0.0, 0.0]
    assert backtest_overfitting(np.zeros((64, 3)), 4).loss == 0.0


@pytest.mark.parametrize(
    ("table", "message"),
    [(np.zeros(4), "row a period"), (np.full((9, 2), np.nan), "row 0, column 0"), (np.zeros((9, 0)), "row a period")],
)
def test_what_is_no_table_is_refused(table: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        matrix(table)


@pytest.mark.parametrize(("periods", "cells", "blocks"), [(100, 1, 4), (6, 3, 4), (100, 3, 5), (100, 3, 22)])
def test_too_little_for_cross_validation(periods: int, cells: int, blocks: int) -> None:
    with pytest.raises(InputError, match="blocks"):
        backtest_overfitting(np.random.default_rng(0).normal(0, 1, (periods, cells)), blocks)
