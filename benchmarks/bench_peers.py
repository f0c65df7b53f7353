"""Workloads A and C beside the field, in one run.   python benchmarks/bench_peers.py [--json]

A: 1,000,000 one-minute bars, SMA 50/200, 99 % of equity, 10 bps, next open: vectorbt (Rust), nautilus_trader and backtrader (the
last two on the first 100,000 bars, where ours ends as it does on those). C: 5,000,000 trades, EMA 2000/20000, one unit long
or flat, a lag of 1 ms: hftbacktest. B is in `bench_sweep.py`, plain Python in `bench_plain.py`.

Everyone is a process of its own, warmed up, in turns; medians of the processes. Peers have environments of their own,
made on demand under `.cache/peers`. `peak_rss_mb` is ours. Fills and the end are printed: backtrader must end as we do.
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
PEERS = {
    "vectorbt": ["pandas", "vectorbt==1.2.0", "vectorbt-rust==1.2.0"],
    "nautilus": ["pandas", "nautilus_trader==1.221.0"],
    "backtrader": ["pandas", "backtrader==1.9.78.123"],
    "hftbacktest": ["pandas", "hftbacktest==2.4.4"],
}
BARS, FEW, TICKS, ROUNDS, TURNS = 1_000_000, 100_000, 5_000_000, 3, 7


def make_ticks(n: int, seed: int = 11) -> dict[str, np.ndarray[Any, Any]]:
    """Trades 1 to 20 ms apart, a random walk to the tenth."""
    r = np.random.default_rng(seed)
    time = 1_704_067_200_000_000_000 + np.cumsum(r.integers(1_000_000, 20_000_000, n))
    price = np.round(30000 * np.exp(np.cumsum(r.standard_normal(n) * 0.6 / np.sqrt(365 * 24 * 3600 * 100))), 1)
    quantity = np.maximum(np.round(r.lognormal(-2, 1, n), 3), 0.001)
    return {"ts": time, "px": price, "qty": quantity, "side": np.where(r.random(n) < 0.5, 1, -1).astype("i8")}


def run_ours(workload: str, path: str, count: int) -> dict[str, Any]:
    """One child process: ours."""
    sys.path.insert(0, str(HERE))
    from bench_engine import workload as make_bars
    from tick_cross import TickCross

    from quantlytic import Bars, Fees, Instrument, Session, Ticks
    from quantlytic.engine.market.latency import Latency
    from quantlytic.engine.market.market import Market
    from quantlytic.model.trade import TRADE
    from quantlytic.strategies.sma_cross import SmaCross

    data: Any
    market = Market(fees=Fees(taker_bps=10))
    strategy: Any = SmaCross
    if workload == "a":
        bars = make_bars(BARS)
        data = Bars(bars.array[:count], bars.instruments)
    else:
        found, rows = np.load(path), np.zeros(count, TRADE)
        rows["event_time"] = rows["receive_time"] = found["ts"]
        rows["trade_id"] = np.arange(count)
        rows["price"], rows["quantity"], rows["side"] = found["px"], found["qty"], found["side"]
        data, strategy = Ticks(rows, (Instrument("bench:X"),)), TickCross
        market = Market(fees=Fees(taker_bps=10), latency=Latency(ns=1_000_000))
    seconds, session = [], None
    for _ in range(TURNS + 1):
        session = Session(strategy(), data.instruments, 1e6, market=market)
        begun = time.perf_counter()
        session.run(data)
        seconds.append(time.perf_counter() - begun)
    assert session is not None
    return {
        "per_s": count / statistics.median(seconds[1:]),
        "fills": len(session.fills),
        "final_equity": float(session.equity[-1]),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def peer_python(name: str) -> Path:
    """The peer's interpreter; made the first time, which needs the network and a minute."""
    folder = CACHE / name
    python = folder / "bin" / "python"
    probe = [python, "-c", f"import pandas, {'nautilus_trader' if name == 'nautilus' else name}"]
    if not python.exists() or subprocess.run(probe, check=False, capture_output=True).returncode:
        uv = shutil.which("uv")
        make = (
            [uv, "venv", "-q", "--clear", "--python", sys.executable]
            if uv
            else [sys.executable, "-m", "venv", "--clear"]
        )
        fill = [uv, "pip", "install", "-q", "--python", python] if uv else [python, "-m", "pip", "install", "-q"]
        subprocess.run([*make, folder], check=True)
        subprocess.run([*fill, *PEERS[name]], check=True)
    return python


def measure() -> dict[str, Any]:
    """All figures, as a dictionary for JSON. Takes two or three minutes, once the peers are installed."""
    sys.path.insert(0, str(HERE))
    from bench_engine import workload as make_bars

    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    result: dict[str, Any] = {"load": round(os.getloadavg()[0], 1)}
    with tempfile.TemporaryDirectory() as folder:
        bars, ticks = f"{folder}/bars.npz", f"{folder}/ticks.npz"
        rows = make_bars(BARS).array
        columns = {name: np.ascontiguousarray(rows[name]) for name in ("open", "high", "low", "close", "volume")}
        np.savez(bars, ts=rows["open_time"], **columns)
        np.savez(ticks, **make_ticks(TICKS))
        ours = [sys.executable, __file__, "--child"]
        commands: dict[str, list[Any]] = {
            "a": [*ours, "a", bars, str(BARS)],
            "a_few": [*ours, "a", bars, str(FEW)],
            "c": [*ours, "c", ticks, str(TICKS)],
        }
        for name in PEERS:
            arguments = {"vectorbt": [bars], "hftbacktest": [ticks]}.get(name, [bars, str(FEW)])
            try:
                commands[name] = [peer_python(name), HERE / f"peer_{name}.py", *arguments]
            except (OSError, subprocess.CalledProcessError) as error:
                result[name] = {"missing": f"{name} could not be measured: {error}"}
        runs: dict[str, list[dict[str, Any]]] = {who: [] for who in commands}
        for turn in range(ROUNDS):
            for who, command in commands.items():
                if turn and who in ("nautilus", "backtrader"):
                    continue  # seconds long, a thousand times slower: once says enough
                done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
                runs[who].append(json.loads(done.stdout.splitlines()[-1]))
    for who, found in runs.items():
        rates = [one.get("per_s", one.get("bars_per_s")) for one in found]
        result[who] = found[0] | {"per_s": round(statistics.median(rates)), "best_per_s": round(max(rates))}
        result[who].pop("bars_per_s", None)
    for name, us in (("vectorbt", "a"), ("nautilus", "a"), ("backtrader", "a"), ("hftbacktest", "c")):
        if "per_s" in result[name]:
            result[f"ratio_to_{name}"] = round(result[us]["per_s"] / result[name]["per_s"], 2)
    result["agrees_with_backtrader"] = "per_s" in result["backtrader"] and bool(
        result["backtrader"]["fills"] == result["a_few"]["fills"]
        and np.isclose(result["backtrader"]["final_equity"], result["a_few"]["final_equity"], rtol=1e-9, atol=0.0)
    )
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Workloads A and C beside vectorbt, nautilus, backtrader, hftbacktest."
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(run_ours(options.child[0], options.child[1], int(options.child[2]))))
        return
    result = measure()
    if options.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name:28} {value:>16,}" if isinstance(value, int | float) else f"{name:28} {value}")


if __name__ == "__main__":
    main()
