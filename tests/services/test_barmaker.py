"""Trades to bars on the tape, across restarts and interruptions."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from quantlytic.model.bar import Bar
from quantlytic.model.barsclosed import BarsClosed
from quantlytic.model.book import BookDelta
from quantlytic.model.event import Event
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.model.side import Side
from quantlytic.model.time import NS_PER_MS, NS_PER_S
from quantlytic.model.trade import Trade
from quantlytic.services.barmaker import Barmaker
from quantlytic.store.log import open_log
from quantlytic.store.log.port import Log

START = 1_700_000_000 * NS_PER_S
GRACE_NS = 50 * NS_PER_MS


def trade(number: int, at_ms: float, price: float = 100.0, instrument: str = "box:BTCUSDT") -> Trade:
    time = START + int(at_ms * NS_PER_MS)
    return Trade(instrument, time, time + 5 * NS_PER_MS, number, price, 1.0, Side.BUY)


def book(at_ms: float, instrument: str = "box:BTCUSDT") -> BookDelta:
    time = START + int(at_ms * NS_PER_MS)
    return BookDelta(instrument, time, time, 1, 2, (), (), (), ())


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = open_log("sqlite", folder=tmp_path)
    yield log
    log.close()


def tell(log: Log, *events: Event) -> None:
    writer = log.writer("recorder.box")
    writer.commit({"market.box": events})
    writer.close()


def made(log: Log) -> list[Event]:
    return list(log.read("bars.box", 0).events)


def test_a_bar_closes_by_the_events_own_times(log: Log) -> None:
    tell(log, trade(1, 100, 10.0), trade(2, 500, 12.0), trade(3, 900, 11.0), book(1040))
    barmaker = Barmaker(log, "box", NS_PER_S, GRACE_NS)
    barmaker.pump()
    assert made(log) == [], "the grace is not over"
    tell(log, book(1051))
    barmaker.pump()
    assert made(log) == [
        Bar("box:BTCUSDT", START, START + NS_PER_S, 10.0, 12.0, 10.0, 11.0, 3.0, 33.0, 3),
        BarsClosed(NS_PER_S, START + NS_PER_S),
    ]


def test_a_late_trade_is_in_no_bar_and_in_the_ledger(log: Log) -> None:
    tell(log, trade(1, 100), book(1100), trade(2, 900, 99.0), trade(3, 1200), book(2100))
    Barmaker(log, "box", NS_PER_S, GRACE_NS).pump()
    bars = [event for event in made(log) if isinstance(event, Bar)]
    late = [event for event in made(log) if isinstance(event, LedgerEntry)]
    assert [(bar.low, bar.trades) for bar in bars] == [(100.0, 1), (100.0, 1)]
    assert [(entry.kind, entry.first) for entry in late] == [(LedgerKind.LATE, 2)]


def closed_s(log: Log) -> list[int]:
    """How many seconds after START all bars were said to be there, each time it was said."""
    return [(event.event_time - START) // NS_PER_S for event in made(log) if isinstance(event, BarsClosed)]


def test_a_time_is_complete_once_and_after_all_its_bars(log: Log) -> None:
    """Also one that has no bar; the first of all is half known and not told; a leap is one step."""
    events = [trade(1, 100), trade(2, 200, instrument="box:ETHUSDT"), book(1040), book(1060), book(1070), book(2051)]
    tell(log, *events, trade(3, 2400), book(5100), book(5200))
    Barmaker(log, "box", NS_PER_S, GRACE_NS).pump()
    assert closed_s(log) == [1, 2, 5]
    kinds = [type(event).__name__ for event in made(log)]
    assert kinds == ["Bar", "Bar", "BarsClosed", "BarsClosed", "Bar", "BarsClosed"]


def test_an_instrument_that_may_still_have_missed_trades_holds_its_times_back(log: Log) -> None:
    """After a reconnect books go on; only a trade of its own tells that nothing is missing any more."""
    reconnect = LedgerEntry("box:*", "raw", LedgerKind.RECONNECT, START + 1500 * NS_PER_MS)
    other = trade(1, 300, instrument="box:ETHUSDT")
    tell(log, trade(1, 100), other, book(1100), reconnect, book(3600), trade(2, 3650, instrument="box:ETHUSDT"))
    barmaker = Barmaker(log, "box", NS_PER_S, GRACE_NS)
    barmaker.pump()
    assert closed_s(log) == [1]
    tell(log, trade(2, 1700), trade(3, 3680), book(3700))
    barmaker.pump()
    assert closed_s(log) == [1, 3]
    late = [event for event in made(log) if isinstance(event, LedgerEntry)]
    assert late == []


def test_a_stretch_without_trades_has_no_bar(log: Log) -> None:
    tell(log, trade(1, 100), trade(2, 5100), book(6100))
    Barmaker(log, "box", NS_PER_S, GRACE_NS).pump()
    assert [event.open_time for event in made(log) if isinstance(event, Bar)] == [START, START + 5 * NS_PER_S]


def test_one_lie_about_the_time_stops_nothing(log: Log) -> None:
    hour_ms = 3_600_000
    lie = trade(2, 500)
    lie = Trade(lie.instrument, lie.event_time + hour_ms * NS_PER_MS, lie.receive_time, 2, 1.0, 1.0, Side.BUY)
    tell(log, trade(1, 100), lie, trade(3, 600), trade(4, 1200), trade(5, 2300))
    Barmaker(log, "box", NS_PER_S, GRACE_NS).pump()
    bars = [event for event in made(log) if isinstance(event, Bar)]
    assert [(bar.low, bar.trades) for bar in bars] == [(100.0, 2), (100.0, 1)]
    assert [event.first for event in made(log) if isinstance(event, LedgerEntry)] == [2]


def test_what_is_fetched_after_an_interruption_is_in_its_bars(log: Log) -> None:
    """Books go on at once, missed trades come a moment later: their bars wait for them."""
    reconnect = LedgerEntry("box:*", "raw", LedgerKind.RECONNECT, START + 3500 * NS_PER_MS)
    fetched = [trade(number, 200 + 200 * number) for number in range(2, 16)]
    tell(log, trade(1, 100), reconnect, book(3600), *fetched, trade(16, 3610), book(4100))
    Barmaker(log, "box", NS_PER_S, GRACE_NS).pump()
    assert [event for event in made(log) if isinstance(event, LedgerEntry)] == []
    assert sum(event.trades for event in made(log) if isinstance(event, Bar)) == 16


@pytest.mark.parametrize("seed", range(5))
def test_restarts_at_any_point_make_the_same_bars(log: Log, seed: int) -> None:
    random_ = random.Random(seed)
    events: list[Event] = []
    at_ms = 0.0
    for number in range(1, 400):
        at_ms += random_.expovariate(1 / 60)
        name = random_.choice(["box:BTCUSDT", "box:ETHUSDT"])
        jitter = random_.choice([0, 0, 0, -300])
        events.append(trade(number, max(0.0, at_ms + jitter), 100 + random_.random(), name))
        if random_.random() < 0.05:
            events.append(LedgerEntry("box:*", "raw", LedgerKind.RECONNECT, 0))
        events.append(book(at_ms, name))
    tell(log, *events)
    undisturbed = Barmaker(log, "box", NS_PER_S, GRACE_NS)
    while undisturbed.pump():
        pass
    expected = made(log)
    assert len(expected) > 20, f"seed {seed}"
    restarted = _with_restarts(log, events, random_)
    assert restarted == expected, f"seed {seed}"


def _with_restarts(log: Log, events: list[Event], random_: random.Random) -> list[Event]:
    """The same events on another venue's streams, a piece at a time, with a new barmaker each time."""
    writer = log.writer("recorder.twin")
    rest = list(events)
    while rest:
        size = random_.randint(1, 60)
        writer.commit({"market.twin": rest[:size]})
        rest = rest[size:]
        barmaker = Barmaker(log, "twin", NS_PER_S, GRACE_NS)
        barmaker.pump()
        if random_.random() < 0.3:
            barmaker.close()
    barmaker = Barmaker(log, "twin", NS_PER_S, GRACE_NS)
    while barmaker.pump():
        pass
    return list(log.read("bars.twin", 0).events)
