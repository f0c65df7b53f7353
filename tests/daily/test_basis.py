"""Between the units of today and those of the day."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlytic.daily import basis
from quantlytic.venues.daily import DAILY, DailyHistory


def test_apples_split_of_2014(market_data: Path) -> None:
    """Raw prices, in the units after the 7:1, are Quandl's adjusted ones but for dividends."""
    frame = (
        pl.read_parquet(market_data / "equity_daily_quandl_archive_2014.parquet")
        .filter(pl.col("symbol") == "AAPL")
        .sort("ts")
    )
    rows = np.zeros(frame.height, DAILY)
    for name in ("open", "high", "low", "close", "volume"):
        rows[name] = frame[name].to_numpy()
    rows["split"] = np.where(frame["split_ratio"] == 1.0, 0.0, frame["split_ratio"].to_numpy())
    adjusted = basis.split_adjusted(DailyHistory("usa:AAPL", rows, "raw"))
    after = int(np.argmax(rows["split"] == 7.0))
    assert np.allclose(adjusted["close"][:after] * 7.0, rows["close"][:after])
    assert np.array_equal(adjusted["close"][after:], rows["close"][after:])
    assert np.allclose(adjusted["volume"], frame["adj_volume"].to_numpy())
    assert adjusted["close"][after - 1] / adjusted["close"][after] - 1.0 < 0.02


@settings(max_examples=50, deadline=None)
@given(
    closes=st.lists(st.floats(1.0, 1000.0), min_size=1, max_size=8),
    ratios=st.lists(st.sampled_from([0.0, 0.0, 2.0, 0.1, 1.5]), min_size=8, max_size=8),
    later=st.sampled_from([1.0, 4.0, 0.5]),
)
def test_there_and_back(closes: list[float], ratios: list[float], later: float) -> None:
    rows = np.zeros(len(closes), DAILY)
    for name in ("open", "high", "low", "close"):
        rows[name] = closes
    rows["volume"], rows["dividend"], rows["split"] = 100.0, 0.5, ratios[: len(closes)]
    history = DailyHistory("x:Y", rows, "split-adjusted", later_split=later)
    raw = basis.raw(history, basis.split_adjusted(history))
    again = basis.split_adjusted(DailyHistory("x:Y", raw, "raw", later_split=later))
    for name in DAILY.names or ():
        assert np.allclose(again[name], rows[name])
    assert np.allclose(raw["close"] * raw["volume"], rows["close"] * rows["volume"])
    assert np.isclose(raw["close"][-1], closes[-1] * later)
