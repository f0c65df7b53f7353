"""A recommendation as one HTML page: the answers, a map of all strategies on all instruments, the evidence for each."""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from quantlytic.research import text
from quantlytic.research.advice.finding import Contender, Finding, Record
from quantlytic.research.advice.recommendtext import (
    DOUBTS,
    FEWEST_TRIPS,
    chance,
    hold_sentence,
    in_one_line,
    share,
    sharpe,
    short_chance,
)
from quantlytic.research.pages import htmlpage

_WIDTH, _HEIGHT = 1000.0, 300.0
_SHOWN = 6  # strategies in an instrument's table
_COLOURS = ("a", "b", "c", "d")
_STEPS = (
    (0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0),
    (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0),
    (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0),
    tuple(k / 10 for k in range(1, 31)),
    tuple(k / 20 for k in range(10, 41)),
    tuple(k / 50 for k in range(25, 101)),
    tuple(k / 200 for k in range(150, 251)),
)  # from wide to narrow: levels of equity that a scale may show


def write_page(findings: Sequence[Finding], manifest: Mapping[str, Any], interrupted: bool, path: Path) -> Path:
    """Write the page to `path`, whole or not at all. Raises InputError when it cannot be written there."""
    return htmlpage.write_page(page_html(findings, manifest, interrupted), path)


def page_html(findings: Sequence[Finding], manifest: Mapping[str, Any], interrupted: bool = False) -> str:
    """The page as text: the same findings give the same bytes."""
    suited = [one for one in findings if one.strategy is not None]
    return htmlpage.template("recommend.html").render(
        title="Which strategy suits which instrument?"
        if len(findings) > 1
        else f"Which strategy suits {_only(findings)}?",
        eyebrow=_eyebrow(findings, manifest),
        period=_period(findings),
        sentence=in_one_line(findings),
        reading=_reading(findings),
        suited=bool(suited),
        interrupted=interrupted,
        cards=[_card(one) for one in findings],
        columns=[one.symbol for one in findings],
        map=_map(findings),
        method=_method(manifest),
        manifest=json.dumps(manifest, indent=1),
        css=htmlpage.asset("report.css") + htmlpage.asset("heatmap.css") + htmlpage.asset("recommend.css"),
    )


def _only(findings: Sequence[Finding]) -> str:
    return findings[0].symbol if findings else "it"


def _eyebrow(findings: Sequence[Finding], manifest: Mapping[str, Any]) -> str:
    count, rules = len(findings), len(manifest["strategies"])
    trials = sum(one.trials for one in findings)
    return f"{count} instrument{'s' if count != 1 else ''} · {rules} strateg{'ies' if rules != 1 else 'y'} · {trials:,} trials"


def _period(findings: Sequence[Finding]) -> str:
    if not findings:
        return ""
    first, last = min(one.test_start_ns for one in findings), max(one.end_ns for one in findings)
    return f"{text.day(first)} to {text.day(last)} UTC out of sample; data from {text.day(min(one.start_ns for one in findings))}"


def _reading(findings: Sequence[Finding]) -> str:
    count = len(findings)
    words = (
        "Every strategy chose its parameters on the past and was judged by what it then earned, after costs. None is an "
        "answer, and the usual one: on prices without any pattern something always looks good."
    )
    if count > 1:
        words += f" {count} instruments were looked at: each is judged alone, so one in twenty may pass by luck."
    return words


def _card(one: Finding) -> dict[str, Any]:
    """What is shown of an instrument."""
    best = one.best if one.tested else None
    rows = list(one.tested[:_SHOWN])
    if best is not None and best not in rows:
        rows.append(best)
    dsr = None if best is None else best.dsr
    now = None if best is None or one.strategy is None or best.params is None else {
        "strategy": best.strategy,
        "day": text.day(best.stretches[-1].start_ns),
        "params": " ".join(f"{name}={_value(value)}" for name, value in best.params.items()),
    }  # fmt: skip
    return {
        "symbol": one.symbol,
        "anchor": "i-" + re.sub(r"[^A-Za-z0-9]+", "-", one.instrument),
        "suits": one.strategy is not None,
        "answer": one.strategy or "none",
        "why": one.sentence.partition(": ")[2].partition(". ")[2] or one.sentence,
        "hold": hold_sentence(one),
        "span": _span(one),
        "dsr": short_chance(dsr),
        "sure": f"{100 * (dsr or 0.0):.1f}",
        "rows": [_row(row, row.strategy == one.strategy) for row in rows],
        "others": [_row(row, False) for row in one.tested if row not in rows],
        "yardstick": _figures(one.hold),
        "stressed": one.stressed,
        "stress": [
            {"name": row.name, "text": _signed(row.total_return), "tone": text.tone(row.total_return)}
            for row in one.stress
        ],
        "now": now,
        "evidence": _evidence(one),
        "failed": [f"{name} could not be run: {error}" for name, error in one.failed.items()],
        **_chart(one),
    }


