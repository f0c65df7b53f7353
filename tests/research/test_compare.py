"""Runs side by side."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import quantlytic as ql
from quantlytic.engine.market.fees import Fees
from quantlytic.model.errors import InputError, StoreError
from quantlytic.model.instrument import Instrument
from quantlytic.research.data.history import load_bars
from quantlytic.research.pages.comparepage import comparison_html
from quantlytic.research.runs.compare import FIGURES, compare, read_run
from quantlytic.research.runs.run import backtest
from quantlytic.research.runs.runfolder import save_run
from quantlytic.strategies.sma_cross import SmaCross

from .peer_bars import peer_bars


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    home = tmp_path_factory.mktemp("home")
    peer_bars(40_000).write_parquet(home / "bars.parquet")
    bars = load_bars(home / "bars.parquet")
    part = load_bars(home / "bars.parquet", end="2020-01-25")
    runs = [
        backtest(SmaCross(fast=20, slow=90), bars, fees=Fees(taker_bps=5)),
        backtest(SmaCross(fast=30, slow=90), bars, fees=Fees(taker_bps=5)),
        backtest(SmaCross(fast=20, slow=90), part, fees=Fees(taker_bps=5)),
    ]
    return [save_run(run, home, 1)[0] for run in runs]


def test_figures_and_differences(folders: list[Path]) -> None:
    found = compare(folders[:2])
    told = found.to_dict()
    assert told["same_data"] is True
    assert told["same_result"] is False
    assert set(told["differences"]) == {"strategy.params.fast", "digest"}
    assert told["differences"]["strategy.params.fast"] == [20, 30]
    assert list(told["figures"]) == list(FIGURES)
    summary = json.loads((folders[1] / "summary.json").read_text())
    assert told["figures"]["final_equity"][1] == summary["final_equity"]
    assert told["labels"][0] == "SmaCross fast=20 slow=90 weight=0.99"
    assert told["verdicts"][0].startswith("loses")
    correlations = told["correlations"]
    assert correlations[0][0] == pytest.approx(1)
    assert 0.3 < correlations[0][1] == correlations[1][0] < 1
    json.dumps(told, allow_nan=False)


def test_other_data_is_told(folders: list[Path]) -> None:
    told = compare([folders[0], folders[2]]).to_dict()
    assert told["same_data"] is False
    assert {"data.sha256", "data.bars", "data.end", "data.source.end"} <= set(told["differences"])
    assert told["figures"]["sharpe"] == [None, None]
    page = comparison_html(compare(folders))
    assert "not on the same data" in page
    assert page.count("<script") == page.count("</script>") == 3
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert comparison_html(compare(folders)) == page


def test_what_is_no_run_is_refused(folders: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="two runs or more"):
        compare(folders[:1])
    with pytest.raises(InputError, match="each of them once"):
        compare([folders[0], folders[0]])
    with pytest.raises(InputError, match="no run in"):
        read_run(tmp_path)
    (tmp_path / "summary.json").write_text("{")
    with pytest.raises(StoreError, match="damaged"):
        read_run(tmp_path)


@pytest.mark.parametrize(
    ("file", "part", "value"),
    [
        ("summary", "sharpe", "x"), ("summary", "params", 5), ("summary", "verdict", 5), ("manifest", "data", 5),
        ("manifest", "data", {"sha256": [1]}),
    ],
)  # fmt: skip
def test_a_run_edited_by_hand_is_damaged(
    folders: list[Path], tmp_path: Path, file: str, part: str, value: object
) -> None:
    copied = Path(shutil.copytree(folders[0], tmp_path / "run"))
    told = json.loads((copied / f"{file}.json").read_text())
    (copied / f"{file}.json").write_text(json.dumps(told | {part: value}))
    with pytest.raises(StoreError, match="damaged"):
        read_run(copied)


def test_a_name_that_looks_like_a_formula_is_text(tmp_path: Path) -> None:
    bars = ql.demo_bars(300)
    named = ql.Bars(bars.array, (Instrument('=HYPERLINK("x:y")'),))
    folder, _ = save_run(backtest(SmaCross(fast=5, slow=20), named, compiled=False), tmp_path, 1)
    lines = (folder / "fills.csv").read_text().splitlines()
    assert len(lines) > 1
    assert all(""""'=HYPERLINK(""" in line for line in lines[1:])
