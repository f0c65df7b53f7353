"""`quantlytic sweep`: what it prints, what it writes, and one line for everything that is wrong."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from quantlytic.app.commands.sweep import parse_axes, parse_constraint
from quantlytic.model.bar import Bar
from quantlytic.model.errors import InputError
from quantlytic.store.control import open_control
from quantlytic.store.lake import Lake

Command = Callable[..., tuple[int, str, str]]
ARGUMENTS = ("-p", "fast=3:9:3", "-p", "slow=20,30")


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("bars") / "bars.csv"
    close = 100 * np.exp(np.cumsum(np.random.default_rng(3).normal(0, 0.01, 1_500)))
    opens = np.append(100.0, close[:-1])
    table = {
        "ts": 1_700_000_000_000_000_000 + 3_600_000_000_000 * np.arange(1_500),
        "symbol": "BTCUSDT",
        "open": opens,
        "high": np.maximum(opens, close) + 0.1,
        "low": np.minimum(opens, close) - 0.1,
        "close": close,
        "volume": np.ones(1_500),
    }
    pl.DataFrame(table).write_csv(path)
    return str(path)


def test_tables_page_and_ledger(quantlytic: Command, bars: str, tmp_path: Path) -> None:
    code, out, err = quantlytic("sweep", "sma-cross", bars, *ARGUMENTS, "--symbol", "BTCUSDT")
    assert (code, err) == (0, "")
    assert "sma-cross: 6 cells over 1,500 bars" in out
    assert "The best cell (fast" in out
    assert "6 new ones in the ledger" in out
    (folder,) = (tmp_path / "home" / "sweeps").iterdir()
    with open(folder / "cells.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(int(row["fast"]), int(row["slow"])) for row in rows] == [(f, s) for f in (3, 6, 9) for s in (20, 30)]
    returns = pl.read_parquet(folder / "returns.parquet")
    assert returns.shape == (1_500, 7)
    page = (folder / "heatmap.html").read_text()
    assert "http" not in page.replace("http://www.w3.org", "")
    assert "★" in page
    with open_control(tmp_path / "home") as control:
        trials = control.trials.list()
    assert len(trials) == 6
    assert {(one.kind, one.run_id, one.strategy) for one in trials} == {("sweep", folder.name, "sma-cross")}


def test_json_and_the_same_question_again(quantlytic: Command, bars: str, tmp_path: Path) -> None:
    found: list[dict[str, Any]] = []
    for _ in range(2):
        code, out, err = quantlytic("sweep", "sma-cross", bars, *ARGUMENTS, "--json", "--out", str(tmp_path / "here"))
        assert (code, err, out.count("\n")) == (0, "", 1)
        found.append(json.loads(out))
    first, second = found
    assert (first["cells"], first["finished"], first["errors"]) == (6, 6, {})
    assert (first["trials_entered"], second["trials_entered"]) == (6, 0)
    assert first["sweep_id"] == second["sweep_id"]
    assert first["best"] == second["best"]
    code, out, _ = quantlytic(
        "backtest", "sma-cross", "--data", bars, "-p", f"fast={first['best']['fast']}", "-p",
        f"slow={first['best']['slow']}", "--json",
    )  # fmt: skip
    alone = json.loads(out)
    assert alone["final_equity"] == first["best"]["final_equity"]
    assert alone["sharpe"] == pytest.approx(first["best"]["sharpe"], rel=1e-9)
    assert (tmp_path / "here" / "heatmap.html").exists()


def test_random_draws(quantlytic: Command, bars: str) -> None:
    words = ("sweep", "sma-cross", bars, "--draws", "5", "--seed", "7", "-p", "fast=3:9", "-p", "slow=20:40", "--json")
    one, two = (json.loads(quantlytic(*words)[1]) for _ in range(2))
    assert one["best"] == two["best"]
    assert one["cells"] == 5
    other = json.loads(quantlytic(*words[:6], "8", *words[7:])[1])
    assert other["sweep_id"] != one["sweep_id"]


def test_a_bad_cell_is_told_and_the_rest_is_kept(quantlytic: Command, bars: str) -> None:
    code, out, _ = quantlytic("sweep", "sma-cross", bars, "-p", "fast=5,500", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["finished"] == 1
    assert "from 2 to 200, not 500" in found["errors"]["1"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("-p", "fst=1,2"), 2, "SmaCross has no parameter 'fst': did you mean 'fast'?"),
        (("-p", "fast"), 2, "--param fast: write NAME=VALUES"),
        (("-p", "fast=1:x"), 2, "'x' is neither a number"),
        (("-p", "fast=9:3:1"), 2, "a span is FROM:TO:STEP"),
        (("-p", "fast=3,4", "-p", "fast=5"), 2, "fast was given already"),
        ((), 2, "a sweep needs at least one parameter to vary"),
        (("-p", "fast=3,4", "--metric", "sharpness"), 2, "no metric 'sharpness'"),
        (("-p", "fast=3,4", "--where", "fast>slow"), 2, "write two parameters with < between them"),
        (("-p", "fast=30,40", "-p", "slow=20", "--where", "fast<slow"), 2, "none of the 2 combinations"),
        (("-p", "fast=3,4", "--where", "fast<slw"), 2, "the constraint asks for 'slw'"),
        (("-p", "fast=3,4", "--jobs", "0"), 2, "jobs"),
        (("-p", "fast=3,4", "--jobs", "100000"), 2, "jobs is a number of cores"),
        (("-p", "fast=nan:inf:1"), 2, "too large"),
        (("-p", "fast=1:" + "9" * 400), 2, "too large"),
        (("-p", "fast=nan,5"), 2, "its values are numbers"),
        (("--draws", "3", "--seed", "-1"), 2, "a seed is a whole number"),
        (("-p", "fast=500,600"), 7, "no cell could be run; the first: SmaCross"),
        (("-p", "fast=3,4", "--symbol", "NONE"), 2, "NONE"),
    ],
)
def test_what_is_wrong_is_one_line(
    quantlytic: Command, bars: str, tmp_path: Path, words: tuple[str, ...], code: int, message: str
) -> None:
    found, out, err = quantlytic("sweep", "sma-cross", bars, *words)
    assert (found, out) == (code, "")
    assert err.count("\n") == 1
    assert message in err
    assert not (tmp_path / "home" / "sweeps").exists()


def test_values_of_a_parameter() -> None:
    assert parse_axes(("a=1:5:2", "b=0.1:0.3:0.1", "c=true", "d=1,2.5"), False) == {
        "a": [1, 3, 5], "b": [0.1, 0.2, 0.3], "c": [True], "d": [1, 2.5],
    }  # fmt: skip
    assert parse_axes(("a=1:5", "b=1:9:2"), True) == {"a": (1, 5), "b": [1, 3, 5, 7, 9]}
    assert parse_constraint("a < b")({"a": 1, "b": 2})
    with pytest.raises(InputError, match="too many"):
        parse_axes(("a=0:1:1e-9",), False)


def test_bars_of_the_lake_are_like_those_of_a_file(quantlytic: Command, bars: str, tmp_path: Path) -> None:
    table = pl.read_csv(bars).select("ts", "open", "high", "low", "close", "volume")
    rows = [Bar("box:BTCUSDT", ts, ts + 3_600_000_000_000, *prices) for ts, *prices in table.rows()]
    Lake(tmp_path / "home" / "lake").append("bars.box", range(len(rows)), rows)
    lake = ("--lake", "--symbol", "box:BTCUSDT", "--bar-size", "1h")
    for command, more in (("sweep", ARGUMENTS), ("walkforward", ("-p", "fast=3,9", "--train", "20d", "--test", "10d"))):
        found = [json.loads(quantlytic(command, "sma-cross", *of, *more, "--json")[1]) for of in ((bars,), lake)]
        assert found[0]["bars"] == found[1]["bars"]
        assert _numbers(found[0]) == _numbers(found[1])


OF_THE_PLACE = ("sweep_id", "source", "verdict", "data_sha256", "folder", "elapsed_s", "instruments")


def _numbers(found: dict[str, Any]) -> str:
    """All that does not depend on where the bars come from."""
    return json.dumps({key: value for key, value in found.items() if key not in OF_THE_PLACE})


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("sweep", "sma-cross"), "name a file of bars, or the lake: sweep STRATEGY bars.parquet, or --lake"),
        (("sweep", "sma-cross", "a.csv", "--lake"), "sweep reads bars of one place: a.csv or --lake?"),
        (("sweep", "sma-cross", "--lake", "-p", "fast=3"), "--lake needs --symbol VENUE:SYMBOL and --bar-size"),
        (("sweep", "sma-cross", "a.csv", "--data", "b.csv"), "sweep reads one file: a.csv or --data b.csv?"),
        (("walkforward", "sma-cross", "-p", "fast=3", "--train", "9d", "--test", "9d"), "name a file of bars"),
        (("sweep", "sma-cross", "--data", "none.csv", "-p", "fast=3"), "none.csv"),
    ],
)
def test_one_file_is_named(quantlytic: Command, words: tuple[str, ...], told: str) -> None:
    code, out, err = quantlytic(*words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert told in err
