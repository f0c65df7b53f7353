"""Recorder and order entry against an exchange that misbehaves by a seed: recovered, told truly, nobody's position wrong.

A few seeds run in `make test`; fifty of each fault are marked slow. The seed is in the test's name.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from quantlytic.model.book import BookDelta
from quantlytic.model.codec import encode_batch
from quantlytic.model.errors import VenueError
from quantlytic.model.event import Event
from quantlytic.model.frame import RawFrame
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.model.order import Order, OrderStatus, OrderType, TimeInForce
from quantlytic.model.quote import Quote
from quantlytic.model.side import Side
from quantlytic.model.trade import Trade
from quantlytic.services.recorder import Recorder
from quantlytic.store.log import open_log
from quantlytic.venues.binance.feed import BinanceFeed, FeedTimings
from quantlytic.venues.binance.keys import Keys
from quantlytic.venues.binance.market import BinanceMarket, spot
from quantlytic.venues.binance.normaliser import BinanceNormaliser
from quantlytic.venues.binance.orders import BinanceOrders, OrderTimings
from quantlytic.venues.clock import GuardedClock
from quantlytic.venues.exchange.config import ExchangeConfig
from quantlytic.venues.exchange.server import ExchangeServer
from quantlytic.venues.port import OrderState

SYMBOLS = ("BTCUSDT", "ETHUSDT")
FEED = FeedTimings(start=5, stale=0.4, backoff=0.01, backoff_max=0.05, spacing=0.01, request=1)
ORDERS = OrderTimings(request=0.15, window=0.3, poll=0.01, skew=0.1, patience=10)
STREAM_OF = {"trade": "trades", "bookTicker": "quotes", "depth": "book"}

MARKET_FAULTS: dict[str, dict[str, float]] = {
    "drop": {"drop": 0.06},
    "delay": {"delay": 0.01, "delay_ms": 60},
    "duplicate": {"duplicate": 0.05},
    "reorder": {"reorder": 0.05},
    "disconnect": {"disconnect": 0.003},
    "stale": {"stale": 1},
    "http429": {"drop.trade": 0.08, "http429": 0.3, "http429.times": 2, "retry_after_s": 0.1},
    "http5xx": {"drop.trade": 0.08, "drop.depth": 0.03, "http5xx": 0.25},
    "html": {"drop.trade": 0.08, "drop.depth": 0.03, "html": 0.25},
    "everything": {"drop": 0.02, "delay": 0.005, "delay_ms": 30, "duplicate": 0.02, "reorder": 0.02, "disconnect": 0.001,
                   "http5xx": 0.2},
}  # fmt: skip
ORDER_FAULTS: dict[str, dict[str, float]] = {
    "drop": {"drop.user": 0.3},
    "delay": {"delay.user": 0.3, "delay_ms": 30},
    "duplicate": {"duplicate.user": 0.5},
    "reorder": {"reorder.user": 0.3},
    "disconnect": {"disconnect.user": 0.3},
    "http429": {"http429": 0.2, "http429.times": 2},
    "http5xx": {"http5xx": 0.2},
    "html": {"html": 0.2},
    "accept-then-timeout": {"order_timeout": 0.5, "timeout_s": 5},
    "accept-then-cut": {"order_cut": 0.5},
    "accept-then-unknown": {"order_unknown": 0.5},
    "everything": {"order_timeout": 0.1, "order_cut": 0.1, "order_unknown": 0.1, "http5xx": 0.1, "html": 0.1,
                   "disconnect.user": 0.1, "drop.user": 0.1},
}  # fmt: skip

# What must have happened at least once for a run to prove anything: on a busy machine half a second may be too short.
AWAITED = {"drop": "drop.trade", "http429": "drop.trade", "http5xx": "drop.trade", "html": "drop.trade",
           "duplicate": "duplicate", "reorder": "reorder"}  # fmt: skip

few = pytest.mark.parametrize("seed", [1])
RUNS = int(os.environ.get("SIM_FAULT_RUNS", "50"))
many = pytest.mark.parametrize("seed", range(101, 101 + RUNS))


def market_at(box: ExchangeServer) -> BinanceMarket:
    return spot("box", box.rest_url, box.stream_url + "/stream", box.stream_url + "/ws-api/v3")


# --- market data


class Recording:
    """What a recorder put on the tape while the exchange misbehaved, and what the exchange says it did."""

    def __init__(self, folder: Path, faults: dict[str, float], seed: int, fault_s: float, awaited: str) -> None:
        config = ExchangeConfig(port=0, symbols=SYMBOLS, seed=seed, fault_seed=seed, trades_per_s=300, step_ms=5)
        with ExchangeServer(config) as box:
            log = open_log("sqlite", folder=folder)
            market, clock = market_at(box), GuardedClock()
            normaliser = BinanceNormaliser(market)
            feed = BinanceFeed(market, SYMBOLS, clock, timings=FEED, seed=seed)
            recorder = Recorder(log, "box", feed, normaliser, clock)

            def pump_for(seconds: float) -> None:
                until = time.monotonic() + seconds
                while time.monotonic() < until:
                    if not recorder.pump():
                        recorder.wait(0.01)

            def pump_until_well() -> None:
                """Without faults: until books are in step and no trade is waited for."""
                until = time.monotonic() + 15
                while True:
                    pump_for(0.15)
                    if all(normaliser.is_in_sync(s) and not normaliser.is_waiting(s) for s in SYMBOLS):
                        return
                    assert time.monotonic() < until, f"not recovered: {recorder.stats}"

            pump_until_well()
            box.faults.set(faults)
            pump_for(fault_s)
            until = time.monotonic() + 15
            while awaited and not any(
                n for name, n in box.state()["faults"]["injected"].items() if name.startswith(awaited)
            ):
                assert time.monotonic() < until, f"the exchange never did it: {awaited}"
                pump_for(0.1)
            box.faults.clear()
            self.injected = Counter(box.state()["faults"]["injected"])
            pump_until_well()
            recorder.close()
            self.raw: list[RawFrame] = _read(log, "raw.box")
            self.events: list[Event] = _read(log, "market.box")
            log.close()
            self.last_ids = {s: max(e.trade_id for e in self.trades(s)) for s in SYMBOLS}
            self.truth = {s: _history(box, s, self.trades(s)[0].trade_id, self.last_ids[s]) for s in SYMBOLS}

    def trades(self, symbol: str) -> list[Trade]:
        return [e for e in self.events if isinstance(e, Trade) and e.instrument == f"box:{symbol}"]

    def gaps(self, stream: str, symbol: str) -> list[LedgerEntry]:
        return [e for e in self.ledger(LedgerKind.GAP, stream) if e.instrument == f"box:{symbol}"]

    def ledger(self, kind: LedgerKind, stream: str = "") -> list[LedgerEntry]:
        entries = [e for e in self.events if isinstance(e, LedgerEntry) and e.kind == kind]
        return [e for e in entries if stream in ("", e.stream)]


def _read(log: Any, stream: str) -> list[Any]:
    events: list[Any] = []
    at = 0
    while (batch := log.read(stream, at)).events:
        events += batch.events
        at = batch.next_offset
    return events


def _history(box: ExchangeServer, symbol: str, first: int, last: int) -> list[tuple[int, float, float, int, int]]:
    rows: list[tuple[int, float, float, int, int]] = []
    while first <= last:
        url = (
            f"{box.rest_url}/api/v3/historicalTrades?symbol={symbol}&fromId={first}&limit={min(1000, last - first + 1)}"
        )
        page = httpx.get(url).json()
        rows += [
            (r["id"], float(r["price"]), float(r["qty"]), r["time"] * 10**6, -1 if r["isBuyerMaker"] else 1)
            for r in page
        ]
        first = rows[-1][0] + 1
    return rows


def check_market_data(folder: Path, fault: str, seed: int) -> None:
    fault_s = 1.2 if fault == "stale" else 0.5
    took = Recording(folder, MARKET_FAULTS[fault], seed, fault_s, AWAITED.get(fault, ""))
    for symbol in SYMBOLS:
        recorded = [(t.trade_id, t.price, t.quantity, t.event_time, t.side) for t in took.trades(symbol)]
        stated = {i for e in took.gaps("trades", symbol) for i in range(e.first, e.last + 1)}
        # every trade of the exchange, once, in order, as it was; only what a REST that kept failing did not give is a gap
        assert recorded == [row for row in took.truth[symbol] if row[0] not in stated]
        assert not stated or "http5xx" in MARKET_FAULTS[fault] or "html" in MARKET_FAULTS[fault]
        _check_book(took, symbol)
        quotes = [e.sequence for e in took.events if isinstance(e, Quote) and e.instrument == f"box:{symbol}"]
        assert len(quotes) == len(set(quotes))
    assert not took.ledger(LedgerKind.CROSSED)
    assert not took.ledger(LedgerKind.INVALID)
    _check_deeds(took, fault)
    normaliser = BinanceNormaliser(spot("box"))
    rebuilt = [event for frame in took.raw for event in normaliser.feed(frame)]
    assert encode_batch(rebuilt) == encode_batch(took.events)


def _check_book(took: Recording, symbol: str) -> None:
    """The update ids of the recorded changes and of the stated gaps (less what came late) are all ids, none twice."""
    deltas = [e for e in took.events if isinstance(e, BookDelta) and e.instrument == f"box:{symbol}" and not e.snapshot]
    spans = [(e.first_sequence, e.last_sequence) for e in deltas]
    for entry in took.gaps("book", symbol):
        late = [e for e in took.ledger(LedgerKind.BACKFILL, "book") if e.instrument == entry.instrument]
        spans += _without(entry, late)
    spans.sort()
    for (_, last), (first, _) in pairwise(spans):
        assert first == last + 1


def _without(gap: LedgerEntry, late: list[LedgerEntry]) -> list[tuple[int, int]]:
    rest, first = [], gap.first
    for entry in sorted(late, key=lambda e: e.first):
        if gap.first <= entry.first and entry.last <= gap.last:
            if first < entry.first:
                rest.append((first, entry.first - 1))
            first = entry.last + 1
    return rest + ([(first, gap.last)] if first <= gap.last else [])


def _check_deeds(took: Recording, fault: str) -> None:
    """The ledger against what the exchange says it did."""
    injected = took.injected
    if fault == "duplicate":
        told = Counter(entry.stream for entry in took.ledger(LedgerKind.DUPLICATE))
        assert told == Counter(
            {STREAM_OF[k]: injected[f"duplicate.{k}"] for k in STREAM_OF if injected[f"duplicate.{k}"]}
        )
        assert sum(told.values()) > 0
    if fault in ("drop", "http429", "http5xx", "html"):
        fetched = sum(entry.count for entry in took.ledger(LedgerKind.BACKFILL, "trades"))
        fetched += sum(entry.count for entry in took.ledger(LedgerKind.GAP, "trades"))
        assert fetched == injected["drop.trade"] > 0
        gaps = took.ledger(LedgerKind.GAP, "book")
        assert len(gaps) <= injected["drop.depth"]
        assert bool(gaps) == bool(injected["drop.depth"])
    if fault == "reorder":
        # what the exchange still holds back when it is told to behave again, it never sends: one message a stream
        assert all(len(took.gaps("book", symbol)) <= 1 for symbol in SYMBOLS)
        assert not took.ledger(LedgerKind.GAP, "trades")
        assert sum(count for name, count in injected.items() if name.startswith("reorder")) > 0
    if fault in ("disconnect", "stale"):
        cuts = sum(count for name, count in injected.items() if name.startswith("disconnect"))
        reconnects = len(took.ledger(LedgerKind.RECONNECT))
        assert reconnects == cuts if fault == "disconnect" else reconnects >= 1
    if fault == "delay":
        kinds = {e.kind for e in took.events if isinstance(e, LedgerEntry)}
        assert kinds == set()


@few
@pytest.mark.parametrize("fault", MARKET_FAULTS)
def test_market_data_survives(tmp_path: Path, fault: str, seed: int) -> None:
    check_market_data(tmp_path, fault, seed)


@pytest.mark.slow
@many
@pytest.mark.parametrize("fault", MARKET_FAULTS)
def test_market_data_survives_many_times(tmp_path: Path, fault: str, seed: int) -> None:
    check_market_data(tmp_path, fault, seed)


# --- orders


async def trade_at_random(box: ExchangeServer, seed: int, faults: dict[str, float]) -> list[OrderState]:
    """Submit and cancel by the seed while the exchange misbehaves; returns what we believe at the end."""
    chance = random.Random(seed)
    states: dict[str, OrderState] = {}
    prices = {s: float(box.state()["symbols"][s]["last_price"]) for s in SYMBOLS}
    async with BinanceOrders(market_at(box), Keys(*box.keys()), timings=ORDERS, seed=seed) as orders:

        async def listen() -> None:
            async for state in orders.updates():
                known = states.get(state.client_order_id)
                if known is None or (known.is_open and known.event_time <= state.event_time):
                    states[state.client_order_id] = state

        listening = asyncio.create_task(listen())
        await asyncio.sleep(0.05)
        box.faults.set(faults)
        for number in range(1, 13):
            symbol, side = chance.choice(SYMBOLS), chance.choice([Side.BUY, Side.SELL])
            kind = chance.choice([OrderType.MARKET, OrderType.LIMIT])
            price = round(prices[symbol] * (1 + chance.uniform(-0.02, 0.02)), 2)
            quantity = 0.002 if symbol == "BTCUSDT" else 0.04
            order = Order("r", number, f"box:{symbol}", 0, side, kind, TimeInForce.GTC, quantity, price)
            name = f"r{seed}.{number}"
            states[name] = await orders.submit(order, name)
            assert states[name].status != OrderStatus.UNRESOLVED
            if states[name].is_open and chance.random() < 0.4:
                with suppress(VenueError):  # not heard, so not assumed: what became of it is asked below
                    states[name] = await orders.cancel(f"box:{symbol}", name)
        box.faults.clear()
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        for name, state in list(states.items()):  # what filled while nobody told us
            found = await orders.status(state.instrument, name)
            assert found is not None or state.status == OrderStatus.REJECTED
            if found is not None:
                assert found.filled_quantity >= state.filled_quantity
                if not state.is_open:
                    assert (found.status, found.filled_quantity) == (state.status, state.filled_quantity)
                states[name] = found
        for name in [name for name, state in states.items() if state.is_open]:
            states[name] = await orders.cancel(states[name].instrument, name)
        assert await orders.reconcile(list(states.values())) == []
        await check_positions(orders, box, list(states.values()))
    return list(states.values())


async def check_positions(orders: BinanceOrders, box: ExchangeServer, states: list[OrderState]) -> None:
    """Our fills, added to what was there at the start, are the exchange's balances; no order was accepted twice."""
    held = {asset: float(amount) for asset, amount in box.config.accounts[0].deposits.items()}
    by_order: Counter[int] = Counter()
    for symbol in SYMBOLS:
        for fill in await orders.my_trades(f"box:{symbol}"):
            held[symbol[:3]] += fill.side * fill.quantity
            held["USDT"] -= fill.side * fill.quantity * fill.price
            held[fill.fee_asset] -= fill.fee
            by_order[fill.venue_order_id] += round(fill.quantity * 1e8)
    believed = {state.venue_order_id: round(state.filled_quantity * 1e8) for state in states if state.filled_quantity}
    assert dict(by_order) == believed
    truth = {asset: float(row["free"]) + float(row["locked"]) for asset, row in box.state()["accounts"]["demo"].items()}
    assert held == pytest.approx(truth, abs=1e-7)


def check_orders(fault: str, seed: int) -> None:
    config = ExchangeConfig(port=0, symbols=SYMBOLS, seed=seed, fault_seed=seed, trades_per_s=100, step_ms=5)
    with ExchangeServer(config) as box:
        while any(each["last_price"] is None for each in box.state()["symbols"].values()):
            time.sleep(0.01)
        states = asyncio.run(trade_at_random(box, seed, ORDER_FAULTS[fault]))
    assert len(states) == 12
    assert any(state.filled_quantity for state in states)


@few
@pytest.mark.parametrize("fault", ORDER_FAULTS)
def test_orders_survive(fault: str, seed: int) -> None:
    check_orders(fault, seed)


@pytest.mark.slow
@many
@pytest.mark.parametrize("fault", ORDER_FAULTS)
def test_orders_survive_many_times(fault: str, seed: int) -> None:
    check_orders(fault, seed)
