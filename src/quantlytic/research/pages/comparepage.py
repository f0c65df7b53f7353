"""The page that lays runs side by side: one HTML file that needs nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from quantlytic.research import text
from quantlytic.research.pages.htmlpage import asset, library, template, write_page
from quantlytic.research.runs.compare import Comparison, KeptRun

MAX_POINTS = 3000  # of each run
_DIFFERENCE_SHOWN = 120
_LOWER_IS_BETTER = {
    "costs",
    "fees_paid",
    "slippage_paid",
    "volatility",
    "ulcer_index",
    "longest_drawdown_ns",
    "cost_bps",
}
_HIGHER_IS_BETTER = {
    "final_equity", "total_return", "cagr", "sharpe", "sortino", "calmar", "max_drawdown", "alpha", "information_ratio",
    "win_rate", "profit_factor", "expectancy", "capacity", "var_95",
}  # fmt: skip


def write_comparison(comparison: Comparison, path: Path) -> Path:
    """Write the page to `path`, whole or not at all. Raises InputError when it cannot be written there."""
    return write_page(comparison_html(comparison), path)


def comparison_html(comparison: Comparison) -> str:
    """The page as text; the same runs give the same bytes."""
    runs = comparison.runs
    chart = [_line(run) for run in runs]
    return template("compare.html").render(
        title=" against ".join(run.label for run in runs) if len(runs) == 2 else f"{len(runs)} runs side by side",
        runs=[_head(run, place) for place, run in enumerate(runs)],
        same_data=comparison.is_same_data,
        figures=_figures(comparison),
        correlations=[[text.ratio(value) for value in row] for row in comparison.correlations],
        differences=[(name, [_shown(value) for value in values]) for name, values in comparison.differences.items()],
        data=Markup(json.dumps(chart, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")),
        css=asset("report.css"),
        script=asset("compare.js"),
        library=library(),
    )


def _head(run: KeptRun, place: int) -> dict[str, str]:
    summary = run.summary
    return {
        "letter": chr(ord("A") + place) if place < 26 else str(place + 1),
        "run_id": run.run_id,
        "label": run.label,
        "verdict": (summary.get("verdict") or {}).get("sentence") or "",
        "period": f"{summary['start'][:10]} to {summary['end'][:10]}, {summary['bars']:,} bars",
        "instruments": ", ".join(name.partition(":")[2] for name in summary["instruments"][:6]),
    }


def _line(run: KeptRun) -> dict[str, Any]:
    """Growth of 1 and drawdown in percent; with many points the last value and the deepest drawdown of each stretch."""
    curve, size = run.curve, -(-len(run.curve) // MAX_POINTS)
    starts = np.arange(0, len(curve), size)
    last = np.append(starts[1:], len(curve)) - 1
    with np.errstate(all="ignore"):
        growth = curve.values[last] / run.summary["cash"]
        deepest = np.minimum.reduceat(curve.drawdown, starts) * 100
    return {
        "name": f"{run.run_id} {run.label}",
        "time": (curve.times[last] // 1_000_000_000).tolist(),
        "growth": _numbers(growth),
        "drawdown": _numbers(deepest),
    }


def _numbers(values: Any) -> list[float | None]:
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in values.tolist()]


def _figures(comparison: Comparison) -> list[dict[str, Any]]:
    """Rows of the figures that any run has; the best of each is marked where one is better."""
    rows = []
    for name, values in comparison.figures.items():
        known = [value for value in values if value is not None]
        if not known:
            continue
        sign = 1 if name in _HIGHER_IS_BETTER else -1 if name in _LOWER_IS_BETTER else 0
        best = max(sign * value for value in known) if sign and len(set(known)) > 1 else None
        cells = [(text.figure(name, value), value is not None and sign * value == best) for value in values]
        rows.append({"name": name.removesuffix("_ns").replace("_", " "), "cells": cells})
    return rows


def _shown(value: Any) -> str:
    shown = ", ".join(map(str, value)) if isinstance(value, list) else "–" if value is None else str(value)
    return shown if len(shown) <= _DIFFERENCE_SHOWN else shown[:_DIFFERENCE_SHOWN] + "…"
