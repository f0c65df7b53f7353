"""The alert service in Chromium: signed up by mouse and keyboard, at both widths and in both colours."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from quantlytic.store.control import open_control
from quantlytic.store.control.control import Control
from quantlytic.store.control.links import Links
from quantlytic.store.control.records import LinkNotice
from quantlytic.web.alerts.server import AlertsServer

pytestmark = [pytest.mark.browser]
SECRET = b"s" * 32
STRATEGIES = ["sma-cross", "macd", "cross-sectional-momentum", "donchian-breakout", "time-series-momentum"]
SHAPES = [("light", 1280, 900), ("dark", 390, 844)]


class Served:
    """A server, its store, and the newest link that it mailed."""

    def __init__(self, control: Control, server: AlertsServer) -> None:
        self.control, self.server = control, server

    def link(self, kind: str) -> str:
        until = time.monotonic() + 10.0
        while True:
            found = [one for one in self.control.messages.history(None, 9) if one.kind == kind]
            if found:
                return msgspec.json.decode(found[0].payload, type=LinkNotice).url
            assert time.monotonic() < until, f"no mail {kind}"
            time.sleep(0.02)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with open_control(tmp_path) as control:
        server = AlertsServer(
            control, secret=SECRET, allow=["anyone"], strategies=STRATEGIES, port=0,
            instruments=["binance:BTCUSDT", "binance:ETHUSDT", "yahoo:AAPL"],
        )  # fmt: skip
        with server:
            yield Served(control, server)


@pytest.mark.parametrize(("scheme", "width", "height"), SHAPES)
def test_from_sign_up_to_the_end(
    served: Served, open_tab: Callable[..., Any], pictures: Path, scheme: str, width: int, height: int
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()
    page = open_tab(width=width, height=height, scheme=scheme).page

    def looked_at(name: str, title: str) -> None:
        assert page.locator("h1").first.inner_text() == title
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is wider than the screen"
        assert [one["id"] for one in axe.run(page).response["violations"]] == [], name
        page.screenshot(path=pictures / f"alerts-{name}-{scheme}.png", full_page=True)

    page.goto(served.server.address)
    assert page.locator("#time_zone").input_value() == page.evaluate("Intl.DateTimeFormat().resolvedOptions().timeZone")
    looked_at("sign-up", "Be told when a strategy acts")
    page.get_by_label("E-mail").fill("ann@example.com")
    page.get_by_label("BTCUSDT").check()
    assert not page.get_by_label("All of them").first.is_checked()  # they exclude each other
    page.get_by_label("Others").fill("yahoo:TSLA")
    page.get_by_label("From").fill("22:00")
    page.get_by_role("button", name="Send me the link").click()
    looked_at("sent", "Check your mail")
    page.goto(served.link("confirm"))
    looked_at("confirm", "Send alerts to ann@example.com?")
    page.keyboard.press("Tab")  # skip link, brand, two pages, the button
    for _ in range(4):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="You are subscribed").wait_for()
    looked_at("confirmed", "You are subscribed")
    who = served.control.subscribers.by_email("ann@example.com")
    assert who is not None
    assert (who.status, who.quiet_start_min) == ("confirmed", 1320)
    links = Links(SECRET, served.server.base_url)
    page.goto(links.url("mine", who.subscriber_id, time.time_ns()))
    page.get_by_label("Fills").check()
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved.").wait_for()
    page.get_by_role("button", name="Send me a test").click()
    page.get_by_text("A test message is on its way.").wait_for()
    looked_at("mine", "Your alerts")
    kept = served.control.subscribers.subscription_of(who.subscriber_id)
    assert kept is not None
    assert kept.instruments == ("binance:BTCUSDT", "yahoo:TSLA")
    assert kept.kinds == ("signal", "fill", "digest")
    page.goto(links.url("unsubscribe", who.subscriber_id, time.time_ns()))
    looked_at("unsubscribe", "Stop all alerts?")
    page.get_by_role("button", name="Unsubscribe").click()
    looked_at("unsubscribed", "You are unsubscribed")
    page.goto(served.server.address + "docs")
    looked_at("docs", "Quantlytic alerts 0.1.0")


def test_it_works_without_a_script(served: Served, chromium: Any) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(served.server.address)
    page.get_by_label("E-mail").fill("ann@example.com")
    page.get_by_label("BTCUSDT").check()
    page.get_by_role("button", name="Send me the link").click()
    assert "all of them and single ones were ticked" in page.get_by_role("alert").inner_text()
    assert not page.get_by_label("All of them").first.is_checked()
    page.get_by_role("button", name="Send me the link").click()
    assert urlsplit(page.url).path == "/sent"
    page.goto(served.link("confirm"))
    page.get_by_role("button", name="Yes, send them").click()
    assert page.locator("h1").inner_text() == "You are subscribed"
    context.close()
