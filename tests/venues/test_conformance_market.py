"""Conformance of market data: every case for every venue."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest
from tests.venues.conformance import FAULTS, Recording, Rig, is_one_line, record, until
from tests.venues.conformance_rigs import RIGS, stirring

from quantlytic.model.book import BookDelta
from quantlytic.model.errors import InputError, VenueError
from quantlytic.model.ledger import LedgerKind
from quantlytic.model.news import News
from quantlytic.model.quote import Quote
from quantlytic.model.trade import Trade
from quantlytic.venues.clock import GuardedClock
from quantlytic.venues.port import CONNECTED, LOST

KINDS = {"trades": Trade, "quotes": Quote, "book": BookDelta, "news": News}


@pytest.fixture(scope="module", params=list(RIGS))
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with RIGS[request.param]() as rig:
        yield rig


def while_stirred(rig: Rig, work: Callable[[Recording], Awaitable[None]]) -> Recording:
    async def both(recording: Recording) -> None:
        stir = asyncio.create_task(stirring(rig))
        try:
            await work(recording)
        finally:
            stir.cancel()

    return record(rig, both)


async def nothing(_: Recording) -> None:
    await asyncio.sleep(30)


def test_what_is_declared_comes_and_nothing_else(rig: Rig) -> None:
    wanted = {KINDS[name] for name in KINDS if getattr(rig.can, name)}

    async def work(recording: Recording) -> None:
        await until(lambda: wanted <= {type(event) for event in recording.events} and len(recording.of(Trade)) > 5)

    recording = while_stirred(rig, work)
    assert {type(event) for event in recording.events} & set(KINDS.values()) == wanted
    for event in recording.of(*wanted):
        assert event.instrument in (rig.instrument, f"{rig.name}:*")
        assert 0 < event.event_time <= event.receive_time + 10**9
    assert all(trade.price > 0 and trade.quantity > 0 for trade in recording.of(Trade))
    assert recording.ledger(LedgerKind.INVALID, LedgerKind.GAP) == []


def test_trade_ids_are_what_is_declared(rig: Rig) -> None:
    async def work(recording: Recording) -> None:
        await until(lambda: len(recording.of(Trade)) > 20)

    recording = while_stirred(rig, work)
    trades = recording.of(Trade)
    ids = [trade.trade_id for trade in trades]
    keys = [(trade.event_time, trade.trade_id) for trade in trades]
    if rig.can.trade_ids == "contiguous":
        assert ids == list(range(ids[0], ids[0] + len(ids)))
    elif rig.can.trade_ids == "unique":
        assert len(set(ids)) == len(ids)
    else:
        assert rig.can.trade_ids == "none"
        assert keys == sorted(set(keys))  # they order the trades of one instant, and name none
        assert max(ids) < 5
    assert keys == sorted(keys)


def test_a_message_that_comes_twice_is_taken_once_if_that_can_be_known(rig: Rig) -> None:
    async def work(recording: Recording) -> None:
        await until(lambda: len(recording.of(Trade)) > 5)

    recording = while_stirred(rig, work)
    normaliser = rig.normaliser()
    once, twice = 0, 0
    for frame in recording:
        fresh = [event for event in normaliser.feed(frame) if isinstance(event, Trade)]
        again = normaliser.feed(frame) if fresh else ()
        once += len(fresh)
        twice += sum(isinstance(event, Trade) for event in again)
        if fresh and rig.can.trade_ids != "none":
            assert LedgerKind.DUPLICATE in {getattr(event, "kind", None) for event in again}
    assert once > 5
    assert twice == (once if rig.can.trade_ids == "none" else 0)


def test_a_lost_connection_is_in_the_ledger_and_what_was_missed_is_fetched_or_said_to_be_unknown(rig: Rig) -> None:
    async def work(recording: Recording) -> None:
        await until(lambda: len(recording.of(Trade)) > 3)
        await asyncio.to_thread(rig.cut)
        await asyncio.to_thread(rig.stir_unseen)
        await until(lambda: recording.ledger(LedgerKind.RECONNECT))
        before = len(recording.of(Trade))
        await until(lambda: len(recording.of(Trade)) > before + 5)
        if rig.can.backfill:
            await until(lambda: recording.ledger(LedgerKind.BACKFILL) or not _has_hole(rig, recording))

    recording = while_stirred(rig, work)
    reconnects = recording.ledger(LedgerKind.RECONNECT)
    assert {entry.stream for entry in reconnects} == {"raw"}
    markers = [(frame.connection, frame.channel) for frame in recording if frame.channel in (CONNECTED, LOST)]
    for entry in reconnects:
        connection = entry.detail.partition(":")[0]
        assert (connection, CONNECTED) in markers[markers.index((connection, LOST)) :]
    if rig.can.backfill:
        ids = [trade.trade_id for trade in recording.of(Trade)]
        assert ids == list(range(ids[0], ids[0] + len(ids)))  # so numbered in both worlds behind: none is missing
        assert [entry for entry in recording.ledger(LedgerKind.GAP) if entry.stream == "trades"] == []
    elif rig.can.trade_ids == "none":
        assert all("cannot be known" in entry.detail for entry in reconnects)
    else:
        assert recording.ledger(LedgerKind.BACKFILL) == []


def _has_hole(rig: Rig, recording: Recording) -> bool:
    ids = [trade.trade_id for trade in recording.of(Trade)]
    return bool(ids) and ids[-1] - ids[0] + 1 != len(ids)


def test_the_rules_of_an_instrument_are_asked_for(rig: Rig) -> None:
    (instrument,) = asyncio.run(rig.feed(GuardedClock()).load_instruments())
    assert (instrument.id, instrument.base, instrument.quote) == (rig.instrument, rig.base, rig.quote)
    assert instrument.tick_size > 0
    assert instrument.lot_size > 0


def test_an_unknown_symbol_is_named(rig: Rig) -> None:
    with pytest.raises(InputError, match="NOPE") as caught:
        record(rig, nothing, symbols=[rig.symbol, rig.unknown])
    assert is_one_line(caught.value)


def test_a_delisted_symbol_is_named_where_the_venue_tells_it_from_an_unknown_one(rig: Rig) -> None:
    symbol = rig.delisted or rig.unknown
    with pytest.raises(InputError, match=symbol) as caught:
        record(rig, nothing, symbols=[symbol])
    assert ("any more" in str(caught.value)) == bool(rig.delisted)


def test_a_venue_that_is_not_there_is_one_line(rig: Rig) -> None:
    with pytest.raises(VenueError, match="cannot be reached") as caught:
        record(rig, nothing, is_dead=True)
    assert is_one_line(caught.value)


def test_a_wrong_key_is_refused_without_showing_it_and_no_key_is_asked_for_where_none_is_needed(rig: Rig) -> None:
    if rig.can.data_needs_key:
        with pytest.raises(VenueError, match="key") as caught:
            record(rig, nothing, key="wrong")
        assert is_one_line(caught.value)
    else:
        while_stirred(rig, lambda recording: until(lambda: recording.of(Trade)))


@pytest.mark.parametrize("fault", FAULTS)
def test_one_bad_answer_at_the_start_is_survived_or_told(rig: Rig, fault: str) -> None:
    rig.strike(fault)
    try:
        if rig.name == "ccxtbox":  # whose own client gives up at once
            with pytest.raises(VenueError, match="cannot be reached") as caught:
                while_stirred(rig, nothing)
            assert is_one_line(caught.value)
        else:
            assert while_stirred(rig, lambda recording: until(lambda: recording.of(Trade))).of(Trade)
    finally:
        rig.calm()
