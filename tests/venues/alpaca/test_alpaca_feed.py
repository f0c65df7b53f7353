"""Alpaca's market data by the unmodified SDK, beyond what the conformance suite asks of every venue."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.venues.conformance import Recording, record, until
from tests.venues.conformance_rigs import AlpacaRig

from quantlytic.model.bar import Bar
from quantlytic.model.errors import InputError, VenueError
from quantlytic.model.ledger import LedgerKind
from quantlytic.model.trade import Trade
from quantlytic.services.recorder import Recorder
from quantlytic.store.log import open_log
from quantlytic.venues.alpaca import instruments as instruments_module
from quantlytic.venues.alpaca.feed import AlpacaFeed, AlpacaFeedTimings
from quantlytic.venues.alpaca.keys import AlpacaKeys
from quantlytic.venues.clock import GuardedClock
from quantlytic.venues.port import LOST

AAPL, BTC = "AAPL", "BTC/USD"


@pytest.fixture
def rig() -> Iterator[AlpacaRig]:
    with AlpacaRig() as rig:
        yield rig


def prices(recording: Recording, instrument: str = "alpaca:AAPL") -> list[float]:
    return [trade.price for trade in recording.of(Trade) if trade.instrument == instrument]


def was_lost(recording: Recording) -> bool:
    return any(frame.channel == LOST for frame in recording)


async def nothing(_: Recording) -> None:
    await asyncio.sleep(30)


def test_shares_and_crypto_have_a_stream_each_and_are_interrupted_apart(rig: AlpacaRig) -> None:
    async def work(recording: Recording) -> None:
        await until(lambda: rig.server.listeners("stocks") == 1 and rig.server.listeners("crypto") == 1)
        for price in (150.1, 150.0, 149.9):
            await asyncio.to_thread(rig.server.print, AAPL, price)
        await asyncio.to_thread(rig.server.print, BTC, 60_001.0, 0.5)
        await until(lambda: len(recording.of(Trade)) == 4)
        rig.server.cut("stocks")
        await until(lambda: was_lost(recording))
        for price in (151.0, 152.0):
            await asyncio.to_thread(rig.server.print, AAPL, price, 1.0, False)
        await until(lambda: rig.server.listeners("stocks") == 1)
        await asyncio.to_thread(rig.server.print, AAPL, 153.0)
        await until(lambda: len(recording.of(Trade)) == 7)

    recording = record(rig, work, symbols=[AAPL, BTC])
    assert prices(recording) == [150.1, 150.0, 149.9, 151.0, 152.0, 153.0]
    assert prices(recording, f"alpaca:{BTC}") == [60_001.0]
    kinds = [
        entry.kind for entry in recording.ledger()
    ]  # what was printed before it was asked for comes twice: told, and left out
    assert [kind for kind in kinds if kind != LedgerKind.DUPLICATE] == [LedgerKind.RECONNECT, LedgerKind.BACKFILL]
    assert "stocks" in recording.ledger(LedgerKind.RECONNECT)[0].detail


def test_history_that_cannot_be_had_is_a_gap_and_the_stream_goes_on(rig: AlpacaRig) -> None:
    async def work(recording: Recording) -> None:
        await until(lambda: rig.server.listeners("stocks") == 1)
        await asyncio.to_thread(rig.server.print, AAPL, 150.0)
        await until(lambda: recording.of(Trade))
        rig.server.fail("history_5xx", 100)
        rig.server.cut("stocks")
        await until(lambda: recording.ledger(LedgerKind.GAP))
        await asyncio.to_thread(rig.server.print, AAPL, 151.0)
        await until(lambda: len(recording.of(Trade)) == 2)

    recording = record(rig, work)
    (gap,) = recording.ledger(LedgerKind.GAP)
    assert gap.stream == "trades"
    assert "unknown number" in gap.detail


@pytest.mark.parametrize("fault", ["connection_limit", "html_socket"])
def test_a_connection_that_is_refused_once_is_tried_again(rig: AlpacaRig, fault: str) -> None:
    rig.server.fail(fault, 2)
    record(rig, lambda _: until(lambda: rig.server.listeners("stocks") == 1))


def test_a_subscription_that_is_refused_is_told_in_the_venues_words(rig: AlpacaRig) -> None:
    rig.server.fail("symbol_limit")
    with pytest.raises(VenueError, match=r"symbol limit exceeded \(405\)"):
        record(rig, nothing)


def test_only_what_exists_can_be_asked_for(rig: AlpacaRig) -> None:
    keys, clock = AlpacaKeys("KEY", "SECRET"), GuardedClock()
    with pytest.raises(InputError, match="no symbols"):
        AlpacaFeed(rig.market(), [], keys, clock)
    with pytest.raises(InputError, match="trades, quotes, bars"):
        AlpacaFeed(rig.market(), [AAPL], keys, clock, kinds=["book"])


def test_the_venues_own_bars_come_when_they_are_asked_for(rig: AlpacaRig) -> None:
    async def scenario() -> list[Bar]:
        feed = AlpacaFeed(rig.market(), [AAPL], AlpacaKeys("KEY", "SECRET"), GuardedClock(), kinds=["bars"])
        recording = Recording(rig, feed)
        running = asyncio.create_task(feed.run(recording))
        async with asyncio.timeout(10):
            await until(lambda: rig.server.listeners("stocks") == 1)
            row = {"T": "b", "S": AAPL, "o": 1, "h": 3, "l": 1, "c": 2, "v": 10, "n": 4, "vw": 2.5}
            await asyncio.to_thread(rig.server.send_bar, row)
            await until(lambda: recording.of(Bar))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return recording.of(Bar)

    (bar,) = asyncio.run(scenario())
    assert (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.trades) == (1, 3, 1, 2, 10, 4)
    assert bar.close_time - bar.open_time == 60 * 10**9


@pytest.mark.parametrize(("fractional", "lot", "least"), [(False, 1.0, 0.0), (True, 1e-9, 1.0)])
def test_rules_are_the_assets(rig: AlpacaRig, fractional: bool, lot: float, least: float) -> None:
    symbols = [AAPL, "PENNY", BTC]
    feed = AlpacaFeed(rig.market(), symbols, AlpacaKeys("KEY", "SECRET"), GuardedClock(), fractional=fractional)
    share, penny, crypto = asyncio.run(feed.load_instruments())
    assert (share.tick_size, share.lot_size, share.min_notional) == (0.01, lot, least)
    assert (penny.tick_size, penny.lot_size) == (0.0001, 1.0)  # below a dollar; not to be had in fractions
    assert (crypto.base, crypto.quote, crypto.tick_size, crypto.lot_size) == ("BTC", "USD", 0.5, 0.0001)


def test_many_symbols_are_looked_up_in_one_list(rig: AlpacaRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instruments_module, "MANY", 1)
    few = asyncio.run(rig.feed(GuardedClock(), [AAPL]).load_instruments())
    many = asyncio.run(rig.feed(GuardedClock(), [AAPL, BTC]).load_instruments())
    assert many[0] == few[0]
    assert rig.server.calls["GET /v2/assets"] == 1
    for symbols, said in (([AAPL, "NOPE"], "does not list NOPE"), ([AAPL, "GONE"], "does not trade GONE any more")):
        with pytest.raises(InputError, match=said):
            asyncio.run(rig.feed(GuardedClock(), symbols).load_instruments())


def test_a_recorder_that_is_started_again_fetches_what_was_missed(rig: AlpacaRig, tmp_path: Path) -> None:
    def run(wanted: int) -> list[float]:
        with_log = open_log("sqlite", folder=tmp_path / "log", servers="", durability="process")
        clock = GuardedClock()
        timings = AlpacaFeedTimings(start=5, backoff=0.05, request=2)
        feed = AlpacaFeed(rig.market(), [AAPL], AlpacaKeys("KEY", "SECRET"), clock, timings=timings)
        recorder = Recorder(with_log, "alpaca", feed, rig.normaliser(), clock)
        try:
            found: list[float] = []
            was_asked = False
            for _ in range(2000):
                recorder.pump()
                if rig.server.listeners("stocks") and not was_asked:
                    was_asked = True
                    rig.server.print(AAPL, 150.0 + wanted)
                events = with_log.read("market.alpaca", 0).events
                found = [event.price for event in events if isinstance(event, Trade)]
                if len(found) == wanted:
                    break
                recorder.wait(0.01)
            return found
        finally:
            recorder.close()
            with_log.close()

    assert run(1) == [151.0]
    for price in (151.5, 152.0):
        rig.server.print(AAPL, price, told=False)
    assert run(4) == [151.0, 151.5, 152.0, 154.0]
