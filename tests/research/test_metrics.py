"""Metrics: by hand on small series, against quantstats and empyrical on long ones, None where nothing is defined."""

from __future__ import annotations

import json
import math
import time
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantlytic.research.figures.curve import YEAR_NS, Curve, last_of_each_time
from quantlytic.research.figures.metrics import (
    COMPOUNDED,
    DAILY,
    RATIOS,
    drawdowns,
    equity_metrics,
    monthly_returns,
    reasons,
    rolling_sharpe,
)

DAY = 86_400_000_000_000
UNDEFINED = ("cagr", "volatility", "sharpe", "sortino", "calmar")


def random_equity(count: int, seed: int, step_ns: int = DAY) -> tuple[np.ndarray, np.ndarray]:
    returns = np.random.default_rng(seed).normal(0.0004, 0.011, count - 1)
    return step_ns * np.arange(count), 1e6 * np.cumprod(np.append(1.0, 1.0 + returns))


def test_small_series_by_hand() -> None:
    """Five values, five times over, a step of five days apart: long enough to be annualised."""
    step, values = 5 * DAY, [100.0, 110, 99, 99, 121]
    equity = np.array([value * 1.21**turn for turn in range(5) for value in values[:-1]] + [121 * 1.21**4])
    times = step * np.arange(len(equity))
    figures = equity_metrics(times, equity, 100.0)
    returns = [0.1, -0.1, 0.0, 121 / 99 - 1] * 5
    mean = sum(returns) / 20
    deviation = math.sqrt(sum((r - mean) ** 2 for r in returns) / 19)
    assert figures["total_return"] == pytest.approx(1.21**5 - 1)
    assert figures["bars_per_year"] == pytest.approx(365.25 / 5)
    assert figures["sharpe_per_bar"] == pytest.approx(mean / deviation)
    assert figures["sharpe"] == pytest.approx(mean / deviation * math.sqrt(73.05))
    assert figures["sortino"] == pytest.approx(mean / math.sqrt(5 * 0.01 / 20) * math.sqrt(73.05))
    assert figures["omega"] == pytest.approx((0.1 + 121 / 99 - 1) / 0.1)
    assert figures["max_drawdown"] == pytest.approx(-0.1)
    assert figures["longest_drawdown_ns"] == 3 * step
    assert figures["time_in_drawdown"] == pytest.approx(10 / 21)
    assert figures["ulcer_index"] == pytest.approx(math.sqrt(10 * 0.01 / 21))
    assert figures["positive_days"] == pytest.approx(0.5)
    assert figures["best_day"] == pytest.approx(121 / 99 - 1)
    assert figures["worst_day"] == pytest.approx(-0.1)
    assert figures["cagr"] == pytest.approx(1.21 ** (5 * 365.25 / 100) - 1)
    assert figures["calmar"] == pytest.approx(figures["cagr"] / 0.1)
    first = equity_metrics(times[:5], equity[:5], 100.0)
    assert first["max_drawdown_start_time"] == step
    assert first["max_drawdown_trough_time"] == 2 * step
    assert first["max_drawdown_end_time"] == 4 * step
    assert first["max_drawdown_duration_ns"] == 3 * step


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_agrees_with_empyrical(seed: int) -> None:
    empyrical = pytest.importorskip("empyrical")
    times, equity = random_equity(2000, seed)
    returns = np.diff(equity) / equity[:-1]
    figures = equity_metrics(times, equity, 1e6)
    year = 365.25
    assert figures["sharpe"] == pytest.approx(empyrical.sharpe_ratio(returns, annualization=year), rel=1e-9)
    assert figures["sortino"] == pytest.approx(empyrical.sortino_ratio(returns, annualization=year), rel=1e-9)
    assert figures["max_drawdown"] == pytest.approx(empyrical.max_drawdown(returns), rel=1e-9)
    assert figures["volatility"] == pytest.approx(empyrical.annual_volatility(returns, annualization=year), rel=1e-9)
    assert figures["cagr"] == pytest.approx(empyrical.cagr(returns, annualization=year), rel=1e-9)
    assert figures["calmar"] == pytest.approx(empyrical.calmar_ratio(returns, annualization=year), rel=1e-9)
    assert figures["omega"] == pytest.approx(empyrical.omega_ratio(returns), rel=1e-9)
    assert figures["tail_ratio"] == pytest.approx(empyrical.tail_ratio(returns), rel=1e-9)
    assert figures["var_95"] == pytest.approx(empyrical.value_at_risk(returns), rel=1e-9)
    assert figures["cvar_95"] == pytest.approx(empyrical.conditional_value_at_risk(returns), rel=1e-9)


