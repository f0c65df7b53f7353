"""Splits that are in the prices and nowhere else: a run over them would take a split for a loss, or a gain.

A bar opens at a whole ratio (or 3:2) of the close before it, far outside this instrument's usual gaps, and stays there. Real
moves of a half or a third overnight exist, so a ratio up to 3 must be met within 2 %, a larger one, which hardly any real
move reaches, within 6 %. Nothing is said of fewer than 20 bars, of steps over a hole of ten days, or of splits with a large
move in the same night.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.data.bars import Bars
from quantlytic.model.errors import DataError
from quantlytic.model.time import iso
from quantlytic.research.data.dataquality import gaps_of

STEP = np.dtype([("instrument", "i4"), ("time", "i8"), ("close", "f8"), ("open", "f8"), ("ratio", "f8")], align=True)
"""From `close` to the `open` of the bar at `time` (ns UTC); `ratio`: new shares for one old, 1/n where n become one."""

_RATIOS = np.array([1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 15.0, 20.0, 25.0, 30.0])
_SLACK = np.where(_RATIOS <= 3.0, 0.02, 0.06)  # in logs
_FEWEST_BARS = 20
_SMALLEST = 1.45
_SIGMAS = 12.0


def find_unadjusted(bars: Bars) -> NDArray[Any]:
    """Steps that look like splits, instrument by instrument in order of time: rows of dtype STEP."""
    found = [np.zeros(0, STEP)]
    for index in range(len(bars.instruments)):
        own = bars.array if len(bars.instruments) == 1 else bars.array[bars.array["instrument"] == index]
        if len(own) >= _FEWEST_BARS:
            found.append(_steps(own, index))
    return np.concatenate(found)


def refuse_unadjusted(bars: Bars, steps: NDArray[Any]) -> None:
    """Raise DataError where there are any: the first, how many more, and what to do."""
    if not len(steps):
        return
    first = steps[np.argmin(steps["time"])]
    more = len(steps) - 1
    rest = "" if not more else f", and {more:,} more step{'s' if more > 1 else ''}"
    raise DataError(
        f"{bars.label or 'bars'}: prices look raw, not adjusted for splits ({told(first, bars)}{rest}): give the actions "
        "(ql.load_equity finds them; backtest(..., actions=)), take adjusted bars, or run over it with --allow-splits "
        "(allow_splits=True)"
    )


def told(step: Any, bars: Bars) -> str:
    """A step in words: instrument, day, prices, ratio."""
    ratio = float(step["ratio"])
    name = bars.instruments[int(step["instrument"])].id
    like = "3:2" if ratio == 1.5 else f"{ratio:.0f}:1" if ratio > 1.0 else f"1:{1.0 / ratio:.0f}"
    return f"{name} from {step['close']:g} to {step['open']:g} on {iso(int(step['time']))[:10]}, like {like}"


def _steps(own: NDArray[Any], index: int) -> NDArray[Any]:
    with np.errstate(all="ignore"):  # a price of no use compares as false
        step = own["open"][1:] / own["close"][:-1]
        if not ((step > _SMALLEST) | (step < 1.0 / _SMALLEST)).any():  # nearly always: what follows costs more
            return np.zeros(0, STEP)
        gaps, sigma = gaps_of(own)
        stays = np.abs(np.log(own["close"][1:] / own["close"][:-1])) > 0.5 * np.abs(gaps[1:])
    far = np.concatenate(([False], stays)) & (np.abs(gaps) > _SIGMAS * sigma)
    rows = np.flatnonzero(far)
    off = np.abs(np.abs(gaps[rows])[:, None] - np.log(_RATIOS))
    nearest = off.argmin(axis=1)
    is_known = off[np.arange(len(rows)), nearest] < _SLACK[nearest]
    is_known &= (gaps[rows] < 0) | (nearest > 0)  # 3:2 the other way round is no split that is done
    rows, ratios = rows[is_known], _RATIOS[nearest[is_known]]
    found = np.zeros(len(rows), STEP)
    found["instrument"], found["time"] = index, own["open_time"][rows]
    found["close"], found["open"] = own["close"][rows - 1], own["open"][rows]
    found["ratio"] = np.where(gaps[rows] < 0, ratios, 1.0 / ratios)
    return found
