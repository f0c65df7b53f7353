"""Alpaca's normaliser alone: its documented messages, what is broken, what was missed, restarts."""

from __future__ import annotations

import json
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantlytic.model.bar import Bar
from quantlytic.model.codec import decode_batch, encode_batch
from quantlytic.model.errors import InputError
from quantlytic.model.event import Event
from quantlytic.model.frame import RawFrame
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.model.quote import Quote
from quantlytic.model.side import Side
from quantlytic.model.trade import Trade
from quantlytic.venues.alpaca import trades as trades_module
from quantlytic.venues.alpaca.normaliser import AlpacaNormaliser
from quantlytic.venues.alpaca.wire import stamp_ns, time_ns, time_text
from quantlytic.venues.port import CONNECTED, FAILED, LOST, STARTED

T0 = 1_700_000_000_000_000_000


def frame(*rows: dict[str, Any], at: int = T0, connection: str = "stocks") -> RawFrame:
    return RawFrame(connection, at, "", msgpack.packb(rows))


def printed(number: int, price: float = 150.0, at: int = T0, symbol: str = "AAPL", **more: Any) -> dict[str, Any]:
    stamp = msgpack.Timestamp.from_unix_nano(at)
    return {"T": "t", "S": symbol, "i": number, "x": "V", "p": price, "s": 1, "c": ["@"], "z": "C", "t": stamp, **more}


def marker(channel: str, payload: bytes = b"", at: int = T0, connection: str = "stocks") -> RawFrame:
    return RawFrame(connection, at, channel, payload)


def subscribed() -> RawFrame:
    return frame({"T": "subscription", "trades": ["AAPL"], "quotes": ["AAPL"]})


def history(*numbers: int, at: int = T0, path: str) -> RawFrame:
    rows = [{"i": n, "x": "V", "p": 150.0, "s": 1, "t": "2023-11-14T22:13:20.000000001Z"} for n in numbers]
    return RawFrame("rest", at, path, json.dumps(rows).encode())


def kinds(events: list[Event]) -> list[LedgerKind]:
    return [event.kind for event in events if isinstance(event, LedgerEntry)]


def interrupted(normaliser: AlpacaNormaliser) -> str:
    """Lose the connection and go on; returns what is asked for."""
    normaliser.feed(marker(LOST, b"gone"))
    (entry,) = normaliser.feed(marker(CONNECTED))
    assert isinstance(entry, LedgerEntry)
    assert (entry.kind, "gone" in entry.detail) == (LedgerKind.RECONNECT, True)
    assert normaliser.requests() == []
    assert list(normaliser.feed(subscribed())) == []
    (request,) = normaliser.requests()
    return request.path


def test_documented_messages_become_events() -> None:
    normaliser = AlpacaNormaliser()
    stamp = msgpack.Timestamp.from_unix_nano(T0 + 123)
    quote = {"T": "q", "S": "AAPL", "bx": "V", "bp": 149.9, "bs": 2, "ax": "V", "ap": 150.1, "as": 3, "t": stamp}
    bar = {"T": "b", "S": "AAPL", "o": 1, "h": 3, "l": 1, "c": 2, "v": 10, "n": 4, "vw": 2.5, "t": stamp}
    assert list(normaliser.feed(frame(quote, printed(1, 150.1, T0 + 5), bar, at=T0 + 9))) == [
        Quote("alpaca:AAPL", T0 + 123, T0 + 9, 0, 149.9, 2.0, 150.1, 3.0),
        Trade("alpaca:AAPL", T0 + 5, T0 + 9, 1, 150.1, 1.0, Side.BUY),
        Bar("alpaca:AAPL", T0 + 123, T0 + 123 + 60 * 10**9, 1.0, 3.0, 1.0, 2.0, 10.0, 25.0, 4),
    ]
    crypto = printed(2, 60_000, T0, "BTC/USD", tks="S")
    (trade,) = normaliser.feed(frame(crypto, connection="crypto"))
    assert isinstance(trade, Trade)
    assert (trade.instrument, trade.side) == ("alpaca:BTC/USD", Side.SELL)
    assert list(normaliser.feed(frame({"T": "success", "msg": "authenticated"}))) == []