@pytest.mark.parametrize("seed", [5, 6])
def test_agrees_with_quantstats(seed: int) -> None:
    pandas = pytest.importorskip("pandas")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stats = pytest.importorskip("quantstats").stats
        times, equity = random_equity(1500, seed)
        returns = pandas.Series(np.diff(equity) / equity[:-1], pandas.to_datetime(times[1:]))
        expected = {
            "sharpe": stats.sharpe(returns, periods=365.25),
            "sortino": stats.sortino(returns, periods=365.25),
            "max_drawdown": stats.max_drawdown(returns),
            "volatility": stats.volatility(returns, periods=365.25),
            "omega": stats.omega(returns),
            "skew": stats.skew(returns),
            "kurtosis": stats.kurtosis(returns),
            "positive_days": stats.win_rate(returns),
            "best_day": stats.best(returns),
            "worst_day": stats.worst(returns),
        }
    figures = equity_metrics(times, equity, 1e6)
    for name, value in expected.items():
        assert figures[name] == pytest.approx(float(value), rel=1e-9), name


def test_several_bars_at_one_time_count_once() -> None:
    times, equity = random_equity(300, 9)
    noisy = np.column_stack((equity * 0.5, equity * 3, equity)).ravel()
    assert equity_metrics(np.repeat(times, 3), noisy, 1e6) == equity_metrics(times, equity, 1e6)
    kept, values = last_of_each_time(np.array([1, 1, 2, 3, 3]), np.arange(5.0))
    assert kept.tolist() == [1, 2, 3]
    assert values.tolist() == [1, 2, 4]


@pytest.mark.parametrize(
    ("equity", "total_return", "max_drawdown"),
    [
        ([], 0.0, None),
        ([100.0], 0.0, 0.0),
        ([100.0] * 50, 0.0, 0.0),
        ([100.0, 50.0, -10.0, -20.0], -1.2, -1.2),
        ([100.0, float("nan"), 120.0], 0.2, None),
    ],
)
def test_what_is_undefined_is_none(equity: list[float], total_return: float, max_drawdown: float | None) -> None:
    figures = equity_metrics(DAY * np.arange(len(equity)), np.array(equity), 100.0)
    assert figures["total_return"] == pytest.approx(total_return)
    assert figures["max_drawdown"] == (max_drawdown if max_drawdown is None else pytest.approx(max_drawdown))
    assert figures["sharpe"] is None
    assert figures["sortino"] is None
    assert figures["calmar"] is None
    json.dumps(figures, allow_nan=False)


def test_steady_growth_has_no_sharpe() -> None:
    figures = equity_metrics(DAY * np.arange(100), 100 * 1.001 ** np.arange(100.0), 100.0)
    assert figures["sharpe"] is None
    assert figures["sortino"] is None
    assert figures["max_drawdown"] == 0.0
    assert figures["cagr"] == pytest.approx(1.001**365.25 - 1)


def test_annualised_growth_that_overflows_is_none() -> None:
    assert equity_metrics(np.array([0, 90 * DAY]), np.array([1.0, 1e200]), 1.0)["cagr"] is None


def test_drawdowns_deepest_first_and_open_at_the_end() -> None:
    equity = np.array([100.0, 90, 100, 105, 84, 100, 110, 108, 120, 60, 70])
    found = drawdowns(DAY * np.arange(len(equity)), equity, 3)
    assert [round(d.depth, 6) for d in found] == [-0.5, -0.2, -0.1]
    assert found[0].end_time is None
    assert found[0].duration_ns == 2 * DAY
    assert found[0].recovery_ns is None
    assert (found[1].fall_ns, found[1].recovery_ns) == (DAY, 2 * DAY)
    assert (found[1].start_time, found[1].trough_time, found[1].end_time) == (3 * DAY, 4 * DAY, 6 * DAY)


def test_a_drawdown_whose_trough_is_the_last_point_is_ranked_by_it() -> None:
    equity = np.array([100.0, 80, 100, 99, 98, 50])
    assert drawdowns(DAY * np.arange(6), equity, 1)[0].depth == -0.5
    assert equity_metrics(DAY * np.arange(6), equity, 100.0)["max_drawdown"] == -0.5
    assert [one.depth for one in drawdowns(DAY * np.arange(4), np.array([100.0, 90, 100, 80]), 5)] == [
        pytest.approx(-0.2), pytest.approx(-0.1),
    ]  # fmt: skip


