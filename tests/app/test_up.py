"""`quantlytic up`, as a person meets it: it acts, ends cleanly, resumes, and says in one line what is wrong."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from tests.app.conftest import Command, answer
from tests.ports import free_port

from quantlytic.store.log import open_log


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "QUANTLYTIC_HOME": str(tmp_path / "home"),
        "QUANTLYTIC_WEB__PORT": "0",
        "QUANTLYTIC_VENUE__BOX_PORT": str(free_port()),
        "QUANTLYTIC_STRATEGY__BAR": "200ms",
        "QUANTLYTIC_STRATEGY__PARAMS": '{"fast": 2, "slow": 5, "weight": 0.4}',
    }


def process(
    *arguments: str, environment: dict[str, str], cwd: Path, timeout_s: float = 90
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "quantlytic", *arguments]
    return subprocess.run(
        command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=timeout_s, check=False
    )


def counted(name: str, text: str) -> int:
    found = re.search(rf"{name}:\s+([\d,]+)", text)
    assert found, text
    return int(found[1].replace(",", ""))


def test_it_acts_ends_cleanly_and_resumes(environment: dict[str, str], quantlytic: Command, tmp_path: Path) -> None:
    environment["QUANTLYTIC_RUN_FOR"] = "6"
    first = process("up", environment=environment, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert first.stderr == ""
    assert counted("messages recorded", first.stdout) > 300
    assert counted("events lost", first.stdout) == 0
    for what in ("bars", "signals", "orders", "fills", "notices"):
        assert counted(what, first.stdout) > 0, first.stdout
    mails = list((tmp_path / "home" / "outbox").glob("*.eml"))
    assert len(mails) == counted("notices", first.stdout) >= counted("signals", first.stdout)

    environment["QUANTLYTIC_RUN_FOR"] = "3"
    second = process("up", environment=environment, cwd=tmp_path)
    assert second.returncode == 0, second.stderr
    assert counted("events lost", second.stdout) == 0
    runs = answer(quantlytic("runs", "--json"))
    assert len(runs) == 1, "the second start went on with the same run"
    assert runs[0]["run_id"] in first.stdout
    assert runs[0]["run_id"] in second.stdout
    parity = answer(quantlytic("parity", "last", "--json"))
    assert parity["mismatches"] == 0
    assert parity["compared"] > parity["bars"] > 20


def wait_for_decisions(folder: Path) -> None:
    """Until all that leads to a decision is at work."""
    with closing(open_log("sqlite", folder=folder)) as log:
        ends_s = time.monotonic() + 60
        while not any(log.bounds(stream)[1] for stream in log.streams("decisions.")):
            assert time.monotonic() < ends_s
            time.sleep(0.1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(number: int, environment: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "quantlytic", "up"]
    with subprocess.Popen(
        command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline().startswith("page:")
        wait_for_decisions(tmp_path / "home" / "log")
        running.send_signal(number)
        out, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    assert err == ""
    assert counted("events lost", out) == 0


def test_a_port_in_use_is_told_in_one_line(environment: dict[str, str], tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        environment["QUANTLYTIC_WEB__PORT"] = str(taken.getsockname()[1])
        ended = process("up", environment=environment, cwd=tmp_path)
    assert ended.returncode == 2
    assert re.fullmatch(r"quantlytic: port \d+ on 127\.0\.0\.1 is in use.*\n", ended.stderr)


def test_no_network_is_told_in_one_line(environment: dict[str, str], tmp_path: Path) -> None:
    environment["QUANTLYTIC_VENUE__REST_URL"] = f"http://127.0.0.1:{free_port()}"
    ended = process("up", "--venue", "binance", "--symbols", "BTCUSDT", environment=environment, cwd=tmp_path)
    assert ended.returncode == 5
    assert re.fullmatch(r"quantlytic: binance cannot be reached at http.*\n", ended.stderr)


def test_a_damaged_log_is_told_in_one_line(environment: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "home" / "log"
    folder.mkdir(parents=True)
    (folder / "market.db").write_bytes(b"this is no database, whatever its name says" * 100)
    environment["QUANTLYTIC_RUN_FOR"] = "5"
    ended = process("up", environment=environment, cwd=tmp_path)
    assert ended.returncode == 4
    assert re.fullmatch(r"quantlytic: .*market\.db.*\n", ended.stderr)


def test_help_is_quick(environment: dict[str, str], tmp_path: Path) -> None:
    """The goal is 0.3 s; what is asserted is why it holds: no heavy package is loaded."""
    code = (
        "import sys; sys.argv = ['quantlytic', '--help']\n"
        "from quantlytic.app.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print([m for m in ('numpy', 'numba', 'polars', 'sqlalchemy', 'pydantic', 'fastapi') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.splitlines()[-1] == "[]"
