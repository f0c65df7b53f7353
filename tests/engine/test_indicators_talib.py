"""Indicators against TA-Lib on real bars of three instruments, their warm-up included."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import talib
from tests.engine.indicator_cases import INSTRUMENTS, Columns, arrays_of, load_bars, run_plain

from quantlytic import indicators as q

ROWS = 1_500
C, CV, HL, HLC = ("close",), ("close", "volume"), ("high", "low"), ("high", "low", "close")
HLCV, OHLC, OC, V = (*HLC, "volume"), ("open", *HLC), ("open", "close"), ("volume",)

# ours (made of one period), the name there, what that takes, further parameters there
PERIODIC: list[tuple[Callable[[int], Any], str, tuple[str, ...], tuple[Any, ...]]] = [
    (q.Sum, "SUM", C, ()),
    (q.Max, "MAX", C, ()),
    (q.Min, "MIN", C, ()),
    (q.SMA, "SMA", C, ()),
    (q.EMA, "EMA", C, ()),
    (q.RMA, "RMA", C, ()),
    (q.DEMA, "DEMA", C, ()),
    (q.TEMA, "TEMA", C, ()),
    (q.T3, "T3", C, (0.7,)),
    (q.ZLEMA, "ZLEMA", C, ()),
    (q.WMA, "WMA", C, ()),
    (q.HMA, "HMA", C, ()),
    (q.TRIMA, "TRIMA", C, ()),
    (q.KAMA, "KAMA", C, ()),
    (q.EfficiencyRatio, "ER", C, ()),
    (q.MidPoint, "MIDPOINT", C, ()),
    (q.MidPrice, "MIDPRICE", HL, ()),
    (q.VWMA, "VWMA", CV, ()),
    (q.Momentum, "MOM", C, ()),
    (q.ROC, "ROC", C, ()),
    (q.ROCP, "ROCP", C, ()),
    (q.ROCR, "ROCR", C, ()),
    (q.RSI, "RSI", C, ()),
    (q.CMO, "CMO", C, ()),
    (q.TRIX, "TRIX", C, ()),
    (q.WilliamsR, "WILLR", HLC, ()),
    (q.CCI, "CCI", HLC, ()),
    (q.AvgDev, "AVGDEV", C, ()),
    (q.PercentRank, "PERCENTRANK", C, ()),
    (q.DetrendedPrice, "DPO", C, ()),
    (q.ElderRay, "ERI", HLC, ()),
    (q.Vortex, "VORTEX", HLC, ()),
    (q.ADX, "ADX", HLC, ()),
    (q.ADXR, "ADXR", HLC, ()),
    (q.ATR, "ATR", HLC, ()),
    (q.NATR, "NATR", HLC, ()),
    (q.StdDev, "STDDEV", C, ()),
    (q.Var, "VAR", C, ()),
    (q.BollingerBands, "BBANDS", C, (2.0, 2.0)),
    (q.DonchianChannel, "DONCHIAN", HL, ()),
    (q.KeltnerChannel, "KC", HLC, (10, 2.0)),
    (q.AccelerationBands, "ACCBANDS", HLC, ()),
    (q.Supertrend, "SUPERTREND", HLC, (3.0,)),
    (q.MFI, "MFI", HLCV, ()),
    (q.CMF, "CMF", HLCV, ()),
    (q.ForceIndex, "EFI", CV, ()),
    (q.RelativeVolume, "RVOL", V, ()),
    (q.ChaikinVolatility, "CVI", HL, (10,)),
]
# ours as it is made, the name there, what that takes, its parameters
SINGLE: list[tuple[Callable[[], Any], str, tuple[str, ...], tuple[Any, ...]]] = [
    (lambda: q.StdDev(20, width=2.0), "STDDEV", C, (20, 2.0)),
    (q.MACD, "MACD", C, ()),
    (lambda: q.MACD(3, 10, 16), "MACD", C, (3, 10, 16)),
    (lambda: q.MACD(2, 3, 1), "MACD", C, (2, 3, 1)),
    (q.MACDFix, "MACDFIX", C, ()),
    (lambda: q.MACDExt(q.WMA(5), q.SMA(20), q.TRIMA(4)), "MACDEXT", C, (5, 2, 20, 0, 4, 5)),
    (q.APO, "APO", C, (12, 26, 1)),
    (q.PPO, "PPO", C, (12, 26, 1)),
    (q.Stochastic, "STOCH", HLC, ()),
    (lambda: q.Stochastic(14, 1, 3), "STOCH", HLC, (14, 1, 0, 3, 0)),
    (q.StochasticFast, "STOCHF", HLC, ()),
    (q.StochasticRSI, "STOCHRSI", C, (14, 5, 3)),
    (q.UltimateOscillator, "ULTOSC", HLC, ()),
    (q.TSI, "TSI", C, ()),
    (q.BOP, "BOP", OHLC, ()),
    (q.CoppockCurve, "COPPOCK", C, ()),
    (q.AwesomeOscillator, "AO", HL, ()),
    (q.TrueRange, "TRANGE", HLC, ()),
    (q.SAR, "SAR", HL, (0.02, 0.2)),
    (lambda: q.SAR(0.05, 0.1), "SAR", HL, (0.05, 0.1)),
    (q.SARExt, "SAREXT", HL, ()),
    (lambda: q.SARExt(1e5, 0.01, 0.03, 0.02, 0.2, 0.01, 0.04, 0.3), "SAREXT", HL, (1e5, 0.01, 0.03, 0.02, 0.2, 0.01, 0.04, 0.3)),
    (lambda: q.SARExt(-1.0, 0.01, 0.3, 0.02, 0.2, 0.4, 0.4, 0.3), "SAREXT", HL, (-1.0, 0.01, 0.3, 0.02, 0.2, 0.4, 0.4, 0.3)),
    (q.MassIndex, "MASSI", HL, ()),
    (q.OBV, "OBV", CV, ()),
    (q.AD, "AD", HLCV, ()),
    (q.ADOSC, "ADOSC", HLCV, ()),
    (q.PVT, "PVT", CV, ()),
    (q.VWAP, "VWAP", HLCV, ()),
    (q.AvgPrice, "AVGPRICE", OHLC, ()),
    (q.MedPrice, "MEDPRICE", HL, ()),
    (q.TypPrice, "TYPPRICE", HLC, ()),
    (q.WclPrice, "WCLPRICE", HLC, ()),
    (q.HeikinAshi, "HA", OHLC, ()),
]  # fmt: skip


@pytest.fixture(scope="module")
def instruments(market_data: Path) -> dict[str, Columns]:
    return {symbol: load_bars(market_data, symbol, ROWS) for symbol in INSTRUMENTS}


def assert_equal(indicator: Any, columns: Columns, theirs: Any) -> None:
    """To 1e-9 relative; of results that cross zero, to 1e-12 of their greatest. NaN in the same places."""
    ours = run_plain(indicator, arrays_of(indicator, columns))
    for name, mine, other in zip(
        indicator.outputs, ours, theirs if isinstance(theirs, tuple) else (theirs,), strict=False
    ):
        other = np.asarray(other, float)
        np.testing.assert_array_equal(np.isnan(mine), np.isnan(other), err_msg=name)
        np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-12 * np.nanmax(np.abs(other)), err_msg=name)


@pytest.mark.parametrize("symbol", INSTRUMENTS)
@pytest.mark.parametrize(("ours", "name", "columns", "more"), PERIODIC, ids=[case[1] for case in PERIODIC])
def test_equal_to_talib(instruments: Any, symbol: str, ours: Any, name: str, columns: Any, more: Any) -> None:
    bars = instruments[symbol]
    for period in (2, 14, 50):
        theirs = getattr(talib, name)(*(bars[column] for column in columns), period, *more)
        assert_equal(ours(period), bars, theirs)


@pytest.mark.parametrize("symbol", INSTRUMENTS)
@pytest.mark.parametrize(
    ("ours", "name", "columns", "more"), SINGLE, ids=[f"{case[1]}{case[3] or ''}" for case in SINGLE]
)
def test_equal_to_talib_as_configured(
    instruments: Any, symbol: str, ours: Any, name: str, columns: Any, more: Any
) -> None:
    bars = instruments[symbol]
    assert_equal(ours(), bars, getattr(talib, name)(*(bars[column] for column in columns), *more))


@pytest.mark.parametrize("symbol", INSTRUMENTS)
def test_results_that_talib_has_as_functions_of_their_own(instruments: Any, symbol: str) -> None:
    bars = instruments[symbol]
    high, low, close = (bars[name] for name in HLC)
    directional = (
        talib.PLUS_DI(high, low, close, 14),
        talib.MINUS_DI(high, low, close, 14),
        talib.DX(high, low, close, 14),
        talib.PLUS_DM(high, low, 14),
        talib.MINUS_DM(high, low, 14),
    )
    assert_equal(q.DirectionalMovement(14), bars, directional)
    assert_equal(q.ADX(14), bars, (talib.ADX(high, low, close, 14), *directional[:2]))
    down, up = talib.AROON(high, low, 14)
    assert_equal(q.Aroon(14), bars, (up, down, talib.AROONOSC(high, low, 14)))
    assert_equal(q.AwesomeOscillator(), bars, (talib.AO(high, low), talib.AC(high, low)))
    volumes = {**bars, "x": bars["volume"]}
    assert_equal(q.PPO(), volumes, talib.PVO(bars["volume"], 12, 26, 1))
    rows = np.arange(ROWS)
    for ours, theirs in ((q.ArgMax(20), talib.MAXINDEX), (q.ArgMin(20), talib.MININDEX)):
        index = theirs(close, 20)
        ages = run_plain(ours, [close])[0]
        assert np.isnan(ages[:19]).all()
        np.testing.assert_array_equal(close[rows[19:] - ages[19:].astype(int)], close[index[19:]])


@pytest.mark.parametrize("ours", [q.SMA, q.EMA, q.WMA, q.RMA, q.TRIMA, q.HMA, q.ZLEMA, q.VWMA, q.MidPoint, q.Sum])
def test_a_period_of_one_is_the_value_itself(instruments: Any, ours: Any) -> None:
    bars = instruments["AAPL"]
    indicator = ours(1)
    np.testing.assert_allclose(run_plain(indicator, arrays_of(indicator, bars))[0], bars["close"], rtol=1e-14)
