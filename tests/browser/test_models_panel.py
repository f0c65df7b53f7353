"""The panel of models in a real browser: a line's forecasts, its changes, its challenger."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from tests.browser.conftest import TOKEN, Scene, Tab

from quantlytic.model.event import Event
from quantlytic.model.forecast import Forecast, ModelChange
from quantlytic.model.strategychange import StrategyChange
from quantlytic.model.time import NS_PER_S
from quantlytic.store.log.sqlite import SqliteLog

pytestmark = pytest.mark.browser
pytest.importorskip("playwright.sync_api", reason="needs the package playwright")

from playwright.sync_api import expect  # noqa: E402

OpenTab = Callable[..., Tab]
OLD, NEW = "08041ab0824a" + 52 * "0", "9f2c11d07a3e" + 52 * "1"
NOW_S = time.time_ns() // NS_PER_S
LINE = "seconds"
VERDICT = (
    "not promoted (loss, return) on 50 outcomes: log loss 0.692 against the champion's 0.693 (by luck 34 %, limit 1.25 %); "
    "it never acts; drift PSI 0.03 (limit 0.25); latency p99 0.4 ms (limit 20 ms)"
)


def forecast(
    ago_s: int, value: float, model: str, symbol: str = "BTCUSDT", reason: str = "", drift: float = 0.03
) -> Forecast:
    end = (NOW_S - ago_s) * NS_PER_S
    return Forecast(
        LINE, f"box:{symbol}", end - NS_PER_S, end, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1, value, model, reason, 0, 420_000, drift
    )  # fmt: skip


def change(ago_s: int, cause: str, old: str, new: str, reason: str, instrument: str = "") -> ModelChange:
    return ModelChange(LINE, instrument, (NOW_S - ago_s) * NS_PER_S, old, new, cause, reason)


def test_a_line_of_models(scene: Scene, open_tab: OpenTab, pictures: Path) -> None:
    tabs = [open_tab(width=1280), open_tab(width=390)]
    for tab in tabs:
        tab.page.goto(scene.server.url)
        expect(tab.page.locator("#legend")).to_contain_text("C ")
        expect(tab.page.locator("#models")).to_be_hidden()  # nobody asked for models
        expect(tab.page.locator("#changes-card")).to_be_hidden()
    log = SqliteLog(scene.home / "log")
    predictor, shadow = log.writer("predictor.seconds"), log.writer("shadow.seconds")
    course = [
        forecast(90 - k, 0.5 + 0.1 * math.sin(k / 5), OLD, symbol)
        for k in range(60)
        for symbol in ("BTCUSDT", "ETHUSDT")
    ]
    predictor.commit({f"forecasts.{LINE}": [change(91, "command", "", OLD, "first try"), *course]})
    shadow.commit({f"shadows.{LINE}": [
        change(80, "trained", "", NEW, "101 new bars; out of sample: log_loss 0.69"),
        change(79, "command", "", NEW, "101 new bars"), *(forecast(70 - k, 0.4, NEW) for k in range(7)),
        change(60, "judged", NEW, NEW, VERDICT),
    ]})  # fmt: skip
    for tab in tabs:
        page = tab.page
        expect(page.locator("#lines h3")).to_have_text("seconds")
        expect(page.locator("#lines .scroll tbody tr")).to_have_count(2)
        rows = page.locator("#lines .scroll tbody tr")
        expect(rows.first).to_contain_text("BTCUSDT")
        expect(rows.first.locator("td").nth(1)).to_have_text(f"{course[-2].value:.4f}")
        box = rows.first.locator("svg path").bounding_box()
        assert box is not None
        assert box["width"] > 50
        assert box["height"] > 10
        expect(page.locator("#lines .why").first).to_be_hidden()  # each has a forecast
        for name, words in {
            "in-force": "08041ab0824a, since", "speed": "half within 420 µs, 99 % within 420 µs", "drift": "calm, PSI 0.030",
            "training": "101 new bars; out of sample: log_loss 0.69",
        }.items():  # fmt: skip
            expect(page.locator(f'#lines [data-is="{name}"]')).to_contain_text(words)
        rival = page.locator("#lines .rivals tbody tr")
        expect(rival.locator("td").nth(0)).to_have_text("9f2c11d07a3e for BTCUSDT")
        for column, words in enumerate(["lightgbm", "7", "50"], start=1):
            expect(rival.locator("td").nth(column)).to_have_text(words)
        expect(rival).to_contain_text("+0.001 log loss")
        expect(rival).to_contain_text("its lead may be luck, does not pay after costs")
        expect(page.locator("#warnings li")).to_have_text(["The market feed is silent"])
        expect(page.locator("#changes tbody tr")).to_have_count(1)

    predictor.commit({f"forecasts.{LINE}": [
        change(9, "promotion", OLD, NEW, "better by 0.012 over 200 outcomes"), forecast(9, 0.61, NEW, drift=0.31),
        change(8, "demoted", NEW, "", "model 9f2c11d07a3e raised ValueError", "box:ETHUSDT"),
        forecast(8, math.nan, "", "ETHUSDT", "model 9f2c11d07a3e raised ValueError", math.nan),
    ]})  # fmt: skip
    swap = StrategyChange(
        "paper-1", "7", (NOW_S - 4) * NS_PER_S, 1, "sma-cross", "{}", "<b>mine", "{}", "keep", "calmer", "ann"
    )
    log.writer("strategist.paper-1").commit({"decisions.paper-1": [swap]})
    for tab in tabs:
        page = tab.page
        rows = page.locator("#lines .scroll tbody tr")
        expect(rows.nth(1)).to_contain_text("model 9f2c11d07a3e raised ValueError")
        expect(rows.nth(1).locator("td").nth(1)).to_have_text("none")
        expect(page.locator('#lines [data-is="in-force"] p')).to_have_count(2)
        expect(page.locator('#lines [data-is="drift"]')).to_have_text("⚠ drifted, PSI 0.310")
        expect(page.locator("#warnings summary")).to_have_text("⚠ 3 warnings")
        expect(page.locator("#warnings li")).to_have_text([
            "The market feed is silent", "seconds: model 9f2c11d07a3e demoted: model 9f2c11d07a3e raised ValueError (ETHUSDT)",
            "seconds: the features have drifted, PSI 0.31",
        ])  # fmt: skip
        changes = page.locator("#changes tbody tr")
        expect(changes).to_have_count(4)
        expect(changes.first).to_contain_text("sma-cross → <b>mine")
        expect(changes.nth(1)).to_contain_text("✕ 9f2c11d07a3e → none")
        page.locator("#models").scroll_into_view_if_needed()
        page.screenshot(path=pictures / f"models-{page.viewport_size['width']}.png", full_page=True)  # type: ignore[index]
        overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow == 0
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()
    for tab in tabs:
        found = axe.run(tab.page).response["violations"]
        assert [f"{v['id']}: {[node['html'][:120] for node in v['nodes'][:3]]}" for v in found] == []
    answer = httpx.get(scene.server.address + "api/models", headers={"Authorization": f"Bearer {TOKEN}"}).json()
    assert [line["line"] for line in answer["lines"]] == ["seconds"]
    assert answer["changes"][0]["reason"] == "calmer"
    for writer in (predictor, shadow):
        writer.close()
    log.close()


def test_many_challengers_are_a_short_table(scene: Scene, open_tab: OpenTab, pictures: Path) -> None:
    log = SqliteLog(scene.home / "log")
    with closing(log), closing(log.writer("predictor.seconds")) as one, closing(log.writer("shadow.seconds")) as other:
        one.commit({f"forecasts.{LINE}": [forecast(90 - k, 0.5, OLD) for k in range(60)]})
        for k in range(8):
            model = f"{k}{NEW[1:]}"
            said: list[Event] = [change(80, "promotion", "", model, "named"), forecast(70, 0.4, model)]
            if k < 6:
                said.append(change(60, "judged", model, model, VERDICT.replace("0.692", f"0.69{k}")))
            other.commit({f"shadows.{LINE}": said})
        gone = change(59, "refused", NEW, "", VERDICT)
        other.commit({f"shadows.{LINE}": [gone]})
    for tab in (open_tab(width=1280), open_tab(width=390)):
        page = tab.page
        page.goto(scene.server.url)
        rows = page.locator("#lines .rivals tbody tr")
        expect(rows).to_have_count(8)
        expect(rows.filter(visible=True)).to_have_count(5)
        expect(rows.first).to_contain_text("+0.003 log loss")  # the one with the largest lead
        expect(page.locator('#lines [data-is="challenger"]')).to_contain_text(
            "The last that ended, 9f2c11d07a3e: refused"
        )
        page.screenshot(path=pictures / f"challengers-{page.viewport_size['width']}.png", full_page=True)  # type: ignore[index]
        page.get_by_role("button", name="Show 3 more").click()
        expect(rows.filter(visible=True)).to_have_count(8)
        page.get_by_role("button", name="Show the first 5 only").click()
        expect(rows.filter(visible=True)).to_have_count(5)
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
        expect(page.locator("#warnings li")).to_have_text(
            ["The market feed is silent"]
        )  # a lost contest is nothing wrong
