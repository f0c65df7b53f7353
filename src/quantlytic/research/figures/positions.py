"""What was held, told from the fills."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_DUST = 1e-9  # what is left of a position by rounding: less than this share of all that was traded


def position_after(fills: NDArray[Any], instrument: int, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """The signed quantity of an instrument held after each bar of `rows` (rows as `bar_offset` counts them)."""
    mine = fills[fills["instrument"] == instrument]
    signed = mine["side"] * mine["quantity"]
    held = np.append(0.0, np.cumsum(signed))
    held[np.abs(held) <= _DUST * np.append(0.0, np.cumsum(np.abs(signed)))] = 0.0
    after: NDArray[np.float64] = held[np.searchsorted(mine["bar_offset"], rows, side="right")]
    return after


def exposure(times: NDArray[np.int64], fills: NDArray[Any]) -> float | None:
    """The share of bar times after which any position is open; `times` are the close times of the bars, in order."""
    if not len(times):
        return None
    is_open = np.zeros(len(times), np.bool_)
    for instrument in np.unique(fills["instrument"]):
        is_open |= position_after(fills, int(instrument), np.arange(len(times))) != 0.0
    is_open = is_open[np.append(times[1:] != times[:-1], True)]
    return float(np.count_nonzero(is_open) / len(is_open))
