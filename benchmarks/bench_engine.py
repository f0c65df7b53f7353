"""The engine on workload A: 1,000,000 one-minute bars, SMA 50/200, 99 % of equity, 10 bps, filled at the next open.

    python benchmarks/bench_engine.py [--json]

Beside it, in the same run, the same work in hand-written C (`sma_cross.c`, one pass over columns) and in vectorbt's Rust
engine (in an environment of its own, made on demand under `.cache/peers`). Ours is the whole broker: order table, order
updates, signals and fills in logs, any number of instruments. Engine and C take turns, after a warm-up; medians. The C loop
must end where the engine does, to the last bit.

`no_op`: the engine with a strategy that does nothing, the floor. `limits`: a strategy that keeps two limit orders resting at
every bar. `instruments_100`: 100 instruments on one account. `debug`: uncompiled. `compile`: seconds from a
fresh process to the end of a run of one bar, without and with the code on disk, the import of Numba included.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from quantlytic import Bars, Fees, Instrument, Session, Strategy
from quantlytic.model.bar import BAR
from quantlytic.strategies.sma_cross import SmaCross

BARS = 1_000_000
TURNS = 15
MINUTE_NS = 60_000_000_000
HERE = Path(__file__).resolve().parent
CACHE = HERE.parent / ".cache" / "peers"
PEERS = ["pandas", "vectorbt==1.2.0", "vectorbt-rust==1.2.0"]
PROBE = """
import numpy as np
from quantlytic import Instrument, Session
from quantlytic.model.bar import BAR
from quantlytic.strategies.sma_cross import SmaCross
bars = np.ones(1, BAR)
bars["instrument"] = 0
Session(SmaCross, [Instrument("v:X")], 1.0).run(bars)
"""


class NoOp(Strategy):
    """The floor."""

    def on_bar(self, bar: Any, broker: Any) -> None:
        pass


class Limits(Strategy):
    """Two resting orders, moved at each bar: the matching at full work."""

    def on_bar(self, bar: Any, broker: Any) -> None:
        broker.cancel_all()
        broker.limit(1, 0.1, bar.close * 0.9995)
        broker.limit(-1, 0.1, bar.close * 1.0005)


class Fill(ctypes.Structure):
    """As in sma_cross.c."""

    _fields_ = (
        ("bar", ctypes.c_int64), ("side", ctypes.c_int64),
        ("quantity", ctypes.c_double), ("price", ctypes.c_double), ("fee", ctypes.c_double),
    )  # fmt: skip


def workload(n: int, seed: int = 7) -> Bars:
    """Geometric Brownian motion, about 60 % volatility a year, four steps a bar, prices to the cent."""
    r = np.random.default_rng(seed)
    s = 0.6 / np.sqrt(365 * 24 * 60)
    z = r.standard_normal((n, 4)) * s / 2 - (s / 2) ** 2 / 2
    p = 30000 * np.exp(np.cumsum(z.ravel())).reshape(n, 4)
    o = np.empty(n)
    o[0], o[1:] = 30000.0, p[:-1, 3]
    o *= np.exp(r.standard_normal(n) * s * 0.05)
    high, low, volume = np.maximum(o, p.max(1)), np.minimum(o, p.min(1)), r.lognormal(1.0, 1.0, n)
    o, high, low, close = (np.round(x, 2) for x in (o, high, low, p[:, 3]))
    t = 1_577_836_800_000_000_000 + np.arange(n, dtype=np.int64) * MINUTE_NS
    return Bars.of(
        Instrument("bench:BTCUSDT"), open_time=t, close_time=t + MINUTE_NS,
        open=o, high=high, low=low, close=close, volume=np.maximum(np.round(volume, 3), 0.001),
    )  # fmt: skip


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    begun = time.perf_counter()
    result = work()
    return time.perf_counter() - begun, result


def run_engine(bars: Bars, strategy: Strategy, **options: Any) -> tuple[float, Session]:
    session = Session(strategy, bars.instruments, 1e6, Fees(taker_bps=10), **options)
    return timed(lambda: session.run(bars))[0], session


def make_c_loop(bars: Bars) -> Callable[[], tuple[float, int, float]] | None:
    """A function that runs the C loop: (seconds, fills, final equity). None where there is no C compiler."""
    compiler = os.environ.get("CC") or shutil.which("cc")
    if compiler is None:
        return None
    CACHE.mkdir(parents=True, exist_ok=True)
    library = CACHE / "sma_cross.so"
    flags = ["-O3", "-march=native", "-ffp-contract=off", "-shared", "-fPIC"]
    subprocess.run([compiler, *flags, "-o", library, HERE / "sma_cross.c", "-lm"], check=True)
    function = ctypes.CDLL(str(library)).sma_cross
    doubles = ctypes.POINTER(ctypes.c_double)
    function.restype = ctypes.c_int64
    function.argtypes = [
        doubles, doubles, *[ctypes.c_int64] * 3, *[ctypes.c_double] * 3, doubles, ctypes.POINTER(Fill), ctypes.c_int64
    ]  # fmt: skip
    opens, closes = (np.ascontiguousarray(bars.array[name]) for name in ("open", "close"))

    def run() -> tuple[float, int, float]:
        equity, fills = np.empty(len(closes)), (Fill * 10_000)()
        columns = [array.ctypes.data_as(doubles) for array in (opens, closes)]
        target = equity.ctypes.data_as(doubles)
        seconds, count = timed(
            lambda: function(*columns, len(closes), 50, 200, 0.99, 10 / 1e4, 1e6, target, fills, len(fills))
        )
        return seconds, count, float(equity[-1])

    return run


def measure_peer(bars: Bars) -> dict[str, Any]:
    """vectorbt in its own environment; made the first time, which needs the network and a minute or two."""
    folder = CACHE / "vectorbt"
    python = folder / "bin" / "python"
    try:
        if not (folder / "ready").exists():
            uv = shutil.which("uv")
            if uv:
                subprocess.run([uv, "venv", "-q", "--clear", "--python", sys.executable, folder], check=True)
                subprocess.run([uv, "pip", "install", "-q", "--python", python, *PEERS], check=True)
            else:
                subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
                subprocess.run([python, "-m", "pip", "install", "-q", *PEERS], check=True)
            (folder / "ready").touch()
        with tempfile.TemporaryDirectory() as name:
            data = Path(name) / "bars.npz"
            np.savez(data, ts=bars.array["open_time"], open=bars.array["open"], close=bars.array["close"])
            done = subprocess.run([python, HERE / "peer_vectorbt.py", data], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return {"missing": f"vectorbt could not be measured: {error}"}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def measure_start() -> dict[str, float]:
    """Seconds of a whole process that runs one bar: nothing on disk, then everything."""
    with tempfile.TemporaryDirectory() as name:
        environment = os.environ | {"QUANTLYTIC_CACHE": name}
        command = [sys.executable, "-c", PROBE]
        cold, _ = timed(lambda: subprocess.run(command, env=environment, check=True))
        warm = [timed(lambda: subprocess.run(command, env=environment, check=True))[0] for _ in range(3)]
    numba, _ = timed(lambda: subprocess.run([sys.executable, "-c", "import numba"], check=True))
    return {"cold_s": round(cold, 2), "warm_s": round(statistics.median(warm), 2), "import_numba_s": round(numba, 2)}


def many_instruments(bars: Bars, count: int) -> Bars:
    """The same bars, dealt out to many instruments."""
    array = bars.array.copy()
    array["instrument"] = np.arange(len(array)) % count
    return Bars(array, tuple(Instrument(f"bench:S{k}") for k in range(count)))


def measure_halves(bars: Bars) -> float:
    """Microseconds a bar by the four halves, as the services go."""
    strategist, executor = (Session(SmaCross(), bars.instruments, 1e6, Fees(10)) for _ in range(2))
    updates = None
    rows = bars.array[:5000]
    begun = time.perf_counter()
    for bar in rows:
        reports, fills, _ = executor.execute(bar)
        strategist.apply(reports if updates is None else np.concatenate((updates, reports)), fills, bar)
        _, orders, cancels, amends = strategist.decide(bar)
        updates = executor.accept(orders, cancels, amends)
    return (time.perf_counter() - begun) / len(rows) * 1e6


def measure() -> dict[str, Any]:
    """All figures, as a dictionary for JSON. Takes about 20 s, once the peer is installed."""
    bars = workload(BARS)
    c_loop = make_c_loop(bars)
    others = {"no_op": NoOp(), "limits": Limits()}
    spread = many_instruments(bars, 100)
    seconds: dict[str, list[float]] = {name: [] for name in ("engine", "c", "instruments_100", *others)}
    session, c_end = None, None
    for turn in range(TURNS + 2):
        took, session = run_engine(bars, SmaCross())
        found = {"engine": took, "instruments_100": run_engine(spread, SmaCross())[0]}
        for name, strategy in others.items():
            found[name] = run_engine(bars, strategy, allow_short=True)[0]
        if c_loop is not None:
            found["c"], *c_end = c_loop()
        if turn >= 2:  # warm
            for name, value in found.items():
                seconds[name].append(value)
    assert session is not None
    fills, equity = len(session.fills), float(session.equity[-1])
    if c_end is not None and c_end != [fills, equity]:
        raise AssertionError(f"the C loop ends with {c_end}, the engine with {[fills, equity]}")
    rates = {name: BARS / statistics.median(values) for name, values in seconds.items() if values}
    small = Bars(bars.array[:20_000], bars.instruments)
    debug, _ = run_engine(small, SmaCross(), compiled=False)
    peer = measure_peer(bars)
    result = {
        "bars": BARS,
        "fills": fills,
        "final_equity": round(equity, 3),
        "bars_per_s": round(rates.pop("engine")),
        **{f"{name}_bars_per_s": round(rate) for name, rate in rates.items()},
        "vectorbt": peer,
        "debug_bars_per_s": round(len(small) / debug),
        "halves_us_per_bar": round(min(measure_halves(bars) for _ in range(4)), 1),
        "compile": measure_start(),
        "state_bytes": session.state_bytes,
        "bytes_per_bar_read": BAR.itemsize,
    }
    # On a machine that does other things the best of the turns says more than the median.
    result["best_bars_per_s"] = round(BARS / min(seconds["engine"]))
    if seconds["c"]:
        result["best_c_bars_per_s"] = round(BARS / min(seconds["c"]))
        result["ratio_to_c"] = round(result["best_bars_per_s"] / result["best_c_bars_per_s"], 3)
    if "bars_per_s" in peer:
        result["ratio_to_vectorbt"] = round(result["bars_per_s"] / peer["bars_per_s"], 2)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description="The engine on workload A, beside hand-written C and vectorbt.")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = measure()
    if options.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name:28} {value:>16,}" if isinstance(value, int | float) else f"{name:28} {value}")


if __name__ == "__main__":
    main()
