"""`quantlytic compare`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.app.conftest import Command, answer


@pytest.fixture
def runs(quantlytic: Command, tmp_path: Path) -> list[str]:
    close = 100 * np.exp(np.cumsum(np.random.default_rng(3).normal(0, 0.01, 300)))
    table = {
        "ts": 1_700_000_000_000_000_000 + 60_000_000_000 * np.arange(300),
        "open": close, "high": close, "low": close, "close": close, "volume": np.ones(300),
    }  # fmt: skip
    pl.DataFrame(table).write_csv(tmp_path / "bars.csv")
    command = ("backtest", "sma-cross", "--data", "bars.csv", "--json", "-p")
    return [answer(quantlytic(*command, f"fast={fast}"))["run_id"] for fast in (5, 7)]


def test_ids_beginnings_folders_and_last(quantlytic: Command, runs: list[str], tmp_path: Path) -> None:
    whole = answer(quantlytic("compare", *runs, "--json"))
    assert whole["runs"] == runs
    assert whole["differences"]["strategy.params.fast"] == [5, 7]
    folder = str(tmp_path / "home" / "runs" / runs[0])
    assert answer(quantlytic("compare", folder, "last", "--json")) == whole
    assert answer(quantlytic("compare", "last~1", "last", "--json")) == whole
    assert answer(quantlytic("compare", runs[0][3:9], runs[1][:9], "--json")) == whole
    assert not (tmp_path / "home" / "comparisons").exists()


def test_for_people(quantlytic: Command, runs: list[str], tmp_path: Path) -> None:
    code, out, err = quantlytic("compare", *runs)
    assert (code, err) == (0, "")
    for words in (*runs, "max drawdown", "strategy.params.fast: 5 | 7", "sma-cross fast=7"):
        assert words in out
    page = Path(out.splitlines()[-1].removeprefix("page").strip())
    assert "<!doctype html>" in page.read_text()
    quantlytic("compare", *runs, "-o", str(tmp_path / "mine.html"), "--json")
    assert (tmp_path / "mine.html").read_text() == page.read_text()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("bt-zzz", "last"), "no back-test 'bt-zzz'"),
        (("last",), "two runs"),
        (("last", "last~2"), "none is last~2"),
        (("bt-", "last"), "could be"),
        ((), "RUN"),
    ],
)
def test_bad_requests_are_one_line(quantlytic: Command, runs: list[str], words: tuple[str, ...], told: str) -> None:
    code, out, err = quantlytic("compare", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert told in err