def test_what_the_venue_takes_back_or_says_no_with_is_in_the_ledger() -> None:
    normaliser = AlpacaNormaliser()
    stamp = msgpack.Timestamp.from_unix_nano(T0)
    cancel = {"T": "x", "S": "AAPL", "i": 5, "x": "V", "p": 1.5, "s": 1, "a": "C", "z": "C", "t": stamp}
    change = {"T": "c", "S": "AAPL", "x": "V", "oi": 6, "op": 1, "ci": 7, "cp": 2, "t": stamp, "z": "C"}
    events = list(normaliser.feed(frame(cancel, change)))
    assert kinds(events) == [LedgerKind.CORRECTED] * 2
    assert [event.first for event in events if isinstance(event, LedgerEntry)] == [5, 6]
    (entry,) = normaliser.feed(frame({"T": "error", "code": 407, "msg": "slow client"}))
    assert isinstance(entry, LedgerEntry)
    assert (entry.kind, "slow client" in entry.detail, "407" in entry.detail) == (LedgerKind.INVALID, True, True)


def test_a_bad_message_does_not_cost_its_neighbours() -> None:
    bad = {**printed(2), "p": "high"}
    events = list(AlpacaNormaliser().feed(frame(printed(1), bad, {"T": "?"}, printed(3), printed(4, 0.0))))
    assert [event.trade_id for event in events if isinstance(event, Trade)] == [1, 3]
    assert kinds(events) == [LedgerKind.INVALID] * 3


@pytest.mark.parametrize(
    ("conditions", "tape", "is_price"),
    [
        (["@"], "C", True), (["@", "I"], "C", True), ([" ", "T"], "A", True), (["@", "F", "O"], "C", True),
        (["@", "4"], "C", False), (["@", "W"], "C", False), (["B"], "A", False), (["@", "B"], "C", True),
        (["7", "V"], "B", False), (["@", "Z"], "C", False), (["M"], "A", False), (None, "C", True),
    ],
)  # fmt: skip
def test_prints_that_make_no_price_are_no_trades_but_in_the_ledger(
    conditions: list[str] | None, tape: str, is_price: bool
) -> None:
    normaliser = AlpacaNormaliser()
    (live,) = normaliser.feed(frame(printed(1, c=conditions, z=tape)))
    path = interrupted(normaliser)
    row = {"i": 2, "x": "V", "p": 150.0, "s": 1, "c": conditions, "z": tape, "t": "2023-11-14T22:13:21Z"}
    fetched = normaliser.feed(RawFrame("rest", T0, path, json.dumps([row]).encode()))[0]
    for event in (live, fetched):
        assert isinstance(event, Trade) == is_price
        if isinstance(event, LedgerEntry):
            assert (event.kind, "makes no price" in event.detail) == (LedgerKind.INVALID, True)


def test_newer_trades_wait_for_those_that_were_missed() -> None:
    normaliser = AlpacaNormaliser()
    normaliser.feed(frame(printed(1)))
    path = interrupted(normaliser)
    assert path == f"trades?symbol=AAPL&start={T0}&limit=10000"
    assert list(normaliser.feed(frame(printed(5)))) == []
    events = list(normaliser.feed(history(1, 2, 3, 5, path=path)))
    assert [event.trade_id for event in events if isinstance(event, Trade)] == [2, 3, 5]
    (entry,) = [event for event in events if isinstance(event, LedgerEntry)]
    assert (entry.kind, entry.count) == (LedgerKind.BACKFILL, 2)
    assert [type(event) for event in normaliser.feed(frame(printed(6), printed(6)))] == [Trade, LedgerEntry]


def test_nothing_missed_leaves_no_entry() -> None:
    normaliser = AlpacaNormaliser()
    normaliser.feed(frame(printed(1)))
    path = interrupted(normaliser)
    assert list(normaliser.feed(history(1, path=path))) == []


@pytest.mark.parametrize("answer", ["failed", "unreadable"])
def test_what_cannot_be_fetched_is_a_gap_of_unknown_size(answer: str) -> None:
    normaliser = AlpacaNormaliser()
    normaliser.feed(frame(printed(1)))
    path = interrupted(normaliser)
    normaliser.feed(frame(printed(5)))
    reply = marker(FAILED + path, b"503") if answer == "failed" else RawFrame("rest", T0, path, b"<html>")
    events = list(normaliser.feed(reply))
    assert LedgerKind.GAP in kinds(events)
    assert [event.trade_id for event in events if isinstance(event, Trade)] == [5]


