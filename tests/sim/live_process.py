"""A live executor in a process of its own, to be killed: `python -m tests.sim.live_process FOLDER`, its errand on stdin."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
from tests.sim.liveworld import BTC, FREE, HAND_OVER_S, QUICK, RULES

from quantlytic.model.run import Run
from quantlytic.services.liveexecutor import LiveExecutor
from quantlytic.store.log import open_log
from quantlytic.trading.latch import Latch
from quantlytic.trading.link import Link
from quantlytic.trading.risk import RiskGate
from quantlytic.venues.binance.keys import Keys
from quantlytic.venues.binance.market import spot
from quantlytic.venues.binance.orders import BinanceOrders


class Errand(msgspec.Struct):
    """What the parent asks for. Keys come by the pipe, not by the command line."""

    account: str
    run: Run
    rest_url: str
    stream_url: str
    api_key: str
    secret: str


def main(folder: Path, errand: Errand) -> None:
    log = open_log("sqlite", folder=folder / "log")
    market = spot("box", errand.rest_url, errand.stream_url + "/stream", errand.stream_url + "/ws-api/v3")
    keys = Keys(errand.api_key, errand.secret)
    link = Link(lambda: BinanceOrders(market, keys, timings=QUICK), hand_over_s=HAND_OVER_S)
    gate, latch = RiskGate(errand.account, FREE, [BTC]), Latch(folder / "latches", errand.account)
    executor = LiveExecutor(log, errand.account, [errand.run], link, gate, latch, rules=RULES)
    print("runs", flush=True)
    while True:
        if not executor.pump():
            executor.wait(0.05)


if __name__ == "__main__":
    main(Path(sys.argv[1]), msgspec.json.decode(sys.stdin.readline(), type=Errand))
