"""The page and the words of a recommendation, from findings made by hand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from quantlytic.model.errors import InputError
from quantlytic.research.advice.finding import Contender, Finding, Record, Stressed, Stretch
from quantlytic.research.advice.recommendation import Recommendation
from quantlytic.research.advice.recommendtext import DOUBTS, chance, in_one_line, sentence_of, share
from quantlytic.research.pages.recommendpage import page_html

DAY_NS = 86_400 * 10**9
START_NS = 1_700_000_000 * 10**9
TIMES = tuple(START_NS + k * 10 * DAY_NS for k in range(60))
MANIFEST: dict[str, Any] = {
    "question": "rc-1", "folds": 2, "draws": 16, "seed": 0, "strategies": [{}, {}], "left_out": {"pairs": "two at once"},
    "assumptions": ["Fees: 10 bps."],
}  # fmt: skip


def contender(name: str, doubt: str, **change: Any) -> Contender:
    stretches = tuple(
        Stretch(start_ns=TIMES[30 * k], end_ns=TIMES[30 * k + 29], gained=gained, params={"period": 20, "both": True})
        for k, gained in enumerate((0.1, -0.05))
    )
    given: dict[str, Any] = {
        "strategy": name, "total_return": 0.2, "cagr": 0.12, "sharpe": 1.1, "max_drawdown": -0.3, "round_trips": 40,
        "cells": 16, "fills": 80, "psr": 0.98, "dsr": 0.41, "dsr_alpha": 0.2, "dsr_strategies": 0.7, "beta": 0.4,
        "stretches": stretches, "doubt": doubt, "curve": tuple(1.0 + k / 300 for k in range(60)),
    }  # fmt: skip
    return Contender(**(given | change))


def finding(symbol: str, *records: Contender, strategy: str | None = None) -> Finding:
    one = Finding(
        instrument=f"file:{symbol}", symbol=symbol, strategy=strategy, sentence="", trials=1_240, tested=records,
        hold=Record(total_return=-0.4, cagr=-0.27, sharpe=-0.3, max_drawdown=-0.6, curve=tuple([1.0] * 59 + [0.6])),
        curve_times=TIMES, spa_cash=0.3, spa_hold=0.2, picked_loss=0.4, stressed=records[0].strategy,
        stress=(Stressed(name="as it is", total_return=0.2), Stressed(name="fees x2", total_return=-0.01)),
        failed={"odd": "it <raised>"}, bars=900, missing=1, start_ns=START_NS - DAY_NS, test_start_ns=START_NS,
        end_ns=TIMES[-1], data_sha256="0",
    )  # fmt: skip
    return msgspec.structs.replace(one, sentence=sentence_of(one))


def test_the_sentence_of_a_subscriber() -> None:
    luck = finding("SOLUSDT", contender("supertrend", "luck"), contender("macd", "lost"))
    assert luck.sentence.replace("\u00a0", " ") == (
        "SOLUSDT: none. The best of 2 (supertrend) made 12 % a year out of sample, but with 1,240 trials that is likely luck "
        "(deflated Sharpe 0.41)."
    )


@pytest.mark.parametrize("doubt", [doubt for doubt in DOUBTS if doubt != "second"])
@pytest.mark.parametrize("count", [1, 2])
def test_every_doubt_has_its_sentence(doubt: str, count: int) -> None:
    records = [contender("supertrend", doubt), contender("macd", "lost")][:count]
    words = finding("X", *records).sentence
    assert words.startswith("X: none. ")
    assert words.endswith(".")
    assert "None" not in words.replace("None of", "")


def test_a_recommended_one_is_held_against_holding() -> None:
    one = finding("X", contender("macd", "", dsr=0.9991), contender("turtle", "second"), strategy="macd")
    assert "X: macd. It made 12\u00a0% a year" in one.sentence
    assert "holding made −27\u00a0% a year with 60\u00a0%" in one.sentence
    assert "deflated Sharpe is over 0.99; 1 of 2 stretches earned" in one.sentence
    other = finding("Y", contender("macd", "luck"))
    assert in_one_line([one, other]) == "A strategy for 1 of 2 instruments: X (macd). For the other: none."


def test_figures_without_false_precision() -> None:
    assert share(0.1234) == "12\u00a0%"
    assert share(-0.0512) == "−5.1\u00a0%"
    assert [chance(value) for value in (None, 0.9999, 0.001, 0.41)] == ["–", "over 0.99", "under 0.01", "0.41"]


def test_the_page(tmp_path: Path) -> None:
    records = [
        finding(
            "AAA", contender("macd", "", dsr=0.97), contender("turtle", "few", round_trips=2, curve=()), strategy="macd"
        ),
        finding(
            "BBB", contender("macd", "luck", sharpe=-0.001), *(contender(f"s{k}", "lost", curve=()) for k in range(9))
        ),
    ]
    found = Recommendation(records, MANIFEST)
    page = page_html(records, MANIFEST)
    assert page == page_html(records, MANIFEST)
    assert page.count('class="card found"') == 2
    assert '<td class="best"' in page
    assert '<td class="few"' in page
    assert "−0.00" not in page
    assert "nan" not in page
    assert "it &lt;raised&gt;" in page
    assert "1 bar is missing" in page
    assert "period=20 both=yes" in page
    assert "4 more" in page
    assert '<td class="doubt">' in page
    assert page.count('<table class="ranked">') == 3
    assert "pairs (two at once)" in page
    assert not re.search(r"(src|href)=\"(?!#|data:)", page)
    for points in re.findall(r'points="([^"]*)"', page):
        pairs = [tuple(map(float, pair.split(","))) for pair in points.split()]
        assert len(pairs) == 60
        assert all(0 <= x <= 1000 and 0 <= y <= 300 for x, y in pairs)
    assert found.plot(tmp_path / "page.html").read_text() == page
    with pytest.raises(InputError, match="not a regular file"):
        found.plot(tmp_path)


def test_the_page_of_one_instrument_needs_no_map() -> None:
    page = page_html([finding("AAA", contender("macd", "luck"))], MANIFEST)
    assert "Which strategy suits AAA?" in page
    assert "Every strategy on every instrument" not in page
