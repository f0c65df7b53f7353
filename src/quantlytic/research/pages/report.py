"""The report of a backtest: one HTML file that needs nothing else, neither a network nor a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from quantlytic.engine.data.bars import Bars
from quantlytic.research import text
from quantlytic.research.figures.benchmark import benchmark_name
from quantlytic.research.figures.curve import DAY_NS
from quantlytic.research.figures.metrics import Figures, drawdowns, monthly_returns
from quantlytic.research.honesty.verdict import Verdict, verdict_of
from quantlytic.research.pages import reportparts as parts
from quantlytic.research.pages.chartdata import MAX_INSTRUMENTS, chart_data, rolling_window
from quantlytic.research.pages.htmlpage import asset, library, template, write_page
from quantlytic.research.runs.outcome import Outcome
from quantlytic.store.barfile import most_frequent

_TRIPS_SHOWN = 25
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def write_report(result: Outcome, path: Path, verdict: Verdict | None = None) -> Path:
    """Write the report to `path`, whole or not at all. Raises InputError when it cannot be written there."""
    return write_page(report_html(result, verdict), path)


def report_html(result: Outcome, verdict: Verdict | None = None) -> str:
    """The page as text. The same result gives the same bytes, but for the time the run took.

    `verdict`: the one that counts the trial ledger's trials; without it, one that knows of no others.
    """
    summary, manifest, figures = result.summary(), result.manifest(), result.metrics
    chart = chart_data(result)
    judged = verdict or verdict_of(result)
    names = [one["name"] for one in chart["instruments"]]
    what = names[0] if len(names) == 1 else f"{len(result.bars.instruments)} instruments"
    window = rolling_window(result.curve)
    times = result.bars.array["close_time"]
    page = template("report.html").render(
        title=f"{summary['strategy'].rpartition(':')[2]} on {what}",
        summary=summary,
        manifest=manifest,
        manifest_json=json.dumps(manifest, indent=2),
        period=f"{summary['start'][:10]} to {summary['end'][:10]}",
        bar_size=_bar_size(result.bars),
        verdict={"label": judged.label, "why": judged.sentence.partition(": ")[2] or judged.sentence},
        evidence=parts.evidence(judged, figures, verdict is not None),
        told=_told(result, summary),
        short=result.reasons.get("sharpe", ""),
        holes=parts.holes(result.hole_rows, result.bars) if result.holes else None,
        unadjusted=parts.unadjusted(result.unadjusted, result.bars),
        tiles=_tiles(figures, summary),
        instruments=names,
        chart_label=f"Price of {names[0]} with fills, position, equity against {_rival(result)}, and drawdown over time",
        rival=_rival(result),
        window="" if window is None else f"{result.curve.span_ns / DAY_NS * window / (len(result.curve) - 1):.0f} days",
        years=_years(times, result.equity, result.cash),
        month_names=_MONTHS,
        drawdowns=_drawdowns(result),
        costs=parts.costs(figures),
        cost_total=(text.money(figures["costs"]), text.ratio(figures["cost_bps"])),
        against=parts.against(figures),
        groups=parts.more_figures(figures, result.reasons),
        histogram=parts.trade_histogram(result),
        excursions=parts.excursions(result),
        rejections=parts.rejections(result.rejections),
        trips=_trips(result),
        facts=_facts(result, summary, manifest),
        per_year=f"{figures['bars_per_year'] or 0:,.0f}",
        data=Markup(json.dumps(chart, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")),
        css=asset("report.css"),
        script=asset("report.js"),
        library=library(),
    )
    return page


def _rival(result: Outcome) -> str:
    return benchmark_name(result.benchmark_given)


def _bar_size(bars: Bars) -> str:
    return text.duration(most_frequent(bars.array["close_time"] - bars.array["open_time"]))


def _told(result: Outcome, summary: dict[str, Any]) -> Markup:
    """What it did, in two sentences."""
    held = result.benchmark_given is None
    several = "the instruments in equal parts" if len(result.bars.instruments) > 1 else "it"
    rival = f"buying {several} and holding" if held else _rival(result)
    sentences = Markup(
        "It turned <strong>{start}</strong> into <strong>{end}</strong> (<strong>{gain}</strong>); "
        "{rival} would have given <strong>{hold}</strong>."
    ).format(
        start=text.money(result.cash),
        end=text.money(summary["final_equity"]),
        gain=text.percent(summary["total_return"], sign=True),
        rival=rival,
        hold=text.percent(summary["benchmark_return"], sign=True),
    )
    if not summary["fills"]:
        return sentences + " It never traded."
    return sentences + Markup(" Costs took {costs}, on {fills} fills.").format(
        costs=text.money(summary["costs"]), fills=f"{summary['fills']:,}"
    )


def _tiles(figures: Figures, summary: dict[str, Any]) -> list[dict[str, str]]:
    def tile(name: str, value: str, note: str = "", tone: float | None = None) -> dict[str, str]:
        return {"name": name, "value": value, "note": note, "tone": text.tone(tone)}

    start, end = figures["max_drawdown_start_time"], figures["max_drawdown_end_time"]
    lasted = (
        "" if start is None else f"since {text.day(start)}" if end is None else f"{text.day(start)} to {text.day(end)}"
    )
    gain = summary["total_return"]
    hold = text.percent(figures["benchmark_return"], sign=True)
    return [
        tile("Final equity", text.money(summary["final_equity"]), f"from {text.money(summary['cash'])}"),
        tile("Total return", text.percent(gain, sign=True), f"benchmark {hold}", gain),
        tile("Return a year", text.percent(figures["cagr"], sign=True), "compound", figures["cagr"]),
        tile("Sharpe", text.ratio(figures["sharpe"]), f"Sortino {text.ratio(figures['sortino'])}"),
        tile("Max drawdown", text.percent(figures["max_drawdown"]), lasted, figures["max_drawdown"]),
        tile("Volatility", text.percent(figures["volatility"]), f"Calmar {text.ratio(figures['calmar'])}"),
        tile("Round trips", f"{figures['round_trips']:,}", f"{figures['fills']:,} fills"),
        tile("Win rate", text.percent(figures["win_rate"]), f"profit factor {text.ratio(figures['profit_factor'])}"),
        tile("Average trade", text.money(figures["avg_trade"]), "after fees", figures["avg_trade"]),
        tile("Costs", text.money(figures["costs"]), f"{text.ratio(figures['cost_bps'])} bps of value traded"),
        tile("Exposure", text.percent(figures["exposure"]), "of the time in a position"),
        tile("Capacity", text.money(figures["capacity"]), "cash until impact eats half"),
    ]


def _years(times: NDArray[np.int64], equity: NDArray[np.float64], cash: float) -> list[dict[str, Any]]:
    """Rows of twelve months and the year's return; none for a run within one month."""
    months = monthly_returns(times, equity, cash)
    if len(months) < 2:
        return []
    scale = max((abs(value) for *_, value in months), default=0.0) or 1.0
    rows: dict[int, dict[str, Any]] = {}
    for year, month, value in months:
        row = rows.setdefault(
            year, {"name": year, "cells": [{"text": "", "style": ""} for _ in range(13)], "growth": 1.0}
        )
        row["growth"] *= 1 + value
        row["cells"][month - 1] = _heat(value, 0.06 + 0.5 * abs(value) / scale)
    for row in rows.values():
        row["cells"][12] = _heat(row["growth"] - 1, 0)
    return list(rows.values())


