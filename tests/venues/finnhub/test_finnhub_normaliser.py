"""Finnhub's normaliser alone: its documented messages, what cannot be known, restarts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantlytic.model.codec import decode_batch, encode_batch
from quantlytic.model.errors import InputError
from quantlytic.model.frame import RawFrame
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.model.news import News
from quantlytic.model.side import Side
from quantlytic.model.trade import Trade
from quantlytic.venues.finnhub.normaliser import FinnhubNormaliser
from quantlytic.venues.port import CONNECTED, FAILED, LOST, STARTED

DOCUMENTED = b"""{"data":[{"p":7296.89,"s":"BINANCE:BTCUSDT","t":1575526691134,"v":0.011467}],"type":"trade"}"""
MS = 1_575_526_691_134


def stream(value: Any) -> RawFrame:
    return RawFrame("ws", MS * 10**6 + 5, "", json.dumps(value).encode())


def printed(price: float, at_ms: int = MS, volume: float | None = 1.0, symbol: str = "AAPL") -> dict[str, Any]:
    return {"s": symbol, "p": price, "t": at_ms, "v": volume, "c": ["1", "12"]}


def marker(channel: str, payload: bytes = b"") -> RawFrame:
    return RawFrame("ws", MS * 10**6 + 9, channel, payload)


def news(*ids: int, channel: str = "news AAPL") -> RawFrame:
    rows = [{"id": n, "datetime": 1_569_550_360 - n, "headline": f"h{n}", "source": "s", "url": "u"} for n in ids]
    return RawFrame("rest", 7, channel, json.dumps(rows).encode())


def test_the_documented_message_is_a_trade() -> None:
    assert list(FinnhubNormaliser().feed(RawFrame("ws", 9, "", DOCUMENTED))) == [
        Trade("finnhub:BINANCE:BTCUSDT", MS * 10**6, 9, 0, 7296.89, 0.011467, Side.BUY)
    ]
    assert FinnhubNormaliser().feed(stream({"type": "ping"})) == ()


def test_trades_of_one_instant_are_counted_and_sides_follow_the_tick_rule() -> None:
    message = {"type": "trade", "data": [printed(10), printed(11), printed(11), printed(10.5), printed(10, MS + 1)]}
    trades = [event for event in FinnhubNormaliser().feed(stream(message)) if isinstance(event, Trade)]
    assert [trade.trade_id for trade in trades] == [0, 1, 2, 3, 0]
    assert [trade.side for trade in trades] == [Side.BUY, Side.BUY, Side.BUY, Side.SELL, Side.SELL]


def test_price_updates_without_a_volume_are_no_trades_and_counted() -> None:
    message = {"type": "trade", "data": [printed(10, volume=0), printed(11), printed(10, volume=None)]}
    trade, entry = FinnhubNormaliser().feed(stream(message))
    assert isinstance(trade, Trade)
    assert isinstance(entry, LedgerEntry)
    assert (entry.kind, entry.count, entry.instrument) == (LedgerKind.INVALID, 2, "finnhub:AAPL")


def test_an_interruption_says_that_nothing_can_be_known_of_it() -> None:
    normaliser = FinnhubNormaliser()
    assert normaliser.feed(marker(CONNECTED)) == ()
    normaliser.feed(stream({"type": "trade", "data": [printed(10)]}))
    assert normaliser.feed(marker(LOST, b"gone")) == ()
    (entry,) = normaliser.feed(marker(CONNECTED))
    assert isinstance(entry, LedgerEntry)
    assert entry.kind == LedgerKind.RECONNECT
    assert "gone; the venue numbers no trades: what was missed cannot be known" in entry.detail
    assert normaliser.requests() == []


def test_an_article_is_told_once_also_after_a_restart_and_oldest_first() -> None:
    first = FinnhubNormaliser()
    assert [event.news_id for event in first.feed(news(1, 2))] == [2, 1]  # type: ignore[attr-defined]
    second = FinnhubNormaliser()
    second.restore(first.save())
    (entry,) = second.feed(marker(STARTED))
    assert isinstance(entry, LedgerEntry)
    (fresh,) = second.feed(news(1, 2, 3))
    assert isinstance(fresh, News)
    assert (fresh.news_id, fresh.instrument, fresh.publisher) == (3, "finnhub:AAPL", "s")
    (other,) = second.feed(news(3, channel="news *"))
    assert isinstance(other, News)
    assert other.instrument == "finnhub:*"


def test_news_of_the_stream_and_errors_are_read() -> None:
    normaliser = FinnhubNormaliser()
    rows = [{"id": 5, "datetime": 1_569_550_360, "headline": "h", "related": "MSFT"}]
    (article,) = normaliser.feed(stream({"type": "news", "data": rows}))
    assert isinstance(article, News)
    assert article.instrument == "finnhub:MSFT"
    for frame in (stream({"type": "error", "msg": "Invalid symbol"}), marker(FAILED + "news AAPL", b"502"), stream({})):
        (entry,) = normaliser.feed(frame)
        assert isinstance(entry, LedgerEntry)
        assert entry.kind == LedgerKind.INVALID


def test_a_foreign_state_is_refused() -> None:
    with pytest.raises(InputError, match="cannot be read"):
        FinnhubNormaliser().restore(b"\xc1")


@given(cut=st.integers(0, 6))
def test_a_restart_at_any_point_changes_no_trade(cut: int) -> None:
    frames = [stream({"type": "trade", "data": [printed(10 + n % 3, MS + n // 3)]}) for n in range(6)]
    whole = FinnhubNormaliser()
    expected = [event for frame in frames for event in whole.feed(frame)]
    first = FinnhubNormaliser()
    events = [event for frame in frames[:cut] for event in first.feed(frame)]
    second = FinnhubNormaliser()
    second.restore(first.save())
    assert events + [event for frame in frames[cut:] for event in second.feed(frame)] == expected


JUNK = st.recursive(
    st.none() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["s", "p", "t", "v", "id", "datetime", "headline"]), inner, max_size=5)
    ),
    max_leaves=12,
)


@given(
    channel=st.sampled_from(["", "news AAPL", "news *", "news \x00", STARTED, LOST, CONNECTED, FAILED + "x", "odd"]),
    payload=st.binary(max_size=40)
    | JUNK.map(lambda value: json.dumps(value).encode())
    | st.tuples(st.sampled_from(["trade", "news", "error", "?"]), JUNK).map(
        lambda pair: json.dumps({"type": pair[0], "data": pair[1]}).encode()
    ),
)
def test_junk_never_raises_and_stays_encodable(channel: str, payload: bytes) -> None:
    normaliser = FinnhubNormaliser()
    events = list(normaliser.feed(RawFrame("ws", 1, channel, payload)))
    assert decode_batch(encode_batch(events)) == events
    FinnhubNormaliser().restore(normaliser.save())
