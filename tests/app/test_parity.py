"""`quantlytic parity` proves something, or says that it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from quantlytic.model.instrument import Instrument
from quantlytic.model.run import Run
from quantlytic.store.control import open_control


def test_a_run_without_a_decided_bar_proves_nothing(tmp_path: Path) -> None:
    run = Run("paper-empty", "paper", "box", "sma-cross", {}, (Instrument("box:A"),), 10**9, 1e5, 10.0, 0, "")
    with open_control(tmp_path) as control:
        control.runs.add(run)
    command = [sys.executable, "-m", "quantlytic", "parity", "last", "--json"]
    environment = os.environ | {"QUANTLYTIC_HOME": str(tmp_path)}
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert done.stderr.startswith("quantlytic: paper-empty: the tape holds no bar")
    assert done.stderr.count("\n") == 1
