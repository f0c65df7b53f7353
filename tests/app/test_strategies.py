"""`quantlytic strategies`."""

from __future__ import annotations

from pathlib import Path

from tests.app.conftest import Command, answer

from quantlytic.strategies import catalogue


def test_lists_all_of_them(quantlytic: Command) -> None:
    rows = answer(quantlytic("strategies", "--json"))
    assert [row["name"] for row in rows] == list(catalogue.BUILT_IN)
    row = next(row for row in rows if row["name"] == "turtle")
    assert (row["family"], row["needs"]) == ("breakout", "bars")
    assert row["idea"].startswith("Buys new highs")
    assert row["source"].startswith("Faith")
    assert row["params"][0] == {"name": "entry", "kind": "int", "default": 20, "low": 15, "high": 100}
    assert {"name": "short", "kind": "bool", "default": False, "low": None, "high": None} in row["params"]


def test_for_people(quantlytic: Command) -> None:
    code, out, _ = quantlytic("strategies")
    assert code == 0
    for name in catalogue.BUILT_IN:
        assert name in out
    code, out, _ = quantlytic("strategies", "--family", "breakout")
    assert code == 0
    assert "turtle" in out
    assert "sma-cross" not in out


def test_one(quantlytic: Command) -> None:
    code, out, _ = quantlytic("strategies", "turtle")
    assert code == 0
    assert "Source: Faith" in out
    assert [line.split() for line in out.splitlines() if line.startswith(("entry", "risk", "short"))] == [
        ["entry", "int", "20", "15", "to", "100"],
        ["risk", "float", "0.01", "0.001", "to", "0.05"],
        ["short", "bool", "false", "false,", "true"],
    ]


def test_one_of_a_file(quantlytic: Command, tmp_path: Path) -> None:
    text = 'from quantlytic import Strategy, param\nclass Mine(Strategy):\n    """Waits."""\n    n: int = param(1, low=0)\n'
    (tmp_path / "mine.py").write_text(text + "    def on_bar(self, bar, broker):\n        pass\n")
    (row,) = answer(quantlytic("strategies", "mine.py", "--json"))
    assert (row["name"], row["idea"], row["family"], row["source"]) == ("mine.py", "Waits.", "", "")
    assert "0 or more" in quantlytic("strategies", "mine.py")[1]


def test_what_there_is_not(quantlytic: Command) -> None:
    for words in (("turtel",), ("--family", "lucky")):
        code, out, error = quantlytic("strategies", *words)
        assert (code, out) == (2, "")
        assert error.count("\n") == 1
    assert "did you mean turtle or supertrend?" in quantlytic("strategies", "turtel")[2]
