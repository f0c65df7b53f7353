"""Rolling statistics against TA-Lib, statsmodels, SciPy or their definition in NumPy; holes in the data; plain and compiled."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from statsmodels.tsa.stattools import acf, coint

from quantlytic.indicators import (
    Autocorrelation,
    Beta,
    Cointegration,
    Correlation,
    Entropy,
    HalfLife,
    Hurst,
    KalmanRegression,
    Kurtosis,
    LinearRegression,
    Median,
    Quantile,
    Skewness,
)
from quantlytic.model.errors import InputError

Floats = NDArray[np.float64]


def column(folder: Path, symbol: str, name: str) -> Floats:
    file = "equity_daily_lean" if symbol in ("AAPL", "SPY") else "binance_spot_1h_staticklines"
    frame = pl.read_parquet(folder / f"{file}.parquet").filter(pl.col("symbol") == symbol)
    return frame[name].to_numpy().astype(float)[:1_500].copy()


def plain(indicator: Any, *columns: Floats) -> Floats:
    """f8[outputs, rows] of the uncompiled object, which says itself when it is ready."""
    rows = []
    for row in zip(*(column.tolist() for column in columns), strict=True):
        indicator.update(*row)
        rows.append([getattr(indicator, name) for name in indicator.outputs])
        assert indicator.ready is not math.isnan(rows[-1][0])
    return np.array(rows).T


# ---- TA-Lib ----


@pytest.mark.parametrize("symbol", ["BTCUSDT", "DOGEUSDT", "AAPL"])
@pytest.mark.parametrize("period", [2, 14, 200])
def test_linear_regression_equals_talib(market_data: Path, symbol: str, period: int) -> None:
    close = column(market_data, symbol, "close")
    ours = dict(zip(LinearRegression.outputs, plain(LinearRegression(period), close), strict=True))
    for name, function in (("value", "LINEARREG"), ("intercept", "LINEARREG_INTERCEPT"), ("forecast", "TSF")):
        np.testing.assert_allclose(ours[name], getattr(talib, function)(close, period), rtol=1e-9, atol=0)
    slope = talib.LINEARREG_SLOPE(close, period)  # TA-Lib's own rounding is relative to the price
    np.testing.assert_allclose(ours["slope"], slope, rtol=1e-9, atol=1e-12 * close.max())
    np.testing.assert_allclose(ours["angle"], np.degrees(np.arctan(ours["slope"])), rtol=1e-12)
    np.testing.assert_allclose(ours["angle"], talib.LINEARREG_ANGLE(close, period), rtol=1e-9, atol=1e-10 * close.max())


@pytest.mark.parametrize("symbol", ["BTCUSDT", "DOGEUSDT", "AAPL"])
@pytest.mark.parametrize("period", [1, 5, 30, 200])
def test_correlation_and_beta_equal_talib(market_data: Path, symbol: str, period: int) -> None:
    x, y = column(market_data, symbol, "high"), column(market_data, symbol, "volume")
    for indicator, function in ((Correlation, talib.CORREL), (Beta, talib.BETA)):
        (ours,), theirs = plain(indicator(period), x, y), function(x, y, period)
        np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
        np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-9)  # TA-Lib's sums cancel; the exact ones are below


# ---- definitions ----


def slope_of(x: Floats, y: Floats) -> float:
    return float(np.cov(x, y, ddof=0)[0, 1] / np.var(x))


def half_life(values: Floats) -> float:
    b = slope_of(values[:-1], np.diff(values))
    return math.inf if b >= 0.0 else -math.log(2.0) / math.log1p(b)


def hurst(values: Floats) -> float:
    lags = [2**k for k in range(20) if 2**k <= len(values) // 4]
    spreads = [np.mean((values[lag:] - values[:-lag]) ** 2) for lag in lags]
    return float(np.polyfit(np.log(lags), np.log(spreads), 1)[0] / 2.0)


def entropy(values: Floats) -> float:
    return float(stats.entropy(np.histogram(values, 10)[0]) / math.log(10))


def autocorrelation(values: Floats) -> float:
    return float(acf(values, nlags=3, fft=False)[3])


def line(values: Floats) -> tuple[float, ...]:
    slope, intercept = np.polyfit(np.arange(len(values)), values, 1)
    end = intercept + slope * (len(values) - 1)
    return end, slope, intercept, math.degrees(math.atan(slope)), end + slope


ONE_SERIES: list[tuple[Callable[[], Any], int, Callable[[Floats], Any]]] = [
    (lambda: LinearRegression(20), 20, line),
    (lambda: Skewness(20), 20, stats.skew),
    (lambda: Kurtosis(20), 20, stats.kurtosis),
    (lambda: Median(7), 7, np.median),
    (lambda: Median(8), 8, np.median),
    (lambda: Quantile(30, 0.1), 30, lambda v: np.quantile(v, 0.1)),
    (lambda: Autocorrelation(30, 3), 30, autocorrelation),
    (lambda: HalfLife(40), 41, half_life),
    (lambda: Hurst(64), 64, hurst),
    (lambda: Entropy(50), 50, entropy),
]


@pytest.mark.parametrize("case", ONE_SERIES, ids=lambda case: type(case[0]()).__name__)
def test_one_series_by_definition_with_holes(market_data: Path, case: tuple[Any, int, Any]) -> None:
    make, width, definition = case
    values = np.log(column(market_data, "AAPL", "close"))[:500]
    values[[0, 180, 181, 320]] = [math.nan, math.nan, math.inf, -math.inf]
    ours = plain(make(), values)
    checked = 0
    for i in range(len(values)):
        window = values[max(i + 1 - width, 0) : i + 1]
        if len(window) < width or not np.isfinite(window).all():
            assert np.isnan(ours[:, i]).all()
        else:
            np.testing.assert_allclose(ours[:, i], definition(window), rtol=1e-9, atol=1e-11)
            checked += 1
    assert checked > 100


def beta(x: Floats, y: Floats) -> float:
    return slope_of(np.diff(x) / x[:-1], np.diff(y) / y[:-1])


def cointegration(x: Floats, y: Floats) -> tuple[float, ...]:
    slope = slope_of(x, y)
    residuals = y - y.mean() - slope * (x - x.mean())
    statistic = coint(y, x, trend="c", maxlag=0, autolag=None)[0]
    return statistic, slope, y.mean() - slope * x.mean(), residuals[-1], residuals[-1] / residuals.std()


TWO_SERIES: list[tuple[Callable[[], Any], int, Callable[[Floats, Floats], Any]]] = [
    (lambda: Correlation(30), 30, lambda x, y: np.corrcoef(x, y)[0, 1]),
    (lambda: Beta(30), 31, beta),
    (lambda: Cointegration(60), 60, cointegration),
]


@pytest.mark.parametrize("case", TWO_SERIES, ids=lambda case: type(case[0]()).__name__)
def test_two_series_by_definition_with_holes(market_data: Path, case: tuple[Any, int, Any]) -> None:
    make, width, definition = case
    x, y = column(market_data, "SPY", "close")[:500], column(market_data, "AAPL", "close")[:500]
    x[[150, 300]] = [math.nan, math.inf]
    y[[0, 151]] = math.nan
    ours = plain(make(), x, y)
    checked = 0
    for i in range(0, len(x), 3):
        wx, wy = x[max(i + 1 - width, 0) : i + 1], y[max(i + 1 - width, 0) : i + 1]
        if len(wx) < width or not np.isfinite(wx + wy).all():
            assert np.isnan(ours[:, i]).all()
        else:
            np.testing.assert_allclose(ours[:, i], definition(wx, wy), rtol=1e-9, atol=1e-11)
            checked += 1
    assert checked > 50


def test_kalman_regression_by_definition_skips_holes() -> None:
    seed = 3
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    x = 50.0 + rng.normal(size=600).cumsum() * 0.3
    y = np.linspace(1.0, 2.0, 600) * x + 5.0 + rng.normal(size=600) * 0.05
    holed = [np.insert(column, [0, 90], math.nan) for column in (x, y)]
    ours = np.delete(plain(KalmanRegression(), *holed), [0, 91], axis=1)
    state, cov, drift = np.zeros(2), np.eye(2), 1e-4 / (1.0 - 1e-4)
    for i in range(600):
        cov = cov + drift * np.eye(2) * (i > 0)
        row = np.array([x[i], 1.0])
        variance = row @ cov @ row + 1e-3
        error = y[i] - row @ state
        gain = cov @ row / variance
        state = state + gain * error
        cov = cov - np.outer(gain, row @ cov)
        if i > 0:
            np.testing.assert_allclose(ours[:, i], [*state, error, math.sqrt(variance)], rtol=1e-6, atol=1e-8)
    assert ours[0, -1] == pytest.approx(2.0, abs=0.15), "follows the ratio from 1 to 2"


# ---- edges ----


@pytest.mark.parametrize("make", [case[0] for case in ONE_SERIES], ids=lambda make: type(make()).__name__)
@pytest.mark.parametrize("level", [0.0, 1e5])
def test_a_flat_series_after_a_wild_one(make: Any, level: float) -> None:
    wild = np.random.default_rng(0).normal(size=150) * 1e6
    last = plain(make(), np.concatenate([wild, np.full(200, level)]))[:, -1]
    name = type(make()).__name__
    flat = {
        "LinearRegression": [level, 0.0, level, 0.0, level],
        "HalfLife": [math.inf],
        "Median": [level],
        "Quantile": [level],
    }
    np.testing.assert_array_equal(last, flat.get(name, [0.0]))


@pytest.mark.parametrize("make", [case[0] for case in TWO_SERIES], ids=lambda make: type(make()).__name__)
def test_flat_pairs(make: Any) -> None:
    flat, moving = np.full(200, 7.0), np.sin(np.arange(200)) + 3.0
    for x, y in ((flat, flat), (flat, moving), (moving, flat)):
        last = plain(make(), x, y)[:, -1]
        assert last[0] == 0.0
        assert np.isfinite(last).all()


def test_the_same_pair_is_correlated_fully() -> None:
    x = np.random.default_rng(1).normal(size=300).cumsum() + 1e5
    assert plain(Correlation(20), x, x)[0, 19:] == pytest.approx(1.0, abs=1e-9)
    assert plain(Correlation(20), x, -x)[0, 19:].min() >= -1.0


@given(st.lists(st.integers(-3, 3) | st.just(math.nan), max_size=60), st.integers(1, 9), st.floats(0.0, 1.0))
@settings(max_examples=60, deadline=None)
def test_quantile_of_anything(values: list[float], period: int, q: float) -> None:
    series = np.array(values, float)
    ours = plain(Quantile(period, q), series)[0] if values else []
    for i, value in enumerate(ours):
        window = series[max(i + 1 - period, 0) : i + 1]
        expected = math.nan if len(window) < period or np.isnan(window).any() else np.quantile(window, q)
        np.testing.assert_allclose(value, expected, atol=1e-12)


def test_known_processes() -> None:
    seed = 11
    print(f"seed {seed}")
    shocks = np.random.default_rng(seed).normal(size=4_000)
    walk, reverting = shocks.cumsum(), np.zeros(4_000)
    for i in range(1, 4_000):
        reverting[i] = 0.9 * reverting[i - 1] + shocks[i]
    assert plain(Hurst(4_000), walk)[0, -1] == pytest.approx(0.5, abs=0.05)
    assert plain(Hurst(4_000), reverting)[0, -1] < 0.3
    assert plain(HalfLife(3_999), reverting)[0, -1] == pytest.approx(math.log(0.5) / math.log(0.9), rel=0.15)
    assert plain(Cointegration(4_000), walk, 2.0 * walk + reverting)[0, -1] < -10.0
    assert plain(Cointegration(4_000), walk, np.random.default_rng(12).normal(size=4_000).cumsum())[0, -1] > -3.9


@pytest.mark.parametrize(
    "make",
    [lambda: Quantile(5, 1.5), lambda: Autocorrelation(5, 5), lambda: Hurst(7), lambda: Entropy(10, 1), lambda: Cointegration(4),
     lambda: KalmanRegression(delta=1.0), lambda: KalmanRegression(noise=0.0), lambda: LinearRegression(1)],
)  # fmt: skip
def test_bad_parameters_are_refused(make: Any) -> None:
    with pytest.raises(InputError):
        make()


COMPILED: list[tuple[Any, dict[str, Any], int]] = [
    (LinearRegression, {"period": 20}, 1),
    (Correlation, {"period": 20}, 2),
    (Beta, {"period": 20}, 2),
    (HalfLife, {"period": 20}, 1),
    (Quantile, {"period": 20, "q": 0.3}, 1),
    (Skewness, {"period": 20}, 1),
    (Kurtosis, {"period": 20}, 1),
    (Autocorrelation, {"period": 20, "lag": 2}, 1),
    (Hurst, {"period": 20}, 1),
    (Entropy, {"period": 20}, 1),
    (Cointegration, {"period": 20}, 2),
    (KalmanRegression, {}, 2),
]


@pytest.mark.parametrize(("cls", "params", "width"), COMPILED, ids=lambda value: getattr(value, "__name__", ""))
def test_compiled_is_the_same_bit_for_bit(market_data: Path, cls: Any, params: dict[str, Any], width: int) -> None:
    columns = [column(market_data, "BTCUSDT", name)[:400] for name in ("high", "low")][:width]
    columns[0][200] = math.nan
    compiled = np.atleast_2d(cls.over(*columns, **params))
    np.testing.assert_array_equal(compiled, plain(cls(**params), *columns))
