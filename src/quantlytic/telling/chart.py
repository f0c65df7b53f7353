"""The chart of an alert as a picture: the last bars, the strategy's own averages, and where it acted."""

from __future__ import annotations

import functools
import io
import math
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from quantlytic.model.time import NS_PER_S, duration_ns
from quantlytic.telling.letter import Chart
from quantlytic.telling.replica import Point

WIDTH_PX, HEIGHT_PX = 1200, 600
_UP, _DOWN, _INK, _GRID = "#0b7a5c", "#c0392b", "#33404d", "#e3e8ee"
_LINES = ("#1f6feb", "#d97706", "#7c3aed", "#0891b2", "#be185d", "#4d7c0f")
_MOST_LINES = 6
_DAY_NS = 86_400 * NS_PER_S
_CHART = msgspec.msgpack.Decoder(Chart)


def chart_of(symbol: str, bar: str, points: Sequence[Point], mark: str = "", mark_is_buy: bool = True) -> Chart | None:
    """A chart's data; None for fewer than two bars. Lines that do not lie where the prices are (an oscillator) are left out."""
    if len(points) < 2:
        return None
    low, high = min(point.low for point in points), max(point.high for point in points)
    reach = max(high - low, 1e-3 * high)
    lines: dict[str, tuple[float, ...]] = {}
    for name in dict.fromkeys(name for point in points for name in point.lines):
        values = tuple(point.lines.get(name, math.nan) for point in points)
        known = [value for value in values if math.isfinite(value)]
        if known and low - reach <= min(known) and max(known) <= high + reach and len(lines) < _MOST_LINES:
            lines[name] = values
    return Chart(
        symbol, bar, tuple(point.close_time for point in points), tuple(point.open for point in points),
        tuple(point.high for point in points), tuple(point.low for point in points),
        tuple(point.close for point in points), lines, mark, mark_is_buy,
    )  # fmt: skip


def png_of(chart: Chart) -> bytes | None:
    """The chart as PNG, 1200 x 600, the same bytes each time with the same Matplotlib; None where that is not installed."""
    return _drawn(msgspec.msgpack.encode(chart))


@functools.lru_cache(maxsize=32)  # one alert goes to many
def _drawn(packed: bytes) -> bytes | None:
    return _draw(_CHART.decode(packed))


_drawing = threading.Lock()  # Matplotlib's settings are one for the process, and couriers are several


def _draw(chart: Chart) -> bytes | None:
    try:
        import matplotlib.style
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        return None
    # From the defaults up: what a matplotlibrc or another library has set must not change a mail.
    ours = {"font.family": "DejaVu Sans", "font.size": 10.5, "path.simplify": False}
    with _drawing, matplotlib.style.context(["default", ours]):
        figure = Figure(figsize=(WIDTH_PX / 200, HEIGHT_PX / 200), dpi=200, facecolor="white")
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0.015, 0.105, 0.865, 0.815))
        _candles(axes, chart)
        for (name, values), color in zip(chart.lines.items(), _LINES, strict=False):
            axes.plot(range(len(values)), values, color=color, linewidth=1.3, label=name, zorder=3)
        _mark(axes, chart)
        _dress(axes, chart)
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=200, metadata={"Software": None})
    return picture.getvalue()


def _candles(axes: Any, chart: Chart) -> None:
    from matplotlib.collections import LineCollection, PolyCollection

    wicks: list[list[tuple[float, float]]] = []
    bodies: list[list[tuple[float, float]]] = []
    colors: list[str] = []
    thin = 0.002 * (max(chart.highs) - min(chart.lows) or chart.closes[-1])
    for k, (first, high, low, last) in enumerate(zip(chart.opens, chart.highs, chart.lows, chart.closes, strict=True)):
        bottom, top = min(first, last), max(first, last)
        top = max(top, bottom + thin)
        wicks.append([(k, low), (k, high)])
        bodies.append([(k - 0.36, bottom), (k - 0.36, top), (k + 0.36, top), (k + 0.36, bottom)])
        colors.append(_UP if last >= first else _DOWN)
    axes.add_collection(LineCollection(wicks, colors=colors, linewidths=0.7, zorder=1))
    axes.add_collection(PolyCollection(bodies, facecolors=colors, edgecolors="none", zorder=2))


def _mark(axes: Any, chart: Chart) -> None:
    """An arrow at the last bar, from the side where the position goes to."""
    if not chart.mark:
        return
    last, color = len(chart.closes) - 1, _UP if chart.mark_is_buy else _DOWN
    at = chart.lows[-1] if chart.mark_is_buy else chart.highs[-1]
    axes.annotate(
        chart.mark, (last, at), xytext=(-4, -34 if chart.mark_is_buy else 34), textcoords="offset points", color="white",
        fontweight="bold", ha="right", va="center", zorder=5,
        bbox={"boxstyle": "round,pad=0.35", "facecolor": color, "edgecolor": "none"},
        arrowprops={"arrowstyle": "-|>", "color": color, "linewidth": 1.6, "shrinkA": 0, "shrinkB": 2},
    )  # fmt: skip
    axes.axhline(chart.closes[-1], color=color, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)


def _dress(axes: Any, chart: Chart) -> None:
    count = len(chart.closes)
    low, high = min(chart.lows), max(chart.highs)
    known = [value for values in chart.lines.values() for value in values if math.isfinite(value)]
    low, high = min([low, *known]), max([high, *known])
    room = (high - low or abs(high) or 1.0) * 0.14
    axes.set_xlim(-1, count + 0.5)
    axes.set_ylim(low - room, high + (1.4 if chart.lines else 1.0) * room)  # the names of the lines are at the top
    axes.yaxis.tick_right()
    axes.yaxis.set_major_formatter("{x:,.8g}")
    axes.tick_params(length=0, labelcolor=_INK)
    axes.grid(visible=True, color=_GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_visible(False)
    at = [round(k * (count - 1) / 3) for k in range(4)] if count > 8 else [0, count - 1]
    form = "%Y-%m-%d" if duration_ns(chart.bar) >= _DAY_NS else "%d %b %H:%M"
    if duration_ns(chart.bar) < 60 * NS_PER_S:
        form = "%H:%M:%S"
    axes.set_xticks(at, [_time(chart.close_times[k], form) for k in at])
    labels = axes.get_xticklabels()
    labels[0].set_horizontalalignment("left")
    labels[-1].set_horizontalalignment("right")
    axes.set_title(f"{chart.symbol}  {chart.bar}  (UTC)", loc="left", fontsize=11, color=_INK, fontweight="bold", pad=5)
    if chart.lines:
        legend = axes.legend(loc="upper left", frameon=True, framealpha=0.85, edgecolor="none", fontsize=9.5, ncols=3)
        for text in legend.get_texts():
            text.set_color(_INK)


def _time(time_ns: int, form: str) -> str:
    return datetime.fromtimestamp(time_ns // NS_PER_S, UTC).strftime(form)