def _span(one: Finding) -> str:
    lacking = f"{one.missing:,} bar{'s are' if one.missing > 1 else ' is'} missing"
    holes = f"; {lacking} in the data, and nothing was put there" if one.missing else ""
    return f"{one.bars:,} bars{holes}."


def _evidence(one: Finding) -> str:
    """The tests that look at all strategies at once."""
    parts = [f"{one.trials:,} trials on this data"]
    if one.spa_cash is not None:
        parts.append(f"reality check (SPA) of all together: p {chance(one.spa_cash)} against earning nothing")
        parts[-1] += f", {chance(one.spa_hold)} against holding"
    if one.picked_loss is not None:
        parts.append(
            f"the best of one half of the time lost money in the other in {share(one.picked_loss)} of the splits"
        )
    return "; ".join(parts) + "."


def _row(one: Contender, chosen: bool) -> dict[str, Any]:
    return {
        "name": one.strategy,
        "chosen": chosen,
        "trips": f"{one.round_trips:,}",
        "dsr": short_chance(one.dsr),
        "doubt": DOUBTS[one.doubt] if one.doubt else "–",
        "earned": f"{one.earned} of {len(one.stretches)} stretches earned",
        "dots": [
            {"tone": text.tone(part.gained), "title": f"{text.day(part.start_ns)}: {_signed(part.gained)}"}
            for part in one.stretches
        ],
        **_figures(one),
    }


def _figures(one: Record) -> dict[str, str]:
    gain = one.total_return if one.cagr is None else one.cagr
    return {
        "sharpe": sharpe(one),
        "cagr": _signed(gain),
        "tone": text.tone(gain),
        "depth": text.NONE if one.max_drawdown is None else share(one.max_drawdown),
    }


