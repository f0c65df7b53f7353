"""A backtest and what follows from it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import quantlytic as ql
from quantlytic.engine.data.bars import Bars
from quantlytic.engine.market.fees import Fees
from quantlytic.engine.market.market import Market
from quantlytic.engine.market.slippage import FixedSlippage
from quantlytic.engine.param import param
from quantlytic.engine.strategy import Strategy
from quantlytic.model.errors import DataError, InputError
from quantlytic.model.instrument import Instrument
from quantlytic.research.data.history import load_bars
from quantlytic.research.runs.manifest import data_hash
from quantlytic.research.runs.run import Result, backtest
from quantlytic.store.control import open_control
from quantlytic.strategies.sma_cross import SmaCross

from .peer_bars import peer_bars

FIXED = (
    "run_id", "strategy", "params", "bars", "start", "end", "final_equity", "fills", "round_trips", "fees_paid", "sharpe",
    "sortino", "max_drawdown", "elapsed_s", "digest",
)  # fmt: skip


class Idle(Strategy):
    """Does nothing."""

    unused: int = param(1)

    def on_bar(self, bar: Any, broker: Any) -> None:
        pass


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Bars:
    path = tmp_path_factory.mktemp("bars") / "peers.parquet"
    peer_bars(20_000).write_parquet(path)
    return load_bars(path, "BTCUSDT")


@pytest.fixture(scope="module")
def result(bars: Bars) -> Result:
    return backtest(SmaCross(fast=50, slow=200), bars, cash=1e6, fees=Fees(taker_bps=10))


def test_public_names() -> None:
    assert ql.backtest is backtest
    assert ql.load_bars is load_bars


def test_workload_a_ends_where_backtrader_does(tmp_path: Path) -> None:
    path = tmp_path / "peers.parquet"
    peer_bars(1_000_000).write_parquet(path)
    result = backtest(SmaCross(fast=50, slow=200, weight=0.99), load_bars(path), cash=1e6, fees=Fees(taker_bps=10))
    summary = result.summary()
    assert round(summary["final_equity"], 3) == 694.847
    assert summary["fills"] == 6397
    assert summary["round_trips"] == 3198
    # it ends in a position: all else that was gained or lost is in the round trips and the open one's entry fee
    entry = result.fills[-1]
    open_pnl = entry["quantity"] * (result.bars.array["close"][-1] - entry["price"]) - entry["fee"]
    assert math.fsum(result.round_trips["pnl"]) + open_pnl == pytest.approx(summary["final_equity"] - 1e6, rel=1e-9)


def test_summary_has_the_fixed_names_and_is_json(result: Result) -> None:
    summary = result.summary()
    assert tuple(summary)[: len(FIXED)] == FIXED
    text = json.dumps(summary, allow_nan=False)
    assert json.loads(text)["params"] == {"fast": 50, "slow": 200, "weight": 0.99}
    assert summary["bars"] == 20_000
    assert summary["start"] == "2020-01-01T00:00:00.000000Z"
    assert summary["end"] == "2020-01-14T21:20:00.000000Z"
    assert summary["final_equity"] == result.equity[-1]
    assert summary["fees_paid"] == pytest.approx(result.fills["fee"].sum())
    assert summary["mode"] == "compiled"


def test_debug_gives_the_same_bytes_and_the_same_id(bars: Bars, result: Result) -> None:
    short = bars.between(None, int(bars.array["close_time"][3000]))
    compiled = backtest(SmaCross(fast=5, slow=20), short, fees=Fees(taker_bps=10))
    debug = backtest(SmaCross(fast=5, slow=20), short, fees=Fees(taker_bps=10), compiled=False)
    assert compiled.digest == debug.digest
    assert compiled.run_id == debug.run_id
    assert debug.summary()["mode"] == "debug"
    assert compiled.digest != result.digest


def test_run_id_is_made_from_what_goes_in(bars: Bars, result: Result) -> None:
    again = backtest(SmaCross(fast=50, slow=200), bars, cash=1e6, fees=Fees(taker_bps=10))
    assert again.run_id == result.run_id
    assert again.digest == result.digest
    part = bars.between(None, int(bars.array["close_time"][-1]))
    others = {
        "params": backtest(SmaCross(fast=51, slow=200), bars, cash=1e6, fees=Fees(taker_bps=10)),
        "cash": backtest(SmaCross(fast=50, slow=200), bars, cash=2e6, fees=Fees(taker_bps=10)),
        "fees": backtest(SmaCross(fast=50, slow=200), bars, cash=1e6, fees=Fees(taker_bps=11)),
        "data": backtest(SmaCross(fast=50, slow=200), part, cash=1e6, fees=Fees(taker_bps=10)),
        "strategy": backtest(Idle, bars, cash=1e6, fees=Fees(taker_bps=10)),
    }
    ids = {result.run_id} | {other.run_id for other in others.values()}
    assert len(ids) == 1 + len(others)


def test_data_hash_sees_every_column_and_no_padding(bars: Bars, result: Result) -> None:
    base = data_hash(bars)
    assert result.data_hash == base
    noisy = np.frombuffer(bars.array.tobytes(), np.uint8).copy()
    noisy = noisy.reshape(len(bars), -1)
    noisy[:, 4:8] = 0xAB  # the record's alignment bytes
    assert data_hash(Bars(noisy.reshape(-1).view(bars.array.dtype), bars.instruments)) == base
    for name in bars.array.dtype.names:
        changed = bars.array.copy()
        changed[name][777] = np.nan_to_num(changed[name][777]) + 1
        assert data_hash(Bars(changed, bars.instruments)) != base, name
    assert data_hash(Bars(bars.array, (Instrument("other:X"),))) != base


def test_no_trades_leaves_what_is_undefined_none(bars: Bars) -> None:
    summary = backtest(Idle, bars).summary()
    assert summary["fills"] == summary["round_trips"] == summary["fees_paid"] == summary["exposure"] == 0
    assert summary["final_equity"] == 1e6
    assert summary["max_drawdown"] == 0
    assert summary["sharpe"] is summary["sortino"] is summary["win_rate"] is summary["profit_factor"] is None


def test_one_bar(bars: Bars) -> None:
    one = backtest(SmaCross, bars.between(None, int(bars.array["close_time"][1])))
    summary = one.summary()
    assert summary["bars"] == 1
    assert summary["cagr"] is summary["sharpe"] is summary["turnover"] is None
    json.dumps(summary, allow_nan=False)


def test_holes_are_refused_unless_they_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "holes.parquet"
    peer_bars(500).filter(~pl.int_range(pl.len()).is_in([100, 101, 300])).write_parquet(path)
    with pytest.raises(
        DataError, match=r"holes\.parquet: 3 bars are missing \(file:holes from 2020-01-01T01:40:00 to .*gaps"
    ):
        backtest(Idle, load_bars(path))
    result = backtest(Idle, load_bars(path), allow_gaps=True)
    assert result.summary()["holes"] == 3
    assert result.hole_rows["missing"].tolist() == [2, 1]


def test_manifest_names_what_decided_the_result(result: Result) -> None:
    manifest = result.manifest()
    assert manifest["strategy"]["class"] == "quantlytic.strategies.sma_cross.SmaCross"
    assert len(manifest["strategy"]["code_sha256"]) == 64
    assert manifest["data"]["sha256"] == result.data_hash
    assert manifest["account"]["cash"] == 1e6
    assert Market.from_dict(manifest["account"]["market"]) == Market(fees=Fees(taker_bps=10))
    assert manifest["seed"] is None
    assert len(manifest["engine_sha256"]) == 64
    assert manifest["versions"].keys() == {"python", "machine", "quantlytic", "numpy", "numba", "llvmlite"}
    assert any("10 bps" in line for line in manifest["assumptions"])
    json.dumps(manifest, allow_nan=False)


@pytest.mark.parametrize("cash", [0.0, -1.0, math.nan, math.inf])
def test_impossible_cash_is_refused(bars: Bars, cash: float) -> None:
    with pytest.raises(InputError, match="cash"):
        backtest(SmaCross, bars, cash=cash)


def test_what_are_no_bars_is_refused(bars: Bars) -> None:
    with pytest.raises(InputError, match="no bars"):
        backtest(SmaCross, bars.between(0, 1))
    with pytest.raises(InputError, match="load_bars"):
        backtest(SmaCross, bars.array)  # type: ignore[arg-type]


def test_refused_orders_are_counted_by_reason() -> None:
    class TooMuch(ql.Strategy):
        def on_bar(self, bar: Any, broker: Any) -> None:
            broker.buy(1e9)

    closes = np.full(5, 100.0)
    times = np.arange(5) * 60_000_000_000
    bars = ql.Bars.of(
        Instrument("file:X"), open_time=times, close_time=times + 60_000_000_000,
        open=closes, high=closes, low=closes, close=closes, volume=np.ones(5),
    )  # fmt: skip
    result = ql.backtest(TooMuch, bars, cash=1e4, compiled=False)
    assert result.summary()["rejections"] == {"insufficient-cash": 4}
    assert result.summary()["rejected"] == 4


def test_a_market_decides_the_result_its_costs_and_its_id(bars: Bars, result: Result) -> None:
    part = bars.between(None, int(bars.array["close_time"][3000]))
    plain = backtest(SmaCross(fast=5, slow=20), part, market=Market(fees=Fees(taker_bps=10)), compiled=False)
    short = backtest(SmaCross(fast=5, slow=20), part, fees=Fees(taker_bps=10), compiled=False)
    assert (plain.run_id, plain.digest) == (short.run_id, short.digest)
    market = Market(fees=Fees(taker_bps=10), slippage=FixedSlippage(5))
    slipped = backtest(SmaCross(fast=5, slow=20), part, market=market, compiled=False)
    assert slipped.run_id != plain.run_id
    assert slipped.metrics["slippage_paid"] == pytest.approx(slipped.metrics["traded_value"] * 5e-4, rel=1e-3)
    assert slipped.metrics["costs"] == pytest.approx(slipped.metrics["fees_paid"] + slipped.metrics["slippage_paid"])
    assert any("5 bps" in line for line in slipped.assumptions)
    assert market.sentences()[1] in slipped.manifest()["assumptions"]
    with pytest.raises(InputError, match="part of the market"):
        backtest(SmaCross, part, fees=Fees(taker_bps=10), market=market)


def test_nothing_is_written_unless_it_is_asked_for(bars: Bars, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUANTLYTIC_HOME", str(tmp_path / "home"))
    part = bars.between(None, int(bars.array["close_time"][300]))
    backtest(Idle, part, compiled=False)
    assert list(tmp_path.iterdir()) == []
    for record in (True, tmp_path / "home"):
        result = backtest(Idle, part, compiled=False, record=record)
    with open_control(tmp_path / "home") as control:
        (trial,) = control.trials.list()
    assert (trial.run_id, trial.data, trial.bars) == (result.run_id, result.data_hash, 300)
    assert trial.instruments == ("file:BTCUSDT",)
    assert (tmp_path / "home" / "runs" / result.run_id / "equity.csv").read_text().count("\n") == 301


def test_reprs_are_one_line() -> None:
    bars = ql.demo_bars(2_000)
    result = ql.backtest(SmaCross(fast=5, slow=20), bars)
    walked = ql.walk_forward(SmaCross, bars, {"fast": [5, 10], "slow": [20]}, train="500h", test="200h")
    assert repr(result).startswith("Result(SmaCross, Bars(demo:ALPHA: 2,000 from 2024-01-01T00:00Z to ")
    assert f"{len(result.fills):,} fills, equity 1,000,000 -> {result.equity[-1]:,.10g}" in repr(result)
    assert repr(walked).startswith(f"WalkForward(SmaCross, {len(walked.folds)} folds, 1,501 test bars from 2024-01-21 ")
    for text in (repr(result), repr(walked)):
        assert "\n" not in text
        assert len(text) < 200
