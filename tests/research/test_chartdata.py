"""What the charts draw: bounded, resampled without hiding a loss, equal to the bars where nothing is resampled."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from quantlytic.engine.market.fees import Fees
from quantlytic.model.fill import FILL
from quantlytic.research.data.history import load_bars
from quantlytic.research.figures.curve import DAY_NS, Curve, drawdown_curve
from quantlytic.research.figures.metrics import rolling_sharpe
from quantlytic.research.pages.chartdata import (
    MAX_CANDLES,
    MAX_FILLS,
    MAX_INSTRUMENTS,
    MAX_POINTS,
    chart_data,
    rolling_window,
)
from quantlytic.research.runs.run import Result, backtest
from quantlytic.strategies.sma_cross import SmaCross

from .peer_bars import peer_bars


def run(tmp_path: Path, count: int, symbols: int = 1) -> Result:
    path = tmp_path / "bars.parquet"
    tables = [peer_bars(count, seed).with_columns(symbol=pl.lit(f"S{seed:03}")) for seed in range(symbols)]
    pl.concat(tables).write_parquet(path)
    weight = 0.9 / symbols
    return backtest(SmaCross(fast=5, slow=20, weight=weight), load_bars(path), fees=Fees(taker_bps=1))


def test_few_bars_are_drawn_as_they_are(tmp_path: Path) -> None:
    result = run(tmp_path, 400)
    chart, bars = chart_data(result), result.bars.array
    (own,) = chart["instruments"]
    assert chart["barsPerPoint"] == 1
    assert chart["time"] == (bars["open_time"] / 1e9).tolist()
    for name in ("open", "high", "low", "close"):
        assert own[name] == bars[name].tolist()
    assert np.allclose(chart["equity"], result.equity)
    assert np.allclose(chart["hold"], 1e6 * bars["close"] / bars["open"][0])
    assert len(own["fillPoint"]) == len(result.fills)
    assert own["fillPrice"] == bars["open"][own["fillPoint"]].tolist()
    assert max(own["weight"]) > 80
    assert min(own["weight"]) == 0


def test_many_bars_are_resampled_truthfully(tmp_path: Path) -> None:
    result = run(tmp_path, 23_456)
    chart, bars = chart_data(result), result.bars.array
    (own,) = chart["instruments"]
    size = chart["barsPerPoint"]
    assert size == 5
    assert len(chart["time"]) == -(-23_456 // 5) <= MAX_POINTS
    assert own["high"][7] == bars["high"][35:40].max()
    assert own["low"][7] == bars["low"][35:40].min()
    assert (own["open"][7], own["close"][7]) == (bars["open"][35], bars["close"][39])
    assert chart["time"][7] == bars["open_time"][35] / 1e9
    assert np.isclose(min(chart["drawdown"]), drawdown_curve(result.equity).min() * 100, rtol=1e-3)
    assert np.isclose(chart["equity"][-1], result.equity[-1])


def test_instruments_share_one_grid_and_start_when_they_start(tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    early, late = peer_bars(300, 1), peer_bars(300, 2).tail(100)
    pl.concat([early.with_columns(symbol=pl.lit("A")), late.with_columns(symbol=pl.lit("B"))]).write_parquet(path)
    result = backtest(SmaCross(fast=5, slow=20, weight=0.4), load_bars(path))
    chart = chart_data(result)
    assert len(chart["time"]) == 300
    assert np.all(np.diff(chart["time"]) > 0)
    first, second = chart["instruments"]
    assert first["point"] == list(range(300))
    assert second["point"] == list(range(200, 300))
    growth = early["close"][150] / early["open"][0]
    assert np.isclose(chart["hold"][150], 5e5 * growth + 5e5)  # what has not started yet is cash


def test_what_is_drawn_stays_bounded(tmp_path: Path) -> None:
    result = run(tmp_path, 1500, symbols=MAX_INSTRUMENTS + 3)
    chart = chart_data(result)
    assert chart["instrumentsLeftOut"] == 3
    assert len(chart["instruments"]) == MAX_INSTRUMENTS
    assert sum(len(own["point"]) for own in chart["instruments"]) <= MAX_CANDLES
    assert len(json.dumps(chart)) < 2_500_000


def test_of_very_many_fills_the_last_are_drawn(tmp_path: Path) -> None:
    result = run(tmp_path, 3 * MAX_FILLS)
    fills = np.zeros(len(result.bars), FILL)
    fills["bar_offset"], fills["side"], fills["quantity"], fills["price"] = np.arange(len(fills)), 1, 1, 100
    chart = chart_data(replace(result, fills=fills))
    (own,) = chart["instruments"]
    assert len(own["fillPoint"]) == MAX_FILLS
    assert own["fillsLeftOut"] == 2 * MAX_FILLS
    assert own["fillPoint"][-1] == len(chart["time"]) - 1


def test_equity_that_is_no_number_is_null(tmp_path: Path) -> None:
    result = run(tmp_path, 100)
    equity = result.equity.copy()
    equity[50] = np.nan
    with np.errstate(all="ignore"):
        chart = chart_data(replace(result, equity=equity))
    assert chart["equity"][50] is None
    json.dumps(chart, allow_nan=False)


def test_rolling_sharpe_only_where_it_can_be_annualised(tmp_path: Path) -> None:
    def window(days: int, per_day: int) -> int | None:
        count = days * per_day
        return rolling_window(Curve(DAY_NS // per_day * np.arange(count + 1), np.linspace(1, 2, count + 1)))

    assert window(100, 24) is None  # a quarter of it is below 30 days
    assert window(160, 24) == 40 * 24
    assert window(3650, 1) == 90
    assert window(400, 1440) == 90 * 1440
    short = chart_data(run(tmp_path, 400))
    assert short["sharpe"] == []
    table = peer_bars(4000).with_columns(ts=pl.lit(0, pl.Int64) + DAY_NS // 24 * pl.int_range(pl.len()))
    table.write_parquet(tmp_path / "hours.parquet")
    result = backtest(SmaCross(fast=5, slow=20), load_bars(tmp_path / "hours.parquet"))
    drawn = chart_data(result)["sharpe"]
    expected = rolling_sharpe(result.curve, 999, np.arange(4000))
    assert drawn[998] is None
    assert np.allclose(drawn[999:], expected[999:], rtol=1e-3)
