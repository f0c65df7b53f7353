"""The report in Chromium: charts of real size, no overflow on a phone, no request, both themes, zoom to a round trip."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

pytestmark = pytest.mark.browser

CHROMIUM = "/usr/bin/chromium"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import quantlytic as ql
    from quantlytic.strategies.sma_cross import SmaCross

    folder, count = tmp_path_factory.mktemp("report"), 9000
    tables = []
    for seed, symbol in enumerate(("AAA", "BBB")):
        path = 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 2e-3, (count, 4)).ravel())).reshape(
            count, 4
        )
        tables.append(
            pl.DataFrame(
                {
                    "symbol": symbol,
                    "ts": 1_700_000_000_000_000_000 + 3_600_000_000_000 * np.arange(count),
                    "open": path[:, 0],
                    "high": path.max(1),
                    "low": path.min(1),
                    "close": path[:, 3],
                    "volume": np.ones(count),
                }
            )
        )
    pl.concat(tables).write_parquet(folder / "bars.parquet")
    bars = ql.load_bars(folder / "bars.parquet")
    return ql.backtest(SmaCross(fast=20, slow=60, weight=0.4), bars).plot(folder / "report.html")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    if not os.path.exists(CHROMIUM):
        pytest.skip(f"needs {CHROMIUM}")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (1440, "dark"), (390, "light"), (390, "dark")])
def test_report_works(chromium: Any, report: Path, width: int, theme: str) -> None:
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on(
        "request", lambda request: None if request.url.startswith(("file:", "data:")) else problems.append(request.url)
    )
    page.goto(report.as_uri())
    page.wait_for_selector("#chart[data-ready]")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    sizes = page.eval_on_selector_all("#chart canvas", "all => all.map(one => [one.clientWidth, one.clientHeight])")
    assert max(size[0] for size in sizes) > width * 0.6
    assert max(size[1] for size in sizes) > 200
    assert page.locator(".legend").count() == 5
    assert "Equity" in page.locator(".legend").nth(2).inner_text()
    assert "Sharpe" in page.locator(".legend").nth(4).inner_text()
    assert "in view" in page.locator("#hint").inner_text()
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()
    found = axe.run(page).response["violations"]
    assert not found, [(one["id"], one["nodes"][0]["html"]) for one in found]
    page.click("#log")
    assert page.locator("#log").get_attribute("aria-pressed") == "true"
    before = page.locator("#hint").inner_text()
    page.select_option("#instrument", "1")
    assert page.locator(".legend").first.inner_text().startswith("BBB")
    page.click("text=Best")
    page.locator("tr[data-from] button:visible").first.click()
    page.wait_for_function("text => document.getElementById('hint').innerText !== text", arg=before)
    assert not problems
    context.close()


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (390, "dark")])
def test_comparison_works(chromium: Any, report: Path, tmp_path: Path, width: int, theme: str) -> None:
    import quantlytic as ql
    from quantlytic.research.pages.comparepage import write_comparison
    from quantlytic.research.runs.compare import compare
    from quantlytic.research.runs.runfolder import save_run
    from quantlytic.strategies.sma_cross import SmaCross

    bars = ql.load_bars(report.parent / "bars.parquet")
    folders = [save_run(ql.backtest(SmaCross(fast=f, slow=60, weight=0.4), bars), tmp_path, 1)[0] for f in (10, 20, 30)]
    path = write_comparison(compare(folders), tmp_path / "compare.html")
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(path.as_uri())
    page.wait_for_selector("#chart[data-ready]")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    sizes = page.eval_on_selector_all("#chart canvas", "all => all.map(one => [one.clientWidth, one.clientHeight])")
    assert max(size[0] for size in sizes) > width * 0.6
    assert "".join(page.locator(".compare thead th").all_inner_texts()[1:]).split() == ["A", "B", "C"]
    assert (
        page.evaluate("(box => box.scrollWidth - box.clientWidth)(document.querySelector('.compare').parentElement)")
        == 0
    )
    page.click("#log")
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()
    found = axe.run(page).response["violations"]
    assert not found, [(one["id"], one["nodes"][0]["html"]) for one in found]
    assert not problems
    context.close()
