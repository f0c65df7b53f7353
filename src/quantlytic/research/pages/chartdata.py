"""What the charts of a report show: bars, equity and drawdown on one grid of at most `MAX_POINTS` times.

With more bar times than that, each point stands for the same number of them: the first open, the highest high, the
lowest low, the last close; the last equity; the deepest drawdown, so that resampling hides no loss.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.research.figures.curve import DAY_NS, Curve
from quantlytic.research.figures.metrics import MIN_RATIO_DAYS, MIN_RETURNS, rolling_sharpe
from quantlytic.research.figures.positions import position_after
from quantlytic.research.runs.outcome import Outcome

MAX_POINTS = 5000
MAX_CANDLES = 30_000  # over all instruments
MAX_INSTRUMENTS = 40
MAX_FILLS = 10_000

Chart = dict[str, Any]


def chart_data(result: Outcome) -> Chart:
    """Everything the page draws, as JSON-ready lists of rounded numbers; times in seconds."""
    bars, instruments, fills, curve = result.bars.array, result.bars.instruments, result.fills, result.curve
    shown = _most_traded(len(instruments), fills)
    points = max(min(MAX_POINTS, MAX_CANDLES // len(shown)), 2)
    is_new = np.append(True, np.diff(bars["close_time"]) != 0)
    at_time = np.cumsum(is_new) - 1
    per_point = -(-len(curve) // points)
    starts = np.arange(0, len(curve), per_point)
    point_of_bar = at_time // per_point
    last = np.append(starts[1:], len(curve)) - 1
    window = rolling_window(curve)
    return {
        "time": [round(value / 1e9, 3) for value in _labels(bars, curve.times, at_time)[starts].tolist()],
        "barsPerPoint": int(per_point),
        "equity": _rounded(curve.values[last]),
        "hold": _rounded(result.benchmark.values[last]),
        "drawdown": _rounded(np.minimum.reduceat(curve.drawdown, starts) * 100, 4),
        "sharpe": [] if window is None else _rounded(rolling_sharpe(curve, window, last), 4),
        "instruments": [
            {"name": instruments[index].symbol or instruments[index].id}
            | _candles(bars, index, result.equity, fills, point_of_bar)
            | _fills(fills, index, point_of_bar)
            for index in shown
        ],
        "instrumentsLeftOut": len(instruments) - len(shown),
    }


def rolling_window(curve: Curve) -> int | None:
    """How many returns the rolling Sharpe ratio is over: 90 days of them, or a quarter of a shorter run; None for one too
    short to be annualised in quarters."""
    span = min(90 * DAY_NS, curve.span_ns // 4)
    window = int(span / curve.span_ns * (len(curve) - 1)) if curve.span_ns else 0
    return window if span >= MIN_RATIO_DAYS * DAY_NS and window >= MIN_RETURNS and curve.is_sound else None


def _most_traded(count: int, fills: NDArray[Any]) -> list[int]:
    if count <= MAX_INSTRUMENTS:
        return list(range(count))
    traded = np.bincount(fills["instrument"], minlength=count)
    return sorted(int(index) for index in np.argsort(-traded, kind="stable")[:MAX_INSTRUMENTS])


def _labels(bars: NDArray[Any], times: NDArray[np.int64], at_time: NDArray[np.int64]) -> NDArray[np.int64]:
    """When each bar time began: its bars' latest open, or the bar time before if that is later. Strictly increasing."""
    opens = np.maximum.reduceat(bars["open_time"], np.searchsorted(at_time, np.arange(len(times))))
    opens[1:] = np.maximum(opens[1:], times[:-1])
    return opens


def _candles(
    bars: NDArray[Any], index: int, equity: NDArray[np.float64], fills: NDArray[Any], point_of_bar: NDArray[np.int64]
) -> Chart:
    rows = np.flatnonzero(bars["instrument"] == index)
    whole = len(rows) == len(bars)  # one instrument: nothing is copied
    if not len(rows):
        return {"point": [], "open": [], "high": [], "low": [], "close": [], "weight": []}
    points = point_of_bar if whole else point_of_bar[rows]
    starts = np.flatnonzero(np.append(True, points[1:] != points[:-1]))
    last = np.append(starts[1:], len(rows)) - 1
    own = bars if whole else bars[rows]
    with np.errstate(all="ignore"):
        weight = position_after(fills, index, rows) * own["close"] / (equity if whole else equity[rows])
    weight = np.add.reduceat(np.nan_to_num(weight, posinf=0.0, neginf=0.0), starts) / (last - starts + 1)
    return {
        "point": points[starts].tolist(),
        "open": _rounded(own["open"][starts]),
        "high": _rounded(np.maximum.reduceat(own["high"], starts)),
        "low": _rounded(np.minimum.reduceat(own["low"], starts)),
        "close": _rounded(own["close"][last]),
        "weight": _rounded(weight * 100, 3),
    }


def _fills(fills: NDArray[Any], index: int, point_of_bar: NDArray[np.int64]) -> Chart:
    """The fills on the chart; of very many, the last ones."""
    mine = np.flatnonzero(fills["instrument"] == index)
    budget = max(MAX_FILLS * len(mine) // max(len(fills), MAX_FILLS), 1)
    kept = fills[mine[-budget:]]
    return {
        "fillPoint": point_of_bar[kept["bar_offset"]].tolist(),
        "fillSide": kept["side"].tolist(),
        "fillPrice": _rounded(kept["price"]),
        "fillQuantity": _rounded(kept["quantity"], 5),
        "fillsLeftOut": len(mine) - len(kept),
    }


def _rounded(values: NDArray[np.float64], digits: int = 8) -> list[float | None]:
    """To significant digits; None for what is no number."""
    return [float(f"{value:.{digits}g}") if value == value else None for value in values.tolist()]  # noqa: PLR0124
