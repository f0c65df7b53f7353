"""Metrics: by hand on small series, against quantstats and empyrical on long ones, None where nothing is defined."""

from __future__ import annotations

import json
import math
import time
import warnings

import numpy as np
import pytest

from quantlytic.model.fill import FILL
from quantlytic.research.metrics import (
    YEAR_NS,
    drawdowns,
    equity_metrics,
    last_of_each_time,
    monthly_returns,
    trade_metrics,
)
from quantlytic.research.roundtrips import ROUND_TRIP, round_trips

DAY = 86_400_000_000_000
UNDEFINED = ("cagr", "volatility", "sharpe", "sortino", "calmar")


def random_equity(count: int, seed: int, step_ns: int = DAY) -> tuple[np.ndarray, np.ndarray]:
    returns = np.random.default_rng(seed).normal(0.0004, 0.011, count - 1)
    return step_ns * np.arange(count), 1e6 * np.cumprod(np.append(1.0, 1.0 + returns))


def test_small_series_by_hand() -> None:
    times, equity = DAY * np.arange(5), np.array([100.0, 110, 99, 99, 121])
    figures = equity_metrics(times, equity, 100.0)
    returns = [0.1, -0.1, 0.0, 121 / 99 - 1]
    mean = sum(returns) / 4
    deviation = math.sqrt(sum((r - mean) ** 2 for r in returns) / 3)
    assert figures["total_return"] == pytest.approx(0.21)
    assert figures["bars_per_year"] == pytest.approx(365.25)
    assert figures["sharpe"] == pytest.approx(mean / deviation * math.sqrt(365.25))
    assert figures["sortino"] == pytest.approx(mean / math.sqrt(0.01 / 4) * math.sqrt(365.25))
    assert figures["max_drawdown"] == pytest.approx(-0.1)
    assert figures["max_drawdown_start_time"] == DAY
    assert figures["max_drawdown_trough_time"] == 2 * DAY
    assert figures["max_drawdown_end_time"] == 4 * DAY
    assert figures["max_drawdown_duration_ns"] == 3 * DAY
    assert figures["cagr"] == pytest.approx(1.21 ** (365.25 / 4) - 1)


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
    assert equity_metrics(np.array([0, 1]), np.array([100.0, 300.0]), 100.0)["cagr"] is None


def test_drawdowns_deepest_first_and_open_at_the_end() -> None:
    equity = np.array([100.0, 90, 100, 105, 84, 100, 110, 108, 120, 60, 70])
    found = drawdowns(DAY * np.arange(len(equity)), equity, 3)
    assert [round(d.depth, 6) for d in found] == [-0.5, -0.2, -0.1]
    assert found[0].end_time is None
    assert found[0].duration_ns == 2 * DAY
    assert (found[1].start_time, found[1].trough_time, found[1].end_time) == (3 * DAY, 4 * DAY, 6 * DAY)


def test_monthly_returns_are_chained() -> None:
    start = int(np.datetime64("2023-11-15", "ns").astype(np.int64))
    times, equity = random_equity(120, 3)
    months = monthly_returns(times + start + DAY, equity, 1e6)
    assert [month[:2] for month in months] == [(2023, 11), (2023, 12), (2024, 1), (2024, 2), (2024, 3)]
    assert math.prod(1 + value for *_, value in months) == pytest.approx(equity[-1] / 1e6)


def test_trade_metrics() -> None:
    fills = np.zeros(4, FILL)
    fills["side"], fills["quantity"], fills["price"] = [1, -1, 1, -1], 2, [100, 110, 100, 95]
    fills["fee"], fills["event_time"] = 1.0, [0, 10, 20, 40]
    figures = trade_metrics(fills, round_trips(fills))
    assert figures["round_trips"] == 2
    assert figures["fees_paid"] == 4
    assert figures["win_rate"] == 0.5
    assert figures["profit_factor"] == pytest.approx(18 / 12)
    assert figures["avg_trade"] == pytest.approx(3)
    assert figures["avg_holding_ns"] == 15
    none = trade_metrics(fills[:0], np.empty(0, ROUND_TRIP))
    assert none["fills"] == none["round_trips"] == none["fees_paid"] == 0
    assert none["win_rate"] is none["profit_factor"] is none["avg_trade"] is None


def test_a_million_points_take_milliseconds() -> None:
    times, equity = random_equity(1_000_000, 11, 60_000_000_000)
    equity_metrics(times, equity, 1e6)
    best = math.inf
    for _ in range(3):
        begun = time.perf_counter()
        figures = equity_metrics(times, equity, 1e6)
        best = min(best, time.perf_counter() - begun)
    assert best < 0.25, f"{best * 1e3:.0f} ms"
    assert figures["bars_per_year"] == pytest.approx(YEAR_NS / 60e9)
