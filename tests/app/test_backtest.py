"""`quantlytic backtest`: what it prints, what it keeps, and one line for everything that is wrong."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from quantlytic.app.cli import main
from quantlytic.app.commands.backtest import parse_params, sparkline
from quantlytic.model.errors import InputError
from quantlytic.store.control import open_control
from quantlytic.store.home import home_folder

SYMBOLS = ("BTCUSDT", "DOGEUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


def quantlytic(folder: Path, *arguments: str) -> Done:
    """Run the command in `folder`, as its entry point does but in this process: a new one takes a second to start."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(folder)
        patch.delenv("QUANTLYTIC_HOME", raising=False)
        patch.setattr(sys, "argv", ["quantlytic", *arguments])
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
    return Done(code, out.getvalue(), err.getvalue())


def answer(folder: Path, *arguments: str) -> dict[str, Any]:
    done = quantlytic(folder, "backtest", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bars") / "bars.csv"
    close = 100 * np.exp(np.cumsum(np.random.default_rng(3).normal(0, 0.01, 600)))
    opens = np.append(100.0, close[:-1])
    table = {
        "ts": 1_700_000_000_000_000_000 + 60_000_000_000 * np.arange(600),
        "symbol": "BTCUSDT",
        "open": opens,
        "high": np.maximum(opens, close) + 0.1,
        "low": np.minimum(opens, close) - 0.1,
        "close": close,
        "volume": np.ones(600),
    }
    pl.DataFrame(table).write_csv(path)
    return path


def test_json_and_what_is_kept(tmp_path: Path, bars: Path) -> None:
    arguments = ("sma-cross", "--data", str(bars), "--symbol", "BTCUSDT", "-p", "fast=5", "-p", "slow=20")
    first = answer(tmp_path, *arguments, "--cash", "5000", "--fee-bps", "2.5")
    assert first["params"] == {"fast": 5, "slow": 20, "weight": 0.99}
    assert (first["cash"], first["fee_bps"], first["bars"]) == (5000, 2.5, 600)
    folder = tmp_path / "quantlytic-data" / "runs" / first["run_id"]
    assert sorted(path.name for path in folder.iterdir()) == [
        "equity.csv",
        "equity.parquet",
        "fills.csv",
        "manifest.json",
        "round_trips.csv",
        "summary.json",
    ]
    assert json.loads((folder / "summary.json").read_text()) == first
    assert json.loads((folder / "manifest.json").read_text())["digest"] == first["digest"]
    equity = pl.read_parquet(folder / "equity.parquet")
    assert equity["equity"][-1] == first["final_equity"]
    assert len(equity) == 600
    with (folder / "fills.csv").open() as file:
        fills = list(csv.DictReader(file))
    assert len(fills) == first["fills"] > 4
    assert sum(float(fill["fee"]) for fill in fills) == pytest.approx(first["fees_paid"])
    again = answer(tmp_path, *arguments, "--cash", "5000", "--fee-bps", "2.5")
    assert {**again, "elapsed_s": 0} == {**first, "elapsed_s": 0}
    other = answer(tmp_path, *arguments[:-1], "slow=30")
    assert other["run_id"] != first["run_id"]
    with open_control(tmp_path / "quantlytic-data") as control:
        runs, trials = control.runs.list(), control.trials.list()
    assert [run.run_id for run in runs] == [first["run_id"], other["run_id"]]
    assert [trial.run_id for trial in trials] == [run.run_id for run in runs]
    assert {run.status for run in runs} == {"finished"}
    assert runs[0].digest == first["digest"]
    assert runs[0].params["slow"] == 20
    assert runs[0].bar_size_ns == 60_000_000_000


def test_in_a_process_of_its_own(tmp_path: Path, bars: Path) -> None:
    command = [sys.executable, "-m", "quantlytic", "backtest", "sma-cross", "--data", str(bars), "--json"]
    good = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    assert (good.returncode, good.stderr) == (0, "")
    assert json.loads(good.stdout)["digest"] == answer(tmp_path, *command[4:-1])["digest"]
    bad = subprocess.run(
        [*command, "-p", "fast=1"], cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False
    )
    assert (bad.returncode, bad.stdout, bad.stderr.count("\n")) == (2, "", 1)


def test_runs_lists_it(tmp_path: Path, bars: Path) -> None:
    run_id = answer(tmp_path, "sma-cross", "--data", str(bars))["run_id"]
    listed = json.loads(quantlytic(tmp_path, "runs", "--json").stdout)
    assert [(run["run_id"], run["mode"], run["strategy"]) for run in listed] == [(run_id, "backtest", "sma-cross")]
    assert listed[0]["start"] == "2023-11-14T22:13:20.000000Z"


def test_for_people(tmp_path: Path, bars: Path) -> None:
    done = quantlytic(tmp_path, "backtest", "sma-cross", "--data", str(bars), "-p", "fast=5", "-p", "slow=20")
    assert done.returncode == 0, done.stderr
    for words in ("sma-cross fast=5 slow=20", "BTCUSDT", "final equity", "max drawdown", "▁", "█"):
        assert words in done.stdout
    report = tmp_path / done.stdout.splitlines()[-1].removeprefix("report").strip()
    assert report.name == "report.html"
    assert "<!doctype html>" in report.read_text()


@pytest.mark.parametrize(
    ("volume", "told"),
    [(0.0, ""), (1e9, ""), (15_000.0, " % of their bar's volume"), (1.0, " times their bar's volume")],
)
def test_fills_that_are_large_beside_their_bars_are_told(tmp_path: Path, bars: Path, volume: float, told: str) -> None:
    path = tmp_path / "bars.csv"
    pl.read_csv(bars).with_columns(pl.lit(volume).alias("volume")).write_csv(path)
    done = quantlytic(tmp_path, "backtest", "sma-cross", "--data", str(path), "-p", "fast=5", "-p", "slow=20")
    lines = [line for line in done.stdout.splitlines() if line.startswith("fills: ")]
    assert done.returncode == 0, done.stderr
    assert len(lines) == (1 if told else 0)
    assert told in "".join(lines).replace("\u202f", " ").replace("\u00a0", " ")


def test_report_goes_where_it_is_wanted(tmp_path: Path, bars: Path) -> None:
    answer(tmp_path, "sma-cross", "--data", str(bars), "--report", "mine.html")
    assert "<!doctype html>" in (tmp_path / "mine.html").read_text()


def test_strategy_of_ones_own_compiled_and_debug(tmp_path: Path, bars: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from quantlytic import Strategy, param\n"
        "class Dip(Strategy):\n"
        "    drop: float = param(0.01, low=0, high=0.5)\n"
        "    def setup(self):\n"
        "        self.last = 0.0\n"
        "    def on_bar(self, bar, broker):\n"
        "        if broker.is_flat and bar.close < self.last * (1 - self.drop):\n"
        "            broker.target_weight(0.5)\n"
        "        elif broker.is_long and bar.close > self.last:\n"
        "            broker.close()\n"
        "        self.last = bar.close\n"
    )
    compiled = answer(tmp_path, "mine.py:Dip", "--data", str(bars), "-p", "drop=0.015")
    debug = answer(tmp_path, "mine.py:Dip", "--data", str(bars), "-p", "drop=0.015", "--debug")
    assert compiled["fills"] > 10
    assert (compiled["mode"], debug["mode"]) == ("compiled", "debug")
    assert compiled["digest"] == debug["digest"]
    assert compiled["run_id"] == debug["run_id"]
    assert compiled["strategy"] == "mine.py:Dip"


BAD = {
    "unknown strategy": (("sma-croos",), 2, "sma-cross"),
    "no such file": (("none.py:Mine",), 2, "none.py"),
    "unknown parameter": (("sma-cross", "-p", "fats=5"), 2, "fast"),
    "out of range": (("sma-cross", "-p", "fast=1"), 2, "from 2 to 200"),
    "not a number": (("sma-cross", "-p", "fast=abc"), 2, "fast=abc"),
    "a fraction": (("sma-cross", "-p", "fast=5.5"), 2, "whole number"),
    "no equals sign": (("sma-cross", "-p", "fast"), 2, "NAME=VALUE"),
    "twice": (("sma-cross", "-p", "fast=5", "-p", "fast=6"), 2, "already"),
    "no cash": (("sma-cross", "--cash", "0"), 2, "cash"),
    "negative cash": (("sma-cross", "--cash", "-5"), 2, "cash"),
    "nan cash": (("sma-cross", "--cash", "nan"), 2, "cash"),
    "fee": (("sma-cross", "--fee-bps", "1e9"), 2, "bps"),
    "unknown symbol": (("sma-cross", "--symbol", "DOGE"), 2, "BTCUSDT"),
    "bar size": (("sma-cross", "--bar-size", "15x"), 2, "15x"),
    "long bar size": (("sma-cross", "--bar-size", "99999999d"), 2, "too long"),
    "cash in words": (("sma-cross", "--cash", "much"), 2, "See: quantlytic backtest --help"),
    "lines in a name": (("sma\ncross\x1b[31m",), 2, "no strategy"),
    "device": (("sma-cross", "--report", "/dev/null"), 2, "not a regular file"),
    "no strategy": ((), 2, "name a strategy"),
    "no time": (("sma-cross", "--start", "yesterday"), 2, "'yesterday' is no time"),
    "empty range": (("sma-cross", "--start", "2030-01-01"), 2, "no bars that open in that range"),
    "two sources": (("sma-cross", "--lake"), 2, "backtest reads bars of one place: "),
    "benchmark": (("sma-cross", "--benchmark", "none.csv"), 2, "none.csv does not exist"),
    "no run": (("--from-manifest", "bt-none"), 2, "no back-test 'bt-none'"),
    "no last run": (("--from-manifest", "last"), 2, "none is last"),
    "no manifest": (("--from-manifest", "none.json"), 2, "no manifest"),
    "report": (("sma-cross", "--report", "none/there/report.html"), 2, "report"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_requests_are_one_line(tmp_path: Path, bars: Path, case: str) -> None:
    arguments, code, words = BAD[case]
    done = quantlytic(tmp_path, "backtest", *arguments, "--data", str(bars), "--json")
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.count("\n") == 1, done.stderr
    assert words in done.stderr


EXITS = {
    "file": "import sys\nsys.exit(0)\n",
    "setup": "import sys\nimport quantlytic as ql\n\nclass Mine(ql.Strategy):\n    def setup(self):\n        sys.exit(0)\n\n"
    "    def on_bar(self, bar, broker):\n        pass\n",
    "lines": "raise ValueError('one\\ntwo')\n",
    "nul": "\0\n",
    "size": "import numpy as np\nimport quantlytic as ql\n\nclass Mine(ql.Strategy):\n    def setup(self):\n"
    "        self.a = np.broadcast_to(np.float64(1), 1 << 30)\n\n    def on_bar(self, bar, broker):\n        pass\n",
}


@pytest.mark.parametrize("case", EXITS)
def test_strategies_that_end_the_program_or_the_line_are_one_line(tmp_path: Path, bars: Path, case: str) -> None:
    (tmp_path / "mine.py").write_text(EXITS[case])
    done = quantlytic(tmp_path, "backtest", "mine.py", "--data", str(bars), "--json")
    assert (done.returncode, done.stdout) == (7, "")
    assert done.stderr.startswith("quantlytic: ")
    assert done.stderr.count("\n") == 1, done.stderr


def test_bad_files_are_one_line(tmp_path: Path, bars: Path) -> None:
    lines = bars.read_text().splitlines(keepends=True)
    cells = lines[300].split(",")
    files = {
        "missing.csv": (None, 2, "does not exist"),
        "empty.csv": ("", 3, "is empty"),
        "nan.csv": ("".join([*lines[:300], ",".join([*cells[:5], "nan", cells[6]]), *lines[301:]]), 3, "row 300"),
        "back.csv": ("".join([*lines[:300], lines[290], *lines[301:]]), 3, "goes back"),
        "column.csv": ("".join(line.rpartition(",")[0] + "\n" for line in lines), 3, "no column 'volume'"),
        "cut.parquet": ("PAR1 and then nothing", 3, "not a whole Parquet file"),
    }
    for name, (content, code, words) in files.items():
        if content is not None:
            (tmp_path / name).write_text(content)
        done = quantlytic(tmp_path, "backtest", "sma-cross", "--data", name, "--json")
        assert (done.returncode, done.stdout) == (code, ""), name
        assert done.stderr.startswith(f"quantlytic: {name}")
        assert done.stderr.count("\n") == 1
        assert words in done.stderr
    assert not (tmp_path / "quantlytic-data").exists()


def test_damaged_control_store_is_one_line(tmp_path: Path, bars: Path) -> None:
    (tmp_path / "quantlytic-data").mkdir()
    (tmp_path / "quantlytic-data" / "control.db").write_bytes(b"no database at all" * 1000)
    done = quantlytic(tmp_path, "backtest", "sma-cross", "--data", str(bars), "--json")
    assert done.returncode == 4
    assert done.stderr.count("\n") == 1
    assert "control.db" in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_home_that_cannot_be_written_is_one_line(tmp_path: Path, bars: Path) -> None:
    tmp_path.chmod(0o500)
    done = quantlytic(tmp_path, "backtest", "sma-cross", "--data", str(bars), "--json")
    assert done.returncode == 4
    assert done.stderr.count("\n") == 1


def test_holes_are_refused_unless_allowed(tmp_path: Path, bars: Path) -> None:
    lines = bars.read_text().splitlines(keepends=True)
    (tmp_path / "holes.csv").write_text("".join([*lines[:100], *lines[103:]]))
    refused = quantlytic(tmp_path, "backtest", "sma-cross", "--data", "holes.csv", "--json")
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (3, "", 1)
    assert "3 bars are missing" in refused.stderr
    assert "--allow-gaps" in refused.stderr
    found = answer(tmp_path, "sma-cross", "--data", "holes.csv", "--allow-gaps", "--report", "report.html")
    assert found["holes"] == 3
    assert "3 bars are missing in the data" in (tmp_path / "report.html").read_text()


def test_a_market_of_assumptions(tmp_path: Path, bars: Path) -> None:
    (tmp_path / "market.toml").write_text(
        'path = "ohlc"\n[fees]\ntaker_bps = 10.0\n[slippage]\nmodel = "fixed"\nbps = 5.0\n'
    )
    given = ("sma-cross", "--data", str(bars), "-p", "fast=5", "-p", "slow=20")
    found = answer(tmp_path, *given, "--market", "market.toml", "--report", "report.html")
    assert found["slippage_paid"] > 0
    assert "open, high, low, close" in (tmp_path / "report.html").read_text()
    assert answer(tmp_path, *given, "--slippage-bps", "5")["slippage_paid"] == pytest.approx(found["slippage_paid"])
    assert answer(tmp_path, "--from-manifest", found["run_id"])["reproduced"] is True
    for more, words in (
        (("--market", "market.toml", "--fee-bps", "1"), "leave out --fee-bps"),
        (("--market", "none.json"), "does not exist"),
        (("--market", str(bars)), "cannot be read as JSON or TOML"),
    ):
        refused = quantlytic(tmp_path, "backtest", *given, *more)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
        assert words in refused.stderr


def test_a_range_and_a_benchmark(tmp_path: Path, bars: Path) -> None:
    found = answer(
        tmp_path, "sma-cross", "--data", str(bars), "--start", "2023-11-14T23:00", "--end", "2023-11-15T02:00",
        "--benchmark", f"{bars}:BTCUSDT",
    )  # fmt: skip
    assert found["bars"] == 180
    assert found["start"] == "2023-11-14T23:00:20.000000Z"
    assert found["sharpe"] is None
    assert "nothing is annualised below 30 days" in found["reasons"]["sharpe"]
    assert found["benchmark_return"] is not None


def test_the_verdict_counts_every_trial(tmp_path: Path, bars: Path) -> None:
    for count, fast in enumerate(("5", "7", "9"), 1):
        found = answer(tmp_path, "sma-cross", "--data", str(bars), "-p", f"fast={fast}", "-p", "slow=20")
        assert found["verdict"]["figures"]["trials"] == count
    part = answer(tmp_path, "sma-cross", "--data", str(bars), "--start", "2023-11-15")  # no fresh data: it overlaps
    assert part["verdict"]["figures"]["trials"] == 4
    assert found["verdict"]["label"] in found["verdict"]["sentence"]


def test_from_manifest(tmp_path: Path, bars: Path) -> None:
    mine = tmp_path / "bars.csv"
    mine.write_text(bars.read_text())
    run_id = answer(tmp_path, "sma-cross", "--data", "bars.csv", "-p", "fast=5", "-p", "slow=20")["run_id"]
    manifest = f"quantlytic-data/runs/{run_id}/manifest.json"
    for name in (manifest, run_id):
        again = answer(tmp_path, "--from-manifest", name)
        assert again["reproduced"] is True
        assert again["run_id"] == run_id
    newer = answer(tmp_path, "sma-cross", "--data", "bars.csv", "-p", "fast=6", "-p", "slow=20")["run_id"]
    for name, meant in (("last", newer), ("last~1", run_id), (run_id[:9], run_id)):
        assert answer(tmp_path, "--from-manifest", name)["run_id"] == meant
    assert "to the last bit" in quantlytic(tmp_path, "backtest", "--from-manifest", run_id).stdout
    for more in (("sma-cross",), ("--cash", "5"), ("-p", "fast=3")):
        refused = quantlytic(tmp_path, "backtest", "--from-manifest", run_id, *more)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
        assert "leave out" in refused.stderr
    mine.write_text(mine.read_text().replace(",1.0\n", ",2.0\n", 1))
    changed = quantlytic(tmp_path, "backtest", "--from-manifest", run_id, "--json")
    assert (changed.returncode, changed.stdout, changed.stderr.count("\n")) == (6, "", 1)
    assert "data changed (bars.csv)" in changed.stderr
    mine.unlink()
    assert quantlytic(tmp_path, "backtest", "--from-manifest", run_id).returncode == 2


def test_a_strategy_that_raises_leaves_a_failed_run(tmp_path: Path, bars: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from quantlytic import Strategy\n"
        "class Breaks(Strategy):\n"
        "    def setup(self):\n"
        "        self.seen = 0\n"
        "    def on_bar(self, bar, broker):\n"
        "        self.seen += 1\n"
        "        if self.seen == 300:\n"
        "            raise ValueError('enough')\n"
    )
    done = quantlytic(tmp_path, "backtest", "mine.py", "--data", str(bars), "--json", "--debug")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (7, "", 1)
    for words in ("mine.py:8", "bar 299", "enough", "seen=300"):
        assert words in done.stderr
    (run,) = json.loads(quantlytic(tmp_path, "runs", "--json").stdout)
    assert run["status"] == "failed"
    assert run["summary"]["failure"]["bar"] == 299
    assert (tmp_path / "quantlytic-data" / "runs" / run["run_id"] / "failure.json").is_file()


def test_bars_of_the_lake(tmp_path: Path, bars: Path) -> None:
    from quantlytic.model.bar import Bar
    from quantlytic.store.lake import Lake

    table = pl.read_csv(bars)
    rows = [
        Bar("box:BTCUSDT", ts, ts + 60_000_000_000, *prices, 1.0)
        for ts, *prices in table.select("ts", "open", "high", "low", "close").rows()
    ]
    Lake(tmp_path / "quantlytic-data" / "lake").append("bars.box", range(len(rows)), rows)
    lake = ("--lake", "--symbol", "box:BTCUSDT", "--bar-size", "1m")
    found = answer(tmp_path, "sma-cross", *lake, "-p", "fast=5", "-p", "slow=20")
    assert found["instruments"] == ["box:BTCUSDT"]
    assert (
        found["final_equity"]
        == answer(tmp_path, "sma-cross", "--data", str(bars), "-p", "fast=5", "-p", "slow=20")["final_equity"]
    )
    assert answer(tmp_path, "--from-manifest", found["run_id"])["reproduced"] is True


def test_all_symbols_of_real_data(tmp_path: Path, market_data: Path) -> None:
    data = str(market_data / "binance_spot_15m_staticklines.parquet")
    for symbol in SYMBOLS:
        found = answer(tmp_path, "sma-cross", "--data", data, "--symbol", symbol, "-p", "fast=50", "-p", "slow=200")
        assert (found["bars"], found["holes"]) == (46_673, 0)
        assert found["fills"] > 200
        assert -1 < found["max_drawdown"] < 0
    together = answer(tmp_path, "sma-cross", "--data", data, "-p", "weight=0.19")
    assert together["bars"] == 233_365
    assert len(together["instruments"]) == 5


def test_parse_params() -> None:
    assert parse_params(("fast=5", "weight = 0.5", "flag=true", "big=1e3")) == {
        "fast": 5, "weight": 0.5, "flag": True, "big": 1000.0,
    }  # fmt: skip
    for wrong in (("fast",), ("=5",), ("fast=",), ("a=1", "a=2"), ("a=b",)):
        with pytest.raises(InputError):
            parse_params(wrong)


def test_sparkline() -> None:
    assert sparkline([1.0, 2.0, 3.0]) == "▁▅█"
    assert sparkline([5.0] * 200) == "▁" * 60
    assert sparkline([float(x) for x in range(1000)], 8) == "▁▂▃▄▅▆▇█"


@pytest.mark.parametrize(
    ("toml", "environment"),
    [(None, None), ('home = "there"', None), ('home = "there"', "elsewhere"), ("run_for = 5.0", None)],
)
def test_home_is_that_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toml: str | None, environment: str | None
) -> None:
    from quantlytic.app.config import load_settings

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QUANTLYTIC_HOME", raising=False)
    if toml is not None:
        Path("quantlytic.toml").write_text(toml)
    if environment is not None:
        monkeypatch.setenv("QUANTLYTIC_HOME", environment)
    assert home_folder() == load_settings().home


def test_an_empty_home_is_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    from quantlytic.app.config import load_settings

    monkeypatch.setenv("QUANTLYTIC_HOME", "")
    for read in (home_folder, load_settings):
        with pytest.raises(InputError, match="QUANTLYTIC_HOME"):
            read()


def test_settings_that_cannot_be_read_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QUANTLYTIC_HOME", raising=False)
    for wrong in ("home = ", "home = 5"):
        Path("quantlytic.toml").write_text(wrong)
        with pytest.raises(InputError):
            home_folder()


def test_raw_prices_of_a_stock_that_split(tmp_path: Path, market_data: Path) -> None:
    asked = ("sma-cross", "--data", str(market_data / "equity_daily_lean.parquet"), "--symbol", "AAPL", "--allow-gaps")
    refused = quantlytic(tmp_path, "backtest", *asked)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (3, "", 1)
    assert "like 2:1" in refused.stderr
    found = answer(tmp_path, *asked, "--allow-splits")
    assert found["unadjusted_splits"] == 4
    assert answer(tmp_path, "--from-manifest", found["run_id"])["reproduced"] is True
