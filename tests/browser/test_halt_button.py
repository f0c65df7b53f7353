"""The red button in a real browser: two steps to stop, the name to sell, the name to let go."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.browser.conftest import TOKEN, Scene, Tab
from tests.browser.test_page import snapshot
from tests.trading.fake_venue import FakeVenue

from quantlytic.model.errors import InputError
from quantlytic.model.instrument import Instrument
from quantlytic.model.side import Side
from quantlytic.store.log.sqlite import SqliteLog
from quantlytic.trading.killswitch import KillTarget, KillTimings, kill
from quantlytic.trading.latch import Latch
from quantlytic.web.halt import HaltDesk
from quantlytic.web.server import WebServer

pytestmark = pytest.mark.browser
pytest.importorskip("playwright.sync_api", reason="needs the package playwright")

from playwright.sync_api import Page, expect  # noqa: E402

OpenTab = Callable[..., Tab]
SIZES = [(1440, 1000, "light"), (390, 844, "light"), (390, 844, "dark"), (1440, 1000, "dark")]


class Stoppable(Scene):
    """The page of an account at a venue in memory, with the real latch and the real kill switch."""

    mode = "live"

    def _make_server(self, port: int) -> WebServer:
        self.venue = FakeVenue({"USDT": 1000.0, "BTC": 1.5}, delay_s=0.1)
        self.latch = Latch(self.home / "halts", "main")
        server = WebServer(
            lambda: SqliteLog(self.home / "log"), venue="box", outbox=self.home / "outbox", token=TOKEN, port=port,
            bar_sizes=["1s"], list_runs=lambda: [msgspec.structs.replace(self.tape.run, mode=self.mode)], warmup_bars=12,
            halt=HaltDesk(self.kill, self.release, self.state),
        )  # fmt: skip
        server.start()
        return server

    def kill(self, flatten: bool, typed: str) -> dict[str, Any]:
        async def instruments() -> Sequence[Instrument]:
            return [Instrument("box:BTCUSDT", "BTC", "USDT", 0.01, 0.001, 5.0)]

        if flatten and typed != "main":
            raise InputError("to sell everything, type the account's name")
        target = KillTarget("main", self.latch, lambda: self.venue, instruments, {"BTC": 0.5})
        timings = KillTimings(deadline=5.0, quiet=0.5, poll=0.05)
        report = asyncio.run(kill(target, flatten=flatten, by="the page", timings=timings))
        return report.as_dict() | {"lines": report.lines()}

    def release(self, typed: str) -> dict[str, Any]:
        self.latch.release(typed, "the page", time.time_ns())
        return self.state()

    def state(self) -> dict[str, Any]:
        halt, words = self.latch.read(), self.latch.words()
        word = halt or (words[-1] if words else None)
        told = {} if word is None else {name: getattr(word, name) for name in ("cause", "by", "text", "event_time")}
        return {"account": "main", "mode": self.mode, "halted": halt is not None} | told


@pytest.fixture
def stoppable(tmp_path: Path) -> Iterator[Stoppable]:
    scene = Stoppable(tmp_path, bars=60)
    scene.venue.rest("bid-1")
    scene.venue.rest("bid-2", Side.BUY, 2.0)
    yield scene
    scene.close()


def opened(scene: Stoppable, tab: Tab) -> Page:
    page: Page = tab.page
    page.goto(scene.server.url)
    expect(page.locator("#stop")).to_have_text("■ Stop trading")
    return page


@pytest.mark.parametrize(("width", "height", "scheme"), SIZES)
def test_two_presses_stop_and_the_name_lets_go(
    stoppable: Stoppable, open_tab: OpenTab, pictures: Path, width: int, height: int, scheme: str
) -> None:
    page = opened(stoppable, open_tab(width=width, height=height, scheme=scheme))
    size = f"{width}-{scheme}"
    expect(page.locator("#halted")).to_be_hidden()
    box = page.locator("#stop").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    assert box["height"] >= 30
    page.locator("#stop").click()
    expect(page.locator("#halt-title")).to_have_text("Stop trading on account main")
    expect(page.locator("#halt-flatten")).to_be_disabled()
    expect(page.locator("#halt-release")).to_be_hidden()
    page.screenshot(path=pictures / f"halt-asked-{size}.png")
    page.locator("#halt-cancel").click()
    expect(page.locator("#halt-working")).to_be_visible()
    expect(page.locator("#halt-report")).to_contain_text("VERIFIED in", timeout=10_000)
    expect(page.locator("#halt-report")).to_contain_text("orders: 2 cancelled, nothing open")
    expect(page.locator("#halt-title")).to_have_text("Account main is halted")
    page.screenshot(path=pictures / f"halt-done-{size}.png")
    page.locator("#halt-close").click()
    expect(page.locator("#stop")).to_have_text("■ Halted")
    expect(page.locator("#halted-text")).to_contain_text("TRADING HALTED (kill) by the page")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.screenshot(path=pictures / f"halt-banner-{size}.png")
    assert stoppable.latch.read() is not None
    assert stoppable.venue.totals["BTC"] == 1.5  # nothing was sold
    page.locator("#halted-open").click()
    page.locator("#release-typed").fill("mai")
    expect(page.locator("#halt-let-go")).to_be_disabled()
    page.locator("#release-typed").fill("main")
    page.locator("#halt-let-go").click()
    expect(page.locator("#halted")).to_be_hidden()
    expect(page.locator("#stop")).to_have_text("■ Stop trading")
    assert stoppable.latch.read() is None


def test_selling_needs_the_name(stoppable: Stoppable, open_tab: OpenTab) -> None:
    page = opened(stoppable, open_tab())
    page.locator("#stop").click()
    page.locator("#flatten-typed").fill("Main")
    expect(page.locator("#halt-flatten")).to_be_disabled()
    page.keyboard.press("Enter")
    assert stoppable.latch.read() is None
    page.locator("#flatten-typed").fill("main")
    page.keyboard.press("Enter")
    expect(page.locator("#halt-report")).to_contain_text("; flat", timeout=10_000)
    assert stoppable.venue.totals["BTC"] == 0.5
    expect(page.locator("#flatten-typed")).to_have_value("")


def test_a_halt_made_elsewhere_is_seen_with_its_cause(stoppable: Stoppable, open_tab: OpenTab) -> None:
    page = opened(stoppable, open_tab())
    stoppable.latch.engage("risk", "executor", "account main: lost 6.20% today", time.time_ns())
    expect(page.locator("#halted-text")).to_contain_text("(risk) by executor", timeout=5_000)
    expect(page.locator("#halted-text")).to_contain_text("lost 6.20% today")
    stoppable.latch.release("main", "ann", time.time_ns())
    expect(page.locator("#halted")).to_be_hidden(timeout=5_000)


def test_what_would_be_sold_is_listed(stoppable: Stoppable, open_tab: OpenTab, pictures: Path) -> None:
    page = opened(stoppable, open_tab())
    rows = snapshot(stoppable)["run"]["positions"]
    held = {row["instrument"]: row["quantity"] for row in rows if row["quantity"]}
    assert held
    page.locator("#stop").click()
    for name, quantity in held.items():
        verb = "sell" if quantity > 0 else "buy back"
        expect(page.locator("#halt-held")).to_contain_text(re.compile(rf"{verb} [\d.,]+ {name}, worth [\d.,]+"))
    expect(page.locator("#halt-held li")).to_have_count(len(held))
    page.screenshot(path=pictures / "halt-held.png")


def test_in_paper_mode_the_latch_is_shown_and_there_is_no_button(
    stoppable: Stoppable, open_tab: OpenTab, pictures: Path
) -> None:
    stoppable.mode = "paper"
    page: Page = open_tab().page
    page.goto(stoppable.server.url)
    stoppable.latch.engage("kill", "ann@lab", "the kill switch was pressed", time.time_ns())
    expect(page.locator("#halted-text")).to_contain_text(
        "THE LATCH OF main IS SHUT, no live order is sent; paper goes on (kill) by ann@lab", timeout=5_000
    )
    expect(page.locator("#stop")).to_be_hidden()
    page.locator("#halted-open").click()
    expect(page.locator("#halt-paper")).to_contain_text("In mode paper no order goes to a venue")
    expect(page.locator("#halt-cancel")).to_be_hidden()
    expect(page.locator("#halt-flatten")).to_be_hidden()
    page.screenshot(path=pictures / "halt-paper.png")
    page.locator("#release-typed").fill("main")
    page.locator("#halt-let-go").click()
    expect(page.locator("#halted")).to_be_hidden(timeout=5_000)


def test_it_is_fit_for_a_screen_reader(stoppable: Stoppable, open_tab: OpenTab) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()
    page = opened(stoppable, open_tab())
    page.locator("#stop").click()
    assert [v["id"] for v in axe.run(page).response["violations"]] == []
    page.locator("#halt-cancel").click()
    expect(page.locator("#halt-report")).to_contain_text("VERIFIED in", timeout=10_000)
    assert [v["id"] for v in axe.run(page).response["violations"]] == []
