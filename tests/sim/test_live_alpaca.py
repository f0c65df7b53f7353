"""The live executor through alpaca-py's unmodified client, against a local server that speaks Alpaca's protocol."""

from __future__ import annotations

import math
import time
from contextlib import closing
from pathlib import Path

import pytest
from tests.sim.liveworld import FREE, RULES, Strategist

from quantlytic.model.bar import Bar
from quantlytic.model.discrepancy import Discrepancy
from quantlytic.model.fill import Fill
from quantlytic.model.instrument import Instrument
from quantlytic.model.order import Order, OrderStatus, OrderType, OrderUpdate, TimeInForce
from quantlytic.model.run import Run
from quantlytic.model.side import Side
from quantlytic.services.liveexecutor import LiveExecutor
from quantlytic.store.log import open_log
from quantlytic.trading.latch import Latch
from quantlytic.trading.link import Link
from quantlytic.trading.risk import RiskGate

pytest.importorskip("alpaca", reason="needs alpaca-py (pip install quantlytic[alpaca])")
AAPL = Instrument("alpaca:AAPL", "AAPL", "USD", 0.01, 1.0, 0.0)
SECOND_NS = 1_000_000_000
RUN = Run("live-shares", "live", "alpaca", "hand", {}, (AAPL,), SECOND_NS, 20_000.0, 0.0, 0, "x")


def order(number: int, side: Side, quantity: float, price: float = math.nan) -> Order:
    kind = OrderType.MARKET if math.isnan(price) else OrderType.LIMIT
    return Order(RUN.run_id, number, AAPL.id, time.time_ns(), side, kind, TimeInForce.GTC, quantity, price)


def test_shares_are_bought_and_sold_with_a_lost_answer_and_a_restart(tmp_path: Path) -> None:
    from tests.venues.conformance_rigs import AlpacaRig

    with AlpacaRig() as rig, closing(open_log("sqlite", folder=tmp_path / "log")) as log:
        price = rig.price()
        bars, strategist = log.writer("barmaker.alpaca"), Strategist(log, RUN, 0, rig.price)

        def start() -> LiveExecutor:
            link = Link(rig.orders)
            latch = Latch(tmp_path / "latch", "shares")
            return LiveExecutor(log, "shares", [RUN], link, RiskGate("shares", FREE, [AAPL]), latch, rules=RULES)

        def bar(executor: LiveExecutor) -> None:
            now, before = time.time_ns(), strategist.bars
            bars.commit({"bars.alpaca": [Bar(AAPL.id, now - SECOND_NS, now, price, price, price, price, 1.0)]})
            until(executor, lambda: strategist.bars > before)

        def until(executor: LiveExecutor, done) -> None:  # type: ignore[no-untyped-def]
            ends_s = time.monotonic() + 30
            while not done():
                assert time.monotonic() < ends_s, log.read("account.shares", 0).events[-5:]
                if not executor.pump() + strategist.pump():
                    executor.wait(0.02)

        def ended(number: int) -> bool:
            said = [e for e in log.read(RUN.executions_stream, 0).events if isinstance(e, OrderUpdate)]
            return any(e.order_id == number and e.status == OrderStatus.FILLED for e in said)

        executor = start()
        bar(executor)
        rig.strike("unanswered")
        strategist.next.append(order(1, Side.BUY, 10.0))
        bar(executor)
        until(executor, lambda: ended(1))
        executor.close()
        executor = start()
        strategist.next.append(order(2, Side.SELL, 4.0))
        bar(executor)
        until(executor, lambda: ended(2))
        bar(executor)
        until(executor, lambda: executor.stats.is_ready and not executor.stats.suspects)
        fills = [each for each in log.read(RUN.executions_stream, 0).events if isinstance(each, Fill)]
        assert sum(fill.side * fill.quantity for fill in fills) == 6.0
        state = executor._account.state
        assert state.runs[RUN.run_id].holdings.of[AAPL.id].held == 6.0
        assert state.expected["AAPL"] == 6.0
        found = [each for each in log.read("account.shares", 0).events if isinstance(each, Discrepancy)]
        assert found == []
        executor.close()
