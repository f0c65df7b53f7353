"""Finnhub's market data by its unmodified client, beyond what the conformance suite asks of every venue."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from tests.venues.conformance import Recording, record, until
from tests.venues.conformance_rigs import FinnhubRig
from tests.venues.finnhub.server import KEY, article

from quantlytic.model.errors import InputError
from quantlytic.model.ledger import LedgerKind
from quantlytic.model.news import News
from quantlytic.venues.clock import GuardedClock
from quantlytic.venues.finnhub.feed import FinnhubFeed, FinnhubTimings
from quantlytic.venues.finnhub.keys import FinnhubKeys
from quantlytic.venues.port import LOST


@pytest.fixture
def rig() -> Iterator[FinnhubRig]:
    with FinnhubRig() as rig:
        yield rig


def test_news_are_asked_for_again_and_again_and_each_is_told_once(rig: FinnhubRig) -> None:
    async def work(recording: Recording) -> None:
        await until(lambda: len(recording.of(News)) == 2)
        rig.server.news.append(article(9, "Third", published_s=1_700_000_200))
        await until(lambda: len(recording.of(News)) == 3)
        rig.server.fail("http5xx", 3)
        await until(lambda: recording.ledger(LedgerKind.INVALID))
        rig.server.news.append(article(10, "Fourth", published_s=1_700_000_300))
        await until(lambda: len(recording.of(News)) == 4)

    recording = record(rig, work)
    news = recording.of(News)
    assert [one.headline for one in news] == ["First", "Second", "Third", "Fourth"]
    assert {one.instrument for one in news} == {"finnhub:AAPL"}
    assert news[0].event_time == 1_700_000_000 * 10**9
    assert "502" in recording.ledger(LedgerKind.INVALID)[0].detail


def test_general_news_and_crypto_symbols(rig: FinnhubRig) -> None:
    rig.server.news = [article(20, "Rates", related="")]
    urls = {"rest_url": rig.server.rest_url, "stream_url": rig.server.stream_url}
    timings = FinnhubTimings(news=60)

    async def scenario() -> Recording:
        keys, symbols = FinnhubKeys(KEY), ["BINANCE:BTCUSDT"]
        feed = FinnhubFeed(symbols, keys, GuardedClock(), categories=["general"], timings=timings, **urls)  # type: ignore[arg-type]
        recording = Recording(rig, feed)
        running = asyncio.create_task(feed.run(recording))
        async with asyncio.timeout(10):
            await until(lambda: recording.of(News))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        (instrument,) = feed.instruments
        assert (instrument.id, instrument.base, instrument.quote) == ("finnhub:BINANCE:BTCUSDT", "BTC", "USDT")
        assert (instrument.venue, instrument.symbol) == ("finnhub", "BINANCE:BTCUSDT")
        return recording

    (news,) = asyncio.run(scenario()).of(News)
    assert (news.instrument, news.headline) == ("finnhub:*", "Rates")


def test_a_stream_that_says_nothing_is_made_anew(rig: FinnhubRig) -> None:
    async def scenario() -> None:
        timings = FinnhubTimings(stale=0.2, backoff=0.02)
        urls = {"rest_url": rig.server.rest_url, "stream_url": rig.server.stream_url}
        feed = FinnhubFeed(["AAPL"], FinnhubKeys(KEY), GuardedClock(), timings=timings, **urls)  # type: ignore[arg-type]
        recording = Recording(rig, feed)
        running = asyncio.create_task(feed.run(recording))
        async with asyncio.timeout(10):
            await until(lambda: recording.ledger(LedgerKind.RECONNECT))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert feed.reconnects >= 1
        assert any(frame.channel == LOST and b"no frame for 0.2 s" in frame.payload for frame in recording)

    asyncio.run(scenario())


def test_a_second_connection_that_is_refused_is_tried_again(rig: FinnhubRig) -> None:
    async def work(recording: Recording) -> None:
        await until(lambda: rig.server.listens("AAPL"))
        rig.server.fail("socket_429", 2)
        await asyncio.to_thread(rig.cut)
        await until(lambda: recording.ledger(LedgerKind.RECONNECT))

    record(rig, work)


def test_many_shares_are_looked_up_in_one_list(rig: FinnhubRig) -> None:
    symbols = [f"S{number}" for number in range(15)]
    found = asyncio.run(rig.feed(GuardedClock(), symbols).load_instruments())
    assert [(one.symbol, one.quote) for one in found] == [(symbol, "USD") for symbol in symbols]
    assert len(rig.server.queries) == 1
    with pytest.raises(InputError, match="does not list NOPE"):
        asyncio.run(rig.feed(GuardedClock(), [*symbols, "NOPE"]).load_instruments())


def test_no_symbols_are_refused() -> None:
    with pytest.raises(InputError, match="no symbols"):
        FinnhubFeed([], FinnhubKeys(KEY), GuardedClock())


def test_a_missing_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FINNHUB_API_KEY", raising=False)
    with pytest.raises(InputError, match="FINNHUB_API_KEY"):
        FinnhubKeys.from_environment()
