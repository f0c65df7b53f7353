"""hftbacktest on workload C, in an environment of its own.   python peer_hftbacktest.py ticks.npz

Trades only, no depth; a limit order 5 beyond the price, a lag of 1 ms each way. Prints one JSON line.
"""

import json
import statistics
import sys
import time

import numpy as np
from hftbacktest import (
    BUY_EVENT,
    EXCH_EVENT,
    GTC,
    LIMIT,
    LOCAL_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
    BacktestAsset,
    HashMapMarketDepthBacktest,
    event_dtype,
)
from numba import njit

TURNS = 3


@njit
def play(hbt, fast_alpha, slow_alpha, warm):  # type: ignore[no-untyped-def]
    fast, slow, seen, order = 0.0, 0.0, 0, 1
    while hbt.wait_next_feed(False, 10_000_000_000_000) == 2:
        trades = hbt.last_trades(0)
        if len(trades) == 0:
            continue
        price = 0.0
        for k in range(len(trades)):
            price = trades[k].px
            if seen == 0:
                fast, slow = price, price
            fast += fast_alpha * (price - fast)
            slow += slow_alpha * (price - slow)
            seen += 1
        hbt.clear_last_trades(0)
        if seen > warm:
            held = hbt.position(0)
            if held < 0.5 and fast > slow:
                hbt.clear_inactive_orders(0)
                if len(hbt.orders(0)) == 0:
                    hbt.submit_buy_order(0, order, price + 5.0, 1.0, GTC, LIMIT, False)
                    order += 1
            elif held > 0.5 and fast < slow:
                hbt.clear_inactive_orders(0)
                if len(hbt.orders(0)) == 0:
                    hbt.submit_sell_order(0, order, price - 5.0, 1.0, GTC, LIMIT, False)
                    order += 1
    return seen, hbt.state_values(0).num_trades, hbt.state_values(0).balance - hbt.state_values(0).fee


def main():  # type: ignore[no-untyped-def]
    ticks = np.load(sys.argv[1])
    events = np.zeros(len(ticks["ts"]), event_dtype)
    side = np.where(ticks["side"] > 0, BUY_EVENT, SELL_EVENT).astype("u8")
    events["ev"] = side | np.uint64(TRADE_EVENT | EXCH_EVENT | LOCAL_EVENT)
    events["exch_ts"], events["local_ts"] = ticks["ts"], ticks["ts"] + 1_000_000
    events["px"], events["qty"] = ticks["px"], ticks["qty"]

    def once():  # type: ignore[no-untyped-def]
        asset = (
            BacktestAsset().data([events]).linear_asset(1.0).constant_order_latency(1_000_000, 1_000_000)
            .risk_adverse_queue_model().no_partial_fill_exchange().trading_value_fee_model(0.001, 0.001)
            .tick_size(0.1).lot_size(0.001).last_trades_capacity(1000)
        )  # fmt: skip
        hbt = HashMapMarketDepthBacktest([asset])
        begun = time.perf_counter()
        found = play(hbt, 2 / 2001, 2 / 20001, 20000)
        took = time.perf_counter() - begun
        hbt.close()
        return took, found

    once()
    runs = [once() for _ in range(TURNS)]
    seen, fills, money = runs[0][1]
    print(
        json.dumps({"per_s": seen / statistics.median(run[0] for run in runs), "fills": fills, "final_equity": money})
    )


if __name__ == "__main__":
    main()
