"""A real strategist on a live account: what it decided follows from what is on the tape, and dust does not bind it."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.services.swapline import ask, changes, means
from tests.sim.liveworld import BAR_NS, BTC, Killed, start_box, world

from quantlytic.model.bar import Bar
from quantlytic.model.codec import encode
from quantlytic.model.equity import Decided, Equity
from quantlytic.model.event import Event
from quantlytic.model.order import Order
from quantlytic.model.run import Run
from quantlytic.model.side import Side
from quantlytic.research.runs.liveparity import check_live_parity
from quantlytic.research.runs.paper import Rows, paper_session
from quantlytic.services.strategist import Strategist
from quantlytic.store.log.port import Log
from quantlytic.venues.exchange.server import ExchangeServer

RUN = Run(
    "live-sma", "live", "box", "sma-cross", {"fast": 2.0, "slow": 5.0, "weight": 0.5}, (BTC,), BAR_NS, 50_000.0, 10.0, 0, "x",
)  # fmt: skip


@pytest.fixture(scope="module")
def box() -> Iterator[ExchangeServer]:
    server = start_box(2)
    yield server
    server.stop()


class Real:
    """The strategist service, as a world sees one."""

    def __init__(self, log: Log, run: Run, *_: Any) -> None:
        self._service = Strategist(log, run, paper_session(run, compiled=False))
        self.bars = 0
        self.open_orders: set[int] = set()

    def pump(self) -> int:
        count = self._service.pump()
        self.bars += count
        return count

    def withdraw_all(self) -> None:
        """It is flat or not as it pleases."""


def replayed(log: Log, run: Run) -> Iterator[Event]:
    """What the strategist decides when it is given the bars and executions of the tape again."""
    session, rows = paper_session(run, compiled=False), Rows(run)
    bars = log.read(run.bars_stream, 0)
    found: dict[int, Bar] = {k: bar for k, bar in zip(bars.offsets, bars.events, strict=True) if isinstance(bar, Bar)}
    pending: list[Event] = []
    for event in log.read(run.executions_stream, 0).events:
        pending.append(event)
        if not isinstance(event, Equity):
            continue
        offset = event.bar_offset
        row = rows.bars([found[offset]])
        session.apply(rows.updates(pending), rows.fills(pending), row)
        pending = []
        signals, orders, cancels, amends = session.decide(row)
        yield from rows.signal_events(signals, lambda _, at=offset: at)  # type: ignore[misc]
        yield from rows.cancel_events(cancels, lambda _, at=offset: at)  # type: ignore[misc]
        yield from rows.amend_events(amends, lambda _, at=offset: at)  # type: ignore[misc]
        yield from rows.order_events(orders, lambda _, at=offset: at)  # type: ignore[misc]
        yield Decided(run.run_id, offset)


def test_decisions_follow_from_the_tape_and_dust_does_not_bind(box: ExchangeServer, tmp_path: Path) -> None:
    seed = 3
    print(f"seed {seed}")
    dice = random.Random(seed)
    with world(tmp_path, box, "a0", seed, strategist=Real, run=RUN) as live:

        def fate(where: str) -> None:
            if dice.random() < 0.03:
                raise Killed(where)

        live.fate = fate
        box.faults.set({"order_timeout": 0.2, "drop.user": 0.2, "duplicate.user": 0.2})
        for k in range(60):
            live.add_bar(live.price() * (1 + 0.001 * ((k % 12) - 6) * (-1) ** (k // 12)))
            live.until(lambda k=k: live.dice.bars > k, what="decision")  # type: ignore[misc]
            if k % 6 == 0:
                time.sleep(0.01)
        box.faults.clear()
        live.fate = lambda _: None
        live.until(live.is_calm)
        counts = live.check({"USDT": 100_000.0})
        print(dict(counts))
        decided = live.events(RUN.decisions_stream)
        assert [encode(event) for event in replayed(live.log, RUN)] == [encode(event) for event in decided]
        orders = [event for event in decided if isinstance(event, Order)]
        sides = [order.side for order in orders if order.order_id in {fill.order_id for fill in live.fills()}]
        assert sides[:4] == [Side.BUY, Side.SELL, Side.BUY, Side.SELL]  # though each fee leaves dust


class Giving(Real):
    """One that may give way to another."""

    folder: Path

    def __init__(self, log: Log, run: Run, *_: Any) -> None:
        super().__init__(log, run)
        self._service.close()
        self._service = Strategist(log, run, paper_session(run, compiled=False), means(self.folder))


def test_another_strategy_takes_over_an_account(box: ExchangeServer, tmp_path: Path) -> None:
    """Everything sold at the venue, by its answer; then the new one trades. The executor is killed now and then."""
    seed = 5
    print(f"seed {seed}")
    dice = random.Random(seed)
    Giving.folder = tmp_path / "log"
    with world(tmp_path, box, "a1", seed, strategist=Giving, run=RUN) as live:

        def fate(where: str) -> None:
            if dice.random() < 0.03:
                raise Killed(where)

        live.fate = fate
        box.faults.set({"order_timeout": 0.2, "drop.user": 0.2})
        for k in range(60):
            if k in (24, 44):
                ask(live.log, RUN, "sma-cross", "close" if k == 24 else "keep", k, fast=3, slow=4 + k // 8, weight=0.4)
            live.add_bar(live.price() * (1 + 0.001 * ((k % 12) - 6) * (-1) ** (k // 12)))
            live.until(lambda k=k: live.dice.bars > k, what="decision")  # type: ignore[misc]
            if k % 6 == 0:
                time.sleep(0.01)
        box.faults.clear()
        live.fate = lambda _: None
        live.until(live.is_calm)
        live.check({"USDT": 100_000.0})
        first, second = changes(live.log, RUN)
        assert (first.position, second.position, first.refusal, second.refusal) == ("close", "keep", "", "")
        equity = {one.bar_offset: one for one in live.events(RUN.executions_stream) if isinstance(one, Equity)}
        assert equity[first.bar_offset].position > 0.0, "there was nothing to sell"
        assert abs(equity[first.bar_offset + 2].position) < 1e-4
        assert [order for order in live.events(RUN.decisions_stream) if isinstance(order, Order)][
            -1
        ].bar_offset > second.bar_offset
        parity = check_live_parity(live.log, RUN, paper_session(RUN, compiled=False))
        assert (parity.mismatches, parity.first_mismatch) == (0, None)
