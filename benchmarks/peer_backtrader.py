"""backtrader on workload A, in an environment of its own.   python peer_backtrader.py bars.npz bars

Sized at the signal's close, filled at the next open; no observers. Prints one JSON line.
"""

import json
import sys
import time

import backtrader as bt
import numpy as np
import pandas as pd


class SmaCross(bt.Strategy):  # type: ignore[misc]
    def __init__(self):  # type: ignore[no-untyped-def]
        self.fast = bt.ind.SMA(self.data.close, period=50)
        self.slow = bt.ind.SMA(self.data.close, period=200)
        self.fills = 0

    def notify_order(self, order):  # type: ignore[no-untyped-def]
        self.fills += order.status == order.Completed

    def next(self):  # type: ignore[no-untyped-def]
        if not self.position:
            if self.fast[0] > self.slow[0]:
                self.buy(size=0.99 * self.broker.getvalue() / self.data.close[0])
        elif self.fast[0] < self.slow[0]:
            self.close()


def main():  # type: ignore[no-untyped-def]
    bars, count = np.load(sys.argv[1]), int(sys.argv[2])
    columns = {name: bars[name][:count] for name in ("open", "high", "low", "close", "volume")}
    frame = pd.DataFrame(columns, index=pd.DatetimeIndex(bars["ts"][:count]))
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(bt.feeds.PandasData(dataname=frame))
    cerebro.addstrategy(SmaCross)
    cerebro.broker.setcash(1e6)
    cerebro.broker.setcommission(commission=0.001)
    begun = time.perf_counter()
    (found,) = cerebro.run()
    took = time.perf_counter() - begun
    print(json.dumps({"per_s": count / took, "fills": found.fills, "final_equity": cerebro.broker.getvalue()}))


if __name__ == "__main__":
    main()
