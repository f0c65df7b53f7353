"""What is known of a strategy's past, as the control store and the data folder have it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.telling.paperday import run_of

import quantlytic as ql
from quantlytic.model.instrument import Instrument
from quantlytic.store.control import open_control
from quantlytic.store.control.control import Control
from quantlytic.telling.record import Records

RUN = run_of("sma-cross", Instrument("box:ALPHA"), fast=5.0, slow=20.0, weight=0.5)


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    with open_control(tmp_path) as made:
        yield made


def test_nothing_is_known_of_what_was_never_tested(control: Control, tmp_path: Path) -> None:
    past = Records(control, tmp_path).of(RUN, "box:ALPHA")
    assert past.lines == (
        "No back-test of sma-cross with these parameters on ALPHA is on record: nothing is known of its past.",
    )
    assert not past.is_recommended


def test_the_newest_back_test_with_the_same_parameters_and_its_verdict(control: Control, tmp_path: Path) -> None:
    from quantlytic.strategies.sma_cross import SmaCross

    bars = ql.demo_bars(1500)
    for slow in (20, 30):
        strategy = SmaCross(fast=5, slow=slow, weight=0.5)
        result = ql.backtest(strategy, bars, cash=1e5, compiled=False, record=tmp_path)
    records = Records(control, tmp_path, timer_s=lambda: 0.0)
    first, second = records.of(RUN, "box:ALPHA").lines
    assert first.startswith("Back-tested on ALPHA with these parameters, 2024-01-01 to 2024-03-")
    assert "Sharpe" in first
    assert first.endswith("after costs.")
    assert second.startswith("Verdict: ")
    assert result.name == "SmaCross", "as Python calls it"
    assert len(records.of(msgspec.structs.replace(RUN, run_id="x", params={"fast": 6.0}), "box:ALPHA").lines) == 1


def test_the_newest_recommendation_is_told_and_makes_it_the_recommended_one(control: Control, tmp_path: Path) -> None:
    folder = tmp_path / "recommendations" / "rc-1"
    folder.mkdir(parents=True)
    record = {"total_return": 0.2, "cagr": 0.12, "sharpe": 0.9, "max_drawdown": -0.2, "curve": []}
    own = record | {
        "strategy": "sma-cross", "round_trips": 9, "cells": 4, "fills": 18, "psr": 0.9, "dsr": 0.9, "dsr_alpha": 0.9,
        "dsr_strategies": 0.9, "beta": 0.1, "stretches": [],
    }  # fmt: skip
    finding = {
        "instrument": "file:ALPHA", "symbol": "ALPHA", "strategy": "sma-cross", "sentence": "", "trials": 3, "tested": [own],
        "hold": record, "curve_times": [], "spa_cash": None, "spa_hold": None, "picked_loss": None, "stressed": "",
        "stress": [], "failed": {}, "bars": 9, "missing": 0, "start_ns": 0, "test_start_ns": 0, "end_ns": 0, "data_sha256": "",
    }  # fmt: skip
    (folder / "recommend.json").write_bytes(msgspec.json.encode({"findings": [finding]}))
    past = Records(control, tmp_path).of(RUN, "box:ALPHA")
    assert past.is_recommended
    assert past.lines[-1] == ("It is the strategy recommended for ALPHA: 12\u00a0% a year out of sample, Sharpe 0.90.")
    none = tmp_path / "recommendations" / "rc-2"
    none.mkdir()
    (none / "recommend.json").write_bytes(msgspec.json.encode({"findings": [finding | {"strategy": None}]}))
    (tmp_path / "recommendations" / "rc-3").mkdir()
    (tmp_path / "recommendations" / "rc-3" / "recommend.json").write_text("{half")
    past = Records(control, tmp_path).of(RUN, "box:ALPHA")
    assert not past.is_recommended
    assert past.lines[-1].startswith("For ALPHA no strategy is recommended")
