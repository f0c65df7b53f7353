"""The same tasks under a real Airflow, in its own environment: the same tables.

`make test-airflow` makes that environment in .cache/airflow, from deploy/airflow/requirements.txt.
"""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.daily.world import EQUITIES, PAIRS, assert_same_tables, make_files, revisions, tables

from quantlytic.daily.runner import TASKS
from quantlytic.store.control import open_control

ROOT = Path(__file__).resolve().parents[2]
DAG = ROOT / "deploy" / "airflow" / "quantlytic_daily.py"
AIRFLOW = ROOT / ".cache" / "airflow" / "venv" / "bin"
DAY = "2017-09-01"
NAMES = [*(f"usa:{one}" for one in EQUITIES), *(f"binance:{one}" for one in PAIRS)]


def test_the_dag_has_the_same_tasks_and_needs() -> None:
    """Read from its source: Airflow itself need not be there."""
    source = DAG.read_text()
    block = re.search(r"NEEDS: .*? = (\{.*?\n\})", source, re.DOTALL)
    assert block is not None
    needs: dict[str, tuple[str, ...]] = eval(block[1])  # a literal of names
    assert needs == {task.name: task.needs for task in TASKS.values()}


def test_the_requirements_name_no_hosts() -> None:
    text = (DAG.parent / "requirements.txt").read_text()
    assert "://" not in text
    assert re.search(r"^apache-airflow==3\.", text, re.MULTILINE)
    assert text.count("--hash=") > text.count("==")


@pytest.fixture
def command(tmp_path: Path, market_data: Path) -> Path:
    """`quantlytic daily` with the options of this test, as a program that both call."""
    files = make_files(tmp_path / "files", market_data)
    options = [
        *(part for name in NAMES for part in ("--instrument", name)),
        "--candidate",
        "sma-cross",
        "--folds",
        "2",
        "--draws",
        "2",
    ]
    path = tmp_path / "daily.sh"
    path.write_text(
        f'#!/bin/sh\ncd "{ROOT}" && exec "{sys.executable}" -m tests.daily.daily_process --source "files:{files}" '
        + " ".join(options) + ' "$@"\n'
    )  # fmt: skip
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def airflow(folder: Path, *arguments: str, **environment: str) -> str:
    settings = {
        "AIRFLOW_HOME": str(folder), "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__CORE__DAGS_FOLDER": str(DAG.parent),
        "PYTHONPATH": "", **environment,
    }  # fmt: skip
    found = subprocess.run(arguments, env=os.environ | settings, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr[-3000:] + found.stdout[-3000:]
    return found.stdout


@pytest.mark.airflow
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_under_airflow_the_tables_are_the_same(command: Path, tmp_path: Path) -> None:
    """30 equities and 5 pairs by hand and by `dag.test()`; the DAG run twice: the second changes nothing."""
    if not (AIRFLOW / "airflow").exists():
        pytest.skip("no Airflow in .cache/airflow: make test-airflow")
    by_hand, by_airflow = tmp_path / "by-hand", tmp_path / "by-airflow"
    environment = os.environ | {"QUANTLYTIC_HOME": str(by_hand)}
    subprocess.run([command, "--date", DAY, "--json"], env=environment, check=True, capture_output=True)

    airflow(tmp_path / "airflow", str(AIRFLOW / "airflow"), "db", "migrate")
    run = (str(AIRFLOW / "python"), str(ROOT / "tests" / "daily" / "airflow_dag.py"), str(DAG), DAY)
    variables = {"QUANTLYTIC_HOME": str(by_airflow), "AIRFLOW_VAR_QUANTLYTIC_DAILY": str(command)}
    found: dict[str, Any] = json.loads(airflow(tmp_path / "airflow", *run, **variables).splitlines()[-1])
    assert found["state"] == "success"
    assert found["states"] == dict.fromkeys(TASKS, "success")
    assert found["needs"] == {task.name: sorted(task.needs) for task in TASKS.values()}
    assert set(tables(by_airflow)["bars"]["instrument"]) == set(NAMES)
    assert_same_tables(by_airflow, by_hand)

    before = revisions(by_airflow)
    again = json.loads(airflow(tmp_path / "airflow", *run, **variables).splitlines()[-1])
    assert again["state"] == "success"
    assert revisions(by_airflow) == before
    with open_control(by_airflow) as control:
        assert {one.attempts for one in control.tasks.list(DAY)} == {1}
