"""The record of what was announced, from log and lake."""

from __future__ import annotations

import math
from pathlib import Path

from tests.research.paperline import archived, logs

from quantlytic.model.event import Event
from quantlytic.model.intent import Intent, IntentOutcome
from quantlytic.model.side import Side
from quantlytic.research.figures.intents import read_intents

COUNT = 200


def events() -> list[Event]:
    """Pairs: said, and judged."""
    found: list[Event] = []
    for number in range(1, COUNT + 1):
        until = number * 1_000
        side = Side.BUY if number % 3 else Side.SELL
        action = "cancel" if number % 10 == 0 else "order"
        found.append(
            Intent("r", number, "box:A", until - 900, until, 1, action, side, 101.0, math.inf, 100.0, 1.0, math.nan)
        )
        came_true = number % 2 == 1
        price = 102.0 if number % 4 else 99.0
        found.append(IntentOutcome("r", number, "box:A", until, came_true, price, number if came_true else 0))
    return found


def test_log_and_lake_tell_the_same(tmp_path: Path) -> None:
    with logs(tmp_path / "log") as log, logs(tmp_path / "empty") as empty:
        writer = log.writer("lookahead.r")
        for k in range(0, 2 * COUNT, 20):
            writer.commit({"intents.r": events()[k : k + 20]})
        writer.close()
        lake = archived(log, tmp_path)
        whole = read_intents("r", log)
        assert read_intents("r", empty, lake).figures() == whole.figures()
        log.trim("intents.r", 150)
        assert 0 < log.bounds("intents.r")[0] <= 150
        assert read_intents("r", log, lake).figures() == whole.figures()
    figures = whole.figures()
    assert (figures.said, figures.came_true) == (180, 100)
    assert figures.met == sum(1 for number in range(1, COUNT + 1) if number % 10 and number % 4)
    assert (figures.shortest_lead_ns, figures.median_lead_ns) == (1, 101)
    assert whole.open == []
