"""Ehlers' cycle indicators against TA-Lib, on whole histories; against themselves as plain objects; with missing prices."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import talib
from numpy.typing import NDArray

from quantlytic.indicators import (
    MAMA,
    DominantCyclePeriod,
    DominantCyclePhase,
    InstantaneousTrendline,
    Phasor,
    SineWave,
    TrendMode,
)
from quantlytic.model.errors import InputError

TALIB: dict[Any, Any] = {
    DominantCyclePeriod: talib.HT_DCPERIOD,
    DominantCyclePhase: talib.HT_DCPHASE,
    Phasor: talib.HT_PHASOR,
    SineWave: talib.HT_SINE,
    InstantaneousTrendline: talib.HT_TRENDLINE,
    TrendMode: talib.HT_TRENDMODE,
    MAMA: talib.MAMA,
}


def closes(folder: Path, symbol: str) -> NDArray[np.float64]:
    file = "equity_daily_lean" if symbol == "AAPL" else "binance_spot_1h_staticklines"
    frame = pl.read_parquet(folder / f"{file}.parquet").filter(pl.col("symbol") == symbol)
    return frame["close"].to_numpy().astype(float)


@pytest.mark.parametrize("indicator", TALIB)
@pytest.mark.parametrize("symbol", ["BTCUSDT", "DOGEUSDT", "AAPL"])
def test_equal_to_talib(market_data: Path, symbol: str, indicator: Any) -> None:
    close = closes(market_data, symbol)
    ours, theirs = np.atleast_2d(indicator.over(close)), np.atleast_2d(TALIB[indicator](close))
    if indicator is TrendMode:
        assert np.isnan(ours[:, :63]).all()
        assert not np.isnan(ours[:, 63:]).any()
        np.testing.assert_array_equal(ours[:, 63:], theirs[:, 63:])
        return
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    scale = (
        np.nanmax(np.abs(theirs), axis=1, keepdims=True)
        if indicator in (Phasor, SineWave, DominantCyclePhase)
        else theirs
    )
    assert np.nanmax(np.abs(ours - theirs) / np.abs(scale)) < 1e-9


@pytest.mark.parametrize("indicator", TALIB)
def test_plain_is_the_same_and_missing_prices_are_skipped(market_data: Path, indicator: Any) -> None:
    close = closes(market_data, "AAPL")[:200]
    holed = np.insert(close, [5, 70, 130], [math.nan, math.inf, math.nan])
    compiled, plain = np.atleast_2d(indicator.over(close)), indicator()
    seen = 0
    for x in holed:
        plain.update(float(x))
        seen += math.isfinite(x)
        if seen:
            now = [getattr(plain, name) for name in plain.outputs]
            np.testing.assert_array_equal(now, compiled[:, seen - 1])
            assert plain.ready is not math.isnan(now[0])


@pytest.mark.parametrize("indicator", TALIB)
@pytest.mark.parametrize("price", [0.0, 7.0])
def test_a_price_that_never_moves(indicator: Any, price: float) -> None:
    last = np.atleast_2d(indicator.over(np.full(300, price)))[:, -1]
    assert np.isfinite(last).all()
    if indicator in (MAMA, InstantaneousTrendline):
        np.testing.assert_allclose(last, price, rtol=1e-3)


def test_a_sine_of_twenty_bars_is_found() -> None:
    wave = 100.0 + np.sin(np.arange(400) * 2.0 * np.pi / 20.0)
    assert DominantCyclePeriod.over(wave)[-1] == pytest.approx(20.0, abs=1.0)
    assert np.nanmean(TrendMode.over(wave)[100:]) < 0.2


@pytest.mark.parametrize("limits", [(0.0, 0.05), (0.5, 1.0), (math.nan, 0.1)])
def test_bad_limits_are_refused(limits: tuple[float, float]) -> None:
    with pytest.raises(InputError, match=r"between 0\.01 and 0\.99"):
        MAMA(*limits)
