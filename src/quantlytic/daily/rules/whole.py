"""Rows that are not whole: a high below the close, a low above it, no volume.

The close is what adjustments, averages and most decisions rest on; where high or low do not enclose open and close they are
widened to do so. A volume that is missing counts as none.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.daily.rules.finding import Finding, Repair, priced

RULE = "whole"


def repair_rows(rows: NDArray[Any]) -> Finding:
    """Highs and lows that enclose the other prices, and volumes that are numbers."""
    fixed, repairs = rows.copy(), list[Repair]()
    there = priced(rows)
    for name in ("open", "high", "low"):
        _put(fixed, name, there & ~(rows[name] > 0.0), rows["close"], "is missing, and taken as the close", repairs)
    high = np.maximum.reduce([fixed[name] for name in ("open", "high", "close")])
    low = np.minimum.reduce([fixed[name] for name in ("open", "low", "close")])
    _put(fixed, "high", there & (fixed["high"] < high), high, "is below open or close", repairs)
    _put(fixed, "low", there & (fixed["low"] > low), low, "is above open or close", repairs)
    _put(
        fixed, "volume", there & ~(rows["volume"] >= 0.0), np.zeros(len(rows)), "is missing, and taken as none", repairs
    )
    return Finding(fixed, tuple(repairs)) if repairs else Finding(rows)


def _put(
    rows: NDArray[Any],
    name: str,
    wrong: NDArray[np.bool_],
    values: NDArray[np.float64],
    why: str,
    repairs: list[Repair],
) -> None:
    for at in np.flatnonzero(wrong):
        time, before, after = int(rows["time"][at]), float(rows[name][at]), float(values[at])
        rows[name][at] = after
        repairs.append(Repair(RULE, time, time, 1, (name,), before, after, f"the {name} {why}"))
