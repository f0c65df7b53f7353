"""The page in a real browser, over a real log: what a person sees, and sees change."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.browser.conftest import TOKEN, Scene, Tab

from quantlytic.model.equity import Equity
from quantlytic.model.time import NS_PER_S
from quantlytic.store.log.sqlite import SqliteLog

pytestmark = pytest.mark.browser
pytest.importorskip("playwright.sync_api", reason="needs the package playwright")

from playwright.sync_api import Page, expect  # noqa: E402

OpenTab = Callable[..., Tab]
UP, DOWN, BUY, SELL = (0x0B, 0x7A, 0x5B), (0xB4, 0x37, 0x1F), (0x2F, 0x5B, 0xD7), (0xA3, 0x54, 0x0A)


def opened(scene: Scene, tab: Tab) -> Page:
    """The page at its tokened address, with its chart drawn."""
    page: Page = tab.page
    page.goto(scene.server.url)
    expect(page.locator("#legend")).to_contain_text("C ")
    return page


def pixels(page: Page, selector: str, colour: tuple[int, int, int]) -> int:
    """How many pixels of an element have exactly this colour."""
    image_module = pytest.importorskip("PIL.Image")
    image = image_module.open(BytesIO(page.locator(selector).screenshot())).convert("RGB")
    return int(sum(count for count, pixel in image.getcolors(1 << 24) if pixel == colour))


def snapshot(scene: Scene, series: str = "") -> Any:
    query = {"series": series} if series else {}
    headers = {"Authorization": f"Bearer {TOKEN}"}
    return httpx.get(scene.server.address + "api/snapshot", params=query, headers=headers).json()


def violations(page: Page) -> list[str]:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()
    found = axe.run(page).response["violations"]
    return [f"{v['id']}: {[node['html'][:120] for node in v['nodes'][:3]]}" for v in found]


def test_a_live_page(scene: Scene, open_tab: OpenTab, pictures: Path) -> None:
    scene.start_market()
    page = opened(scene, open_tab())
    assert page.url == scene.server.address  # the token is gone from the address
    expect(page.locator("#state")).to_have_text("● LIVE")
    expect(page.locator("#mode")).to_have_text("PAPER")
    expect(page.locator("#strategy")).to_have_text("sma-cross (fast 4, slow 12)")

    box = page.locator("#candles canvas").first.bounding_box()
    assert box is not None
    assert box["width"] > 600
    assert box["height"] > 250
    assert pixels(page, "#candles", UP) > 200
    assert pixels(page, "#candles", DOWN) > 200
    assert pixels(page, "#candles", BUY) > 40
    assert pixels(page, "#candles", SELL) > 40
    assert pixels(page, "#curve", UP) + pixels(page, "#curve", DOWN) > 200

    watched = ["#legend", "#now", "#feed-rate", "#equity-legend", "#positions tbody"]
    before = [page.locator(selector).inner_text() for selector in watched]
    for selector, text in zip(watched, before, strict=True):
        expect(page.locator(selector)).not_to_have_text(text, timeout=6000)
    fills = snapshot(scene)["run"]["counts"]["fills"]
    while snapshot(scene)["run"]["counts"]["fills"] == fills:
        time.sleep(0.1)
    expect(page.locator("#trade-count")).not_to_contain_text(f"{fills} fills")
    page.screenshot(path=pictures / "wide.png")
    assert violations(page) == []


@pytest.mark.parametrize("seen", ["live", "at once"])
def test_a_curve_whose_bars_came_late_or_never_moved(scene: Scene, open_tab: OpenTab, seen: str) -> None:
    page = opened(scene, open_tab())
    begin, log = time.time_ns() // NS_PER_S * NS_PER_S, SqliteLog(scene.home / "log")
    order = [
        *range(40),
        *range(60, 90),
        *range(50, 60),
        *range(90, 100),
    ]  # a hole, and bars that were held up behind it
    worth = [100_000.0 if k < 30 else 100_000.0 + 3 * k for k in order]  # a flat beginning
    with closing(log), closing(log.writer("executor.late-1")) as writer:
        for k, equity in zip(order, worth, strict=True):
            name = ("box:BTCUSDT", "box:ETHUSDT")[50 <= k < 60]
            marked = Equity("late-1", name, begin + k * NS_PER_S, equity, equity, 0.0, 64_000.0, k)
            writer.commit({"executions.late-1": [marked]})
    expect(page.locator("#run option")).to_have_count(2)
    if seen == "at once":
        page.reload()
    page.locator("#run").select_option("late-1")
    expect(page.locator("#equity")).to_have_text("100,297.00")
    expect(page.locator("#equity-legend")).to_contain_text("100,297.00")
    page.wait_for_function("document.querySelector('#curve canvas')")
    assert pixels(page, "#curve", UP) > 200  # and no error: open_tab looks


def test_a_stopped_feed_is_marked_and_comes_back(scene: Scene, open_tab: OpenTab, pictures: Path) -> None:
    scene.start_market()
    page = opened(scene, open_tab())
    expect(page.locator("#state")).to_have_text("● LIVE")
    stopped_s = scene.stop_market()
    expect(page.locator("#state")).to_contain_text("■ STALE since ")
    assert time.monotonic() - stopped_s < 4.0
    expect(page.locator("#banner")).to_contain_text("The market feed has been silent since")
    expect(page.locator("#warnings summary")).to_have_text("⚠ 1 warning")
    assert page.title().startswith("STALE")
    page.screenshot(path=pictures / "stale.png")
    assert violations(page) == []
    scene.start_market()
    expect(page.locator("#state")).to_have_text("● LIVE")
    expect(page.locator("#banner")).to_be_hidden()


def test_a_lost_server_is_marked_and_found_again(scene: Scene, open_tab: OpenTab, pictures: Path) -> None:
    scene.start_market()
    tab = open_tab()
    page = opened(scene, tab)

    def look() -> None:
        expect(page.locator("#state")).to_have_text("✕ DISCONNECTED", timeout=3000)
        expect(page.locator("#banner")).to_contain_text("This page lost its server")
        assert violations(page) == []
        page.screenshot(path=pictures / "disconnected.png")

    scene.restart_server(look)
    expect(page.locator("#state")).to_have_text("● LIVE", timeout=15_000)
    assert all("ERR_CONNECTION_REFUSED" in error for error in tab.errors)
    tab.errors.clear()


def test_the_page_shows_what_the_tape_says(scene: Scene, open_tab: OpenTab) -> None:
    scene.start_market()
    page = opened(scene, open_tab())
    page.wait_for_timeout(2500)  # the page lives on deltas for a while
    scene.stop_market()
    expect(page.locator("#state")).to_contain_text("STALE")
    view = snapshot(scene)
    run = view["run"]
    for part, column, key in (("signals", 4, "price"), ("fills", 4, "price"), ("orders", 3, "quantity")):
        shown = page.locator(f"#{part} tbody tr td:nth-child({column + 1})").all_inner_texts()
        wanted = [row[key] for row in reversed(run[part][-50:])]
        assert [float(text.replace(",", "")) for text in shown] == pytest.approx(wanted, abs=0.005), part
    assert page.locator("#equity").inner_text() == f"{run['equity']:,.2f}"
    assert f"C {view['candles'][-1][4]:,.2f}" in page.locator("#legend").inner_text()
    assert page.locator("#mails tbody tr").count() == min(50, run["counts"]["signals"])

    page.locator("#charts button", has_text="ETHUSDT").focus()
    page.keyboard.press("Enter")  # by keyboard alone
    last = snapshot(scene, "box:ETHUSDT|1s")["candles"][-1]
    expect(page.locator("#legend")).to_contain_text(f"C {last[4]:,.2f}")
    assert pixels(page, "#candles", UP) > 100


def test_a_mail_is_read_in_safety(scene: Scene, open_tab: OpenTab, pictures: Path) -> None:
    tab = open_tab()
    page = opened(scene, tab)
    page.get_by_role("button", name="Open the mail").first.click()
    expect(page.locator("#mail-text")).to_contain_text("no real order is sent")
    page.get_by_role("button", name="HTML").click()
    expect(page.frame_locator("#mail-html").locator("h1")).to_contain_text("sma-cross")
    page.screenshot(path=pictures / "mail.png")
    assert page.evaluate("window.hacked") is None
    page.keyboard.press("Escape")
    expect(page.locator("#mail")).to_be_hidden()
    assert all("Blocked script execution" in error for error in tab.errors)
    assert len(tab.errors) == 1
    tab.errors.clear()


def test_times_in_utc_or_local(scene: Scene, open_tab: OpenTab) -> None:
    page = opened(scene, open_tab())
    expect(page.locator("#zone")).to_have_text("UTC")
    page.locator("#clock").click()
    expect(page.locator("#clock")).to_have_attribute("aria-label", "Times in local time; switch to UTC")
    page.reload()
    expect(page.locator("#clock")).to_have_attribute("aria-label", "Times in local time; switch to UTC")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone(scene: Scene, open_tab: OpenTab, pictures: Path, scheme: str) -> None:
    scene.start_market()
    page = opened(scene, open_tab(width=390, height=844, scheme=scheme))
    expect(page.locator("#state")).to_have_text("● LIVE")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    box = page.locator("#candles canvas").first.bounding_box()
    assert box is not None
    assert box["width"] > 200
    page.screenshot(path=pictures / f"phone-{scheme}.png", full_page=True)
    assert violations(page) == []


@pytest.mark.parametrize("width", [721, 961, 1221, 1280, 1481])
def test_no_table_loses_a_column(scene: Scene, open_tab: OpenTab, pictures: Path, width: int) -> None:
    page = opened(scene, open_tab(width=width, height=900))
    for name in ("signals", "fills", "orders"):
        too_wide = page.evaluate(
            "n => { const s = document.getElementById(n).parentElement; return s.scrollWidth - s.clientWidth }", name
        )
        assert too_wide <= 0, (name, width)
    page.screenshot(path=pictures / f"tables-{width}.png", full_page=True)


def test_in_the_dark(scene: Scene, open_tab: OpenTab, pictures: Path) -> None:
    page = opened(scene, open_tab(scheme="dark"))
    page.screenshot(path=pictures / "dark.png", full_page=True)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(13, 18, 24)"
    assert violations(page) == []


def test_an_empty_page_says_so_in_words(empty_scene: Scene, open_tab: OpenTab, pictures: Path) -> None:
    page = open_tab().page
    page.goto(empty_scene.server.url)
    expect(page.locator("#state")).to_have_text("○ WAITING")
    expect(page.locator("#signals")).to_contain_text("No signal yet: the strategy needs 12 bars; 0 so far.")
    expect(page.locator("#fills")).to_contain_text("No fill yet")
    expect(page.locator("#positions")).to_contain_text("No position yet.")
    expect(page.locator("#mails")).to_contain_text("No mail yet")
    page.screenshot(path=pictures / "empty.png")
    assert violations(page) == []
    empty_scene.start_market()  # and it fills without a reload
    expect(page.locator("#legend")).to_contain_text("forming", timeout=3000)
    expect(page.locator("#signals")).to_contain_text("4 so far", timeout=9000)


def test_without_the_token(scene: Scene, open_tab: OpenTab, pictures: Path) -> None:
    tab = open_tab()
    tab.page.goto(scene.server.address)
    expect(tab.page.get_by_role("heading")).to_have_text("This page needs its token")
    tab.page.screenshot(path=pictures / "refusal.png")
    assert violations(tab.page) == []
    assert len(tab.errors) == 1  # the browser notes the 401
    tab.errors.clear()


def test_it_is_drawn_within_a_second(scene: Scene, open_tab: OpenTab) -> None:
    page = opened(scene, open_tab())
    drawn_ms = []
    for _ in range(3):  # the machine may be busy with something else once
        page.reload()
        expect(page.locator("#legend")).to_contain_text("C ")
        drawn_ms.append(page.evaluate("performance.getEntriesByName('snapshot')[0].startTime"))
    assert min(drawn_ms) < 1000, drawn_ms
