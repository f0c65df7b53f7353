"""`quantlytic run`: services in processes of their own, each once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.ports import free_port

from quantlytic.app.commands.run import EDGES, command
from quantlytic.app.wiring.services import SERVICES


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A new home, and a venue that is not there."""
    return {
        **os.environ, "QUANTLYTIC_HOME": str(tmp_path / "home"), "QUANTLYTIC_VENUE__BOX_PORT": str(free_port()),
        "QUANTLYTIC_ALERTS__PORT": "0",
    }  # fmt: skip


@contextmanager
def running(cwd: Path, environment: dict[str, str], *words: str) -> Iterator[subprocess.Popen[str]]:
    """The process, once it says that the last of its services runs."""
    with subprocess.Popen(
        [sys.executable, "-m", "quantlytic", "run", *words],
        env=environment, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            said = [process.stdout.readline() for word in words if not word.startswith("--")]
            assert said[-1] == "notifier runs\n", said + process.stderr.readlines()
            yield process
        finally:
            process.kill()


def test_people_are_told_before_a_venue_was_ever_asked(environment: dict[str, str], tmp_path: Path) -> None:
    with running(tmp_path, environment, "notifier", "alerts") as process:
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")


def test_a_second_notifier_is_refused_or_takes_over(environment: dict[str, str], tmp_path: Path) -> None:
    with running(tmp_path, environment, "notifier") as first:
        command = [sys.executable, "-m", "quantlytic", "run", "notifier"]
        second = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert second.returncode == 2
        assert second.stderr.startswith(
            f"quantlytic: notifier runs already: `quantlytic run notifier` (process {first.pid}"
        )
        assert second.stderr.endswith("end that one first, or take its place with --take-over\n")
        from quantlytic.store.control import open_control
        from quantlytic.store.control.records import Message

        with running(tmp_path, environment, "notifier", "--take-over") as third:
            with open_control(tmp_path / "home") as control:  # its courier notices when it wants to write
                control.messages.put([
                    Message(message_id="a" * 64, recipient="you@localhost", channel="mail", kind="test", cause="x",
                            subject="Test", payload=b"", created_ns=1),
                ])  # fmt: skip
            third.send_signal(signal.SIGTERM)
            assert third.wait(30) == 0
        first.send_signal(signal.SIGTERM)
        _, err = first.communicate(timeout=30)
    # whichever of its two services wrote something in the meantime says who deposed it; it ends for lack of all at the latest
    assert first.returncode in (0, 4), err
    assert all("--take-over` (process" in line for line in err.splitlines()), err


def test_the_help_names_every_service() -> None:
    said = CliRunner().invoke(command, ["--help"]).output
    assert [name for name in (*SERVICES, *EDGES) if f" {name} " not in said] == []
