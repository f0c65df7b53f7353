"""raptorbt's batch on workload B, in an environment of its own.   python peer_raptorbt.py bars.npz

Signals are shared by all items that need them, as its own examples do; they fill at the next open. Prints one JSON line.
"""

import json
import resource
import statistics
import sys
import time

import numpy as np
import raptorbt as rb

TURNS = 5


def main():  # type: ignore[no-untyped-def]
    bars = np.load(sys.argv[1])
    columns = [bars[name] for name in ("ts", "open", "high", "low", "close", "volume")]
    close, pairs = bars["close"], bars["pairs"].tolist()

    def once():  # type: ignore[no-untyped-def]
        begun, used = time.perf_counter(), time.process_time()
        averages = {span: rb.sma(close, span) for span in sorted({span for pair in pairs for span in pair})}
        items = [
            rb.BatchSingleItem(f"{fast}-{slow}", averages[fast] > averages[slow], averages[fast] < averages[slow])
            for fast, slow in pairs
        ]
        config = rb.BacktestConfig(initial_capital=1e6, fees=0.001, fill_timing="next_bar_open")
        done = rb.batch_single_backtest(*columns, items, config)
        took, cpu = time.perf_counter() - begun, time.process_time() - used
        return took, sum(2 * one[1].metrics.total_trades for one in done), cpu

    once()
    runs = [once() for _ in range(TURNS)]
    work = len(close) * len(pairs)
    print(
        json.dumps(
            {
                "bar_evals_per_s": work / statistics.median(run[0] for run in runs),
                "best_bar_evals_per_s": work / min(run[0] for run in runs),
                "cpu_ns_per_bar_eval": min(run[2] for run in runs) / work * 1e9,
                "fills": runs[0][1],
                "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            }
        )
    )


if __name__ == "__main__":
    main()
