"""`import quantlytic` is quick, and offers what it says."""

from __future__ import annotations

import subprocess
import sys

import quantlytic

SCRIPT = """
import sys, time
begun = time.perf_counter()
import quantlytic
took = time.perf_counter() - begun
heavy = {"numba", "numpy", "polars", "msgspec", "click"} & set(sys.modules)
quantlytic.Strategy, quantlytic.Session, quantlytic.Fees, quantlytic.Bars, quantlytic.Indicator
print(took, heavy, "numba" in sys.modules)
"""


def test_import_is_quick_and_numba_waits() -> None:
    out = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True).stdout
    took, heavy, numba = out.split(maxsplit=2)[0], out.split(" ", 1)[1].rsplit(" ", 1)[0], out.split()[-1]
    assert heavy == "set()"
    assert numba == "False"
    assert float(took) < 0.2  # 2 ms on an idle machine


def test_names_are_there() -> None:
    for name in quantlytic.__all__:
        assert getattr(quantlytic, name).__name__ == name
    assert set(quantlytic.__all__) <= set(dir(quantlytic))
    assert not hasattr(quantlytic, "nothing")
