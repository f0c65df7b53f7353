"""The report of a backtest: one HTML file that needs nothing else, neither a network nor a server."""

from __future__ import annotations

import functools
import json
import os
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from quantlytic.engine.bars import Bars
from quantlytic.model.errors import InputError
from quantlytic.research import text
from quantlytic.research.chartdata import MAX_INSTRUMENTS, chart_data
from quantlytic.research.metrics import Figures, drawdowns, last_of_each_time, monthly_returns
from quantlytic.research.outcome import Outcome
from quantlytic.research.verdict import Verdict, verdict_of
from quantlytic.store.barfile import most_frequent

_TRIPS_SHOWN = 25
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def write_report(result: Outcome, path: Path, verdict: Verdict | None = None) -> Path:
    """Write the report to `path`, whole or not at all. Raises InputError when it cannot be written there."""
    if path.exists() and not path.is_file():  # the report takes the place of what is there: of a device, never
        raise InputError(f"the report cannot be written to {path}: it is not a regular file")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(report_html(result, verdict), encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(f"the report cannot be written to {path}: {error.strerror}") from None
    return path


def report_html(result: Outcome, verdict: Verdict | None = None) -> str:
    """The page as text. The same result gives the same bytes, but for the time the run took."""
    summary, manifest = result.summary(), result.manifest()
    chart = chart_data(result.bars.array, result.bars.instruments, result.equity, result.fills, result.cash)
    names = [one["name"] for one in chart["instruments"]]
    what = names[0] if len(names) == 1 else f"{len(result.bars.instruments)} instruments"
    hold = chart["hold"][-1] / result.cash - 1
    times = result.bars.array["close_time"]
    page = _template().render(
        title=f"{summary['strategy'].rpartition(':')[2]} on {what}",
        summary=summary,
        manifest=manifest,
        manifest_json=json.dumps(manifest, indent=2),
        period=f"{summary['start'][:10]} to {summary['end'][:10]}",
        bar_size=_bar_size(result.bars),
        verdict=verdict or verdict_of(result),
        told=_told(result, summary, hold),
        holes=_holes(summary["holes"]),
        tiles=_tiles(result.metrics, summary, hold),
        instruments=names,
        chart_label=f"Price of {names[0]} with fills, position, equity against buy and hold, and drawdown over time",
        years=_years(times, result.equity, result.cash),
        month_names=_MONTHS,
        drawdowns=_drawdowns(times, result.equity),
        trips=_trips(result),
        facts=_facts(result, summary, manifest),
        per_year=f"{result.metrics['bars_per_year'] or 0:,.0f}",
        data=Markup(json.dumps(chart, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")),
        css=_asset("report.css"),
        script=_asset("report.js"),
        library=_library(),
    )
    return page


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(_asset("report.html"))


@functools.cache
def _asset(name: str) -> Markup:
    return Markup((resources.files("quantlytic.research") / "templates" / name).read_text(encoding="utf-8"))


@functools.cache
def _library() -> Markup:
    return Markup((resources.files("litecharts") / "js" / "lightweight-charts.js").read_text(encoding="utf-8"))


def _bar_size(bars: Bars) -> str:
    return text.duration(most_frequent(bars.array["close_time"] - bars.array["open_time"]))


def _told(result: Outcome, summary: dict[str, Any], hold: float) -> Markup:
    """The answer in two sentences."""
    several = "the instruments in equal parts" if len(result.bars.instruments) > 1 else "it"
    sentences = Markup(
        "It turned <strong>{start}</strong> into <strong>{end}</strong> (<strong>{gain}</strong>); "
        "buying {what} and holding would have given <strong>{hold}</strong>."
    ).format(
        start=text.money(result.cash),
        end=text.money(summary["final_equity"]),
        gain=text.percent(summary["total_return"], sign=True),
        what=several,
        hold=text.percent(hold, sign=True),
    )
    if not summary["fills"]:
        return sentences + " It never traded."
    fees = Markup(" Fees took {fees}, on {fills} fills.").format(
        fees=text.money(summary["fees_paid"]), fills=f"{summary['fills']:,}"
    )
    return sentences + fees


def _holes(count: int) -> str:
    bars = "1 bar is" if count == 1 else f"{count:,} bars are"
    return f"{bars} missing in the data. Holes are never filled: nothing is decided and nothing fills in them."


def _tiles(figures: Figures, summary: dict[str, Any], hold: float) -> list[dict[str, str]]:
    def tile(name: str, value: str, note: str = "", tone: float | None = None) -> dict[str, str]:
        return {"name": name, "value": value, "note": note, "tone": text.tone(tone)}

    start, end = figures["max_drawdown_start_time"], figures["max_drawdown_end_time"]
    lasted = (
        "" if start is None else f"since {text.day(start)}" if end is None else f"{text.day(start)} to {text.day(end)}"
    )
    gain = summary["total_return"]
    return [
        tile("Final equity", text.money(summary["final_equity"]), f"from {text.money(summary['cash'])}"),
        tile("Total return", text.percent(gain, sign=True), f"buy and hold {text.percent(hold, sign=True)}", gain),
        tile("Return a year", text.percent(figures["cagr"], sign=True), "compound", figures["cagr"]),
        tile("Sharpe", text.ratio(figures["sharpe"]), f"Sortino {text.ratio(figures['sortino'])}"),
        tile("Max drawdown", text.percent(figures["max_drawdown"]), lasted, figures["max_drawdown"]),
        tile("Volatility", text.percent(figures["volatility"]), f"Calmar {text.ratio(figures['calmar'])}"),
        tile("Round trips", f"{figures['round_trips']:,}", f"{figures['fills']:,} fills"),
        tile("Win rate", text.percent(figures["win_rate"]), f"profit factor {text.ratio(figures['profit_factor'])}"),
        tile("Average trade", text.money(figures["avg_trade"]), "after fees", figures["avg_trade"]),
        tile("Fees paid", text.money(figures["fees_paid"]), f"{summary['fee_bps']:g} bps a fill"),
        tile("Exposure", text.percent(figures["exposure"]), "of the time in a position"),
        tile("Turnover", f"{text.ratio(figures['turnover'])} ×", "of mean equity, a year"),
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


def _drawdowns(times: NDArray[np.int64], equity: NDArray[np.float64]) -> list[dict[str, str]]:
    return [
        {
            "depth": text.percent(one.depth),
            "start": text.day(one.start_time),
            "trough": text.day(one.trough_time),
            "end": "not yet" if one.end_time is None else text.day(one.end_time),
            "lasted": text.duration(one.duration_ns),
        }
        for one in drawdowns(*last_of_each_time(times, equity), count=6)
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
