"""`quantlytic data demo`: a file to try the other commands on."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.app.conftest import Command, answer

from quantlytic import demo_bars, load_bars


def test_the_bars_are_those_of_demo_bars(quantlytic: Command, tmp_path: Path) -> None:
    words = ("--bars", "50", "--instruments", "2", "--size", "1d", "--seed", "3")
    told = answer(quantlytic("data", "demo", "-o", "demo.csv", *words, "--json"))
    assert told == {"file": "demo.csv", "bars": 100, "instruments": ["ALPHA", "BETA"], "size": "1d", "seed": 3}
    made = demo_bars(50, 3, 2, "1d").array
    back = load_bars(tmp_path / "demo.csv").array
    for name in ("open_time", "close_time", "open", "high", "low", "close", "volume", "instrument"):
        assert (back[name] == made[name]).all(), name
    assert quantlytic("data", "demo", "-o", "demo.parquet", "--bars", "9") == (
        0,
        "demo.parquet: 9 invented bars of ALPHA\n",
        "",
    )


@pytest.mark.parametrize(
    ("words", "code", "what"),
    [
        (("-o", "demo.txt"), 2, "ending must be .csv or .parquet"),
        (("-o", "no/demo.csv"), 4, "cannot be written"),
        (("-o", "demo.csv", "--bars", "0"), 2, "1 or more"),
        (("-o", "demo.csv", "--size", "1fortnight"), 2, "1fortnight"),
    ],
)
def test_bad_requests_are_one_line(
    quantlytic: Command, tmp_path: Path, words: tuple[str, ...], code: int, what: str
) -> None:
    found, out, err = quantlytic("data", "demo", *words)
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert what in err
    assert not list(tmp_path.iterdir())
