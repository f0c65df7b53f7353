"""What the strategy would do, on the page, in a real browser."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.browser.conftest import Scene, Tab

from quantlytic.model.intent import Intent, IntentOutcome
from quantlytic.model.side import Side
from quantlytic.model.time import NS_PER_S
from quantlytic.store.log.sqlite import SqliteLog

pytestmark = pytest.mark.browser
pytest.importorskip("playwright.sync_api", reason="needs the package playwright")

from playwright.sync_api import expect  # noqa: E402


def intent(scene: Scene, number: int, low: float, high: float) -> Intent:
    now, minute = time.time_ns(), 60 * NS_PER_S
    return Intent(
        scene.tape.run_id, number, "box:BTCUSDT", now, (now // minute + 1) * minute, 1, "order",
        Side.BUY if number % 2 else Side.SELL, low, high, 64_000.0, 0.5, bar_size_ns=minute,
    )  # fmt: skip


def test_what_is_announced_comes_and_goes(scene: Scene, open_tab: Callable[..., Tab], pictures: Path) -> None:
    page = open_tab().page
    page.goto(scene.server.url)
    rows = page.locator("#intents tbody tr")
    expect(rows).to_have_text(["Nothing announced yet."])
    log = SqliteLog(scene.home / "log")
    writer = log.writer("lookahead.paper-1")
    said = [
        intent(scene, 1, 65_000.0, math.inf),
        intent(scene, 2, -math.inf, 62_000.0),
        intent(scene, 3, -math.inf, math.inf),
    ]
    writer.commit({"intents.paper-1": said})
    expect(rows).to_have_count(3)
    expect(rows.first).to_contain_text("BTCUSDT: buys if the 1-minute close is above 65,000 (+1.6 %), within the next")
    expect(rows.first.locator("td").nth(1)).to_contain_text("%")
    expect(rows.nth(2).locator("td").nth(1)).to_have_text("there")
    page.locator("#intents").scroll_into_view_if_needed()
    page.screenshot(path=pictures / "look-ahead.png", full_page=True)
    for one, came_true in ((said[0], True), (said[1], False)):
        price = 65_500.0
        lead_ns = 42 * NS_PER_S if came_true else 0
        outcome = IntentOutcome(one.run, one.intent_id, one.instrument, one.until, came_true, price, lead_ns)
        writer.commit({"intents.paper-1": [outcome]})
    expect(rows).to_have_count(1)
    text = "1 of 2 were met by a close; 1 came true, half of them at least 42.0 s ahead"
    expect(page.locator("#intent-record")).to_have_text(text)
    writer.close()
    log.close()
