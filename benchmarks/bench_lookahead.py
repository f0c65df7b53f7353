"""What look-ahead costs: a recorded day of IBM's trades (33,381, October 2013) as one-minute bars, 424 of them.

    python benchmarks/bench_lookahead.py [--json]

Each built-in strategy that decides bar by bar is run on paper over the day, then looked ahead for, through the real services on
the real log. `look_ms`: one fork over 401 closes with its edges, `check_ms`: whether the last one still holds, a fork where it
does not; medians and 99th percentiles over all strategies. `bar_ms`: processor time of the whole service for a bar: reading and
decoding its 79 trades, forks, checks, commits; the median and the dearest strategy. `recall`: signals that had been
announced at their price before the bar's end, of all signals; `precision`: intents that came true, of those whose bar closed
within their band. Goal: 10 ms a bar and strategy.

The data lies where the tests have theirs, beside the repository: `../shared/data/equity_tick_ibm_trade_lean.parquet`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.services.marketday import (  # noqa: E402
    announced,
    lookahead,
    run_of,
    stock_trades,
    trade,
    write_market,
)

from quantlytic.model.errors import InputError  # noqa: E402
from quantlytic.store.log import open_log  # noqa: E402
from quantlytic.strategies.catalogue import entries  # noqa: E402

GOAL_MS = 10.0


def measure() -> dict[str, Any]:
    """Milliseconds, and counts over all strategies."""
    data = ROOT.parent / "shared" / "data"
    if not data.is_dir():
        raise InputError(f"no data in {data}: the recorded day is not part of the repository")
    took: dict[str, list[float]] = defaultdict(list)
    counts, bar_ms = np.zeros(5, np.int64), dict[str, float]()
    with tempfile.TemporaryDirectory() as folder, closing(open_log("sqlite", folder=Path(folder))) as log:
        write_market(log, stock_trades(data))
        names = [one.name for one in entries() if one.strategy.handlers() <= {"on_bar", "on_fill"}]
        for name in names:
            run = run_of(name)
            trade(log, run)
            service = lookahead(log, run)
            service._look = timed(service._look, took["look"])
            service._check = timed(service._check, took["check"])
            began = time.process_time()
            while service.pump():
                pass
            bar_ms[name] = (time.process_time() - began) * 1e3 / log.bounds(run.bars_stream)[1]
            service.close()
            found = announced(log, run)
            figures = found.figures
            counts += (found.signals, found.foretold, figures.said, figures.met, figures.came_true)
    signals, foretold, said, met, came_true = counts.tolist()
    return {
        "strategies": len(names), "goal_ms": GOAL_MS,
        "look_ms": spread(took["look"]), "check_ms": spread(took["check"]),
        "bar_ms": {"median": statistics.median(bar_ms.values()), "most": max(bar_ms.values())},
        "signals": signals, "recall": foretold / signals, "said": said, "met": met, "precision": came_true / met,
    }  # fmt: skip


def timed(call: Callable[..., Any], spans: list[float]) -> Callable[..., Any]:
    def timed_call(*args: Any) -> Any:
        began = time.perf_counter()
        try:
            return call(*args)
        finally:
            spans.append(time.perf_counter() - began)

    return timed_call


def spread(spans: list[float]) -> dict[str, float]:
    middle, high = np.quantile(np.array(spans) * 1e3, [0.5, 0.99])
    return {"p50": float(middle), "p99": float(high)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    measured = measure()
    print(json.dumps(measured) if options.json else "\n".join(f"{name}: {value}" for name, value in measured.items()))
