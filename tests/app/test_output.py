"""An output that takes no more: a full disk is one line, a reader that has enough none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MAIN = "from quantlytic.app.cli import main; import sys; sys.argv = ['quantlytic', '--help']; main()"


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="no /dev/full here")
def test_a_full_output_is_one_line() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", MAIN], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 4
    assert done.stderr == "quantlytic: the output cannot be used: No space left on device\n"


def test_a_reader_that_has_enough_is_no_error() -> None:
    process = subprocess.Popen([sys.executable, "-c", MAIN], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr as errors:
        assert errors.read() == ""
    process.wait(30)
