from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import httpx
import pytest
from tests.web.conftest import Served

import quantlytic.web
from quantlytic.web.api import chart_library
from quantlytic.web.guard import CHART_STYLE_HASH

FOLDER = Path(quantlytic.web.__file__).parent
LIBRARY_SHA256 = "756b0ba9f58930226d6b8b9d47ad310448ab85d799ea1f7c2c02304777c10b52"


def test_the_chart_library_is_the_one_we_looked_at(served: Served) -> None:
    data = chart_library().read_bytes()
    assert hashlib.sha256(data).hexdigest() == LIBRARY_SHA256
    assert served.get("static/lightweight-charts.js").content == data
    style = re.search(rb'innerText="(a#tv-attr-logo.*?)"', data)
    assert style is not None
    digest = hashlib.sha256(style[1]).digest()
    assert f"sha256-{base64.b64encode(digest).decode()}" == CHART_STYLE_HASH


@pytest.mark.parametrize("path", [*FOLDER.glob("static/*"), *FOLDER.glob("templates/*")], ids=lambda path: path.name)
def test_the_page_names_no_other_host(path: Path) -> None:
    hosts = set(re.findall(r"(?:https?:)?//([a-z0-9.-]+\.[a-z]{2,})", path.read_text()))
    assert hosts <= {"www.w3.org", "www.tradingview.com"}  # a name space, and the attribution's link


def test_the_page_has_no_inline_script_or_style(served: Served) -> None:
    text = served.get("").text
    assert not re.search(r"<script(?![^>]*\bsrc=)", text)
    assert not re.search(r"\son\w+=|\sstyle=|<style", text)


def test_health_is_open(served: Served) -> None:
    answer = httpx.get(served.address + "health")
    assert answer.status_code == 200
    body = answer.json()
    assert body["status"] in ("live", "stale")
    assert body["feed_age_s"] >= 0


def test_metrics(served: Served) -> None:
    text = served.get("metrics").text
    assert "quantlytic_web_pages 0.0" in text
    assert re.search(r"quantlytic_feed_messages \d{3}", text)


def test_the_snapshot_agrees_with_the_tape(served: Served) -> None:
    view = served.get("api/snapshot").json()
    run = view["run"]
    assert (run["mode"], run["strategy"], run["counts"]["bars"]) == ("paper", "sma-cross", 120)
    assert len(view["candles"]) == 120
    assert all(row[6] == 1 for row in view["candles"])
    assert run["counts"]["fills"] == len(run["fills"]) > 3
    cash_and_held = run["equity"] - run["start"]
    closed = sum(row["realised"] + row["unrealised"] for row in run["positions"]) - run["fees"]
    assert cash_and_held == pytest.approx(closed, abs=1e-6)
    opens = {row[0]: row for row in view["candles"]}
    for fill in run["fills"]:
        if fill["instrument"] == "box:BTCUSDT":
            assert opens[fill["bar_ms"]][1] == fill["price"]  # filled at its bar's open


def test_a_mail_can_be_read(served: Served) -> None:
    notice = served.get("api/snapshot").json()["notices"][0]
    body = served.get(f"api/mails/{notice['mail']}").json()
    assert body["mail"]["subject"] == notice["subject"]
    assert "no real order is sent" in body["text"]
    for name in ("none.eml", "..%2f..%2fsecret.eml", "%2e%2e%2fx.eml"):
        assert served.get(f"api/mails/{name}").status_code == 404


def test_there_is_no_documentation_endpoint(served: Served) -> None:
    for path in ("docs", "redoc", "openapi.json"):
        assert served.get(path).status_code == 404
