"""`quantlytic daily` as it is called, and killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.daily.world import assert_same_tables, make_files, revisions

from quantlytic.app.commands.daily import command
from quantlytic.daily.runner import TASKS
from quantlytic.model.errors import InputError, StoreError
from quantlytic.store.control import open_control

ROOT = Path(__file__).resolve().parents[2]
DAY = "2017-08-31"
SMALL = (
    "--instrument",
    "usa:AAPL",
    "--instrument",
    "binance:BTCUSDT",
    "--candidate",
    "sma-cross",
    "--folds",
    "2",
    "--draws",
    "2",
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, market_data: Path) -> Path:
    return make_files(tmp_path_factory.mktemp("files"), market_data)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QUANTLYTIC_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def call(files: Path, *arguments: str) -> str:
    found = CliRunner().invoke(command, ["--source", f"files:{files}", *SMALL, *arguments], catch_exceptions=False)
    assert found.exit_code == 0
    return found.stdout


def test_a_day_by_hand(files: Path, home: Path) -> None:
    planned = call(files, "--date", DAY, "--dry-run")
    assert "2 instruments, 2 with a session, 2 new" in planned
    assert planned.endswith("nothing was done: --dry-run\n")
    assert not (home / "daily" / DAY).exists()

    told = call(files, "--date", DAY)
    assert "2017-08-31\ntask" in told
    assert "2 instruments, 2 due, 2 new" in told
    before = revisions(home)
    again = json.loads(call(files, "--date", DAY, "--json"))
    assert again["date"] == DAY
    assert [one["was_done"] for one in again["tasks"]] == [True] * 9
    assert revisions(home) == before
    assert '"left": []' in call(files, "--date", DAY, "--dry-run", "--json")
    fresh = {one["task"]: one for one in json.loads(call(files, "--date", DAY, "--again", "--json"))["tasks"]}
    assert not any(one["was_done"] for one in fresh.values())
    assert (fresh["repair"]["bars"], fresh["enrich"]["rows"], fresh["recommend"]["instruments"]) == (0, 0, 0)
    assert revisions(home) == before


def test_one_task_after_another(files: Path, home: Path) -> None:
    call(files, "--date", DAY, "--task", "plan")
    with open_control(home) as control:
        assert [one.task for one in control.tasks.list(DAY)] == ["plan"]
    with pytest.raises(InputError, match="needs backfill, which is not done"):
        call(files, "--date", DAY, "--task", "check")


def test_words_that_are_wrong(files: Path, home: Path) -> None:
    with pytest.raises(InputError, match=r"'31\.8\.2017' is no date"):
        call(files, "--date", "31.8.2017")
    with pytest.raises(InputError, match="is not over"):
        call(files, "--date", "2099-12-31")
    with pytest.raises(InputError, match="'AAPL' is no instrument"):
        call(files, "--date", DAY, "--instrument", "AAPL")
    with pytest.raises(InputError, match="is no folder of daily files"):
        CliRunner().invoke(command, ["--source", "files:/nowhere", *SMALL], catch_exceptions=False)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_options_that_come_too_late_are_named(files: Path, home: Path) -> None:
    assert "too late" not in call(files, "--date", DAY, "--task", "plan")
    told = call(files, "--date", DAY, "--task", "plan", "--accept", "usa:AAPL@2017-08-30")
    assert told.endswith(
        "! came too late for tasks that were done before: --instrument (plan); --again begins the day anew\n"
    )
    late = json.loads(call(files, "--date", DAY, "--task", "plan", "--json"))["not_used"]
    assert late == {"--instrument": "plan"}


def test_a_day_of_no_tracked_instrument_cannot_be_accepted(files: Path, home: Path) -> None:
    for text in ("foo", "usa:AAPPL@2017-08-30"):
        with pytest.raises(InputError, match=r"is not tracked; .* one of: usa:AAPL, binance:BTCUSDT"):
            call(files, "--date", DAY, "--accept", "usa:AAPL@2017-08-29", "--accept", text, "--dry-run")
    with open_control(home) as control:
        assert control.preferences.get("daily.accepted", []) == [], "all or nothing"


def test_the_help_names_every_task_and_one_is_no_plural(files: Path, home: Path) -> None:
    said = CliRunner().invoke(command, ["--help"]).stdout
    assert [name for name in TASKS if f" {name} " not in said] == []
    options = ["--source", f"files:{files}", "--date", DAY, "--dry-run", "--instrument", "usa:AAPL"]
    assert f"{DAY}: 1 instrument, 1 with" in CliRunner().invoke(command, options, catch_exceptions=False).stdout


@pytest.mark.slow
def test_killed_in_every_task(files: Path, home: Path, tmp_path: Path) -> None:
    """SIGKILL at a random instant of each task; then the day is finished, and is what it would have been."""
    seed = 20261121
    random_ = random.Random(seed)
    arguments = [
        sys.executable,
        "-m",
        "tests.daily.daily_process",
        "--source",
        f"files:{files}",
        *SMALL,
        "--date",
        DAY,
        "--json",
    ]
    quiet = tmp_path / "quiet"
    environment = os.environ | {"QUANTLYTIC_HOME": str(quiet)}
    subprocess.run(arguments, cwd=ROOT, env=environment, check=True, capture_output=True)
    killed = []
    for name in TASKS:
        with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None and not is_begun(home, name):
                time.sleep(0.01)
            time.sleep(random_.uniform(0.0, 0.2))
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                killed.append(name)
    found = subprocess.run(arguments, cwd=ROOT, check=True, capture_output=True)
    attempts = sum(one["attempts"] for one in json.loads(found.stdout)["tasks"])
    print(f"seed {seed}: killed in {killed}; {attempts} attempts at {len(TASKS)} tasks")
    assert len(killed) >= 5
    assert_same_tables(home, quiet)


def is_begun(home: Path, task: str) -> bool:
    if not (home / "control.db").exists():
        return False
    try:
        with open_control(home) as control:
            return control.tasks.get(DAY, task) is not None
    except StoreError:  # it is being made
        return False
