"""Intents in words, and which are near."""

from __future__ import annotations

import math
from typing import Any

import pytest

from quantlytic.model.instrument import Instrument
from quantlytic.model.intent import Intent
from quantlytic.model.intentwords import intent_words, is_near, span_words
from quantlytic.model.side import Side
from quantlytic.model.time import NS_PER_S

MINUTE_NS, INF = 60 * NS_PER_S, math.inf
BTC = Instrument("binance:BTCUSDT", tick_size=0.01)


def intent(low: float, high: float, seen: float = 63_954.0, bar_s: int = 300, **changes: Any) -> Intent:
    given: dict[str, Any] = {
        "run": "r", "intent_id": 1, "instrument": BTC.id, "event_time": 0, "until": bar_s * NS_PER_S, "horizon": 1,
        "action": "order", "side": Side.BUY, "price_low": low, "price_high": high, "seen_price": seen, "quantity": 1.0,
        "bar_size_ns": bar_s * NS_PER_S,
    }  # fmt: skip
    return Intent(**given | changes)


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (
            intent(64_210.0, INF, probability=0.31),
            "BTCUSDT: buys if the 5-minute close is above 64,210 (+0.4 %), within the next 5 minutes; "
            "model forecast gives 31 %",
        ),
        (
            intent(-INF, 63_900.5, side=Side.SELL),
            "BTCUSDT: sells if the 5-minute close is below 63,900.5 (-0.1 %), within the next 5 minutes",
        ),
        (
            intent(64_000.0, 64_210.25, event_time=240 * NS_PER_S),
            "BTCUSDT: buys if the 5-minute close is between 64,000 and 64,210.25 (+0.1 % to +0.4 %), within the next minute",
        ),
        (
            intent(64_000.0, 64_000.0, event_time=295 * NS_PER_S - 1),
            "BTCUSDT: buys if the 5-minute close is at 64,000 (+0.1 %), within the next 6 seconds",
        ),
        (intent(-INF, INF), "BTCUSDT: buys whatever the 5-minute close is, within the next 5 minutes"),
        (
            intent(63_960.0, INF, bar_s=86_400),
            "BTCUSDT: buys if the daily close is above 63,960 (+0.01 %), within the next day",
        ),
        (
            intent(64_210.0, INF, action="cancel"),
            "BTCUSDT: withdraws its buy order if the 5-minute close is above 64,210 (+0.4 %), within the next 5 minutes",
        ),
        (
            intent(64_210.0, INF, action="amend", side=Side.SELL, bar_s=3600),
            "BTCUSDT: changes its sell order if the 1-hour close is above 64,210 (+0.4 %), within the next hour",
        ),
        (intent(math.nan, math.nan), "BTCUSDT: no longer buys at the 5-minute close"),
    ],
)
def test_words(one: Intent, text: str) -> None:
    assert intent_words(one, BTC) == text


def test_prices_have_the_instruments_digits_or_six() -> None:
    small = intent(0.000123456, INF, seen=0.000123)
    assert "above 0.000123456 (" in intent_words(small, Instrument("binance:PEPE", tick_size=1e-9))
    assert "above 0.000123456 (" in intent_words(small, Instrument("file:PEPE"))
    assert "above 0.00012 (" in intent_words(small, Instrument("file:PEPE", tick_size=1e-5))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "second"), (0.2, "second"), (2, "2 seconds"), (60, "minute"), (90, "90 seconds"), (121, "3 minutes"),
     (3600, "hour"), (7200, "2 hours"), (86_400, "day"), (200_000, "3 days")],
)  # fmt: skip
def test_spans(seconds: float, text: str) -> None:
    assert span_words(int(seconds * NS_PER_S)) == text


def test_near() -> None:
    above = intent(101.0, INF)
    assert is_near(above, 100.0, 100.0)
    assert not is_near(above, 100.0, 99.0)
    assert is_near(above, 101.0, 0.0)
    assert is_near(above, 500.0, 0.0)
    below = intent(-INF, 99.0)
    assert is_near(below, 100.0, 100.0)
    assert not is_near(below, 100.0, 99.0)
    assert not is_near(intent(math.nan, math.nan), 100.0, 1e4)
    assert not is_near(above, math.nan, 1e4)
