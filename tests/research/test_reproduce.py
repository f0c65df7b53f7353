"""A run done again from its manifest: the same to the last bit, or what differs is named."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import quantlytic as ql
from quantlytic.engine.market.fees import Fees
from quantlytic.model.errors import DataError, InputError
from quantlytic.research.data.history import load_bars
from quantlytic.research.runs.reproduce import read_manifest, reproduce
from quantlytic.research.runs.run import Result, backtest
from quantlytic.strategies.catalogue import find
from quantlytic.strategies.sma_cross import SmaCross

from .peer_bars import peer_bars

STRATEGY = """import quantlytic as ql


class Dip(ql.Strategy):
    weight: float = ql.param(0.5, low=0.0, high=1.0)

    def setup(self):
        self.last = 0.0

    def on_bar(self, bar, broker):
        if bar.close < self.last:
            broker.target_weight(self.weight)
        self.last = bar.close
"""


def as_read(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(result.manifest()))
    return found


@pytest.fixture
def data(tmp_path: Path) -> Path:
    peer_bars(3000).write_parquet(tmp_path / "bars.parquet")
    return tmp_path / "bars.parquet"


def run(data: Path, **changes: Any) -> Result:
    bars = load_bars(data, start="2020-01-01T06:00")
    return backtest(SmaCross(fast=5, slow=20, weight=0.5), bars, 5e4, Fees(taker_bps=7, maker_bps=2), **changes)


def test_the_same_again(data: Path) -> None:
    result = run(data)
    again = reproduce(as_read(result))
    assert again.is_equal
    assert again.differences == again.notes == []
    assert again.result.digest == result.digest
    assert again.result.run_id == result.run_id
    assert reproduce(as_read(result), compiled=False).is_equal


def test_changed_data_is_named(data: Path) -> None:
    manifest = as_read(run(data))
    table = pl.read_parquet(data)
    table.head(2900).write_parquet(data)
    (first, *rest) = reproduce(manifest).differences
    assert first.startswith("data changed (bars.parquet): bars 2,540, was 2,640; end 2020-01-03T00:20")
    assert rest[-1].startswith("result changed")
    table.with_columns(volume=pl.col("volume") + 1).write_parquet(data)  # decides nothing, and yet is not the same data
    (only,) = reproduce(manifest).differences
    assert "the same times and instruments, other values" in only


def test_changed_code_is_named(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(STRATEGY)
    given = load_bars(data, end="2020-01-01T08:00")
    manifest = as_read(backtest(find(f"{path}:Dip"), given, name=f"{path}:Dip", compiled=False))
    assert manifest["compiled"] is False
    assert reproduce(manifest).is_equal
    path.write_text(STRATEGY.replace("bar.close < self.last", "bar.close > self.last"))
    found = reproduce(manifest)
    assert [line.partition(" changed")[0] for line in found.differences] == ["code", "result"]
    assert "mine.py:Dip" in found.differences[0]
    path.unlink()
    with pytest.raises(InputError, match="no strategy file"):
        reproduce(manifest)


def test_versions_are_noted_and_a_result_of_another_version_is_not_equal(data: Path) -> None:
    manifest = as_read(run(data))
    older = copy.deepcopy(manifest)
    older["versions"]["numpy"] = "1.0"
    older["engine_sha256"] = "0" * 64
    found = reproduce(older)
    assert found.is_equal
    assert [note.partition(",")[0].rpartition(" ")[0] for note in found.notes] == [
        "version changed: numpy", "engine changed: its source is",
    ]  # fmt: skip
    older["digest"] = "f" * 64
    assert [line[:15] for line in reproduce(older).differences] == ["result changed:"]


def test_bars_in_memory_must_be_given_again(data: Path) -> None:
    bars = load_bars(data)
    part = bars.between(int(bars.array["close_time"][100]), None)
    manifest = as_read(backtest(SmaCross(fast=5, slow=20), part))
    with pytest.raises(InputError, match="does not say where its bars came from"):
        reproduce(manifest)
    assert reproduce(manifest, part).is_equal
    assert not reproduce(manifest, bars).is_equal


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("{", DataError, "not JSON"),
        ("[]", DataError, "Expected `object`, got `array`"),
        ('{"strategy": {"name": "x", "class": "y", "code_sha256": "", "params": {}}}', DataError, "field `data`"),
        ('{"strategy": {"name": "x"}}', DataError, "missing required field `code_sha256`"),
        (None, InputError, "there is no manifest"),
    ],
)
def test_what_is_no_manifest(tmp_path: Path, text: str | None, error: type[Exception], words: str) -> None:
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(error, match=words):
        read_manifest(tmp_path if text == "[]" else tmp_path / "manifest.json")


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("strategy", "params", [1]), ("strategy", "params", {"fast": "x"}), ("strategy", "params", {"self": 3}),
        ("strategy", "file", 5), ("strategy", "name", None), ("account", "cash", "1e6"), ("account", "market", "x"),
        ("data", "source", 5), ("data", "source", {"kind": "file", "path": 5}), ("data", "source", {"size": 5}),
        ("data", "source", {"start": [1]}), ("data", "bars", "x"), ("data", "calendar", 5),
    ],
)  # fmt: skip
def test_a_manifest_edited_by_hand(tmp_path: Path, part: str, name: str, value: object) -> None:
    manifest = as_read(backtest(SmaCross(fast=5, slow=20), ql.demo_bars(50), compiled=False))
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert read_manifest(tmp_path) == manifest
    manifest[part][name] = value
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match="is no manifest of a backtest: "):
        read_manifest(tmp_path)
