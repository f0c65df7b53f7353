"""Every public indicator, made with small parameters; real bars to feed them; plain runs."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

import quantlytic.indicators as public
from quantlytic.indicators import SMA, WMA, Indicator

Columns = dict[str, NDArray[np.float64]]

INSTRUMENTS = {
    "BTCUSDT": "binance_spot_1h_staticklines.parquet",
    "DOGEUSDT": "binance_spot_1h_staticklines.parquet",
    "AAPL": "equity_daily_lean.parquet",
}
_public = [getattr(public, name) for name in public.__all__]
# Candle patterns have rules of their own: `test_candles.py`.
CLASSES = [
    cls
    for cls in _public
    if isinstance(cls, type)
    and issubclass(cls, Indicator)
    and cls is not Indicator
    and ".candles" not in cls.__module__
]
NAMES = [cls.__name__ for cls in CLASSES]


def load_bars(market_data: Path, symbol: str, rows: int, start: int = 0) -> Columns:
    """The columns indicators take; `x` is the close, `time` the open time in ns."""
    frame = pl.read_parquet(market_data / INSTRUMENTS[symbol]).filter(pl.col("symbol") == symbol).sort("ts")
    frame = frame[start : start + rows]
    columns = {name: frame[name].to_numpy().astype(float) for name in ("open", "high", "low", "close", "volume")}
    return with_aliases(columns, frame["ts"].dt.epoch("ns").to_numpy().astype(float))


def random_bars(rows: int, seed: int) -> Columns:
    """Bars of a random walk, with ties, flat stretches and bars without volume."""
    rng = np.random.default_rng(seed)
    close = np.round(100 * np.exp(np.cumsum(rng.normal(0, 0.01, rows) * (rng.random(rows) < 0.8))), 2)
    open_ = np.concatenate(([close[0]], close[:-1]))
    high = np.round(np.maximum(open_, close) * (1 + rng.random(rows) * 0.01 * (rng.random(rows) < 0.7)), 2)
    low = np.round(np.minimum(open_, close) * (1 - rng.random(rows) * 0.01 * (rng.random(rows) < 0.7)), 2)
    volume = np.round(rng.random(rows) * 1000) * (rng.random(rows) < 0.9)
    columns = {"open": open_, "high": high, "low": np.minimum(low, close), "close": close, "volume": volume}
    return with_aliases(columns, np.arange(rows) * 3.6e12)


def with_aliases(columns: Columns, time: NDArray[np.float64]) -> Columns:
    return {**columns, "x": columns["close"], "y": columns["open"], "time": time}


def make(cls: Any, period: int | None = None) -> Indicator:
    """An instance with a period of 10 where there is no usual one, or a long one, so that 300 bars are plenty."""
    if cls.__name__ == "MACDExt":
        return cls(WMA(3), SMA(6), SMA(4))  # type: ignore[no-any-return]
    if cls.__name__ == "ConnorsRSI":
        return cls(rank_period=20)  # type: ignore[no-any-return]
    params = inspect.signature(cls.__init__).parameters
    if "period" in params:
        usual = params["period"].default
        if period is None:
            period = 10 if usual is inspect.Parameter.empty or usual > 100 else usual
        return cls(period=period)  # type: ignore[no-any-return]
    return cls()  # type: ignore[no-any-return]


def inputs_of(indicator: Any) -> list[str]:
    cls = indicator if isinstance(indicator, type) else type(indicator)
    return list(inspect.signature(cls.update).parameters)[1:]


def arrays_of(indicator: Any, columns: Columns) -> list[NDArray[np.float64]]:
    return [columns[name] for name in inputs_of(indicator)]


def run_plain(indicator: Any, arrays: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """f8[outputs, rows] of the uncompiled object (or view); fails where there is a `value`, and `update` returns another."""
    rows = []
    for row in zip(*(array.tolist() for array in arrays), strict=True):
        result = indicator.update(*row)
        if hasattr(indicator, "value"):
            np.testing.assert_equal(float(result), float(indicator.value))
        rows.append([float(getattr(indicator, name)) for name in indicator.outputs])
    return np.array(rows, dtype=float).reshape(-1, len(indicator.outputs)).T
