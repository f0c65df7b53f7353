"""What a run has announced, as the page shows it."""

from __future__ import annotations

import math

import msgspec
import pytest

from quantlytic.model.instrument import Instrument
from quantlytic.model.intent import Intent, IntentOutcome
from quantlytic.model.run import Run
from quantlytic.model.side import Side
from quantlytic.model.time import NS_PER_S
from quantlytic.web.account import RunView
from quantlytic.web.intents import IntentView

MINUTE_NS = 60 * NS_PER_S
ITEM = Instrument("box:BTCUSDT", tick_size=0.5)
RUN = Run("r", "paper", "box", "sma-cross", {}, (ITEM,), MINUTE_NS, 1e5, 1.0, 0, "")


def intent(number: int, low: float, high: float, minute: int = 1) -> Intent:
    until = minute * MINUTE_NS
    return Intent(
        "r",
        number,
        ITEM.id,
        until - MINUTE_NS,
        until,
        1,
        "order",
        Side.BUY,
        low,
        high,
        100.0,
        1.0,
        1.0,
        bar_size_ns=MINUTE_NS,
    )


def test_rows_are_what_is_open_the_next_to_end_first() -> None:
    view = IntentView()
    view.describe(RUN)
    view.apply(intent(1, 101.0, math.inf, minute=2))
    view.apply(intent(2, -math.inf, 98.5))
    view.apply(intent(3, 99.0, 99.5))
    assert [row["id"] for row in view.rows()] == [2, 3, 1]
    assert [(row["low"], row["high"]) for row in view.rows()] == [(None, 98.5), (99.0, 99.5), (101.0, None)]
    words = "BTCUSDT: buys if the 1-minute close is below 98.5 (-1.5 %), within the next minute"
    assert view.rows()[0]["words"] == words
    assert msgspec.json.decode(msgspec.json.encode(view.rows())) == view.rows()
    view.apply(intent(2, -math.inf, 98.0))  # said again
    view.apply(intent(3, math.nan, math.nan))  # withdrawn
    view.apply(IntentOutcome("r", 1, ITEM.id, 2 * MINUTE_NS, True, 102.0, NS_PER_S))
    assert [(row["id"], row["high"]) for row in view.rows()] == [(2, 98.0)]


def test_the_record() -> None:
    view = IntentView()
    assert view.record() is None
    for number, came_true, price in ((1, True, 102.0), (2, False, 99.0), (3, True, 101.0), (4, False, 103.0)):
        view.apply(intent(number, 101.0, math.inf))
        view.apply(IntentOutcome("r", number, ITEM.id, MINUTE_NS, came_true, price, number * NS_PER_S * came_true))
    view.apply(IntentOutcome("r", 77, ITEM.id, MINUTE_NS, True, 101.0, 1))  # said before this view began
    assert view.record() == {
        "said": 4,
        "met": 3,
        "came_true": 2,
        "precision": pytest.approx(2 / 3),
        "median_lead_s": 3.0,
    }


def test_a_run_shows_them() -> None:
    view = RunView("r", lambda *_: None)
    view.run = RUN
    view.apply(intent(1, 101.0, math.inf))
    state = view.state({})
    assert [row["id"] for row in state["intents"]] == [1]
    assert state["intent_record"] is None
    view.drain({})
    assert "intents" not in view.drain({})
    view.apply(IntentOutcome("r", 1, ITEM.id, MINUTE_NS, True, 102.0, NS_PER_S))
    changes = view.drain({})
    assert changes["intents"] == []
    assert changes["intent_record"]["came_true"] == 1
