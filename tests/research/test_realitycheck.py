"""White's reality check and Hansen's SPA."""

from __future__ import annotations

import numpy as np
import pytest

from quantlytic.model.errors import InputError
from quantlytic.research.honesty.realitycheck import _kernel_variance, reality_check, superior_predictive_ability


def noise(seed: int, periods: int = 400, rules: int = 20) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.01, (periods, rules))


@pytest.mark.parametrize("drift", [-0.0005, 0.0, 0.0008])
def test_equal_to_arch(drift: float) -> None:
    from arch.bootstrap import SPA, RealityCheck

    table = noise(1) + drift
    # arch does not studentise the statistic itself: rules of equal risk are the same thing to both
    table = (
        table.mean(axis=0)
        + (table - table.mean(axis=0)) / np.sqrt(_kernel_variance(table - table.mean(axis=0), 0.2)) / 100
    )
    theirs = SPA(np.zeros(len(table)), -table, block_size=5, reps=2_000, seed=4)
    theirs.compute()
    ours = superior_predictive_ability(table, samples=2_000, block=5, seed=4)
    for name, found in (("lower", ours.lower), ("consistent", ours.p_value), ("upper", ours.upper)):
        assert found == pytest.approx(theirs.pvalues[name], abs=0.045)
    white = RealityCheck(np.zeros(len(table)), -table, block_size=5, reps=2_000, seed=4)
    white.compute()
    assert reality_check(table, samples=2_000, block=5, seed=4).p_value == pytest.approx(
        white.pvalues["upper"], abs=0.045
    )


def test_noise_is_refused_at_its_level_and_an_edge_is_found() -> None:
    wrong = sum(superior_predictive_ability(noise(seed, 250, 10), samples=300).p_value <= 0.05 for seed in range(120))
    assert wrong <= 14  # 6 expected
    edge = noise(3)
    edge[:, 5] += 0.002
    found = superior_predictive_ability(edge)
    assert (found.p_value, found.best) == (0.0, 5)
    assert reality_check(edge).p_value < 0.01


def test_bad_rules_do_not_hide_a_good_one_from_spa() -> None:
    table = noise(6, rules=60)
    table[:, 0] += 0.0013
    table[:, 1:] = table[:, 1:] * 12 - 0.02
    assert superior_predictive_ability(table).p_value < 0.1
    assert reality_check(table).p_value > 0.5


def test_against_a_benchmark() -> None:
    table, market = noise(8), noise(9, rules=1)[:, 0]
    shifted = superior_predictive_ability(table + market[:, None], market, seed=2)
    assert shifted.p_value == pytest.approx(superior_predictive_ability(table, seed=2).p_value, abs=0.02)
    with pytest.raises(InputError, match="benchmark"):
        superior_predictive_ability(table, market[:-1])


def test_the_seed_decides() -> None:
    table = noise(2)
    assert superior_predictive_ability(table, seed=5) == superior_predictive_ability(table, seed=5)
    assert reality_check(table, seed=5) == reality_check(table, seed=5)


def test_rules_that_never_trade_prove_nothing() -> None:
    assert superior_predictive_ability(np.zeros((50, 3))).p_value == 1.0
    assert reality_check(np.zeros((50, 3))).p_value == 1.0
    one = noise(1, rules=3)
    one[:, 0] = 0.0
    assert superior_predictive_ability(one).best in (1, 2)


def test_too_few_periods() -> None:
    with pytest.raises(InputError, match="too few"):
        reality_check(np.zeros((5, 2)))


def test_kernel_variance_is_what_the_bootstrap_gives() -> None:
    from quantlytic.research.honesty.bootstrap import stationary_indices

    rng = np.random.default_rng(4)
    series = np.convolve(rng.normal(0, 1, 310), np.ones(5) / 5, "valid")[:300, None]
    drawn = series[stationary_indices(rng, 300, 6_000, 8.0), 0].mean(axis=1)
    assert 300 * drawn.var() == pytest.approx(_kernel_variance(series - series.mean(axis=0), 1 / 8.0)[0], rel=0.06)
