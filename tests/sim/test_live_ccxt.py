"""The live executor through ccxt's unmodified client, against the exchange in a box."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.sim.liveworld import Killed, start_box, world
from tests.venues.test_ccxt import exchange_at

from quantlytic.venues.ccxt.orders import CcxtOrders
from quantlytic.venues.exchange.server import ExchangeServer

pytest.importorskip("ccxt", reason="needs ccxt (pip install quantlytic[ccxt])")
WINDOW_S = 0.5  # a request is good for so long
PATIENCE_S = 0.5


@pytest.fixture
def box() -> Iterator[ExchangeServer]:
    server = start_box(1)
    yield server
    server.stop()


def test_books_agree_through_ccxt_with_lost_answers_and_deaths(box: ExchangeServer, tmp_path: Path) -> None:
    seed = 5
    print(f"seed {seed}")
    dice = random.Random(seed)

    @asynccontextmanager
    async def open_entry() -> AsyncIterator[CcxtOrders]:
        exchange = exchange_at(box, "a0")
        exchange.options["recvWindow"] = int(WINDOW_S * 1000)
        exchange.timeout, exchange.enableRateLimit = 500, False
        try:
            yield CcxtOrders(
                "box", exchange, poll_s=0.02, patience_s=PATIENCE_S, void_after_s=2 * PATIENCE_S + WINDOW_S
            )
        finally:
            await exchange.close()

    def fate(where: str) -> None:
        if live.deaths < 4 and dice.random() < 0.04:
            raise Killed(where)

    with world(tmp_path, box, "a0", seed, open_entry=open_entry) as live:
        live.run_bars(1)
        live.fate = fate
        box.faults.set({"order_unknown": 0.2, "order_cut": 0.2, "drop.user": 0.2})
        live.run_bars(8)
        box.faults.clear()
        live.fate = lambda _: None
        live.calm()
        counts = live.check({"USDT": 100_000.0})
        print(dict(counts))
        assert counts["trades"] > 0
