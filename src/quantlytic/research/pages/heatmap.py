"""A sweep as one HTML page: a heat map over two parameters, how lonely the best cell is, the best and the failed cells."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.model.errors import InputError
from quantlytic.model.time import iso
from quantlytic.research.pages.htmlpage import asset, template, write_page
from quantlytic.research.search.space import Value
from quantlytic.research.search.sweeptext import figure, label
from quantlytic.research.search.swept import Swept

SHOWN = ("sharpe", "total_return", "max_drawdown", "round_trips")
_MAX_SIDE = 40  # values along a side of the map; more are put together
_BINS = 12
_TOP = 20
_FAILED = 20


def write_heatmap(sweep: Swept, path: Path, x: str, y: str, metric: str) -> Path:
    """Write the page to `path`, whole or not at all. Raises InputError when it cannot be written there."""
    return write_page(heatmap_html(sweep, x, y, metric), path, "heat map")


def heatmap_html(sweep: Swept, x: str, y: str, metric: str) -> str:
    """The page as text: the same sweep gives the same bytes."""
    check_axes(sweep, x, y)
    names = [metric, *(name for name in SHOWN if name != metric)]
    maps = [_map(sweep, x, y, name) for name in names if any(value is not None for value in sweep.values(name))]
    order = sweep.ranked(metric)
    failed = [(cell, one.error) for cell, one in enumerate(sweep.outcomes) if one.error]
    varied = list(sweep.axes) or list(sweep.cells[0])
    array = sweep.bars.array
    columns = list(
        dict.fromkeys((metric, "total_return", "sharpe", "max_drawdown", "round_trips", "turnover", "exposure"))
    )
    page = template("heatmap.html").render(
        title=f"Sweep of {sweep.name.rpartition(':')[2]} on {_what(sweep)}",
        period=f"{iso(int(array['open_time'].min()))[:10]} to {iso(int(array['close_time'][-1]))[:10]}",
        sweep=sweep,
        cells=f"{len(sweep):,}",
        bars=f"{len(array):,}",
        plateau=sweep.plateau(metric) if order else None,
        maps=maps,
        x=x,
        y=y,
        varied=varied,
        columns=[label(name) for name in columns],
        rows=[
            {
                "cell": cell,
                "params": [_value(sweep.cells[cell][name]) for name in varied],
                "figures": [figure(name, sweep.outcomes[cell].figures[name]) for name in columns],
            }
            for cell in order[:_TOP]
        ],
        top_label=label(metric),
        failed=[
            {"cell": cell, "params": [_value(sweep.cells[cell][name]) for name in varied], "error": error}
            for cell, error in failed[:_FAILED]
        ],
        failed_count=f"{len(failed):,}",
        css=asset("report.css") + asset("heatmap.css"),
        script=asset("heatmap.js"),
    )
    return page


def check_axes(sweep: Swept, x: str, y: str) -> None:
    """InputError unless both are parameters of the strategy, and not the same one."""
    for name in (x, y):
        if name not in sweep.cells[0]:
            raise InputError(f"no parameter {name!r} to draw the map over: there are {', '.join(sweep.cells[0])}")
    if x == y:
        raise InputError(f"the map needs two different parameters, not {x!r} twice")


def _map(sweep: Swept, x: str, y: str, metric: str) -> dict[str, Any]:
    """Rows of cells: the highest of the runs that fall into each, its colour, and whether it is the best of all."""
    columns, column_of = _side(sweep, x)
    rows, row_of = _side(sweep, y)
    values = np.array([np.nan if one is None else float(one) for one in sweep.values(metric)])
    order = sweep.ranked(metric)
    scale = float(np.nanmax(np.abs(values))) or 1.0
    signed = bool(np.nanmin(values) < 0)
    low, span = float(np.nanmin(values)), float(np.nanmax(values) - np.nanmin(values)) or 1.0
    grid = []
    for row in reversed(range(len(rows))):
        line = []
        for column in range(len(columns)):
            inside = np.flatnonzero((row_of == row) & (column_of == column))
            known = values[inside][~np.isnan(values[inside])]
            highest = float(known.max()) if len(known) else None
            strength = 0.0 if highest is None else abs(highest) / scale if signed else (highest - low) / span
            line.append(
                {
                    "text": figure(metric, _same_kind(highest, sweep.values(metric))) if len(inside) else "",
                    "style": _colour(highest, strength),
                    "best": bool(order) and order[0] in inside,
                    "failed": bool(len(inside)) and not len(known),
                }
            )
        grid.append({"name": rows[row], "cells": line})
    together = int(np.bincount(row_of * len(columns) + column_of).max())
    return {
        "key": metric,
        "name": label(metric),
        "columns": columns,
        "rows": grid,
        "together": together,
        "worst": figure(metric, _same_kind(low, sweep.values(metric))),
        "top": figure(metric, _same_kind(float(np.nanmax(values)), sweep.values(metric))),
    }


def _side(sweep: Swept, name: str) -> tuple[list[str], NDArray[np.int64]]:
    """The labels along a side, and where on it each cell lies. Many different values are put into equal ranges."""
    values = np.array([float(params[name]) for params in sweep.cells])
    distinct = np.unique(values)
    if len(distinct) <= _MAX_SIDE:
        names = {float(params[name]): _value(params[name]) for params in sweep.cells}
        return [names[float(one)] for one in distinct], np.searchsorted(distinct, values)
    edges = np.linspace(distinct[0], distinct[-1], _BINS + 1)
    place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, _BINS - 1)
    return [f"{low:.4g}–{high:.4g}" for low, high in itertools.pairwise(edges)], place


def _colour(value: float | None, strength: float) -> str:
    if value is None:
        return ""
    return f"background:rgba(var(--{'up' if value >= 0 else 'down'}-rgb),{0.04 + 0.5 * strength:.2f})"


def _same_kind(value: float | None, like: list[float | int | None]) -> float | int | None:
    """A figure that counts is shown as a whole number."""
    whole = all(isinstance(one, int) for one in like if one is not None)
    return round(value) if whole and value is not None else value


def _value(value: Value) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else f"{value:.6g}"


def _what(sweep: Swept) -> str:
    first = sweep.bars.instruments[0]
    return (
        (first.symbol or first.id) if len(sweep.bars.instruments) == 1 else f"{len(sweep.bars.instruments)} instruments"
    )
