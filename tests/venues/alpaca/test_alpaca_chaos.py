"""Alpaca under seeded faults: no order twice, no fill lost, no trade missed without a word. CHAOS_RUNS: how many of each."""

from __future__ import annotations

import asyncio
import os
import random
from typing import Any

import pytest
from tests.venues.conformance import Recording, record, trade, until
from tests.venues.conformance_rigs import AlpacaRig

from quantlytic.model.ledger import LedgerKind
from quantlytic.model.order import OrderStatus
from quantlytic.model.side import Side
from quantlytic.model.trade import Trade
from quantlytic.venues.alpaca.order_rows import STATUS
from quantlytic.venues.answers import Throttled, Unheard
from quantlytic.venues.port import OrderState

RUNS = int(os.environ.get("CHAOS_RUNS", "5"))
ORDER_FAULTS = ("http5xx", "http429", "html", "order_timeout", "order_cut", "order_504", "hidden", "no_updates")


@pytest.mark.parametrize("seed", range(RUNS))
def test_books_agree_with_the_venue_after_any_faults(seed: int) -> None:
    print(f"seed {seed}")
    chance = random.Random(seed)
    seen: list[OrderState] = []

    async def step(rig: AlpacaRig, entry: Any, number: int) -> None:
        name = f"chaos.{seed}.{number}"
        if chance.random() < 0.7:
            rig.server.fail(chance.choice(ORDER_FAULTS), chance.randint(1, 3))
        if chance.random() < 0.2:
            await asyncio.to_thread(rig.cut)
        rig.server.brokerage.depth["AAPL"] = chance.choice([1.0, 100.0])
        side = chance.choice([Side.BUY, Side.SELL])
        limit = chance.choice([None, None, 100.0 if side is Side.BUY else 200.0])
        state = await entry.submit(rig.order(chance.randint(1, 5), limit, side), name)
        row = rig.server.brokerage.accounts["KEY"].by_client_id(name)
        if state.status == OrderStatus.REJECTED:
            assert row is None, "said to be refused, and is there"
        elif state.status != OrderStatus.UNRESOLVED:
            assert row is not None, "said to be there, and is not"
        if state.is_open and chance.random() < 0.5:
            try:
                await entry.cancel(rig.instrument, name)
            except (Unheard, Throttled):
                assert rig.server.faults  # asked in vain: told, not guessed
        if chance.random() < 0.3:
            await asyncio.to_thread(rig.server.print, "AAPL", 150.0, 2.0)

    async def work(entry: Any) -> None:
        async def listen() -> None:
            async for state in entry.updates():
                seen.append(state)

        listening = asyncio.create_task(listen())
        for number in range(8):
            await step(rig, entry, number)
        rig.calm()
        rows = list(rig.server.brokerage.accounts["KEY"].orders.values())
        assert len({row["client_order_id"] for row in rows}) == len(rows), "an order exists twice"
        states = []
        for row in rows:
            state = await entry.status(rig.instrument, row["client_order_id"])
            states.append(state)
            assert state.filled_quantity == float(row["filled_qty"])
            assert state.status in (STATUS[row["status"]], OrderStatus.PARTIALLY_FILLED)
        account = rig.server.brokerage.accounts["KEY"]
        fills = await entry.my_trades(rig.instrument)
        assert sum(fill.side * fill.quantity for fill in fills) == pytest.approx(account.held.get("AAPL", 0.0))
        assert 100_000 - sum(f.side * f.quantity * f.price for f in fills) == pytest.approx(account.cash)
        assert len({fill.trade_id for fill in fills}) == len(fills) == len(account.fills)
        balances = {asset: row.free + row.locked for asset, row in (await entry.balances()).items()}
        assert await entry.reconcile(states, balances) == []
        opened = {row["client_order_id"] for row in rows if row["status"] in ("new", "partially_filled")}
        assert {state.client_order_id for state in await entry.open_orders()} == opened
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)

    with AlpacaRig() as rig:
        trade(rig, work)


@pytest.mark.parametrize("seed", range(RUNS))
def test_every_trade_is_recorded_once_or_its_lack_is_stated(seed: int) -> None:
    print(f"seed {seed}")
    chance = random.Random(seed)

    async def work(recording: Recording) -> None:
        await until(lambda: rig.server.listeners("stocks"))
        for number in range(60):
            await asyncio.to_thread(rig.server.print, "AAPL", 150 + number / 100)
            if chance.random() < 0.08:
                if chance.random() < 0.3:
                    rig.server.fail("history_5xx", chance.randint(1, 8))
                if chance.random() < 0.3:
                    rig.server.fail("connection_limit", 2)
                await asyncio.to_thread(rig.cut)
            await asyncio.sleep(chance.random() * 0.02)
        rig.calm()
        await until(lambda: rig.server.listeners("stocks"))
        await asyncio.to_thread(rig.server.print, "AAPL", 999.0)
        await until(lambda: any(one.price == 999.0 for one in recording.of(Trade)))

    with AlpacaRig() as rig:
        recording = record(rig, work)
        printed = [row["i"] for row in rig.server.brokerage.trades["AAPL"]]
    ids = [one.trade_id for one in recording.of(Trade)]
    gaps = recording.ledger(LedgerKind.GAP)
    assert ids == sorted(set(ids)), "twice, or out of order"
    first = printed.index(ids[0])
    if not gaps:
        assert ids == printed[first:], "missed without a word"
    assert set(ids) <= set(printed)
