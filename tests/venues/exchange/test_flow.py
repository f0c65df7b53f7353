"""The synthetic crowd: the same for the same seed, and like a market."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from itertools import pairwise
from math import log

import pytest

from quantlytic.model.time import NS_PER_S
from quantlytic.venues.exchange.instruments import listing_for
from quantlytic.venues.exchange.journal import Journal
from quantlytic.venues.exchange.synthetic import SyntheticMarket

START_NS = 1_700_000_000 * NS_PER_S
SYMBOLS = ("BTCUSDT", "ETHUSDT")


def market(seed: int, symbols: tuple[str, ...] = SYMBOLS) -> SyntheticMarket:
    listings = [listing_for(symbol) for symbol in symbols]
    return SyntheticMarket(listings, Journal(None), seed=seed, now_ns=START_NS, deposits={})


def frames(seed: int, seconds: float, step_s: float) -> list[tuple[str, str]]:
    world = market(seed)
    for number in range(1, round(seconds / step_s) + 1):
        world.advance(START_NS + round(number * step_s * NS_PER_S))
        world.flush()
    told = list(world.frames)
    world.journal.close()
    return told


def test_same_seed_same_messages_whatever_the_step() -> None:
    told = frames(7, 4, 0.02)
    assert told == frames(7, 4, 0.5)
    assert len(told) > 200
    assert told != frames(8, 4, 0.02)


@pytest.fixture(scope="module")
def minutes() -> Iterator[SyntheticMarket]:
    """Three minutes of market."""
    world = market(7)
    world.wanted = lambda _: False
    for number in range(1, 1801):
        world.advance(START_NS + number * NS_PER_S // 10)
        world.flush()
        assert not any(desk.book.crossed() for desk in world.core.desks.values())
    yield world
    world.journal.close()


def test_rates(minutes: SyntheticMarket) -> None:
    per_s = {name: count / 180 for name, count in minutes.emitted.items()}
    assert 20 <= per_s["btcusdt@trade"] + per_s["ethusdt@trade"] <= 70
    assert per_s["btcusdt@bookTicker"] > 8
    assert 8 <= per_s["btcusdt@depth@100ms"] <= 10


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_trades_come_in_bursts_and_volatility_clusters(minutes: SyntheticMarket, symbol: str) -> None:
    trades = minutes.journal.trades(symbol, 1, 100_000)
    counts = [0] * 180
    for trade in trades:
        counts[(trade.time_ms - START_NS // 1_000_000) // 1000 % 180] += 1
    assert statistics.variance(counts) > 1.5 * statistics.mean(counts)  # a Poisson process has 1
    closes = [candle.close for candle in minutes.klines(symbol, "1s", None, None, 1000)]
    moves = [abs(log(after / before)) for before, after in pairwise(closes)]
    assert 3e-5 < statistics.mean(moves) < 1e-3


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_averages_cross_several_times_a_minute(minutes: SyntheticMarket, symbol: str) -> None:
    closes = [candle.close for candle in minutes.klines(symbol, "1s", None, None, 1000)]
    above = [sum(closes[i - 4 : i]) * 3 > sum(closes[i - 12 : i]) for i in range(12, len(closes))]
    assert 6 <= sum(a != b for a, b in pairwise(above)) <= 60  # in three minutes


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_book_has_depth_and_a_spread(minutes: SyntheticMarket, symbol: str) -> None:
    _, bids, asks = minutes.depth(symbol, 1000)
    assert min(len(bids), len(asks)) >= 20
    assert 0 < (asks[0][0] - bids[0][0]) / bids[0][0] < 1e-3
    near = sum(quantity for _, quantity in bids[:5])
    assert sum(quantity for _, quantity in bids) > 3 * near


def test_a_sleeping_machine_does_not_make_years_of_trades_up() -> None:
    world = market(7)
    world.advance(START_NS + NS_PER_S)
    before = world.emitted.total()
    world.advance(START_NS + 3600 * NS_PER_S)
    world.advance(START_NS + 3601 * NS_PER_S)
    assert world.time_ms == START_NS // 1_000_000 + 3_601_000
    assert world.emitted.total() - before < 1000
    world.journal.close()
