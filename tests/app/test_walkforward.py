"""`quantlytic walkforward` and the values of parameters on the command line."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from tests.app.conftest import Command, answer
from tests.research.leaky_rules import make_bars


@pytest.fixture
def bars_file(tmp_path: Path) -> str:
    array = make_bars(600, seed=9).array
    columns = {name: array[name] for name in ("open", "high", "low", "close", "volume")}
    pl.DataFrame({"ts": array["open_time"]} | columns).write_csv(tmp_path / "bars.csv")
    return str(tmp_path / "bars.csv")


def test_as_json_and_as_a_page(quantlytic: Command, bars_file: str, tmp_path: Path) -> None:
    words = ["walkforward", "sma-cross", bars_file, "--train", "200h", "--test", "100h", "--param", "fast=3:7:2"]
    words += ["--param", "slow=10,20", "--jobs", "1"]
    told = answer(quantlytic(*words, "--json", "--out", "page.html"))
    assert len(told["folds"]) == 4
    assert told["folds"][0]["cells"] == 6
    assert told["trials"] == 24
    assert told["verdict"]["label"] in ("likely real", "unproven", "likely luck", "loses")
    assert (tmp_path / "page.html").stat().st_size > 2_000
    code, out, _ = quantlytic(*words)
    assert code == 0
    assert "out of sample" in out
    assert told["verdict"]["sentence"] in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--train", "9000h", "--test", "10h", "--param", "fast=3"], "shorter"),
        (["--train", "200h", "--test", "10h", "--param", "fast=up"], "neither a number"),
        (["--train", "200h", "--test", "10h", "--param", "swift=3"], "no parameter 'swift'"),
    ],
)
def test_one_line_for_what_is_wrong(quantlytic: Command, bars_file: str, words: list[str], message: str) -> None:
    code, _, err = quantlytic("walkforward", "sma-cross", bars_file, *words)
    assert code == 2
    assert message in err
    assert "Traceback" not in err
