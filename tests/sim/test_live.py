"""The live executor against the exchange in a box, over real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from quantlytic.venues.exchange.server import ExchangeServer
from tests.sim.liveworld import start_box, world

OPENING = {"USDT": 100_000.0}


@pytest.fixture(scope="module")
def box() -> Iterator[ExchangeServer]:
    server = start_box(20)
    yield server
    server.stop()


def test_orders_go_to_the_venue_and_come_back_as_fills(box: ExchangeServer, tmp_path: Path) -> None:
    with world(tmp_path, box, "a0", 1) as live:
        live.run_bars(12)
        live.calm()
        counts = live.check(OPENING)
        print(counts)
        assert counts["trades"] > 0