def _heat(value: float, strength: float) -> dict[str, str]:
    style = f"background:rgba(var(--{'up' if value > 0 else 'down'}-rgb),{strength:.2f})" if value and strength else ""
    return {"text": text.percent(value, unit=False), "style": style}


def _drawdowns(result: Outcome) -> list[dict[str, str]]:
    return [
        {
            "depth": text.percent(one.depth),
            "start": text.day(one.start_time),
            "trough": text.day(one.trough_time),
            "end": "not yet" if one.end_time is None else text.day(one.end_time),
            "lasted": text.duration(one.duration_ns),
            "recovery": text.NONE if one.recovery_ns is None else text.duration(one.recovery_ns),
        }
        for one in drawdowns(result.curve.times, result.curve.values, count=8)
    ]


def _trips(result: Outcome) -> list[dict[str, Any]]:
    """The last, best and worst round trips; one list when there are few."""
    trips = result.round_trips
    if not len(trips):
        return []
    last = np.arange(len(trips))[::-1][:_TRIPS_SHOWN]
    parts = [("last", "Last", "newest first", last)]
    if len(trips) > _TRIPS_SHOWN:
        order = np.argsort(trips["pnl"], kind="stable")
        parts += [
            ("best", "Best", "by P&L", order[::-1][:_TRIPS_SHOWN]),
            ("worst", "Worst", "by P&L", order[:_TRIPS_SHOWN]),
        ]
    return [
        {
            "key": key,
            "name": name,
            "caption": f"{len(rows)} of {len(trips):,}, {how}; paired first in, first out; P&L after fees",
            "rows": [_trip(trips[row], result.bars) for row in rows],
        }
        for key, name, how, rows in parts
    ]


def _trip(trip: Any, bars: Bars) -> dict[str, Any]:
    instrument = bars.instruments[int(trip["instrument"])]
    name = instrument.symbol or instrument.id
    value = trip["quantity"] * trip["entry_price"]
    return {
        "from_s": int(trip["entry_time"]) // 10**9,
        "to_s": int(trip["exit_time"]) // 10**9,
        "instrument": name,
        "name": name,
        "side": "long" if trip["side"] > 0 else "short",
        "tone": text.tone(trip["pnl"]),
        "pnl": text.money(trip["pnl"], sign=True),
        "returned": text.percent(trip["pnl"] / value, sign=True),
        "held": text.duration(int(trip["exit_time"] - trip["entry_time"])),
        "quantity": text.quantity(trip["quantity"]),
        "entry_price": text.price(trip["entry_price"]),
        "exit_price": text.price(trip["exit_price"]),
        "fees": text.money(trip["fees"]),
        "mae": text.percent(trip["mae"] / value),
        "mfe": text.percent(trip["mfe"] / value),
        "entry": text.minute(int(trip["entry_time"])),
        "exit": text.minute(int(trip["exit_time"])),
    }


def _facts(result: Outcome, summary: dict[str, Any], manifest: dict[str, Any]) -> list[tuple[str, str | Markup]]:
    names = [one.symbol or one.id for one in result.bars.instruments]
    shown = ", ".join(names[:MAX_INSTRUMENTS]) + (", …" if len(names) > MAX_INSTRUMENTS else "")
    short = Markup('<span class="mono" title="{0}">{1}</span>')
    digests = {
        "Data SHA-256": manifest["data"]["sha256"],
        "Code SHA-256": manifest["strategy"]["code_sha256"],
        "Digest": summary["digest"],
    }
    return [
        ("File", manifest["data"]["label"] or "bars given in memory"),
        ("Instruments", shown),
        ("Bars", f"{summary['bars']:,} of {_bar_size(result.bars)}; {summary['holes']:,} missing"),
        *((name, short.format(value, value[:16] + "…") if value else "none") for name, value in digests.items()),
        ("Run", f"{summary['mode']}, {summary['elapsed_s'] * 1e3:,.1f} ms"),
        ("Versions", ", ".join(f"{name} {number}" for name, number in summary["versions"].items())),
    ]
