"""The sweep on workload B: 100 pairs of moving averages over 100,000 bars, on two threads.

    python benchmarks/bench_sweep.py [--json]

Ours is a whole process of its own, and so is the peer, raptorbt's batch (in an environment of its own, made on demand under
`.cache/peers`); they take turns, because the machine may be doing other things. `bar_evals_per_s` is the median of the runs of
a process that is warm; `process_s` is the whole process, import and compiled code from disk included; `peak_rss_mb` its most
memory; `cpu_ns_per_bar_eval` is processor time, of all threads, which says more on a machine that does other things. Each
of our cells has the full broker, all figures and a column of returns. `fork`: 401 closes tried on a copy of a running
session, edges refined.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
CACHE = HERE.parent / ".cache" / "peers"
PEERS = ["numpy", "pandas", "raptorbt==0.13.4"]
BARS, JOBS, TURNS, ROUNDS = 100_000, 2, 5, 3
PAIRS = [(fast, slow) for fast in range(10, 60, 5) for slow in range(100, 300, 20)]
MINUTE_NS = 60_000_000_000


def workload(n: int, seed: int = 7) -> dict[str, np.ndarray[Any, Any]]:
    """The first bars of workload A (see bench_engine.py), as columns."""
    sys.path.insert(0, str(HERE))
    import bench_engine

    array = bench_engine.workload(n, seed).array
    columns = {name: np.ascontiguousarray(array[name]) for name in ("open", "high", "low", "close", "volume")}
    return columns | {"ts": np.ascontiguousarray(array["open_time"])}


def run_ours(path: str) -> dict[str, Any]:
    """In a process of its own: what it can do once warm, and the most memory it took."""
    from quantlytic import Bars, Fees, Instrument, Session, fork, sweep
    from quantlytic.strategies.sma_cross import SmaCross

    data = np.load(path)
    bars = Bars.of(
        Instrument("bench:BTCUSDT"), open_time=data["ts"], close_time=data["ts"] + MINUTE_NS,
        **{name: data[name] for name in ("open", "high", "low", "close", "volume")},
    )  # fmt: skip
    axes = {"fast": range(10, 60, 5), "slow": range(100, 300, 20)}
    seconds, cpu = [], []
    for _ in range(TURNS + 1):
        begun, used = time.perf_counter(), time.process_time()
        found = sweep(SmaCross, bars, 1e6, Fees(taker_bps=10), jobs=JOBS, over=axes)
        seconds.append(time.perf_counter() - begun)
        cpu.append(time.process_time() - used)
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    session = Session(SmaCross, bars.instruments, 1e6, Fees(10))
    session.run(bars)
    forks = []
    for _ in range(6):
        begun = time.perf_counter()
        fork(session, MINUTE_NS)
        forks.append(time.perf_counter() - begun)
    work = len(bars) * len(found)
    return {
        "bar_evals_per_s": work / statistics.median(seconds[1:]),
        "best_bar_evals_per_s": work / min(seconds[1:]),
        "cpu_ns_per_bar_eval": min(cpu[1:]) / work * 1e9,
        "fills": sum(one or 0 for one in found.values("fills")),
        "peak_rss_mb": round(rss),
        "fork_401_ms": round(min(forks[1:]) * 1e3, 2),
    }


def peer_python() -> Path:
    """raptorbt's interpreter; made the first time, which needs the network and a minute."""
    folder = CACHE / "raptorbt"
    python = folder / "bin" / "python"
    probe = [python, "-c", "import raptorbt, numpy"]
    if not python.exists() or subprocess.run(probe, check=False, capture_output=True).returncode:
        uv = shutil.which("uv")
        if uv:
            subprocess.run([uv, "venv", "-q", "--clear", "--python", sys.executable, folder], check=True)
            subprocess.run([uv, "pip", "install", "-q", "--python", python, *PEERS], check=True)
        else:
            subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
            subprocess.run([python, "-m", "pip", "install", "-q", *PEERS], check=True)
    return python


def measure() -> dict[str, Any]:
    """All figures, as a dictionary for JSON. Takes about 15 s, once the peer is installed."""
    # Without writing byte code each start compiles half of the standard library again: not what a user has.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as name:
        data = str(Path(name) / "bars.npz")
        np.savez(data, pairs=np.array(PAIRS), **workload(BARS))
        commands = {"ours": [sys.executable, __file__, "--child", data]}
        missing = None
        try:
            commands["raptorbt"] = [str(peer_python()), str(HERE / "peer_raptorbt.py"), data]
        except (OSError, subprocess.CalledProcessError) as error:
            missing = f"raptorbt could not be measured: {error}"
        runs: dict[str, list[dict[str, Any]]] = {who: [] for who in commands}
        for _ in range(ROUNDS):
            for who, command in commands.items():
                begun = time.perf_counter()
                done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
                found = json.loads(done.stdout.splitlines()[-1])
                runs[who].append(found | {"process_s": time.perf_counter() - begun})
    result: dict[str, Any] = {"bars": BARS, "cells": len(PAIRS), "threads": JOBS}
    for who, found in runs.items():
        result[who] = {
            "bar_evals_per_s": round(statistics.median(one["bar_evals_per_s"] for one in found)),
            "best_bar_evals_per_s": round(max(one["best_bar_evals_per_s"] for one in found)),
            "cpu_ns_per_bar_eval": round(min(one["cpu_ns_per_bar_eval"] for one in found), 2),
            "process_s": round(statistics.median(one["process_s"] for one in found), 2),
            "peak_rss_mb": max(one["peak_rss_mb"] for one in found),
            "fills": found[0]["fills"],
        }
    result["fork_401_ms"] = min(one["fork_401_ms"] for one in runs["ours"])
    if missing is not None:
        return result | {"raptorbt": {"missing": missing}}
    ours, theirs = result["ours"], result["raptorbt"]
    result["ratio_to_raptorbt"] = round(ours["bar_evals_per_s"] / theirs["bar_evals_per_s"], 2)
    result["best_ratio_to_raptorbt"] = round(ours["best_bar_evals_per_s"] / theirs["best_bar_evals_per_s"], 2)
    result["cpu_ratio_to_raptorbt"] = round(theirs["cpu_ns_per_bar_eval"] / ours["cpu_ns_per_bar_eval"], 2)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description="The sweep on workload B, beside raptorbt's batch.")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(run_ours(options.child)))
        return
    result = measure()
    if options.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name:28} {value:>16,}" if isinstance(value, int | float) else f"{name:28} {value}")


if __name__ == "__main__":
    main()
