"""Splits that are in the prices alone: told where they are, never where they are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import quantlytic as ql
from quantlytic import Bars, Instrument
from quantlytic.model.bar import blank_bars
from quantlytic.model.errors import DataError
from quantlytic.research.data.history import load_bars
from quantlytic.research.data.unadjusted import find_unadjusted
from quantlytic.store.equities.yahoofile import read_yahoo
from quantlytic.strategies.buy_and_hold import BuyAndHold
from quantlytic.strategies.sma_cross import SmaCross

DAY_NS = 86_400_000_000_000


def walk(ratio: float = 1.0, at: int = 40, n: int = 80) -> Bars:
    """A calm stock; from bar `at` on its price is divided by `ratio`."""
    close = 100.0 * np.exp(np.cumsum(np.random.default_rng(7).normal(0, 0.01, n)))
    close[at:] /= ratio
    array = blank_bars(n)
    array["open_time"] = np.arange(n) * DAY_NS
    array["close_time"] = array["open_time"] + DAY_NS
    array["close"] = close
    array["open"] = np.concatenate((close[:1], close[:-1])) * 1.001
    array["open"][at] /= ratio
    array["high"] = np.maximum(array["open"], close)
    array["low"] = np.minimum(array["open"], close)
    array["volume"] = 1e6
    return Bars(array, (Instrument("test:STOCK", "STOCK", "USD"),), "stock.csv")


@pytest.mark.parametrize("ratio", [1.5, 2.0, 3.0, 4.0, 7.0, 10.0, 20.0, 0.5, 0.1])
def test_a_split_is_found(ratio: float) -> None:
    (step,) = find_unadjusted(walk(ratio))
    assert step["ratio"] == pytest.approx(ratio)
    assert step["time"] == 40 * DAY_NS


@pytest.mark.parametrize("ratio", [1.0, 1.25, 1.35, 1.8, 2.2, 1 / 1.5, 100.0])
def test_other_moves_are_none(ratio: float) -> None:
    assert len(find_unadjusted(walk(ratio))) == 0


def test_a_bad_print_is_none() -> None:
    bars = walk()
    bars.array["open"][40] /= 2.0
    bars.array["low"][40] /= 2.0
    assert len(find_unadjusted(bars)) == 0


def test_apple_traded_raw_is_refused_in_one_line(market_data: Path) -> None:
    bars = load_bars(market_data / "equity_daily_lean.parquet", "AAPL")
    days = [str(np.datetime64(int(time), "ns"))[:10] for time in find_unadjusted(bars)["time"]]
    assert days == ["2000-06-21", "2005-02-28", "2014-06-09", "2020-08-31"]
    options: dict[str, Any] = {"allow_gaps": True, "compiled": False}
    grid = {"fast": [5, 10]}
    for run in (
        lambda: ql.backtest(BuyAndHold, bars, **options),
        lambda: ql.sweep(SmaCross, bars, over=grid, **options),
        lambda: ql.walk_forward(SmaCross, bars, grid, train="365d", test="90d", **options),
        lambda: ql.recommend(bars, strategies=["sma-cross"], **options),
    ):
        words = r"AAPL from .* on 2000-06-21, like 2:1, and 3 more steps.*--allow-splits"
        with pytest.raises(DataError, match=words) as error:
            run()
        assert "\n" not in str(error.value)


def test_allowed_it_stands_on_the_report(tmp_path: Path) -> None:
    bars = walk(7.0)
    result = ql.backtest(BuyAndHold, bars, allow_splits=True, compiled=False)
    assert result.summary()["unadjusted_splits"] == 1
    assert "like 7:1" in result.plot(tmp_path / "report.html").read_text()
    calm = ql.backtest(BuyAndHold, walk(), compiled=False)
    assert calm.summary()["unadjusted_splits"] == 0
    assert "as at a split" not in calm.plot(tmp_path / "calm.html").read_text()


def test_with_actions_nothing_is_refused(market_data: Path) -> None:
    apple = ql.load_equity(market_data, "AAPL")
    assert len(find_unadjusted(apple.bars)) == 4
    assert len(find_unadjusted(apple.adjusted)) == 0
    found = ql.backtest(BuyAndHold, apple.bars, actions=apple.actions, allow_gaps=True, compiled=False)
    assert found.summary()["unadjusted_splits"] == 0


def test_no_false_alarm(market_data: Path) -> None:
    for size in ("1h", "1d", "15m", "4h"):
        assert not len(find_unadjusted(load_bars(market_data / f"binance_spot_{size}_staticklines.parquet")))
    assert not len(find_unadjusted(load_bars(market_data / "coinbase_btcusd_daily_lean.parquet")))
    clean = sorted((market_data / "dirty_daily_yfinance").glob("*-no-bad-divs.csv"))
    assert len(clean) >= 4
    for path in clean:
        assert not len(find_unadjusted(Bars(read_yahoo(path).bars, (Instrument("test:X", "X", "USD"),)))), path.name


def test_no_false_alarm_on_adjusted_stocks(market_data: Path, tmp_path: Path) -> None:
    stocks = pl.read_parquet(market_data / "equity_daily_stocknet.parquet").filter(pl.col("open") > 0)
    stocks.write_parquet(tmp_path / "stocks.parquet")
    bars = load_bars(tmp_path / "stocks.parquet")
    assert len(bars.instruments) >= 59
    assert not len(find_unadjusted(bars))
