"""What kind of market a bar was in, by what was known at its close."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.data.bars import Bars
from quantlytic.learn.samples.inputs import Values

WINDOW = 50
_TREND = 1.0


def regimes_of(bars: Bars, rows: NDArray[np.int64]) -> dict[str, NDArray[np.bool_]]:
    """Of each of the bars' `rows` whether it was in: the calm, middle or wild third (standard deviation of the instrument's
    last 50 log returns, among its own rows), and a trend (the move over those bars is more than what a random walk of that
    deviation makes, sqrt(50) of them) or none. Rows without 50 bars before them are in none."""
    volatility, drift = np.full(len(bars), np.nan), np.full(len(bars), np.nan)
    third = np.full(len(bars), -1)
    of_rows = np.zeros(len(bars), np.bool_)
    of_rows[rows] = True
    for k in range(len(bars.instruments)):
        own = np.flatnonzero(bars.array["instrument"] == k)
        volatility[own], drift[own] = _moves(bars.array["close"][own])
        asked = own[of_rows[own] & np.isfinite(volatility[own])]
        if len(asked):
            third[asked] = np.searchsorted(np.quantile(volatility[asked], [1 / 3, 2 / 3]), volatility[asked])
    with np.errstate(invalid="ignore", divide="ignore"):
        strength = np.abs(drift[rows]) / (volatility[rows] * np.sqrt(WINDOW))
    return {
        "calm third": third[rows] == 0,
        "middle third": third[rows] == 1,
        "wild third": third[rows] == 2,
        "trend": strength > _TREND,
        "no trend": strength <= _TREND,
    }


def _moves(close: NDArray[Any]) -> tuple[Values, Values]:
    """(standard deviation, sum) of the last 50 log returns; NaN before there are as many."""
    deviation, total = np.full(len(close), np.nan), np.full(len(close), np.nan)
    if len(close) > WINDOW:
        windows = np.lib.stride_tricks.sliding_window_view(np.diff(np.log(close)), WINDOW)
        deviation[WINDOW:], total[WINDOW:] = windows.std(axis=1), windows.sum(axis=1)
    return deviation, total
