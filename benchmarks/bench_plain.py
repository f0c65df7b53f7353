"""A strategy in plain Python on workload A, beside raptorbt's Python class: SMA 50/200, 99 % of equity, 10 bps, next open.

    python benchmarks/bench_plain.py [--json] [--bars N]

Ours (`PythonStrategy`) and raptorbt's class are processes of their own that take turns; medians, and the CPU time besides,
since other work on the machine slows both. `columns`: the averages are worked out before the run, as raptorbt's example does
(ours tests that they know no later bar); `incremental`: by `SMA` objects, bar by bar, in Python.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from bench_engine import workload
from bench_sweep import peer_python

from quantlytic import Bars, Fees, PythonStrategy, Session
from quantlytic.indicators import SMA

TURNS = 3
HERE = Path(__file__).resolve().parent


class Columns(PythonStrategy):
    """On averages worked out before the run."""

    def setup(self) -> None:
        self.fast = self.column(lambda bars: SMA.over(np.ascontiguousarray(bars["close"]), period=50))
        self.slow = self.column(lambda bars: SMA.over(np.ascontiguousarray(bars["close"]), period=200))

    def on_bar(self, bar: Any, broker: Any) -> None:
        if broker.is_flat:
            if self.fast.now > self.slow.now:
                broker.target_weight(0.99)
        elif self.fast.now < self.slow.now:
            broker.close()


class Incremental(PythonStrategy):
    """On averages that go along."""

    def setup(self) -> None:
        self.fast, self.slow = SMA(50), SMA(200)

    def on_bar(self, bar: Any, broker: Any) -> None:
        fast, slow = self.fast.update(bar.close), self.slow.update(bar.close)
        if broker.is_flat:
            if fast > slow:
                broker.target_weight(0.99)
        elif fast < slow:
            broker.close()


def run(kind: type[PythonStrategy], bars: Bars) -> dict[str, Any]:
    """One run of one strategy, after a short one that loads what is compiled."""
    Session(kind, bars.instruments, 1e6, Fees(taker_bps=10)).run(Bars(bars.array[:2_000], bars.instruments))
    session = Session(kind, bars.instruments, 1e6, Fees(taker_bps=10))
    begun, used = time.perf_counter(), time.process_time()
    session.run(bars)
    took, cpu = time.perf_counter() - begun, time.process_time() - used
    rates = {"bars_per_s": len(bars) / took, "bars_per_cpu_s": len(bars) / cpu}
    return rates | {"fills": len(session.fills), "final_equity": float(session.equity[-1])}


def measure(count: int) -> dict[str, Any]:
    """All figures, as a dictionary for JSON."""
    found: dict[str, list[dict[str, Any]]] = {"columns": [], "incremental": [], "raptorbt": []}
    missing = ""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "bars.npz"
        array = workload(count).array
        names = ("open", "high", "low", "close", "volume")
        np.savez(data, ts=array["open_time"], **{name: array[name] for name in names})
        try:
            commands = {"raptorbt": [str(peer_python()), str(HERE / "peer_raptorbt_class.py"), str(data)]}
        except (OSError, subprocess.CalledProcessError) as error:
            commands, missing = {}, f"raptorbt could not be measured: {error}"
        for name in ("columns", "incremental"):
            commands[name] = [sys.executable, str(HERE / "bench_plain.py"), "--one", name, "--bars", str(count)]
        for _ in range(TURNS):
            for name, command in commands.items():
                done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ, cwd=HERE)
                found[name].append(json.loads(done.stdout.splitlines()[-1]))
    result: dict[str, Any] = {"bars": count}
    for name, runs in found.items():
        if runs:
            rates = {
                key: round(statistics.median(one[key] for one in runs)) for key in ("bars_per_s", "bars_per_cpu_s")
            }
            result[name] = rates | {key: runs[0][key] for key in ("fills", "final_equity")}
    if missing:
        return result | {"raptorbt": {"missing": missing}}
    for name in ("columns", "incremental"):
        for key in ("bars_per_s", "bars_per_cpu_s"):
            result[f"ratio_{name}_{key}"] = round(result[name][key] / result["raptorbt"][key], 2)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description="A plain Python strategy beside raptorbt's class, on workload A.")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--bars", type=int, default=1_000_000)
    parser.add_argument("--one", choices=["columns", "incremental"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(run(Columns if options.one == "columns" else Incremental, workload(options.bars))))
        return
    result = measure(options.bars)
    if options.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name:36} {value}")


if __name__ == "__main__":
    main()
