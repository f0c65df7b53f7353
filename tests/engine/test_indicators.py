"""Indicators against TA-Lib on real data, against themselves as plain objects, and over a million bars."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import talib
from numpy.typing import NDArray
from tests.engine.market import workload_bars

from quantlytic.indicators import ATR, EMA, RSI, SMA, Indicator
from quantlytic.model.errors import InputError

Columns = dict[str, NDArray[np.float64]]


@pytest.fixture(scope="module")
def columns(market_data: Path) -> Columns:
    frame = pl.read_parquet(market_data / "binance_spot_1h_staticklines.parquet").filter(pl.col("symbol") == "BTCUSDT")
    return {name: frame[name].to_numpy().astype(float) for name in ("high", "low", "close")}


@pytest.mark.parametrize(
    ("name", "period"),
    [("ATR", 1), *((name, period) for name in ("SMA", "EMA", "RSI", "ATR") for period in (2, 3, 14, 50, 200))],
)
def test_equal_to_talib(columns: Columns, name: str, period: int) -> None:
    h, low, c = columns["high"], columns["low"], columns["close"]
    if name == "ATR":
        ours, theirs = ATR.over(h, low, c, period=period), talib.ATR(h, low, c, period)
    else:
        ours, theirs = globals()[name].over(c, period=period), getattr(talib, name)(c, period)
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=0)


@pytest.mark.parametrize("indicator", [SMA(7), EMA(7), RSI(7), ATR(7)])
def test_the_plain_object_is_the_same(columns: Columns, indicator: Indicator) -> None:
    n = 500
    inputs = ("high", "low", "close") if isinstance(indicator, ATR) else ("close",)
    arrays = [columns[name][:n] for name in inputs]
    compiled = type(indicator).over(*arrays, period=7)
    for k in range(n):
        value = indicator.update(*(float(array[k]) for array in arrays))  # type: ignore[attr-defined]
        assert indicator.ready is not math.isnan(compiled[k])  # type: ignore[attr-defined]
        np.testing.assert_equal(value, compiled[k])
        np.testing.assert_equal(indicator.value, compiled[k])


@pytest.mark.parametrize("period", [2, 50, 200, 399])
def test_the_moving_average_does_not_drift(period: int) -> None:
    close = workload_bars(1_000_000).array["close"]
    ours = SMA.over(close, period=period)
    for i in np.linspace(period - 1, len(close) - 1, 2_000).astype(int):
        assert ours[i] == pytest.approx(
            math.fsum(close[i - period + 1 : i + 1]) / period, rel=2e-14 * math.sqrt(period)
        )


def test_a_spike_leaves_the_moving_average_with_the_window() -> None:
    values = np.array([1.0, 2, 3, 1e18, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14])
    assert SMA.over(values, period=3)[-1] == 13.0


def test_flat_prices() -> None:
    flat = np.full(50, 7.0)
    assert SMA.over(flat, period=5)[-1] == EMA.over(flat, period=5)[-1] == 7.0
    assert RSI.over(flat, period=5)[-1] == talib.RSI(flat, 5)[-1] == 0.0
    assert ATR.over(flat, flat, flat, period=5)[-1] == 0.0


@pytest.mark.parametrize("period", [0, -1, 2.5, True])
@pytest.mark.parametrize("indicator", [SMA, EMA, RSI, ATR])
def test_a_bad_period_is_refused(indicator: type[Indicator], period: float) -> None:
    with pytest.raises(InputError, match=f"{indicator.__name__}: the period is a whole number"):
        indicator(period)  # type: ignore[call-arg]


def test_columns_must_fit() -> None:
    with pytest.raises(InputError, match="ATR.over takes high, low, close: 3 arrays of one length"):
        ATR.over(np.ones(3), np.ones(3), np.ones(4), period=2)
    with pytest.raises(InputError, match="SMA.over takes x: 1 arrays of one length, not shapes of none"):
        SMA.over(period=2)
    assert len(SMA.over(np.ones(0), period=2)) == 0
