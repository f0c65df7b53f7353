"""nautilus_trader on workload A, in an environment of its own.   python peer_nautilus.py bars.npz bars

A cash account; its instrument rounds quantities and prices, and it fills at the close's quote. Prints one JSON line.
"""

import json
import sys
import time

import numpy as np
import pandas as pd
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig
from nautilus_trader.indicators import SimpleMovingAverage
from nautilus_trader.model import BarType, Money, Venue
from nautilus_trader.model.currencies import BTC, USDT
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.persistence.wranglers import BarDataWrangler
from nautilus_trader.test_kit.providers import TestInstrumentProvider
from nautilus_trader.trading.strategy import Strategy

INSTRUMENT = TestInstrumentProvider.btcusdt_binance()
BAR_TYPE = BarType.from_str(f"{INSTRUMENT.id}-1-MINUTE-LAST-EXTERNAL")


class SmaCross(Strategy):  # type: ignore[misc]
    def __init__(self):  # type: ignore[no-untyped-def]
        super().__init__()
        self.fast, self.slow, self.fills = SimpleMovingAverage(50), SimpleMovingAverage(200), 0

    def on_start(self):  # type: ignore[no-untyped-def]
        for average in (self.fast, self.slow):
            self.register_indicator_for_bars(BAR_TYPE, average)
        self.subscribe_bars(BAR_TYPE)

    def on_order_filled(self, event):  # type: ignore[no-untyped-def]
        self.fills += 1

    def on_bar(self, bar):  # type: ignore[no-untyped-def]
        if not self.slow.initialized:
            return
        if self.portfolio.is_flat(INSTRUMENT.id):
            if self.fast.value > self.slow.value:
                cash = float(self.portfolio.account(INSTRUMENT.id.venue).balance_total(USDT))
                quantity = INSTRUMENT.make_qty(0.99 * cash / float(bar.close))
                self.submit_order(self.order_factory.market(INSTRUMENT.id, OrderSide.BUY, quantity))
        elif self.fast.value < self.slow.value:
            self.close_all_positions(INSTRUMENT.id)


def main():  # type: ignore[no-untyped-def]
    bars, count = np.load(sys.argv[1]), int(sys.argv[2])
    columns = {name: bars[name][:count] for name in ("open", "high", "low", "close", "volume")}
    frame = pd.DataFrame(columns, index=pd.DatetimeIndex(bars["ts"][:count]).tz_localize("UTC"))
    data = BarDataWrangler(BAR_TYPE, INSTRUMENT).process(frame)
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True), run_analysis=False))
    engine.add_venue(Venue("BINANCE"), OmsType.NETTING, AccountType.CASH, [Money(1e6, USDT), Money(0, BTC)])
    engine.add_instrument(INSTRUMENT)
    engine.add_data(data)
    strategy = SmaCross()
    engine.add_strategy(strategy)
    begun = time.perf_counter()
    engine.run()
    took = time.perf_counter() - begun
    account = engine.portfolio.account(INSTRUMENT.id.venue)
    equity = float(account.balance_total(USDT)) + float(account.balance_total(BTC) or 0) * float(data[-1].close)
    print(json.dumps({"per_s": count / took, "fills": strategy.fills, "final_equity": equity}))


if __name__ == "__main__":
    main()