@given(st.lists(st.floats(0.5, 1.5), min_size=1, max_size=40))
def test_the_deepest_drawdown_is_the_lowest_point(steps: list[float]) -> None:
    equity = 100.0 * np.cumprod(steps)
    lowest = float((equity / np.maximum.accumulate(equity) - 1.0).min())
    assert equity_metrics(DAY * np.arange(len(equity)), equity, 100.0)["max_drawdown"] == lowest


def test_monthly_returns_are_chained() -> None:
    start = int(np.datetime64("2023-11-15", "ns").astype(np.int64))
    times, equity = random_equity(120, 3)
    months = monthly_returns(times + start + DAY, equity, 1e6)
    assert [month[:2] for month in months] == [(2023, 11), (2023, 12), (2024, 1), (2024, 2), (2024, 3)]
    assert math.prod(1 + value for *_, value in months) == pytest.approx(equity[-1] / 1e6)


@pytest.mark.parametrize(
    ("points", "step", "missing", "words"),
    [
        (2 * 1440, 60_000_000_000, {*RATIOS, *COMPOUNDED, *DAILY}, "the run spans 48.0 hours"),
        (14, DAY, {*RATIOS, *COMPOUNDED, *DAILY}, "the run spans 13 days: nothing is annualised below 30 days"),
        (60, DAY, {*COMPOUNDED}, "the run spans 59 days"),
        (19, 10 * DAY, {*RATIOS, *DAILY}, "18 returns: at least 20 are needed"),
        (200, DAY, set(), ""),
    ],
)
def test_short_runs_are_not_annualised(points: int, step: int, missing: set[str], words: str) -> None:
    times, equity = random_equity(points, 4, step)
    figures = equity_metrics(times, equity, 1e6)
    told = reasons(Curve.of(times, equity), figures)
    assert set(told) == {name for name in missing if name in figures}
    assert all(figures[name] is None for name in told)
    assert figures["sharpe_per_bar"] is not None
    assert figures["total_return"] is not None
    if "sharpe" in told:
        assert words.removesuffix("48.0 hours") in told["sharpe"]
    assert all(figures[name] is not None for name in ("volatility", "sharpe", "sortino", "cagr") if name not in told)


def test_an_account_that_was_wiped_out_says_so() -> None:
    times, equity = DAY * np.arange(50), np.append(np.full(49, 100.0), -5.0)
    figures = equity_metrics(times, equity, 100.0)
    assert reasons(Curve.of(times, equity), figures)["sharpe"] == "equity fell to 0 or below"


def test_nothing_compounds_through_ruin() -> None:
    """A debt that a later gain made good again: no account goes on like that."""
    times = np.arange(1, 201) * 86_400_000_000_000
    equity = np.full(200, 100.0)
    equity[50:60] = -5.0
    equity[60:] = 110.0
    figures = equity_metrics(times, equity, 100.0)
    assert figures["total_return"] == pytest.approx(0.1)
    assert figures["cagr"] is None
    assert figures["calmar"] is None
    assert reasons(Curve.of(times, equity), figures)["cagr"] == "equity fell to 0 or below"


def test_days_end_at_midnight() -> None:
    hour = DAY // 24
    curve = Curve(hour * np.arange(1, 73), np.arange(1.0, 73.0))
    assert curve.days.values.tolist() == [24, 48, 72]
    assert curve.at(np.array([0, hour, hour + 5, 90 * hour])).tolist() == [1, 1, 1, 72]


def test_rolling_sharpe_is_the_sharpe_of_each_window() -> None:
    times, equity = random_equity(400, 12)
    curve, at = Curve.of(times, equity), np.array([10, 50, 51, 200, 399])
    rolled = rolling_sharpe(curve, 50, at)
    assert np.isnan(rolled[0])
    for point, value in zip(at[1:].tolist(), rolled[1:].tolist(), strict=True):
        window = equity_metrics(times[point - 50 : point + 1], equity[point - 50 : point + 1], 1e6)
        assert value == pytest.approx(window["sharpe"], rel=1e-6)
    assert np.isnan(rolling_sharpe(curve, 500, at)).all()


def test_a_million_points_take_milliseconds() -> None:
    times, equity = random_equity(1_000_000, 11, 60_000_000_000)
    equity_metrics(times, equity, 1e6)
    best = math.inf
    for _ in range(3):
        begun = time.perf_counter()
        figures = equity_metrics(times, equity, 1e6)
        best = min(best, time.perf_counter() - begun)
    assert best < 1.0, f"{best * 1e3:.0f} ms"
    assert figures["bars_per_year"] == pytest.approx(YEAR_NS / 60e9)
