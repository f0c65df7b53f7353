"""A process that trades without rest until the latch is shut: `python trader_process.py REST_URL KEY SECRET LATCH_FOLDER`."""

from __future__ import annotations

import asyncio
import sys
import time
from itertools import count
from pathlib import Path

from quantlytic.model.order import Order, OrderType, TimeInForce
from quantlytic.model.side import Side
from quantlytic.trading.latch import Latch
from quantlytic.venues.binance.keys import Keys
from quantlytic.venues.binance.market import spot
from quantlytic.venues.binance.orders import BinanceOrders, OrderTimings


async def trade(url: str, keys: Keys, folder: Path) -> None:
    """Three hands, each with an order under way all the time: bids far below the market, and purchases."""
    latch, numbers = Latch(folder, "main"), count(1)
    streams = url.replace("http", "ws")
    market = spot("box", url, streams + "/stream", streams + "/ws-api/v3")
    timings = OrderTimings(request=2.0, window=1.0, poll=0.05, patience=3.0)
    async with BinanceOrders(market, keys, timings=timings) as entry:

        async def hand() -> None:
            while latch.read() is None:
                number = next(numbers)
                is_bid = number % 2 == 0
                order = Order(
                    "trader", number, "box:BTCUSDT", 0, Side.BUY, OrderType.LIMIT if is_bid else OrderType.MARKET,
                    TimeInForce.GTC, 0.002, 40_000.0 if is_bid else float("nan"),
                )  # fmt: skip
                state = await entry.submit(order, f"trader-{number}-{time.time_ns() % 10**9}")
                print(state.status.name, flush=True)
                await asyncio.sleep(0.2)

        await asyncio.gather(hand(), hand(), hand())


if __name__ == "__main__":
    asyncio.run(trade(sys.argv[1], Keys(sys.argv[2], sys.argv[3]), Path(sys.argv[4])))
