"""A kill over real sockets: traders in the middle of it, the log locked, no strategist, a slow exchange that fails."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.trading.slow_proxy import SlowProxy

from quantlytic.model.instrument import Instrument
from quantlytic.model.order import OrderStatus
from quantlytic.store.log.sqlite import SqliteLog
from quantlytic.trading.killreport import KillReport
from quantlytic.trading.killswitch import KillTarget, KillTimings, kill
from quantlytic.trading.latch import Latch
from quantlytic.venues.binance.keys import Keys
from quantlytic.venues.binance.market import spot
from quantlytic.venues.binance.orders import BinanceOrders, OrderTimings
from quantlytic.venues.exchange.config import ExchangeConfig
from quantlytic.venues.exchange.server import ExchangeServer
from quantlytic.venues.port import Balance, OrderState

BTC = Instrument("box:BTCUSDT", "BTC", "USDT", 0.01, 0.00001, 5.0)
HELD = 1.0  # the demo account's bitcoin before anybody trades
TRADER = Path(__file__).with_name("trader_process.py")
TIMINGS = OrderTimings(request=2.0, window=2.0, poll=0.1, patience=4.0)


@pytest.fixture
def box() -> Iterator[ExchangeServer]:
    with ExchangeServer(ExchangeConfig(port=0, trades_per_s=30, order_limit=10_000)) as server:
        while server.state()["symbols"]["BTCUSDT"]["last_price"] is None:
            time.sleep(0.01)
        yield server


def entry(url: str, keys: tuple[str, str]) -> BinanceOrders:
    streams = url.replace("http", "ws")
    return BinanceOrders(spot("box", url, streams + "/stream", streams + "/ws-api/v3"), Keys(*keys), timings=TIMINGS)


def truth(box: ExchangeServer) -> tuple[list[OrderState], dict[str, Balance]]:
    """What the exchange itself says, asked over a wire that is neither slow nor faulty."""

    async def ask() -> tuple[list[OrderState], dict[str, Balance]]:
        async with entry(box.rest_url, box.keys()) as client:
            return await client.open_orders(), await client.balances()

    box.faults.clear()
    return asyncio.run(ask())


def pull(url: str, box: ExchangeServer, folder: Path, quiet_s: float) -> KillReport:
    async def instruments() -> Sequence[Instrument]:
        return [BTC]

    target = KillTarget("main", Latch(folder, "main"), lambda: entry(url, box.keys()), instruments, {"BTC": HELD})
    timings = KillTimings(deadline=60.0, quiet=quiet_s, poll=0.3, call=6.0)
    return asyncio.run(kill(target, flatten=True, by="test", timings=timings))


def start_trader(url: str, box: ExchangeServer, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, str(TRADER), url, *box.keys(), str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def lock_log(folder: Path, held: ExitStack) -> None:
    """Hold every file of a log in an exclusive transaction: who touches it, waits."""
    log = SqliteLog(folder)
    held.callback(log.close)
    log.writer("executor.main").commit({"account.main": []}, {}, b"state")
    files = [path for path in folder.iterdir() if path.suffix in (".db", ".sqlite", ".sqlite3")]
    assert files
    for path in files:
        connection = sqlite3.connect(path, isolation_level=None)
        held.callback(connection.close)
        connection.execute("BEGIN EXCLUSIVE")


# a trader's request is good for 1 s (and 1 s of skew); while it lives it repeats one for 3 s: so late can an order come
@pytest.mark.parametrize(
    ("how", "quiet_s"),
    [
        pytest.param("killed", 2.5),
        pytest.param("alive", 5.5, marks=pytest.mark.slow),
        pytest.param("stopped", 5.5, marks=pytest.mark.slow),
    ],
)
def test_flat_at_the_venue_with_traders_under_way_the_log_locked_and_the_exchange_slow(
    box: ExchangeServer, tmp_path: Path, how: str, quiet_s: float
) -> None:
    latches = tmp_path / "accounts"
    with ExitStack() as held:
        lock_log(tmp_path / "log", held)
        slow = held.enter_context(SlowProxy(box.rest_url, 0.15))
        trader = start_trader(slow.url, box, latches)
        assert trader.stdout is not None
        held.callback(trader.stdout.close)
        held.callback(trader.wait)
        held.callback(trader.kill)
        for _ in range(6):  # it is in full swing
            assert trader.stdout.readline()
        box.faults.set({"http5xx": 0.3, "order_unknown": 0.3, "http429": 0.05, "retry_after_s": 0.2})
        if how != "alive":
            trader.send_signal(signal.SIGKILL if how == "killed" else signal.SIGSTOP)
        report = pull(slow.url, box, latches, quiet_s)
        print(f"{how}: " + "\n".join(report.lines()))
        open_orders, balances = truth(box)
        assert report.is_verified, report
        assert open_orders == []
        above = balances["BTC"].free + balances["BTC"].locked - HELD
        assert 0 <= above < BTC.lot_size + 1e-9
        assert report.cancelled
        assert report.total_s < 60
        if how == "alive":
            assert trader.wait(20) == 0  # it saw the latch and ended by itself
            time.sleep(0.5)
            assert truth(box)[0] == []


def test_a_trader_that_ignores_the_latch_is_not_reported_as_quiet(box: ExchangeServer, tmp_path: Path) -> None:
    with ExitStack() as held:
        trader = start_trader(box.rest_url, box, tmp_path / "elsewhere")
        assert trader.stdout is not None
        held.callback(trader.stdout.close)
        held.callback(trader.wait)
        held.callback(trader.kill)
        assert trader.stdout.readline()

        async def instruments() -> Sequence[Instrument]:
            return [BTC]

        target = KillTarget(
            "main", Latch(tmp_path, "main"), lambda: entry(box.rest_url, box.keys()), instruments, {"BTC": HELD}
        )
        timings = KillTimings(deadline=4.0, quiet=1.5, poll=0.2)
        report = asyncio.run(kill(target, by="test", timings=timings))
        assert report.is_latched
        assert not report.is_quiet
        assert not report.is_verified
        assert OrderStatus.CANCELED.name in {order.status for order in report.cancelled}
