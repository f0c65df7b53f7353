"""`quantlytic recommend`: an answer for each symbol, a page, and nothing lost when it is stopped."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.app.conftest import Command, answer
from tests.research.walks import walk

QUICK = ("--strategy", "heikin-ashi", "--folds", "2", "--draws", "2", "--jobs", "1")


@pytest.fixture
def bars_file(tmp_path: Path) -> str:
    """Two instruments without any pattern, 500 days each."""
    frames = []
    for seed, symbol in enumerate(("AAA", "BBB")):
        array = walk(np.random.default_rng(seed), 500).array
        columns = {name: array[name] for name in ("open", "high", "low", "close", "volume")}
        frames.append(pl.DataFrame({"ts": array["open_time"] + 10**18, "symbol": symbol} | columns))
    pl.concat(frames).write_parquet(tmp_path / "bars.parquet")
    return str(tmp_path / "bars.parquet")


def test_all_symbols_of_a_file_as_json(quantlytic: Command, bars_file: str, tmp_path: Path) -> None:
    told = answer(quantlytic("recommend", "--data", bars_file, *QUICK, "--json"))
    assert told["answers"] == {"AAA": None, "BBB": None}
    folder = Path(told["folder"])
    assert folder.parent == tmp_path / "home" / "recommendations"
    assert sorted(one.name for one in folder.iterdir()) == [
        "manifest.json", "recommend.html", "recommend.json", "strategies.csv",
    ]  # fmt: skip
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["question"] == folder.name
    assert manifest["data"]["AAA"]["source"]["symbol"] is None
    assert pl.read_csv(folder / "strategies.csv")["symbol"].to_list() == ["AAA", "BBB"]
    assert json.loads((folder / "recommend.json").read_text())["findings"] == told["findings"]
    again = answer(quantlytic("recommend", "--data", bars_file, *QUICK, "--json"))
    assert again["findings"] == told["findings"]


def test_in_words(quantlytic: Command, bars_file: str, tmp_path: Path) -> None:
    code, out, err = quantlytic("recommend", "BBB", "--data", bars_file, *QUICK, "--out", "there")
    assert code == 0, err
    assert "No strategy is recommended for the instrument" in out
    assert "\nBBB: none. " in out
    assert "buy and hold" in out
    page = (tmp_path / "there" / "recommend.html").read_text()
    assert "Which strategy suits BBB?" in page
    assert "http" not in page.replace("http://www.w3.org", "")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["AAA", "AAA"], 2, "named twice"),
        (["CCC"], 2, "CCC"),
        (["AAA", "--strategy", "no-such"], 2, "no strategy 'no-such'"),
        (["AAA", "--folds", "1"], 2, "folds is a whole number"),
        (["AAA", "--end", "2001-12-01"], 2, "at least 300"),
    ],
)
def test_one_line_for_what_is_wrong(
    quantlytic: Command, bars_file: str, words: list[str], code: int, message: str
) -> None:
    found = quantlytic("recommend", "--data", bars_file, *words)
    assert found[0] == code
    assert message in found[2]
    assert "Traceback" not in found[2]


def test_the_lake_needs_symbols_and_a_size(quantlytic: Command) -> None:
    code, _, err = quantlytic("recommend", "--data", "lake")
    assert code == 2
    assert "VENUE:SYMBOL" in err


def test_interrupted_and_gone_on_with(
    quantlytic: Command, bars_file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from quantlytic.app.commands import recommend

    def stop(_self: object, symbol: str, _done: int, _of: int) -> None:
        if symbol == "BBB":
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(recommend._Progress, "__call__", stop)
        code, out, _ = quantlytic("recommend", "--data", bars_file, *QUICK, "--out", "there")
    assert code == 130
    assert "interrupted: the same command goes on" in out
    assert "The run was interrupted" in (tmp_path / "there" / "recommend.html").read_text()
    told = answer(quantlytic("recommend", "--data", bars_file, *QUICK, "--out", "there", "--json"))
    assert told["resumed"] == 1
    assert list(told["answers"]) == ["AAA", "BBB"]
    assert not (tmp_path / "there" / "unfinished").exists()
