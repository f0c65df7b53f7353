"""Binance's normaliser: on real captures, on captures that were tampered with, and on junk."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.venues.captures import CAPTURES, data_of, frames_of, kind_of, market_of, symbol_of

from quantlytic.model.book import BookDelta
from quantlytic.model.codec import decode_batch, encode_batch
from quantlytic.model.event import Event
from quantlytic.model.frame import RawFrame
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.model.quote import Quote
from quantlytic.model.trade import Trade
from quantlytic.venues.binance.market import spot, usdm
from quantlytic.venues.binance.normaliser import BinanceNormaliser
from quantlytic.venues.port import CONNECTED, FAILED, LOST, STARTED

T0 = 1_700_000_000_000


def feed_all(normaliser: BinanceNormaliser, frames: Sequence[RawFrame]) -> list[Event]:
    return [event for frame in frames for event in normaliser.feed(frame)]


def ledger(events: Sequence[Event], kind: LedgerKind | None = None) -> list[LedgerEntry]:
    entries = [event for event in events if isinstance(event, LedgerEntry)]
    return entries if kind is None else [entry for entry in entries if entry.kind == kind]


def trade_ids(events: Sequence[Event]) -> list[int]:
    return [event.trade_id for event in events if isinstance(event, Trade)]


def ws(data: dict, stream: str, at: int = 0, connection: str = "ws-0") -> RawFrame:
    return RawFrame(connection, T0 * 10**6 + at, "", json.dumps({"stream": stream, "data": data}).encode())


def trade_data(trade_id: int, ms: int | None = None, symbol: str = "BTCUSDT") -> dict:
    when = T0 + trade_id if ms is None else ms
    return {"e": "trade", "E": when, "s": symbol, "t": trade_id, "p": "10.5", "q": "2", "T": when, "m": True, "M": True}


def trade(trade_id: int, ms: int | None = None) -> RawFrame:
    return ws(trade_data(trade_id, ms), "btcusdt@trade", trade_id)


def history(first: int, ids: Sequence[int], limit: int = 1000) -> RawFrame:
    items = [
        {
            "id": i,
            "price": "10.5",
            "qty": "2",
            "quoteQty": "21",
            "time": T0 + i,
            "isBuyerMaker": True,
            "isBestMatch": True,
        }
        for i in ids
    ]
    path = f"/api/v3/historicalTrades?symbol=BTCUSDT&fromId={first}&limit={limit}"
    return RawFrame("rest", T0 * 10**6, path, json.dumps(items).encode())


def depth(first: int, last: int, bids=(), asks=(), ms: int | None = None) -> RawFrame:
    data = {"e": "depthUpdate", "E": T0 + last if ms is None else ms, "s": "BTCUSDT", "U": first, "u": last}
    return ws({**data, "b": [list(x) for x in bids], "a": [list(x) for x in asks]}, "btcusdt@depth@100ms", last)


def snapshot(last: int, bids=(("10", "1"),), asks=(("11", "1"),)) -> RawFrame:
    payload = {"lastUpdateId": last, "bids": [list(x) for x in bids], "asks": [list(x) for x in asks]}
    return RawFrame("rest", T0 * 10**6, spot().depth_request("BTCUSDT").path, json.dumps(payload).encode())


def marker(channel: str, connection: str = "recorder", payload: bytes = b"") -> RawFrame:
    return RawFrame(connection, T0 * 10**6, channel, payload)


# --- real captures


@pytest.mark.parametrize("name", CAPTURES)
def test_every_captured_message_becomes_its_event_once_and_exactly(market_data: Path, name: str) -> None:
    frames = frames_of(market_data, name)
    normaliser = BinanceNormaliser(market_of(name))
    instrument = f"{market_of(name).venue}:{symbol_of(name)}"
    expected = Counter(kind_of(frame) for frame in frames)
    seen: Counter[str] = Counter()
    for frame in frames:
        (event,) = normaliser.feed(frame)
        data = data_of(frame)
        assert event.receive_time == frame.receive_time
        assert event.instrument == instrument
        if isinstance(event, Trade):
            seen["trade"] += 1
            assert (event.trade_id, event.price, event.quantity) == (data["t"], float(data["p"]), float(data["q"]))
            assert (event.event_time, event.side) == (data["T"] * 10**6, -1 if data["m"] else 1)
        elif isinstance(event, Quote):
            seen["bookTicker"] += 1
            assert (event.sequence, event.bid, event.ask) == (data["u"], float(data["b"]), float(data["a"]))
            assert (event.bid_quantity, event.ask_quantity) == (float(data["B"]), float(data["A"]))
            assert event.event_time == (data["T"] * 10**6 if "T" in data else frame.receive_time)
        else:
            assert isinstance(event, BookDelta)
            seen["snapshot" if event.snapshot else "depth"] += 1
            bids, asks = (data["bids"], data["asks"]) if event.snapshot else (data["b"], data["a"])
            assert list(event.bid_prices) == [float(price) for price, _ in bids]
            assert list(event.bid_quantities) == [float(quantity) for _, quantity in bids]
            assert list(event.ask_prices) == [float(price) for price, _ in asks]
            assert list(event.ask_quantities) == [float(quantity) for _, quantity in asks]
    assert seen == expected
    assert normaliser.is_in_sync(symbol_of(name)) == (expected["snapshot"] > 0)


def test_it_asks_for_a_snapshot_at_the_first_change_and_once(market_data: Path) -> None:
    frames = [frame for frame in frames_of(market_data, CAPTURES[1]) if kind_of(frame) == "depth"][:3]
    normaliser = BinanceNormaliser(spot())
    feed_all(normaliser, frames)
    assert [request.path for request in normaliser.requests()] == ["/api/v3/depth?symbol=BTCUSDT&limit=1000"]
    feed_all(normaliser, frames_of(market_data, CAPTURES[1])[10:20])
    assert normaliser.requests() == []


@pytest.mark.parametrize("name", [CAPTURES[0], CAPTURES[2]])
@pytest.mark.parametrize("seed", range(3))
def test_lost_doubled_and_swapped_frames_are_told_truly(market_data: Path, name: str, seed: int) -> None:
    """Tamper with a capture by a seed, answer its requests from what was kept, and compare the ledger with the deeds."""
    chance = random.Random(seed)
    original = frames_of(market_data, name, 8000)
    frames, doubled = [], Counter()
    for frame in original:
        luck = chance.random() if not frame.channel and len(frames) > 200 else 1.0
        if luck < 0.01:
            continue
        if luck < 0.02:
            frames += [frame, frame]
            doubled[kind_of(frame)] += 1
        elif luck < 0.03:
            frames.insert(len(frames) - chance.randint(1, 5), frame)
        else:
            frames.append(frame)
    all_trades = {data_of(f)["t"]: data_of(f) for f in original if kind_of(f) == "trade"}
    normaliser = BinanceNormaliser(market_of(name))
    events: list[Event] = []
    for frame in frames:
        events += normaliser.feed(frame)
        for request in normaliser.requests():
            if "historicalTrades" in request.path:
                first, limit = (int(part.split("=")[1]) for part in request.path.split("&")[1:])
                items = [all_trades[i] for i in range(first, first + limit) if i in all_trades]
                payload = [
                    {"id": i["t"], "price": i["p"], "qty": i["q"], "time": i["T"], "isBuyerMaker": i["m"]}
                    for i in items
                ]
                reply = RawFrame("rest", frame.receive_time, request.path, json.dumps(payload).encode())
                events += normaliser.feed(reply)
    delivered = {data_of(f)["t"] for f in frames if kind_of(f) == "trade"}
    span = range(min(delivered), max(delivered) + 1)
    ids = trade_ids(events)
    assert len(ids) == len(set(ids))
    repeats = Counter(e.stream for e in ledger(events, LedgerKind.DUPLICATE) if not e.detail.startswith("came late"))
    streams = {"trade": "trades", "depth": "book", "bookTicker": "quotes"}
    assert repeats == Counter({streams[kind]: count for kind, count in doubled.items()})
    gaps = {i for e in ledger(events, LedgerKind.GAP) if e.stream == "trades" for i in range(e.first, e.last + 1)}
    filled = {
        i for e in ledger(events, LedgerKind.BACKFILL) if e.stream == "trades" for i in range(e.first, e.last + 1)
    }
    if market_of(name).has_history:
        assert ids == list(span)
        assert gaps == set()
        assert filled >= {i for i in span if i not in delivered}
    else:
        assert set(ids) == delivered
        assert gaps - filled == {i for i in span if i not in delivered}
    deltas = [e.last_sequence for e in events if isinstance(e, BookDelta) and not e.snapshot]
    assert len(deltas) == len(set(deltas))
    assert set(deltas) == {data_of(f)["u"] for f in frames if kind_of(f) == "depth"}
    quotes = [e.sequence for e in events if isinstance(e, Quote)]
    assert len(quotes) == len(set(quotes))
    assert set(quotes) == {data_of(f)["u"] for f in frames if kind_of(f) == "bookTicker"}
    assert not ledger(events, LedgerKind.CROSSED)


@pytest.mark.parametrize("name", [CAPTURES[0], CAPTURES[3]])
def test_a_restart_at_any_frame_gives_what_a_rebuild_gives(market_data: Path, name: str) -> None:
    chance = random.Random(11)
    tape: list[RawFrame] = []
    live: list[Event] = []
    normaliser = BinanceNormaliser(market_of(name))
    for frame in frames_of(market_data, name, 4000):
        if chance.random() < 0.01:
            continue
        if chance.random() < 0.005:
            heir = BinanceNormaliser(market_of(name))
            heir.restore(normaliser.save())
            normaliser = heir
            tape.append(marker(STARTED))
            live += normaliser.feed(tape[-1])
        tape.append(frame)
        live += normaliser.feed(frame)
        normaliser.requests()
    rebuilt = feed_all(BinanceNormaliser(market_of(name)), tape)
    assert encode_batch(rebuilt) == encode_batch(live)
    assert any(frame.channel == STARTED for frame in tape)


# --- trades


def test_a_jump_holds_the_newer_fetches_the_missing_and_goes_on_in_order() -> None:
    normaliser = BinanceNormaliser(spot())
    assert trade_ids(feed_all(normaliser, [trade(5), trade(6), trade(9), trade(10)])) == [5, 6]
    (request,) = normaliser.requests()
    assert request.path == "/api/v3/historicalTrades?symbol=BTCUSDT&fromId=7&limit=2"
    events = normaliser.feed(history(7, [7, 8]))
    assert trade_ids(events) == [7, 8, 9, 10]
    (entry,) = ledger(events)
    assert (entry.kind, entry.first, entry.last, entry.count) == (LedgerKind.BACKFILL, 7, 8, 2)
    assert trade_ids(normaliser.feed(trade(11))) == [11]


def test_a_trade_that_was_only_late_needs_no_entry() -> None:
    normaliser = BinanceNormaliser(spot())
    events = feed_all(normaliser, [trade(5), trade(7), trade(6), trade(8), history(6, [6])])
    assert trade_ids(events) == [5, 6, 7, 8]
    assert ledger(events) == []


def test_a_repeat_is_dropped_and_entered() -> None:
    events = feed_all(BinanceNormaliser(spot()), [trade(5), trade(6), trade(5), trade(8), trade(8)])
    assert trade_ids(events) == [5, 6]
    assert [(entry.kind, entry.first) for entry in ledger(events)] == [
        (LedgerKind.DUPLICATE, 5),
        (LedgerKind.DUPLICATE, 8),
    ]


def test_what_the_venue_has_not_got_is_a_gap() -> None:
    normaliser = BinanceNormaliser(spot())
    feed_all(normaliser, [trade(5), trade(10)])
    normaliser.requests()
    events = normaliser.feed(history(6, [7, 8]))
    assert trade_ids(events) == [7, 8]
    assert [(e.kind, e.first, e.last, e.count) for e in ledger(events, LedgerKind.GAP)] == [(LedgerKind.GAP, 6, 6, 1)]
    for _ in range(3):
        (request,) = normaliser.requests()
        assert request.path.endswith("fromId=9&limit=1")
        events = normaliser.feed(history(9, []))
    assert trade_ids(events) == [10]
    assert [(e.first, e.last) for e in ledger(events, LedgerKind.GAP)] == [(9, 9)]
    assert normaliser.requests() == []


def test_a_request_that_was_given_up_is_a_gap_and_a_late_trade_mends_it() -> None:
    normaliser = BinanceNormaliser(spot())
    feed_all(normaliser, [trade(5), trade(8)])
    (request,) = normaliser.requests()
    events = normaliser.feed(marker(FAILED + request.path, "rest", b"503"))
    assert trade_ids(events) == [8]
    assert [(e.kind, e.first, e.last, e.count, e.detail) for e in ledger(events)] == [(LedgerKind.GAP, 6, 7, 2, "503")]
    late = normaliser.feed(trade(6))
    assert trade_ids(late) == [6]
    assert [(e.kind, e.first, e.last) for e in ledger(late)] == [(LedgerKind.BACKFILL, 6, 6)]
    assert [e.kind for e in ledger(normaliser.feed(trade(6)))] == [LedgerKind.DUPLICATE]


def test_long_holes_are_fetched_page_by_page_and_very_long_ones_in_part() -> None:
    normaliser = BinanceNormaliser(spot(), max_backfill=2500)
    events = feed_all(normaliser, [trade(1), trade(5002)])
    assert [(e.kind, e.first, e.last, e.count) for e in ledger(events)] == [(LedgerKind.GAP, 2, 2501, 2500)]
    pages = []
    while requests := normaliser.requests():
        first, limit = (int(part.split("=")[1]) for part in requests[0].path.split("&")[1:])
        pages.append(limit)
        events += normaliser.feed(history(first, range(first, first + limit), limit))
    assert pages == [1000, 1000, 500]
    assert trade_ids(events) == [1, *range(2502, 5003)]


def test_holes_while_a_hole_is_open_are_all_mended() -> None:
    normaliser = BinanceNormaliser(spot())
    events = feed_all(normaliser, [trade(1), trade(4), trade(7), trade(8), trade(11)])
    while requests := normaliser.requests():
        first, limit = (int(part.split("=")[1]) for part in requests[0].path.split("&")[1:])
        events += normaliser.feed(history(first, range(first, first + limit), limit))
    assert trade_ids(events) == list(range(1, 12))


def test_the_first_trade_after_a_restart_reveals_what_was_missed() -> None:
    first = BinanceNormaliser(spot())
    feed_all(first, [trade(5), trade(6), trade(8)])
    second = BinanceNormaliser(spot())
    second.restore(first.save())
    second.feed(marker(STARTED))
    (request,) = second.requests()
    assert request.path.endswith("fromId=7&limit=1")
    events = feed_all(second, [trade(12), history(7, [7])])
    assert trade_ids(events) == [7, 8]
    (request,) = second.requests()
    assert request.path.endswith("fromId=9&limit=3")
    assert trade_ids(second.feed(history(9, [9, 10, 11]))) == [9, 10, 11, 12]


def test_a_venue_that_counts_anew_is_followed_and_said() -> None:
    normaliser = BinanceNormaliser(spot())
    events = feed_all(normaliser, [trade(500), trade(1, T0 + 60_000), trade(2, T0 + 60_001)])
    assert trade_ids(events) == [500, 1, 2]
    (entry,) = ledger(events)
    assert entry.kind == LedgerKind.GAP
    assert "count anew" in entry.detail


def test_futures_have_no_history_so_a_jump_is_a_gap_at_once() -> None:
    normaliser = BinanceNormaliser(usdm())
    events = feed_all(normaliser, [trade(5), trade(8), trade(9)])
    assert trade_ids(events) == [5, 8, 9]
    assert [(e.kind, e.first, e.last, e.count) for e in ledger(events)] == [(LedgerKind.GAP, 6, 7, 2)]
    assert normaliser.requests() == []


# --- book


def in_sync(at: int = 100) -> BinanceNormaliser:
    normaliser = BinanceNormaliser(spot())
    feed_all(normaliser, [depth(at - 4, at), snapshot(at)])
    normaliser.requests()
    assert normaliser.is_in_sync("BTCUSDT")
    return normaliser


def test_a_snapshot_in_the_midst_of_the_buffered_changes_is_bridged() -> None:
    normaliser = BinanceNormaliser(spot())
    frames = [depth(90, 99), depth(100, 105), depth(106, 110), snapshot(102)]
    assert ledger(feed_all(normaliser, frames)) == []
    assert normaliser.is_in_sync("BTCUSDT")


def test_a_snapshot_older_than_the_first_change_is_asked_for_again() -> None:
    normaliser = BinanceNormaliser(spot())
    feed_all(normaliser, [depth(100, 105)])
    assert len(normaliser.requests()) == 1
    normaliser.feed(snapshot(98))
    assert not normaliser.is_in_sync("BTCUSDT")
    assert len(normaliser.requests()) == 1
    normaliser.feed(snapshot(99))
    assert normaliser.is_in_sync("BTCUSDT")


def test_a_lost_change_is_a_gap_and_the_book_is_rebuilt() -> None:
    normaliser = in_sync()
    events = list(normaliser.feed(depth(103, 104)))
    assert len(normaliser.requests()) == 1
    assert not normaliser.is_in_sync("BTCUSDT")
    events += normaliser.feed(snapshot(104))
    assert [(e.kind, e.first, e.last) for e in ledger(events)] == [
        (LedgerKind.GAP, 101, 102),
        (LedgerKind.RESYNC, 104, 104),
    ]
    assert normaliser.is_in_sync("BTCUSDT")


def test_a_hole_that_a_snapshot_has_covered_is_still_a_gap() -> None:
    normaliser = BinanceNormaliser(spot())
    events = feed_all(normaliser, [depth(96, 100), snapshot(110), depth(104, 115), depth(101, 103)])
    assert normaliser.is_in_sync("BTCUSDT")
    assert [(e.kind, e.first, e.last) for e in ledger(events)] == [
        (LedgerKind.GAP, 101, 103),
        (LedgerKind.BACKFILL, 101, 103),
    ]


def test_swapped_changes_close_the_hole_themselves() -> None:
    normaliser = in_sync()
    events = feed_all(normaliser, [depth(103, 104), depth(101, 102), depth(105, 106)])
    assert normaliser.is_in_sync("BTCUSDT")
    assert ledger(events) == []
    assert [e.last_sequence for e in events if isinstance(e, BookDelta)] == [104, 102, 106]


def test_a_change_later_than_the_new_snapshot_mends_the_stated_gap() -> None:
    normaliser = in_sync()
    events = feed_all(normaliser, [depth(103, 104), snapshot(104), depth(101, 102)])
    kinds = [e.kind for e in ledger(events)]
    assert kinds == [LedgerKind.GAP, LedgerKind.RESYNC, LedgerKind.BACKFILL]
    assert normaliser.is_in_sync("BTCUSDT")


def test_a_repeated_change_is_dropped_and_entered() -> None:
    events = feed_all(in_sync(), [depth(101, 102), depth(101, 102)])
    assert len([e for e in events if isinstance(e, BookDelta)]) == 1
    assert [(e.kind, e.first, e.last) for e in ledger(events)] == [(LedgerKind.DUPLICATE, 101, 102)]


def test_a_crossed_book_is_entered_once_and_rebuilt() -> None:
    normaliser = in_sync()
    events = feed_all(normaliser, [depth(101, 102, bids=[("12", "1")]), depth(103, 103)])
    assert [e.kind for e in ledger(events)] == [LedgerKind.CROSSED]
    assert len(normaliser.requests()) == 1
    events = normaliser.feed(snapshot(103))
    assert [e.kind for e in ledger(events)] == [LedgerKind.RESYNC]
    assert normaliser.is_in_sync("BTCUSDT")


def test_a_refused_snapshot_is_not_asked_for_in_a_hurry() -> None:
    normaliser = BinanceNormaliser(spot())
    asked = 0
    for number in range(300):
        normaliser.feed(depth(number + 1, number + 1))
        for request in normaliser.requests():
            asked += 1
            normaliser.feed(marker(FAILED + request.path, "rest", b"400"))
    assert 4 <= asked <= 12


def test_changes_missed_over_a_restart_are_a_gap_of_known_numbers() -> None:
    first = in_sync()
    second = BinanceNormaliser(spot())
    second.restore(first.save())
    events = feed_all(second, [marker(STARTED), depth(111, 112), snapshot(112)])
    assert [(e.kind, e.first, e.last) for e in ledger(events)] == [
        (LedgerKind.RECONNECT, 0, 0),
        (LedgerKind.GAP, 101, 110),
        (LedgerKind.RESYNC, 112, 112),
    ]


# --- connections, junk


def test_a_lost_connection_is_entered_when_it_is_back() -> None:
    normaliser = BinanceNormaliser(spot())
    frames = [
        marker(CONNECTED, "ws-0"),
        marker(LOST, "ws-0", b"1006"),
        marker(CONNECTED, "ws-0"),
        marker(CONNECTED, "ws-1"),
    ]
    events = feed_all(normaliser, frames)
    assert [(e.kind, e.detail) for e in ledger(events)] == [(LedgerKind.RECONNECT, "ws-0: 1006")]


def test_single_stream_frames_and_answers_are_read_too() -> None:
    quote = {"u": 7, "s": "BTCUSDT", "b": "1.0", "B": "2", "a": "1.1", "A": "3"}
    messages = [trade_data(5), quote, {**quote, "e": "bookTicker", "u": 8, "T": 5}, {"result": None, "id": 1}]
    frames = [RawFrame("ws-0", 1, "", json.dumps(message).encode()) for message in messages]
    events = feed_all(BinanceNormaliser(spot()), frames)
    assert [type(event) for event in events] == [Trade, Quote, Quote]


JUNK = [
    b"",
    b"<html><body>502 Bad Gateway</body></html>",
    b"null",
    b"[]",
    b"{}",
    b'{"stream":"btcusdt@trade"}',
    b'{"stream":"btcusdt@kline_1m","data":{"s":"BTCUSDT"}}',
    b'{"stream":"btcusdt@trade","data":{"s":"../x","t":1,"p":"1","q":"1","T":1,"m":true}}',
    b'{"stream":"btcusdt@trade","data":{"s":"BTCUSDT","t":1,"p":"nan","q":"1","T":1,"m":true}}',
    b'{"stream":"btcusdt@trade","data":{"s":"BTCUSDT","t":1,"p":"1e999","q":"1","T":1,"m":true}}',
    b'{"stream":"btcusdt@trade","data":{"s":"BTCUSDT","t":99999999999999999999,"p":"1","q":"1","T":1,"m":true}}',
    b'{"stream":"btcusdt@trade","data":{"s":"BTCUSDT","t":1,"p":"1","q":"1","T":9999999999999999,"m":true}}',
    b'{"error":{"code":2,"msg":"Invalid request"},"id":3}',
    b'{"e":"serverShutdown","E":1}',
    b"\xff\xfe\x00",
    b"[" * 100_000,
]


@pytest.mark.parametrize("payload", JUNK, ids=lambda junk: repr(junk[:30]))
def test_junk_is_one_entry(payload: bytes) -> None:
    normaliser = BinanceNormaliser(spot())
    normaliser.feed(trade(1))
    (entry,) = normaliser.feed(RawFrame("ws-0", 5, "", payload))
    assert isinstance(entry, LedgerEntry)
    assert (entry.kind, entry.stream, entry.event_time) == (LedgerKind.INVALID, "raw", 5)
    assert len(entry.detail) < 300
    assert trade_ids(normaliser.feed(trade(2))) == [2]


@pytest.mark.parametrize("path", ["depth", "historicalTrades"])
def test_an_unreadable_reply_is_an_entry_and_the_work_goes_on(path: str) -> None:
    normaliser = BinanceNormaliser(spot())
    feed_all(normaliser, [depth(1, 2), trade(5), trade(8)])
    request = next(request for request in normaliser.requests() if path in request.path)
    events = normaliser.feed(RawFrame("rest", 9, request.path, b"<html>"))
    assert ledger(events)[0].kind == LedgerKind.INVALID
    assert trade_ids(events) == ([8] if path == "historicalTrades" else [])


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_mutated_captures_never_raise_and_stay_encodable(market_data: Path, data: st.DataObject) -> None:
    frames = list(frames_of(market_data, CAPTURES[0], 60))
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(frames) - 1))
        frame = frames[at]
        payload = bytearray(frame.payload)
        start = data.draw(st.integers(0, len(payload)))
        stop = data.draw(st.integers(start, min(len(payload), start + 30)))
        payload[start:stop] = data.draw(
            st.binary(max_size=12) | st.sampled_from([b"-1", b"1e308", b'"', b"null", b"9" * 25])
        )
        frames[at] = RawFrame(frame.connection, frame.receive_time, frame.channel, bytes(payload))
    events = feed_all(BinanceNormaliser(spot()), frames)
    assert decode_batch(encode_batch(events)) == events


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["", "recorder:", LOST, FAILED, "/api/v3/depth?symbol="]), st.text(max_size=20),
                          st.binary(max_size=60)), max_size=5))  # fmt: skip
def test_any_bytes_on_any_channel_never_raise(pieces: list[tuple[str, str, bytes]]) -> None:
    normaliser = BinanceNormaliser(spot())
    events = feed_all(normaliser, [RawFrame("x", 1, start + rest, payload) for start, rest, payload in pieces])
    assert decode_batch(encode_batch(events)) == events
