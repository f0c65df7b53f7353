"""`quantlytic runs`."""

from __future__ import annotations

from pathlib import Path

from tests.app.conftest import Command, answer

from quantlytic.model.instrument import Instrument
from quantlytic.model.run import Run
from quantlytic.store.control import open_control


def enter(home: Path) -> None:
    instruments = (Instrument("box:BTCUSDT"), Instrument("box:ETHUSDT"))
    with open_control(home) as control:
        for run_id, mode in (("zz", "backtest"), ("aa", "paper")):
            control.runs.add(Run(run_id, mode, "box", "sma-cross", {"fast": 4.0}, instruments, 10**9, 1e5, 10.0, 0, ""))
        control.runs.finish("zz", start_ns=0, end_ns=1_723_161_600_000_000_000, digest="d", summary={"sharpe": 1.5})


def test_no_runs(quantlytic: Command, tmp_path: Path) -> None:
    assert answer(quantlytic("runs", "--json")) == []
    assert "no runs" in quantlytic("runs")[1]
    assert list(tmp_path.iterdir()) == []


def test_runs_oldest_first(quantlytic: Command, tmp_path: Path) -> None:
    enter(tmp_path / "home")
    first, second = answer(quantlytic("runs", "--json"))
    assert [first[name] for name in ("run_id", "mode", "strategy", "start", "end")] == [
        "zz", "backtest", "sma-cross", "1970-01-01T00:00:00.000000Z", "2024-08-09T00:00:00.000000Z",
    ]  # fmt: skip
    assert first["summary"] == {"sharpe": 1.5}
    assert first["instruments"] == ["box:BTCUSDT", "box:ETHUSDT"]
    assert (second["run_id"], second["status"], second["start"]) == ("aa", "not begun", None)
    assert [run["run_id"] for run in answer(quantlytic("runs", "--mode", "paper", "--json"))] == ["aa"]


def test_runs_for_people(quantlytic: Command, tmp_path: Path) -> None:
    enter(tmp_path / "home")
    out = quantlytic("runs")[1]
    assert out.index("zz") < out.index("aa")
    assert "fast=4" in out
    assert "BTCUSDT, ETHUSDT" in out


def test_a_damaged_store_is_one_line(quantlytic: Command, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "control.db").write_bytes(b"no database" * 500)
    code, out, err = quantlytic("runs", "--json")
    assert (code, out, err.count("\n")) == (4, "", 1)
