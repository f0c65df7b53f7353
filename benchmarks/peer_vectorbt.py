"""vectorbt's Rust engine on workload A, in an environment of its own.   python peer_vectorbt.py bars.npz

Signals lag one bar and fill at the open; it sizes at the fill, hence a slightly different end. Prints one JSON line.
"""

import json
import statistics
import sys
import time
import warnings

warnings.simplefilter("ignore")
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import vectorbt as vbt  # noqa: E402

TURNS = 7


def once(open_price, close, engine):  # type: ignore[no-untyped-def]
    begun = time.perf_counter()
    fast = vbt.MA.run(close, 50, engine=engine).ma
    slow = vbt.MA.run(close, 200, engine=engine).ma
    entries = (fast > slow).shift(1, fill_value=False)
    exits = (fast < slow).shift(1, fill_value=False)
    portfolio = vbt.Portfolio.from_signals(
        close, entries, exits, price=open_price, size=0.99, size_type="percent", fees=0.001, init_cash=1e6,
        freq="1min", engine=engine,
    )  # fmt: skip
    fills, equity = int(portfolio.orders.count()), float(portfolio.final_value())
    return time.perf_counter() - begun, fills, equity


def main():  # type: ignore[no-untyped-def]
    bars = np.load(sys.argv[1])
    index = pd.DatetimeIndex(bars["ts"])
    open_price, close = pd.Series(bars["open"], index), pd.Series(bars["close"], index)
    once(open_price, close, "rust")
    runs = [once(open_price, close, "rust") for _ in range(TURNS)]
    seconds = statistics.median(run[0] for run in runs)
    print(json.dumps({"bars_per_s": len(close) / seconds, "fills": runs[0][1], "final_equity": runs[0][2]}))


if __name__ == "__main__":
    main()
