"""raptorbt's Python class on workload A, in an environment of its own.   python peer_raptorbt_class.py bars.npz

As in its own examples: the averages are worked out at the start, `on_bar` compares them. Prints one JSON line.
"""

import json
import sys
import time

import numpy as np
import raptorbt as rb


class Cross(rb.Strategy):  # type: ignore[misc]
    def on_start(self, ctx):  # type: ignore[no-untyped-def]
        self.fast, self.slow = rb.sma(ctx.close, 50), rb.sma(ctx.close, 200)

    def on_bar(self, ctx):  # type: ignore[no-untyped-def]
        i = ctx.idx
        if ctx.position is None:
            if self.fast[i] > self.slow[i]:
                self.enter(size_frac=0.99)
        elif self.fast[i] < self.slow[i]:
            self.close_position()


def main():  # type: ignore[no-untyped-def]
    bars = np.load(sys.argv[1])
    columns = [bars[name] for name in ("ts", "open", "high", "low", "close", "volume")]
    config = rb.BacktestConfig(initial_capital=1e6, fees=0.001, fill_timing="next_bar_open")
    rb.run_strategy_backtest(Cross(), *[one[:2_000] for one in columns], symbol="X", config=config)
    begun, used = time.perf_counter(), time.process_time()
    done = rb.run_strategy_backtest(Cross(), *columns, symbol="X", config=config)
    took, cpu = time.perf_counter() - begun, time.process_time() - used
    count = len(columns[0])
    rates = {"bars_per_s": count / took, "bars_per_cpu_s": count / cpu}
    print(json.dumps(rates | {"fills": 2 * len(done.trades()), "final_equity": float(done.equity_curve()[-1])}))


if __name__ == "__main__":
    main()