def test_long_interruptions_are_fetched_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trades_module, "PAGE", 3)
    normaliser = AlpacaNormaliser()
    normaliser.feed(frame(printed(1, at=T0)))
    path = interrupted(normaliser)
    rows = [{"i": n, "x": "V", "p": 1, "s": 1, "t": f"2023-11-14T22:13:2{n}.5Z"} for n in (1, 2, 3)]
    assert len(normaliser.feed(RawFrame("rest", T0, path, json.dumps(rows).encode()))) == 2
    (request,) = normaliser.requests()
    assert f"start={T0 + 3_500_000_000}" in request.path
    events = normaliser.feed(RawFrame("rest", T0, request.path, json.dumps(rows[2:]).encode()))
    assert [(e.kind, e.count) for e in events if isinstance(e, LedgerEntry)] == [(LedgerKind.BACKFILL, 2)]


def test_a_page_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trades_module, "PAGE", 2)
    normaliser = AlpacaNormaliser()
    normaliser.feed(frame(printed(1, at=T0 + 1)))
    path = interrupted(normaliser)
    assert LedgerKind.GAP in kinds(list(normaliser.feed(history(1, 2, path=path))))
    assert normaliser.requests() == []


@given(cut=st.integers(0, 7))
def test_a_restart_at_any_point_fetches_what_is_missing_and_repeats_nothing(cut: int) -> None:
    frames = [frame(printed(n, 150.0 + n, T0 + n)) for n in range(1, 8)]
    first = AlpacaNormaliser()
    first.feed(marker(STARTED))
    first.feed(subscribed())
    events = [event for one in frames[:cut] for event in first.feed(one)]
    second = AlpacaNormaliser()
    second.restore(first.save())
    events += second.feed(marker(STARTED))
    events += second.feed(marker(CONNECTED))
    events += second.feed(subscribed())
    events += [event for one in frames[cut:] for event in second.feed(one)]
    for request in second.requests():
        rows = [{"i": n, "x": "V", "p": 150.0 + n, "s": 1, "t": f"2023-11-14T22:13:20.{n:09d}Z"} for n in range(1, 8)]
        events += second.feed(RawFrame("rest", T0, request.path, json.dumps(rows).encode()))
    assert [event.trade_id for event in events if isinstance(event, Trade)] == list(range(1, 8))


def test_a_foreign_state_is_refused() -> None:
    with pytest.raises(InputError, match="cannot be read"):
        AlpacaNormaliser().restore(b"\xc1")


def test_times_keep_their_nanoseconds() -> None:
    for ns in (0, 5, T0, T0 + 123_456_789, 2**34 * 10**9 // 2):
        packed = msgspec.msgpack.decode(msgpack.packb(msgpack.Timestamp.from_unix_nano(ns)), type=msgspec.msgpack.Ext)
        assert stamp_ns(packed) == ns
    assert time_ns("2023-11-14T22:13:20.123456789Z") == T0 + 123_456_789
    assert time_ns("2023-11-14T17:13:20-05:00") == T0
    assert time_ns(None) == 0
    assert int(time_text(T0 + 123_456_789).timestamp() * 1e6) == (T0 + 123_456_000) // 1000
    for text in ("yesterday", "2023-13-14T22:13:20Z", "9999-01-01T00:00:00Z"):
        with pytest.raises(msgspec.ValidationError):
            time_ns(text)


JUNK = st.recursive(
    st.none() | st.floats() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["T", "S", "p", "s", "i", "t", "c", "bp", "tks", "code"]), inner, max_size=5)
    ),
    max_leaves=12,
)


@given(
    channel=st.sampled_from(
        ["", "trades?symbol=AAPL", "recorder:odd", STARTED, LOST, CONNECTED, FAILED + "trades?symbol=A", "x"]
    ),
    payload=st.binary(max_size=60) | JUNK.map(msgpack.packb) | JUNK.map(lambda v: json.dumps(repr(v)).encode()),
)
def test_junk_never_raises_and_stays_encodable(channel: str, payload: bytes) -> None:
    normaliser = AlpacaNormaliser()
    events = list(normaliser.feed(RawFrame("stocks", 1, channel, payload)))
    assert decode_batch(encode_batch(events)) == events
    AlpacaNormaliser().restore(normaliser.save())


@given(
    kind=st.sampled_from("tqbcx"), fields=st.dictionaries(st.sampled_from(["p", "s", "i", "t", "c", "o", "bp"]), JUNK)
)
def test_odd_fields_never_raise(kind: str, fields: dict[str, Any]) -> None:
    row = {"T": kind, "S": "AAPL", **fields}
    events = list(AlpacaNormaliser().feed(frame(row, printed(9))))
    assert decode_batch(encode_batch(events)) == events
    assert any(isinstance(event, Trade) and event.trade_id == 9 for event in events)
