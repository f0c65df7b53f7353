"""A kill in the middle of live trading: the real executor under way, its strategist dead, the log locked, the exchange slow."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest
from tests.sim.liveworld import BTC, RULES, World, start_box, world
from tests.trading.slow_proxy import SlowProxy

from quantlytic.model.errors import StoreError
from quantlytic.model.instrument import Instrument
from quantlytic.trading.killreport import KillReport
from quantlytic.trading.killswitch import KillTarget, KillTimings, kill
from quantlytic.trading.latch import Latch
from quantlytic.trading.latchedentry import latched
from quantlytic.venues.binance.keys import Keys
from quantlytic.venues.binance.market import spot
from quantlytic.venues.binance.orders import BinanceOrders, OrderTimings
from quantlytic.venues.exchange.server import ExchangeServer

OPENING = {"USDT": 100_000.0, "BTC": 1.0}
TIMINGS = OrderTimings(request=2.0, window=1.0, skew=0.5, poll=0.05, patience=4.0)
RUNS = int(os.environ.get("KILL_RUNS", "5"))  # all but the first are slow tests
QUIET_S = 2.0  # the executor's requests are good for 1 s, and half a second of skew


def entry(url: str, box: ExchangeServer) -> BinanceOrders:
    streams = url.replace("http", "ws")
    market = spot("box", url, streams + "/stream", streams + "/ws-api/v3")
    market = msgspec.structs.replace(market, weight_per_minute=10**7)
    return BinanceOrders(market, Keys(*box.keys("a0")), timings=TIMINGS)


def trade_until_it_holds_and_rests(live: World) -> None:
    ends_s = time.monotonic() + 30
    while True:
        live.run_bars(1)
        truth = live.box._call(live._truth)
        if truth["open"] and truth["balances"]["BTC"] > OPENING["BTC"] + 0.001:
            return
        assert time.monotonic() < ends_s, "it did not trade"


def lock_log(folder: Path, held: ExitStack) -> None:
    for path in folder.glob("*.db"):
        connection = sqlite3.connect(path, isolation_level=None, timeout=10)
        held.callback(connection.close)
        connection.execute("BEGIN IMMEDIATE")


def pull(url: str, box: ExchangeServer, latch: Latch) -> KillReport:
    async def instruments() -> Sequence[Instrument]:
        return [BTC]

    target = KillTarget("a0", latch, lambda: entry(url, box), instruments, {"BTC": OPENING["BTC"]})
    timings = KillTimings(deadline=60.0, quiet=QUIET_S, poll=0.2)
    return asyncio.run(kill(target, flatten=True, by="test", timings=timings))


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, RUNS + 1))])
def test_flat_whatever_the_executor_was_doing_and_flat_it_stays(tmp_path: Path, seed: int) -> None:
    with ExitStack() as held:
        box = start_box(1, {asset: str(amount) for asset, amount in OPENING.items()})
        held.callback(box.stop)
        slow = held.enter_context(SlowProxy(box.rest_url, 0.05))
        latch = Latch(tmp_path / "latches", "a0")
        live = held.enter_context(
            world(
                tmp_path,
                box,
                "a0",
                seed,
                open_entry=lambda: latched(entry(slow.url, box), latch),
                rules=msgspec.structs.replace(RULES, keep={"BTC": OPENING["BTC"]}),
            )
        )
        trade_until_it_holds_and_rests(live)

        def go_on() -> None:
            """The executor alone: the strategist is dead, and the log will be locked."""
            assert live.executor is not None
            try:
                while not done.is_set():
                    live.executor.pump()
                    live.executor.wait(0.01)
            except StoreError:
                pass  # it has died of the locked log

        done = threading.Event()
        live.add_bar()
        live.dice.pump()  # a last decision, whose orders are under way when the kill comes
        with ExitStack() as locks:
            executor = threading.Thread(target=go_on)
            executor.start()
            time.sleep(0.05 * (seed % 7))
            if seed % 2:  # of an even seed the executor lives on, and sees what is done to its orders
                lock_log(tmp_path / "log", locks)
            box.faults.set({"http5xx": 0.4, "order_unknown": 0.3})
            report = pull(slow.url, box, latch)
            box.faults.clear()
            done.set()
            executor.join(30)
        print(f"seed {seed}:\n" + "\n".join(report.lines()))
        assert report.is_verified, report
        flat(live)
        live.kill()
        live.start()  # a new executor, a strategist that would like to trade, a latch that is shut
        ordered = len(live.box._call(live._truth)["orders"])
        live.run_bars(5)
        time.sleep(0.5)
        live.run_bars(2)
        flat(live)
        assert len(live.box._call(live._truth)["orders"]) == ordered
        # its books follow, at the latest when nothing of what was under way can come any more
        live.until(lambda: 0 <= believed(live) < BTC.lot_size, what="a run that holds nothing")
        latch.release("a0", "test", time.time_ns())
        live.run_bars(4)
        assert live.box._call(live._truth)["balances"]["BTC"] >= OPENING["BTC"]  # what is not the run's was not sold


def believed(live: World) -> float:
    """What the run believes to hold."""
    assert live.executor is not None
    return live.executor._account.state.runs[live.run.run_id].holdings.of[BTC.id].held


def flat(live: World) -> None:
    truth = live.box._call(live._truth)
    assert truth["open"] == []
    assert 0 <= truth["balances"]["BTC"] - OPENING["BTC"] < BTC.lot_size
