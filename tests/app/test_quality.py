"""`quantlytic data quality`: findings in words or JSON, and exit codes."""

from __future__ import annotations

from pathlib import Path

from tests.app.conftest import Command, answer


def test_findings_of_a_dirty_and_a_clean_history(quantlytic: Command, market_data: Path) -> None:
    folder = market_data / "dirty_daily_yfinance"
    dirty, clean = str(folder / "REL-L-1d-bad-div.csv"), str(folder / "KMR-L-1d-no-bad-divs.csv")
    code, out, _ = quantlytic("data", "quality", dirty)
    assert code == 0
    assert "2022-04-27 dividend: 35.5 is paid on a price of 24.15; a hundredth of it would fit" in out
    assert {one["kind"] for one in answer(quantlytic("data", "quality", dirty, "--json"))} == {"dividend", "adjustment"}
    assert quantlytic("data", "quality", clean) == (0, "nothing looks wrong\n", "")
    assert quantlytic("data", "quality", dirty, "--strict")[0] == 6
    assert quantlytic("data", "quality", clean, "--strict")[0] == 0


def test_a_company_in_leans_formats(quantlytic: Command, market_data: Path) -> None:
    assert quantlytic("data", "quality", str(market_data), "--ticker", "BAC")[1] == "nothing looks wrong\n"
    assert "2002-12-23 price" in quantlytic("data", "quality", str(market_data), "--ticker", "IBM")[1]
    code, _, err = quantlytic("data", "quality", str(market_data), "--ticker", "NONE")
    assert (code, err.count("\n")) == (2, 1)
    assert quantlytic("data", "quality", "none.csv")[0] == 2
