"""The HTML report: whole, self-contained, bounded, and right in a browser."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

import polars as pl
import pytest

from quantlytic.engine.data.bars import Bars
from quantlytic.engine.market.fees import Fees
from quantlytic.model.errors import InputError
from quantlytic.research.data.history import load_bars
from quantlytic.research.honesty.verdict import verdict
from quantlytic.research.pages.report import report_html
from quantlytic.research.runs.run import Result, backtest
from quantlytic.strategies.sma_cross import SmaCross

from .peer_bars import peer_bars

LIBRARY_SHA256 = "756b0ba9f58930226d6b8b9d47ad310448ab85d799ea1f7c2c02304777c10b52"
VOID = {"meta", "link", "br"}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    path = tmp_path_factory.mktemp("bars") / "two.parquet"
    holes = peer_bars(60_000, 2).filter(~pl.int_range(pl.len()).is_in([5, 6]))
    tables = [peer_bars(60_000, 1).with_columns(symbol=pl.lit("AAA")), holes.with_columns(symbol=pl.lit("B</script>"))]
    pl.concat(tables).write_parquet(path)
    return backtest(SmaCross(fast=20, slow=90, weight=0.45), load_bars(path), fees=Fees(taker_bps=5), allow_gaps=True)


class Page(HTMLParser):
    """Checks that tags close in order; collects text by tag."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            # nothing is fetched: no source, no sheet; the only links are those a reader may click
            assert name != "src", f"<{tag} src={value}>"
            assert name != "href" or tag == "a" or value == "data:,"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)


def test_page_is_whole_and_needs_nothing_else(result: Result) -> None:
    html = report_html(result)
    page = Page(html)
    assert not page.open
    assert html.count("<script") == html.count("</script>") == 3
    assert "@import" not in html
    assert "SmaCross on 2 instruments" in page.texts["h1"]
    assert len(html) < 3_000_000


def test_page_states_figures_assumptions_and_holes(result: Result) -> None:
    html = report_html(result)
    summary = result.summary()
    assert "2 bars are missing in the data" in html
    assert "Fees: 5 bps taker, 5 bps maker." in html
    assert f"{summary['round_trips']:,}" in html
    assert result.run_id in html
    assert result.data_hash in html
    assert "Return by month" in html
    assert "Holes in the data" in html
    assert "Costs by cause" in html
    assert "Against buy and hold" in html
    assert "Orders that were refused" not in html
    assert html.count("<caption") >= 6
    assert "<th>" not in html  # every header cell says what it heads


def test_the_verdict_is_on_top(result: Result) -> None:
    html = report_html(result)
    assert html.index('<p class="label">loses</p>') < html.index("Final equity")
    assert "not entered in the trial ledger" in html
    judged = verdict(result, trials=12)
    page = report_html(result, judged)
    assert "not entered in the trial ledger" not in page
    assert "12 different trials on this data are on record" in page


def test_refused_orders_and_short_runs_say_why(tmp_path: Path) -> None:
    path = tmp_path / "short.parquet"
    peer_bars(200).write_parquet(path)
    result = replace(backtest(SmaCross(fast=2, slow=5), load_bars(path)), rejections={"insufficient-cash": 3})
    html = report_html(result)
    assert "Orders that were refused" in html
    assert "more than the cash there was" in html
    assert "the run spans 3.3 hours: nothing is annualised below 30 days" in html


def test_a_benchmark_of_ones_own_is_named(result: Result) -> None:
    other = Bars(result.bars.array[result.bars.array["instrument"] == 0], result.bars.instruments[:1])
    html = report_html(replace(result, benchmark_given=other))
    assert "Against AAA held" in html
    assert 'data-rival="AAA held"' in html


def test_chart_data_survives_names_that_look_like_tags(result: Result) -> None:
    embedded = re.search(r'<script type="application/json" id="data">(.*?)</script>', report_html(result), re.S)
    assert embedded is not None
    names = [own["name"] for own in json.loads(embedded[1])["instruments"]]
    assert names == ["AAA", "B</script>"]


def test_same_run_same_bytes(result: Result) -> None:
    assert report_html(result) == report_html(result)


def test_charting_library_is_the_one_that_was_looked_at() -> None:
    library = (resources.files("litecharts") / "js" / "lightweight-charts.js").read_bytes()
    assert hashlib.sha256(library).hexdigest() == LIBRARY_SHA256


def test_run_without_trades_has_a_report(tmp_path: Path) -> None:
    path = tmp_path / "short.parquet"
    peer_bars(30).write_parquet(path)
    html = report_html(backtest(SmaCross, load_bars(path)))
    assert "It never traded." in html
    assert "No position was both opened and closed." in html
    assert "Equity never fell below an earlier peak." in html


def test_one_bar_has_a_report(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    peer_bars(1).write_csv(path)
    assert "1 bars of 1m" in report_html(backtest(SmaCross, load_bars(path, size="1m")))


def test_a_million_bars_stay_below_three_megabytes(tmp_path: Path) -> None:
    path = tmp_path / "peers.parquet"
    peer_bars(1_000_000).write_parquet(path)
    page = backtest(SmaCross, load_bars(path), fees=Fees(taker_bps=10)).plot(tmp_path / "report.html")
    assert page.stat().st_size < 1_500_000


def test_report_is_written_whole_or_not_at_all(result: Result, tmp_path: Path) -> None:
    written = result.plot(tmp_path / "report.html")
    assert written.read_text() == report_html(result)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(InputError, match="cannot be written"):
        result.plot(tmp_path / "none" / "report.html")