def _map(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Rows of Sharpe ratios: holding first, then the strategies, the best median first."""
    rows = []
    for name in dict.fromkeys(one.strategy for finding in findings for one in finding.tested):
        records = [finding.of(name) for finding in findings]
        cells = [_cell(one, finding.strategy == name) for one, finding in zip(records, findings, strict=True)]
        rows.append((_median(records), {"name": name, "cells": cells}))
    rows.sort(key=lambda row: math.inf if row[0] is None else -row[0])
    holds = [one.hold for one in findings]
    rows.insert(0, (_median(holds), {"name": "buy and hold", "cells": [_cell(one, False) for one in holds]}))
    return [{**row, "median": text.ratio(middle)} for middle, row in rows]


def _median(records: Sequence[Record | None]) -> float | None:
    """Of the Sharpe ratios that there are."""
    known = [one.sharpe for one in records if one is not None and one.sharpe is not None]
    return float(np.median(known)) if known else None


def _cell(one: Record | None, chosen: bool) -> dict[str, str]:
    if one is None:
        return {"text": "", "style": "", "kind": "failed", "title": "could not be run"}
    few = isinstance(one, Contender) and one.round_trips < FEWEST_TRIPS
    value = one.sharpe
    style = ""
    if value is not None:
        strength = min(abs(value) / 2.0, 1.0) * (0.4 if few else 1.0)
        style = f"background:rgba(var(--{'up' if value >= 0 else 'down'}-rgb),{0.04 + 0.5 * strength:.2f})"
    title = f"{_figures(one)['cagr']}" + (f", {one.round_trips:,} trades" if isinstance(one, Contender) else "")
    return {
        "text": sharpe(one),
        "style": style,
        "kind": "best" if chosen else "few" if few else "",
        "title": title,
    }


def _chart(one: Finding) -> dict[str, Any]:
    """The curves, their scale, and the folds as bands."""
    shown = [row for row in one.tested if row.curve]
    curves = [*((row.strategy, row) for row in shown), ("buy and hold", one.hold)]
    values = np.maximum(np.array([record.curve for _, record in curves]), 1e-3)
    low, high = math.log(min(float(values.min()), 1.0)), math.log(max(float(values.max()), 1.0))
    low, high = low - 0.03 * (high - low or 1.0), high + 0.03 * (high - low or 1.0)
    times = np.array(one.curve_times, np.float64)
    first, last = float(times[0]), float(times[-1])

    def across(time: Any) -> Any:
        return (time - first) / max(last - first, 1.0)

    def down(level: Any) -> Any:
        return 1.0 - (np.log(level) - low) / (high - low)

    x = across(times) * _WIDTH
    lines = [
        {
            "name": name,
            "key": "hold" if record is one.hold else _COLOURS[place],
            "end": _signed(record.total_return),
            "points": " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, down(row) * _HEIGHT, strict=True)),
        }
        for place, ((name, record), row) in enumerate(zip(curves, values, strict=True))
    ]
    stretches = one.tested[0].stretches if one.tested else ()
    return {
        "lines": lines,
        "y": [
            {"text": _signed(level - 1.0) if level != 1.0 else "0\u00a0%", "zero": level == 1.0,
             "at": f"{100 * down(level):.2f}", "y": f"{_HEIGHT * down(level):.1f}"}
            for level in _levels(low, high)
        ],
        "x": [{"text": name, "at": f"{100 * across(time):.2f}"} for time, name in _dates(first, last)],
        "edges": [
            {"x": f"{max(across(part.start_ns), 0.0) * _WIDTH:.1f}",
             "width": f"{(min(across(part.end_ns), 1.0) - max(across(part.start_ns), 0.0)) * _WIDTH:.1f}"}
            for part in stretches
        ],
    }  # fmt: skip


def _levels(low: float, high: float) -> list[float]:
    """Three to seven round levels of equity between the logarithms."""
    found: list[float] = []
    for steps in _STEPS:
        inside = [level for level in steps if low <= math.log(level) <= high]
        if len(inside) > 7:
            break
        found = inside
        if len(found) >= 4:
            break
    return found


def _dates(first: float, last: float) -> list[tuple[float, str]]:
    """(time, name) of the beginnings of years, or of months where years are too few; not at the very ends."""
    begin, end = (datetime.datetime.fromtimestamp(time / 1e9, datetime.UTC) for time in (first, last))
    months = [(year, month) for year in range(begin.year, end.year + 1) for month in range(1, 13)]
    for step in (1, 2, 3, 6, 12, 24, 60):
        found = []
        for year, month in months:
            moment = datetime.datetime(year, month, 1, tzinfo=datetime.UTC)
            time = moment.timestamp() * 1e9
            if (12 * year + month - 1) % step == 0 and 0.03 < (time - first) / max(last - first, 1.0) < 0.97:
                found.append((time, str(year) if month == 1 and step >= 6 else f"{moment:%b %Y}"))
        if len(found) <= 5:
            return found
    return []


def _method(manifest: Mapping[str, Any]) -> list[str]:
    words = [
        f"The first third of each instrument's bars is for training alone. The rest is {manifest['folds']} stretches: "
        f"before each, a strategy tries {manifest['draws']} parameter sets (drawn by seed {manifest['seed']}) on "
        "everything before it, takes the one with the best Sharpe ratio, and trades it, beginning flat.",
        "Recommended is what earned money in at least five trades it closed itself, with a deflated Sharpe ratio of 0.95 "
        "or more, with and without the market's part; where the reality check over all strategies is 0.05 or less; which "
        "beat holding for its risk, earned in at least half of the stretches, and still earns in every harder market.",
        "Trials are all parameter sets of all strategies, and whatever else the trial ledger has on the data. What was "
        "tried elsewhere, or read in a book that tried it, it does not know.",
        "Assumed: " + " ".join(manifest["assumptions"]),
        "A regime that ended is in no formula. A recommendation says that an edge was there, not that it stays.",
        "Strategies that trade several instruments against each other (pairs, rotation, portfolios) are not asked here.",
    ]
    if manifest["left_out"]:
        words[-1] += " Left out: " + "; ".join(f"{name} ({why})" for name, why in manifest["left_out"].items()) + "."
    return words


def _signed(value: float) -> str:
    return ("+" if value > 0 else "") + share(value)


def _value(value: float | bool) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else f"{value:.6g}"
